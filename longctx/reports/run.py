"""A manifest's items answered one after another, or several at once, each kept in the journal before the next is shown.

What was answered before under the same key is taken from there. An item that fails costs none of the others but those
that need its answer. Nothing is rendered here.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from ingest.interruption import undisturbed
from longctx.engines.base import Identity
from longctx.errors import CorpusError, DoesNotFit, EngineError, LongctxError, UsageError
from longctx.events import Answered, AnswerEvent, AnswerEvents
from longctx.reports import answers, items, records
from longctx.reports.concurrent import Lane, first_free
from longctx.reports.items import Parts, Work
from longctx.reports.records import Past, Result
from longctx.reports.report import Item, State
from longctx.steps import JournalSteps

if TYPE_CHECKING:
    from longctx.analysis import Asking
    from longctx.corpus import Corpus
    from longctx.engines.base import Engine
    from longctx.journal import Journal
    from longctx.reports.open_engine import OpenEngine

FAILURES_MOST = 3  # of the engine in a row: then the rest is not asked
LOOK_EVERY_S = 0.25  # how long a Ctrl-C, or what is told of progress, may have to wait for an engine in a thread
NEW, AGAIN, WAITS = "new", "failed before", "refer to these"
NOT_ASKED = "not asked"
COSTS_AN_ITEM = (EngineError, DoesNotFit, CorpusError, UsageError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a run is to go: `only` these items (all where None), asked anew with `force`; the first failure may end it.

    `jobs` is how many are asked at once.
    """

    only: frozenset[str] | None = None
    force: bool = False
    fail_fast: bool = False
    jobs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What is about to be done: items in all, those done before, those that are asked and why, those that wait."""

    items: int
    done: int
    asked: Mapping[str, int]
    waiting: int


@dataclass(frozen=True, slots=True)
class Begun:
    """An item is asked; `number` counts from 1 on paper."""

    number: int
    work: Work


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of an item on its way."""

    work: Work
    event: AnswerEvent


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of all the prompts that are on their way has been read, of how much."""

    done: int
    total: int
    items: int


@dataclass(frozen=True, slots=True)
class Settled:
    """An item has its result now. One that `was_asked` is in the journal."""

    number: int
    item: Item
    was_asked: bool


@dataclass(frozen=True, slots=True)
class GaveUp:
    """So many items are not asked because the engine fails."""

    items: int
    reason: str


RunEvent = Planned | Begun | Told | Reading | Settled | GaveUp


@dataclass(slots=True)
class _Asked:
    """An item on its way."""

    work: Work
    parts: Parts
    text: str
    events: AnswerEvents
    lane: Lane | None
    begun_s: float = field(default_factory=time.monotonic)
    answered: Answered | None = None
    error: LongctxError | None = None
    has_ended: bool = False

    @property
    def is_busy(self) -> bool:
        return self.lane is not None and self.lane.is_busy


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
        self._journal, self._past, self._wish = journal, past, wish
        self._draw, self._restore, self._clock = draw, restore, clock
        self._works = {work.id: work for work in works}
        self._numbers = {work.id: number for number, work in enumerate(works, start=1)}
        self._items = {work.id: answers.item_of(work, work.text, None) for work in works}
        self._wanted = self._closure(wish.only)
        self._queue: list[Work] = []
        self._steps = JournalSteps(journal)
        self._ended = threading.Condition()
        self._failures, self._is_stale, self._is_warm = 0, False, False
        self._constant = {
            "corpus": items.corpus_digest(corpus),
            "engine": items.digest([self.engine.kind, self.engine.model]),
            "settings": items.digest([self.settings]),
            "wording": items.wording_digest(),
        }

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

    def events(self) -> Iterator[RunEvent]:
        """Answer what there is to answer. However it ends, what was answered is in the journal."""
        self._queue = self._settle_others(items.to_be_done(list(self._works.values())))
        yield self._planned()
        underway: list[_Asked] = []
        try:
            while self._queue or underway:
                yield from self._settle_ready()
                yield from self._start(underway)
                yield from self._follow(underway)
        finally:
            for one in underway:
                one.events.close()
        self._settle_others(list(self._works.values()))

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

    def _is_forced(self, work: Work) -> bool:
        return self._wish.force and (self._wish.only is None or work.id in self._wish.only)

    def _parts(self, work: Work, text: str) -> Parts:
        return Parts(asked=items.asked_digest(work, text), **self._constant)

    def _text(self, work: Work) -> str:
        """The item's text with the answers it refers to, as far as those are there."""
        done = {need: self._items[need] for need in work.needs if self._items[need].state is State.DONE}
        said = {name: items.said(str(item.answer["answer_markdown"])) for name, item in done.items() if item.answer}
        return items.filled(work, said)

    def _known(self, work: Work) -> Result | None:
        """What was found of an item before, where all that it depends on is as it was."""
        return self._past.results.get(self._parts(work, self._text(work)).key)

    def _settle_others(self, works: list[Work]) -> list[Work]:
        """Those that are wanted; the others are shown as they were."""
        for work in works:
            if self._is_left(work) and (known := self._known(work)) is not None:
                self._items[work.id] = self._taken(work, known)
        return [work for work in works if work.id in self._wanted]

    def _is_left(self, work: Work) -> bool:
        return work.id not in self._wanted and self._items[work.id].state is State.PENDING

    def _planned(self) -> Planned:
        """What will be asked and why, as far as it can be known before what items need is answered."""
        reasons = Counter[str]()
        taken = {work.id: self._items[work.id] for work in self._works.values()}
        for work in self._queue:
            text = self._text(work)
            known = self._past.results.get(self._parts(work, text).key)
            if known is not None and known.state is State.DONE and not self._is_forced(work):
                self._items[work.id] = answers.item_of(work, text, known)
            else:
                reasons[self._why(work, known)] += 1
        done = sum(item.state is State.DONE for item in self._items.values())
        waiting = len(self._works) - done - reasons.total()
        self._items = taken
        return Planned(items=len(self._works), done=done, asked=reasons, waiting=waiting)

    def _why(self, work: Work, known: Result | None) -> str:
        """Why an item is asked, in a few words."""
        if known is not None:
            return "asked again with --force" if known.state is State.DONE else AGAIN
        before = self._past.done.get(work.id)
        if before is None:
            return NEW
        if not self._can_begin(work):
            return WAITS
        return self._parts(work, self._text(work)).changed(before.parts)

    def _settle_ready(self) -> Iterator[RunEvent]:
        """Settle what need not be asked: what was done before, and what needs an answer that there will not be."""
        for work in list(self._queue):
            needs = [self._items[need] for need in work.needs]
            if lacking := [item.id for item in needs if item.state is State.FAILED]:
                error = f"it needs the answer to {', '.join(lacking)}, which failed"
                yield self._settle(work, answers.failed(work, work.text, error), was_asked=False)
            elif all(item.state is State.DONE for item in needs) and not self._is_forced(work):
                known = self._known(work)
                if known is not None and known.state is State.DONE:
                    yield self._settle(work, self._taken(work, known), was_asked=False)

    def _taken(self, work: Work, known: Result) -> Item:
        """An item as it was answered before."""
        restored = msgspec.structs.replace(known, evidence=self._restore(known.evidence))
        return answers.item_of(work, self._text(work), restored)

    def _settle(self, work: Work, item: Item, *, was_asked: bool) -> Settled:
        if work in self._queue:
            self._queue.remove(work)
        self._items[work.id] = item
        return Settled(self._numbers[work.id], item, was_asked)

    def _start(self, underway: list[_Asked]) -> Iterator[RunEvent]:
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
            yield from self._advance(one)

    def _can_begin(self, work: Work) -> bool:
        return all(self._items[need].state is State.DONE for need in work.needs)

    def _begin(self, work: Work) -> _Asked:
        text = self._text(work)
        parts = self._parts(work, text)
        try:
            if self._is_stale:
                self._engine.again()
                self._is_stale = False
        except EngineError as error:
            return _Asked(work, parts, text, _nothing(), None, error=error, has_ended=True)
        lane = None
        if self._wish.jobs > 1 and self._engine.engine is not None:
            lane = Lane(self._engine.engine, self._ended)
        engine: Engine | None = lane or self._engine.engine
        asked = answers.events_of(self._corpus, work, text, engine, self._asking, self._steps)
        return _Asked(work, parts, text, asked, lane)

    def _advance(self, one: _Asked) -> Iterator[RunEvent]:
        """Follow an item until it ends, or waits for what an engine in a thread says."""
        try:
            while not one.has_ended:
                event = next(one.events, None)
                if event is None:
                    one.has_ended = True
                    return
                if isinstance(event, Answered):
                    one.answered = _timed(event, one.lane)
                else:
                    yield Told(one.work, event)
                if one.is_busy:
                    return
        except COSTS_AN_ITEM as error:
            one.error, one.has_ended = error, True

    def _follow(self, underway: list[_Asked]) -> Iterator[RunEvent]:
        """Go on with one that is not waiting, and settle it where it has ended."""
        if (one := self._free(underway)) is None:
            if underway:
                reads = [each.lane.read for each in underway if each.lane is not None]
                yield Reading(sum(done for done, _ in reads), sum(total for _, total in reads), len(reads))
            return
        yield from self._advance(one)
        if one.has_ended:
            underway.remove(one)
            yield from self._ended_with(one)

    def _free(self, underway: list[_Asked]) -> _Asked | None:
        if (ended := next((one for one in underway if one.has_ended), None)) is not None:
            return ended
        lanes = [one.lane for one in underway if one.lane is not None]
        if len(lanes) < len(underway):
            return next(one for one in underway if one.lane is None)
        free = first_free(lanes, self._ended, LOOK_EVERY_S) if lanes else None
        return next((one for one in underway if one.lane is free and free is not None), None)

    def _ended_with(self, one: _Asked) -> Iterator[RunEvent]:
        """Keep what became of an item, and what follows from it for the others."""
        with closing(one.events):
            item = self._kept(one)
        yield self._settle(one.work, item, was_asked=True)
        self._is_warm = self._is_warm or one.answered is not None
        self._failures = self._failures + 1 if isinstance(one.error, EngineError) else 0
        self._is_stale = self._is_stale or isinstance(one.error, EngineError)
        if item.state is State.FAILED and self._wish.fail_fast:
            self._queue.clear()
            raise FailedFast(item)
        if self._failures >= FAILURES_MOST and self._queue:
            yield GaveUp(len(self._queue), str(one.error))
            yield from self._give_up(str(one.error))

    def _give_up(self, reason: str) -> Iterator[RunEvent]:
        for work in list(self._queue):
            error = f"{NOT_ASKED}: the engine failed {self._failures} times in a row: {reason}"
            yield self._settle(work, answers.failed(work, work.text, error), was_asked=False)

    def _kept(self, one: _Asked) -> Item:
        """The item as it is in the journal now."""
        spent = round(time.monotonic() - one.begun_s, 3)
        try:
            error = str(one.error) if one.error else ""
            found = answers.result_of(self._corpus, one.work, one.parts, one.answered, error, self._draw)
        except CorpusError as trouble:
            found = answers.result_of(self._corpus, one.work, one.parts, None, str(trouble), self._draw)
        row = records.plain(msgspec.structs.replace(found, wall_s=spent, at=round(self._clock(), 3)))
        with undisturbed():
            self._journal.append(row)
        return answers.item_of(one.work, one.text, msgspec.convert(row, Result))


class FailedFast(LongctxError):
    """An item failed, and that was to end the run."""

    def __init__(self, item: Item) -> None:
        super().__init__(f"{item.id}: {item.error}")
        self.item = item


def _timed(answered: Answered, lane: Lane | None) -> Answered:
    """With the times of the engine where it was asked in a thread, once: that is when they were measured."""
    answer = answered.answer
    if lane is None or not lane.timing or answer.calls != 1:
        return answered
    return replace(answered, answer=replace(answer, timing={**answer.timing, **lane.timing}))


def _nothing() -> AnswerEvents:
    """No events at all."""
    yield from ()
