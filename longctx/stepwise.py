"""A summary in several calls of an engine: notes on runs of documents, fewer notes of many, then the whole.

What is quoted is looked up in the documents at every step, never in notes. What a call gave is kept under a key of all
that it was asked, so that a later run makes none twice. A call that fails costs the documents that it was to read, and
they are named; two that fail one after the other end the run.
"""

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from longctx import hierarchy
from longctx.analysis import Asking, Before, sampling
from longctx.answer import Answer, Ending
from longctx.answering import Answering
from longctx.composing import Composed, compose_notes, compose_pieces, in_words
from longctx.corpus import Corpus
from longctx.engines.base import Engine, Prompt, Sampling
from longctx.errors import DoesNotFit, EngineError, StoreError
from longctx.events import Answered, AnswerEvent, AnswerEvents, Notice, Planned, PrefillProgress, Stepped, through
from longctx.hierarchy import Leaf, Plan
from longctx.kept_answer import brief
from longctx.manifest import Entry
from longctx.notes import Notes, is_answer, notes_of, together, written
from longctx.step_answer import Given, Made, finished, focus_of, nothing, reading_of
from longctx.step_orders import Orders, rooms_of
from longctx.steps import Steps
from longctx.summary_form import Summary


def in_steps(
    corpus: Corpus,
    engine: Engine,
    asking: Asking,
    summary: Summary,
    entries: Sequence[Entry],
    limit: int,
    steps: Steps,
    before: Before,
    prefill_tokens_per_s: float | None = None,
) -> AnswerEvents:
    """A summary of texts that do not fit in one prompt of at most `limit` tokens after what was asked `before`.

    `asking` is for the whole. Raises DoesNotFit before anything is sent, and what the engine raises where it goes on
    failing.
    """
    plan = hierarchy.plan(corpus, entries, rooms_of(corpus, asking, summary, limit))
    stepwise = _Stepwise(corpus, engine, asking, summary, plan, steps, before)
    if plan.calls == 1:
        yield from stepwise.alone(prefill_tokens_per_s)
        return
    yield Notice(
        f"{summary.scope.label} does not fit in one pass ({plan.tokens:,} tokens, the engine takes {limit:,}): "
        f"{plan.counted}"
    )
    yield from stepwise.events()


