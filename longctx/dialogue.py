"""A conversation over one corpus with one engine: each question goes on from the turns before it, each turn is kept.

The session is kept as soon as there is an answer in it, a broken one too.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from ingest.interruption import undisturbed
from ingest.naming import show
from longctx.analysis import Asking, Before, ask
from longctx.answer import to_json
from longctx.errors import StoreError, UsageError
from longctx.events import Answered, AnswerEvent, AnswerEvents, Notice, through
from longctx.session import Exchange, Order, Session, Turn
from longctx.steps import MemorySteps, Steps
from longctx.summarising import summarise
from longctx.summary_form import Summary

if TYPE_CHECKING:
    from longctx.corpus import Corpus
    from longctx.engines.base import Engine
    from longctx.history import History
    from longctx.structured import Schema

TITLE_MOST = 80
REPACKED = "the corpus was repacked since, so earlier turns are sent as words, without what they had read"


class Dialogue:
    """Questions asked one after another, going on from `session` where one is given.

    `engine` and `history` stay the caller's. Without `history`, or with `kept` false, nothing new is kept.
    `opened_from` is kept with each turn: what a later question needs to go on with the same engine.
    """

    def __init__(
        self,
        corpus: "Corpus",
        engine: "Engine | None",
        asking: Asking,
        *,
        history: "History | None" = None,
        session: Session | None = None,
        kept: bool = True,
        title: str = "",
        opened_from: Mapping[str, object] | None = None,
    ) -> None:
        self._corpus = corpus
        self._engine = engine
        self._asking = asking
        self._history = history
        self._keeping = history if kept else None
        self._title = title
        self._opened_from = dict(opened_from or {})
        self._session = session
        self._turns = list(history.turns(session)) if history and session else []
        self._kept = len(self._turns)
        self._trouble: StoreError | KeyboardInterrupt | None = None
        self._steps = MemorySteps()

    @property
    def session(self) -> Session | None:
        """The session that holds all turns; None before the first answer, and where not all of them are kept."""
        return self._session if self._kept == len(self._turns) else None

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns until now, oldest first."""
        return tuple(self._turns)

    def use(self, engine: "Engine | None", opened_from: Mapping[str, object]) -> None:
        """From now on this engine answers."""
        self._engine, self._opened_from = engine, dict(opened_from)

    def back_to(self, turn: str) -> None:
        """Go back to before the turn with that id: it and what followed no longer lead here, but stay in the session.

        Raises UsageError where this conversation has no such turn.
        """
        at = next((n for n, each in enumerate(self._turns) if each.id == turn), None)
        if at is None:
            raise UsageError(f"turn {show(turn)} is not in this conversation", "it may have been asked anew before")
        del self._turns[at:]
        self._kept = min(self._kept, at)

    @contextmanager
    def instead_of(self, turn: str) -> Iterator[None]:
        """Inside the block the conversation is what it was before that turn. Where nothing is answered there, it goes
        on from where it was. Raises UsageError as `back_to` does."""
        turns, kept = list(self._turns), self._kept
        self.back_to(turn)
        before = len(self._turns)
        try:
            yield
        finally:
            if len(self._turns) == before:
                self._turns, self._kept = turns, kept

    def ask(self, question: str, question_id: str | None = None, schema: "Schema | None" = None) -> AnswerEvents:
        """The events of one question; its turn is kept before Answered is given out. `schema` is that of its answer."""
        before, repacked = self._before()
        if repacked:
            yield Notice(REPACKED)
        events = ask(
            self._corpus,
            question,
            self._engine,
            self._asking,
            before=before,
            question_id=question_id,
            prefill_tokens_per_s=self._rate(),
            schema=schema,
        )
        yield from self._followed(events)

    def summarise(self, summary: Summary, steps: Steps | None = None) -> AnswerEvents:
        """The events of a summary, which is a turn as a question is; its settings say of what it is one.

        What `steps` knows of it is not asked again: without any, what this conversation has had made.
        """
        before, repacked = self._before()
        if repacked:
            yield Notice(REPACKED)
        events = summarise(
            self._corpus,
            self._engine,
            self._asking,
            summary,
            before=before,
            prefill_tokens_per_s=self._rate(),
            steps=self._steps if steps is None else steps,
        )
        yield from self._followed(events, summary.scope.label)

    def _followed(self, events: AnswerEvents, summary_of: str = "") -> AnswerEvents:
        yield from through(events, lambda event: self._taken(event, summary_of))
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble

    def _before(self) -> tuple[Before, bool]:
        """The turns before as the next prompt has them, and whether the corpus was repacked since the last of them.

        Where their ids mean other texts by now, they are sent as words.
        """
        questions = [turn.question for turn in self._turns]
        sent = [turn for turn in self._turns if turn.exchange is not None]
        if self._engine is None or not sent:
            return Before((), questions), False
        known = {order: self._is_in_order(order) for order in {turn.order for turn in sent}}
        exchanges = [turn.exchange if turn.exchange and known[turn.order] else self._in_words(turn) for turn in sent]
        topic, left_out = str(sent[-1].settings.get("topic", "")), sent[-1].settings.get("left_out", 0)
        return Before(exchanges, questions, topic, left_out), not known[sent[-1].order]

    def _is_in_order(self, order: Order) -> bool:
        from longctx.composing import order_of

        return order_of(self._corpus, order.entries) == order

    def _in_words(self, turn: Turn) -> Exchange:
        from longctx.composing import in_words

        return in_words(self._corpus.tokenizer.encode, turn.question, str(turn.answer["answer_markdown"]))

    def _rate(self) -> float | None:
        if self._engine is None or self._history is None:
            return None
        who = self._engine.identity()
        return self._history.prefill_rate(who.kind, who.model)

    def _taken(self, event: AnswerEvent, summary_of: str) -> AnswerEvent:
        """An answer becomes the turn that the next question goes on from; other events are as they were.

        An answer that can't be kept is given all the same, as is one that was interrupted as it was kept: that is
        raised after it.
        """
        if not isinstance(event, Answered):
            return event
        taken: Answered | None = None
        try:
            with undisturbed():
                taken = self._kept_turn(event, summary_of)
        except KeyboardInterrupt as interrupt:
            if taken is None:
                raise
            self._trouble = interrupt
        return taken

    def _kept_turn(self, event: Answered, summary_of: str) -> Answered:
        try:
            self._begin(event.answer.question)
        except StoreError as error:
            self._trouble = error
        named = replace(event.answer, session=self._session.id if self._session and self._keeping else None)
        self._turns.append(self._turn(replace(event, answer=named), summary_of))
        try:
            self._keep()
        except StoreError as error:
            self._trouble = error
        return replace(event, answer=named if self.session else replace(named, session=None))

    def _begin(self, question: str) -> None:
        if self._keeping is not None and self._session is None:
            self._session = self._keeping.begin(self._corpus.record.id, self._title or _title(question))

    def _keep(self) -> None:
        """Keep the turns that are not kept yet, one that failed before with them."""
        while self._keeping is not None and self._session and self._kept < len(self._turns):
            self._session = self._keeping.append(self._session.id, self._turns[self._kept])
            self._kept += 1

    def _turn(self, answered: Answered, summary_of: str) -> Turn:
        answer = answered.answer
        return Turn(
            parent=self._turns[-1].id if self._turns else None,
            question=answer.question,
            answer=to_json(answer),
            corpus=self._corpus.record.id,
            order=_order(self._corpus) if answered.exchange else Order(0, ""),
            plan=answered.plan,
            settings={
                **self._opened_from,
                "topic": answered.topic,
                "left_out": answered.left_out,
                **asdict(self._asking),
                **({"summary_of": summary_of} if summary_of else {}),
            },
            exchange=answered.exchange,
            created_s=round(time.time(), 3),
        )


def _order(corpus: "Corpus") -> Order:
    """Where the ids stand that a turn's prompt has."""
    from longctx.composing import order_of

    return order_of(corpus)


def _title(question: str) -> str:
    words = " ".join(question.split())
    return words if len(words) <= TITLE_MOST else words[: TITLE_MOST - 1].rstrip() + "…"
