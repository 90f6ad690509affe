"""A manifest's items answered one after another, or several at once, each kept in the journal before the next is shown.

What was answered before and still holds is taken from there, all of it before anything is asked. An item that fails
costs none of the others but those that need its answer; one that failed before is asked last. Nothing is rendered here.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from ingest.interruption import undisturbed
from ingest.naming import show
from longctx.engines.base import Identity
from longctx.errors import CorpusError, EngineError, LongctxError
from longctx.reports import answers, items, records
from longctx.reports.concurrent import Lane
from longctx.reports.items import Work
from longctx.reports.known import Known, Said
from longctx.reports.records import Past, Result
from longctx.reports.report import Item, State
from longctx.reports.run_events import FORCED, NOT_ASKED, Agenda, Begun, GaveUp, RunEvent, Settled, Wish
from longctx.reports.underway import Asked, free, not_asked, reading
from longctx.steps import JournalSteps

if TYPE_CHECKING:
    from longctx.analysis import Asking
    from longctx.corpus import Corpus
    from longctx.engines.base import Engine
    from longctx.journal import Journal
    from longctx.reports.open_engine import OpenEngine

FAILURES_MOST = 3  # to open the engine again, in a row: then the rest is not asked


class Run:
    """The items of a report and what has become of them by now; `events` may be followed once."""

    def __init__(
        self,
        corpus: "Corpus",
        engine: "OpenEngine",
        asking: "Asking",
        works: Sequence[Work],
        journal: "Journal",
        past: Past,
        wish: Wish,
        *,
        draw: answers.Draw = tuple,
        restore: answers.Draw = tuple,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._corpus, self._engine, self._asking = corpus, engine, asking
        self._journal, self._wish = journal, wish
        self._draw, self._restore, self._clock = draw, restore, clock
        self._works = {work.id: work for work in works}
        self._numbers = {work.id: number for number, work in enumerate(works, start=1)}
        self._items = {work.id: answers.item_of(work, None) for work in works}
        self._wanted = self._closure(wish.only)
        self._queue: list[Work] = []
        self._in_vain: dict[str, Item] = {}
        self._steps = JournalSteps(journal)
        self._ended = threading.Condition()
        self._failures, self._is_stale, self._is_warm = 0, False, False
        self._first = self.engine
        constant = {
            "corpus": items.corpus_digest(corpus),
            "engine": self._first.key,
            "settings": items.digest([self.settings]),
            "wording": items.wording_digest(),
        }
        self._known = Known(corpus, past, constant)

    @property
    def engine(self) -> Identity:
        """What answers."""
        return self._engine.identity

    @property
    def settings(self) -> dict[str, Any]:
        """How it is asked, as plain values."""
        return {**asdict(self._asking), "context": self._engine.context_tokens}

    @property
    def items(self) -> tuple[Item, ...]:
        """All items, in the report's order."""
        return tuple(self._items.values())

    @property
    def wanted(self) -> tuple[Item, ...]:
        """Those that were asked for, with what they need."""
        return tuple(item for item in self._items.values() if item.id in self._wanted)

    @property
    def outcomes(self) -> tuple[Item, ...]:
        """As `wanted`, with the failures of this run where answers from before stand."""
        return tuple(self._in_vain.get(item.id, item) for item in self.wanted)

    @property
    def in_vain(self) -> tuple[Item, ...]:
        """Those that failed when they were asked anew, for which the answers from before stand in `items`."""
        return tuple(self._in_vain.values())

    def events(self) -> Iterator[RunEvent]:
        """Answer what there is to answer. However it ends, what was answered is in the journal; see `conclude`."""
        ordered = items.to_be_done(list(self._works.values()))
        self._take_known(ordered, self._stays)
        pending = [work for work in ordered if work.id in self._wanted and self._is_pending(work)]
        self._queue = sorted(pending, key=self._failed_before)
        yield self._agenda()
        underway: list[Asked] = []
        try:
            while self._queue or underway:
                yield from self._settle_ready()
                yield from self._start(underway)
                yield from self._follow(underway)
        finally:
            for one in underway:
                one.events.close()
        self.conclude()

    def conclude(self) -> None:
        """Show what is still to come as it was before, where it was."""
        self._take_known(items.to_be_done(list(self._works.values())), lambda _work, _known: True)

    # --- what is known ----------------------------------------------------------------------------------------------

    def _closure(self, only: frozenset[str] | None) -> frozenset[str]:
        """The items that were asked for, with what they need."""
        if only is None:
            return frozenset(self._works)
        found, waiting = set[str](), list(only)
        while waiting:
            if (identity := waiting.pop()) not in found:
                found.add(identity)
                waiting.extend(self._works[identity].needs)
        return frozenset(found)

    def _take_known(self, works: Sequence[Work], is_taken: Callable[[Work, Result], bool]) -> None:
        """Settle items as they were before, in an order in which what others refer to comes ahead of them."""
        for work in works:
            if self._is_pending(work) and (known := self._result(work)) is not None and is_taken(work, known):
                self._items[work.id] = self._taken(work, known)

    def _stays(self, work: Work, known: Result) -> bool:
        """Whether an item is not asked again: it is done, or not wanted, or would fail for want of a model again."""
        if work.id not in self._wanted:
            return True
        return not self._is_forced(work) and (known.state is State.DONE or self._lacks_model(work))

    def _is_pending(self, work: Work) -> bool:
        return self._items[work.id].state is State.PENDING

    def _is_forced(self, work: Work) -> bool:
        return self._wish.force and (self._wish.only is None or work.id in self._wish.only)

    def _lacks_model(self, work: Work) -> bool:
        return work.schema is not None and self._engine.engine is None

    def _failed_before(self, work: Work) -> bool:
        known = self._result(work)
        return known is not None and known.state is State.FAILED

    def _said(self, work: Work) -> Said:
        """The answers that an item refers to, as far as they are there."""
        done = (item for name in work.refers if (item := self._items[name]).state is State.DONE)
        return {item.id: str(item.answer["answer_markdown"]) for item in done if item.answer}

    def _is_complete(self, work: Work) -> bool:
        return all(self._items[name].state is State.DONE for name in work.refers)

    def _result(self, work: Work) -> Result | None:
        """What was found of an item before; nothing while what it refers to is still to come."""
        return self._known.of(work, self._said(work)) if self._is_complete(work) else None

    def _taken(self, work: Work, known: Result) -> Item:
        """An item as it was answered before."""
        return answers.item_of(work, msgspec.structs.replace(known, evidence=self._restore(known.evidence)))

    def _agenda(self) -> Agenda:
        """What will be asked and why, as far as it can be known before what items refer to is answered."""
        reasons = Counter(self._why(work) for work in self._queue)
        done = sum(item.state is State.DONE for item in self._items.values())
        return Agenda(
            total=len(self._works),
            done=done,
            asked=reasons,
            waiting=sum(item.state is State.PENDING for item in self._items.values()) - len(self._queue),
            without_model=sum(self._lacks_model(self._works[item.id]) for item in self.wanted),
        )

    def _why(self, work: Work) -> str:
        known = self._result(work)
        if known is not None and known.state is State.DONE:
            return FORCED
        return self._known.why(work, self._said(work), is_complete=self._is_complete(work))

    # --- asking -----------------------------------------------------------------------------------------------------

    def _settle_ready(self) -> Iterator[RunEvent]:
        """Settle what need not be asked: what was done before, and what needs an answer that there will not be."""
        for work in [each for each in self._queue if each.needs]:
            needs = [self._items[need] for need in work.needs]
            if lacking := [item.id for item in needs if item.state is State.FAILED]:
                error = f"it needs the answer to {', '.join(lacking)}, which failed"
                yield self._settle(work, answers.failed(work, error), was_asked=False)
            elif work.refers and not self._is_forced(work):
                known = self._result(work)
                if known is not None and self._stays(work, known):
                    yield self._settle(work, self._taken(work, known), was_asked=False)

    def _settle(self, work: Work, item: Item, *, was_asked: bool) -> Settled:
        if work in self._queue:
            self._queue.remove(work)
        self._items[work.id] = item
        return Settled(self._numbers[work.id], item, was_asked)

    def _start(self, underway: list[Asked]) -> Iterator[RunEvent]:
        """Begin what can be asked now; the first alone, so that the others find the corpus in the engine's cache."""
        most = self._wish.jobs if self._is_warm else 1
        while len(underway) < most and not (self._is_stale and underway):
            work = next((work for work in self._queue if self._can_begin(work)), None)
            if work is None:
                return
            self._queue.remove(work)
            yield Begun(self._numbers[work.id], work)
            one = self._begin(work)
            underway.append(one)
            yield from one.advance()

    def _can_begin(self, work: Work) -> bool:
        return all(self._items[need].state is State.DONE for need in work.needs)

    def _begin(self, work: Work) -> Asked:
        said = self._said(work)
        parts = self._known.parts(work, said)
        try:
            self._reopen()
        except EngineError as error:
            return not_asked(work, parts, error)
        lane = None
        if self._wish.jobs > 1 and self._engine.engine is not None:
            lane = Lane(self._engine.engine, self._ended)
        engine: Engine | None = lane or self._engine.engine
        text = items.filled(work, said, self._corpus.record.tag)
        return Asked(work, parts, answers.events_of(self._corpus, work, text, engine, self._asking, self._steps), lane)

    def _reopen(self) -> None:
        """Open the engine once more where it has failed; raises EngineError, also for one that is another now."""
        if not self._is_stale:
            return
        self._engine.again()
        if self.engine.key != self._first.key:
            now, before = (show(" ".join(filter(None, [each.kind, each.model]))) for each in (self.engine, self._first))
            what = "with other weights" if now == before else f"as {now}"
            raise EngineError(f"the engine, {before}, came back {what}", "run it again to ask that one")
        self._is_stale = False

    def _follow(self, underway: list[Asked]) -> Iterator[RunEvent]:
        """Go on with one that is not waiting, and settle it where it has ended."""
        if not underway:
            return
        if (one := free(underway, self._ended)) is None:
            yield reading(underway)
            return
        yield from one.advance()
        if one.has_ended:
            underway.remove(one)
            yield from self._ended_with(one)

    def _ended_with(self, one: Asked) -> Iterator[RunEvent]:
        """Keep what became of an item, and what follows from it for the others."""
        with closing(one.events):
            settled = self._kept(one)
        yield settled
        self._is_warm = self._is_warm or one.answered is not None
        self._failures = self._failures + 1 if one.is_down else 0
        self._is_stale = self._is_stale or isinstance(one.error, EngineError)
        if settled.item.state is State.FAILED and self._wish.fail_fast:
            self._queue.clear()
            raise FailedFast(settled.item)
        if self._failures >= FAILURES_MOST and self._queue:
            yield GaveUp(len(self._queue), str(one.error))
            yield from self._give_up(str(one.error))

    def _give_up(self, reason: str) -> Iterator[RunEvent]:
        for work in list(self._queue):
            error = f"{NOT_ASKED}: the engine can't be opened again: {reason}"
            yield self._settle(work, self._before(work) or answers.failed(work, error), was_asked=False)

    def _kept(self, one: Asked) -> Settled:
        """The item as it is in the journal now."""
        spent = round(time.monotonic() - one.begun_s, 3)
        try:
            error = str(one.error) if one.error else ""
            found = answers.result_of(self._corpus, one.work, one.parts, one.answered, error, self._draw)
        except CorpusError as trouble:
            found = answers.result_of(self._corpus, one.work, one.parts, None, str(trouble), self._draw)
        row = records.plain(msgspec.structs.replace(found, wall_s=spent, at=round(self._clock(), 3)))
        result = answers.judged(one.work, msgspec.convert(row, Result))
        with undisturbed():
            self._journal.append(row)
            settled = self._settle(one.work, answers.item_of(one.work, result), was_asked=True)
            self._put_back(one.work, result)
        return settled

    def _put_back(self, work: Work, result: Result) -> None:
        """The answer from before in the place of a failure, with a remark."""
        self._known.note(result)
        if result.state is State.FAILED and (before := self._before(work)):
            self._in_vain[work.id] = self._items[work.id]
            self._items[work.id] = before

    def _before(self, work: Work) -> Item | None:
        """The answer from before, where there is one that stands."""
        known = self._result(work)
        return self._taken(work, known) if known is not None and known.state is State.DONE else None


class FailedFast(LongctxError):
    """An item failed, and that was to end the run."""

    def __init__(self, item: Item) -> None:
        super().__init__(f"{item.id}: {item.error}")
        self.item = item