class _Stepwise:
    """A plan on its way; `events`, or `alone`, may be followed once."""

    def __init__(
        self,
        corpus: Corpus,
        engine: Engine,
        asking: Asking,
        summary: Summary,
        plan: Plan,
        steps: Steps,
        before: Before,
    ) -> None:
        self._corpus = corpus
        self._engine = engine
        self._asking = asking
        self._summary = summary
        self._plan = plan
        self._steps = steps
        self._before = before
        self._orders = Orders(summary, plan.rooms.statements)
        self._made = Made(plan)
        self._is_failing = False
        self._noticed = set[str]()
        self._ids = {entry.digest: entry.document_id for entry in corpus.current}

    def events(self) -> AnswerEvents:
        """The calls in order; the last one's text as it comes, and in the end Answered."""
        notes = yield from self._of_documents()
        for count in self._plan.levels:
            notes = yield from self._joined(notes, count)
        yield from self._whole(notes)

    def alone(self, prefill_tokens_per_s: float | None) -> AnswerEvents:
        """All texts in one call, where they fit without a conversation before them."""
        if self._before.exchanges:
            yield Notice(f"{self._summary.scope.label} is read in one pass, without the conversation")
        composed = compose_pieces(
            self._corpus, focus_of(self._corpus, self._made.read), self._orders.alone, self._asking.max_tokens
        )
        yield Planned(
            reading=reading_of(self._corpus, self._made),
            prompt_tokens=len(composed.prompt.ids),
            limit_tokens=self._engine.limits().context_tokens,
            prefill_tokens_per_s=prefill_tokens_per_s,
        )
        yield from self._last(composed)

    # --- notes ------------------------------------------------------------------------------------------------------

    def _of_documents(self) -> Generator[AnswerEvent, None, list[Notes]]:
        notes = list[Notes]()
        for leaf in self._plan.leaves:
            composed = compose_pieces(
                self._corpus, focus_of(self._corpus, [leaf]), self._orders.leaf, self._plan.rooms.notes
            )
            made = yield from self._call(composed, leaf.label, leaf)
            if made is not None:
                notes.append(made)
        return notes

    def _joined(self, notes: list[Notes], count: int) -> Generator[AnswerEvent, None, list[Notes]]:
        """Fewer notes: so many, where there are as many as were planned for. What says nothing that stands in the
        documents stands in the place of none."""
        fewer = list[Notes]()
        for number, share in enumerate(hierarchy.shares(len(notes), count), start=1):
            if stated := [each for each in notes[share] if each.statements]:
                composed = yield from self._composed(stated, self._orders.joined, self._plan.rooms.notes)
                made = yield from self._call(composed, f"notes, group {number:,} of {count:,}", None)
                fewer.append(made if made is not None and made.statements else together(stated))
        return fewer

    def _composed(self, notes: list[Notes], order: str, answer_tokens: int) -> Generator[AnswerEvent, None, Composed]:
        """The prompt of these notes."""
        room = self._plan.rooms.note
        texts, left_out = written(
            notes, self._corpus.record.tag, lambda text: len(self._corpus.tokenizer.encode(text)) <= room
        )
        if left_out:
            yield self._warn(f"{left_out:,} statements of notes did not fit and were left out")
        return compose_notes(
            self._corpus, texts, focus_of(self._corpus, self._made.read), order, answer_tokens, self._made.read_tokens
        )

    def _call(self, composed: Composed, what: str, leaf: Leaf | None) -> Generator[AnswerEvent, None, Notes | None]:
        """The notes of one call, from an earlier run where it has made it; None where it failed."""
        drawn = sampling(replace(self._asking, max_tokens=self._plan.rooms.notes))
        key = key_of(self._engine, composed.prompt, drawn)
        given = self._steps.get(key)
        if is_answer(given):
            self._made.known += 1
        else:
            yield from self._next(what)
            given = yield from self._asked(composed, drawn, what, leaf)
            if given is not None:
                yield from self._keep(key, given)
        self._made.done += 1
        if given is None:
            return None
        self._made.answers.append(given)
        if given.get("ending") == Ending.LENGTH:
            yield self._warn(f"the notes on {what} were cut at {drawn.max_tokens:,} tokens")
        made = notes_of(given, self._name_of)
        yield from self._checked(made, what)
        return made

    def _next(self, what: str) -> Iterator[AnswerEvent]:
        """Say which call comes; before the first that has to be made, how many have not."""
        if self._made.known and self._made.known == self._made.done:
            yield self._once(f"{self._made.known:,} of {self._plan.calls:,} calls were done before")
        yield Stepped(self._made.done, self._plan.calls, what)

    def _asked(
        self, composed: Composed, drawn: Sampling, what: str, leaf: Leaf | None
    ) -> Generator[AnswerEvent, None, Given | None]:
        """What the engine answers; where it fails on a leaf, None, unless it failed the time before too."""
        answer: Answer | None = None
        try:
            with closing(self._answering(composed, drawn)) as events:
                for event in events:
                    if isinstance(event, Answered):
                        answer = event.answer
                    elif isinstance(event, PrefillProgress) or (isinstance(event, Notice) and self._is_new(event)):
                        yield event
        except (EngineError, DoesNotFit) as error:
            if leaf is None or self._is_failing:
                raise
            self._is_failing = True
            self._made.failed.append(leaf)
            yield self._warn(f"{what} could not be read: {error}")
            return None
        assert answer is not None, "an engine that does not fail answers"
        self._is_failing = False
        return {**brief(answer), "reading": None}

    def _keep(self, key: str, given: Given) -> Iterator[AnswerEvent]:
        try:
            self._steps.put(key, given)
        except (OSError, StoreError) as error:
            notice = Notice(unkept(error))
            if self._is_new(notice):
                yield notice

    def _checked(self, made: Notes, what: str) -> Iterator[AnswerEvent]:
        """Say what is lost because no quote of it was found."""
        lost = made.said - len(made.statements)
        if lost > 0 and not made.statements:
            yield self._warn(f"{what}: nothing was stated with a quote that stands in the documents")
        elif lost > 0:
            self._made.warnings.append(f"{what}: {lost:,} of {made.said:,} statements had no quote that was found")

    # --- the whole --------------------------------------------------------------------------------------------------

    def _whole(self, notes: list[Notes]) -> AnswerEvents:
        stated = [each for each in notes if each.statements]
        if not stated:
            yield Answered(nothing(self._corpus, self._made, self._summary.title, self._engine.identity()))
            return
        composed = yield from self._composed(stated, self._orders.whole, self._asking.max_tokens)
        yield from self._next("the whole")
        yield from self._last(composed)

    def _last(self, composed: Composed) -> AnswerEvents:
        yield from through(self._answering(composed, sampling(self._asking)), self._told)

    def _told(self, event: AnswerEvent) -> AnswerEvent:
        if not isinstance(event, Answered):
            return event
        answer = finished(self._corpus, self._made, event.answer)
        said = in_words(self._corpus.tokenizer.encode, answer.question, answer.raw or answer.answer_markdown)
        return Answered(answer, said, topic=self._before.topic, left_out=self._before.left_out)

    # --- small things -----------------------------------------------------------------------------------------------

    def _answering(self, composed: Composed, drawn: Sampling) -> AnswerEvents:
        return Answering(self._corpus, self._summary.title, composed, self._engine, drawn).events()

    def _name_of(self, citation: Given) -> tuple[str, str] | None:
        """The id and the path of the document that a citation stands in; None where that is not there any more."""
        document_id = self._ids.get(str(citation.get("sha256")))
        return (document_id, str(citation.get("path"))) if document_id else None

    def _warn(self, message: str) -> Notice:
        self._made.warnings.append(message)
        return Notice(message)

    def _once(self, message: str) -> Notice:
        self._noticed.add(message)
        return Notice(message)

    def _is_new(self, notice: Notice) -> bool:
        """Whether a notice has not been given before: engines repeat theirs with every call."""
        is_new = notice.message not in self._noticed
        self._noticed.add(notice.message)
        return is_new


def unkept(error: OSError | StoreError) -> str:
    """What to say where a step could not be kept."""
    why = error.strerror if isinstance(error, OSError) else error
    return f"what is done can't be kept for a later run: {why}"


def key_of(engine: Engine, prompt: Prompt, drawn: Sampling) -> str:
    """Names a call by all that it is asked, and of whom."""
    how = [engine.identity().key, drawn.max_tokens, drawn.temperature, drawn.top_p, drawn.seed, sorted(drawn.stop_ids)]
    digest = hashlib.sha256(json.dumps([how, prompt.starts, prompt.window_tokens]).encode())
    digest.update(prompt.ids.tobytes())
    return digest.hexdigest()
