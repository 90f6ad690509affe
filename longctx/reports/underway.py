"""Items on their way: each is followed until it ends, or waits for what an engine in a thread says."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from longctx.errors import CorpusError, DoesNotFit, EngineError, LongctxError, UsageError
from longctx.events import Answered, AnswerEvents
from longctx.reports.concurrent import Lane, first_free
from longctx.reports.items import Parts, Work
from longctx.reports.run_events import Reading, RunEvent, Told

LOOK_EVERY_S = 0.25  # how long a Ctrl-C, or what is told of progress, may have to wait for an engine in a thread
COSTS_AN_ITEM = (EngineError, DoesNotFit, CorpusError, UsageError)


@dataclass(slots=True)
class Asked:
    """An item on its way. `is_down` where the engine could not be opened again, so that it was not asked."""

    work: Work
    parts: Parts
    events: AnswerEvents
    lane: Lane | None = None
    error: LongctxError | None = None
    is_down: bool = False
    has_ended: bool = False
    answered: Answered | None = None
    begun_s: float = field(default_factory=time.monotonic)

    @property
    def is_busy(self) -> bool:
        """Whether its engine has not ended what it was asked."""
        return self.lane is not None and self.lane.is_busy

    def advance(self) -> Iterator[RunEvent]:
        """Follow it until it ends, or waits."""
        try:
            while not self.has_ended:
                event = next(self.events, None)
                if event is None:
                    self.has_ended = True
                    return
                if isinstance(event, Answered):
                    self.answered = _timed(event, self.lane)
                else:
                    yield Told(self.work, event)
                if self.is_busy:
                    return
        except COSTS_AN_ITEM as error:
            self.error, self.has_ended = error, True


def not_asked(work: Work, parts: Parts, error: EngineError) -> Asked:
    """An item for which there is no engine."""
    return Asked(work, parts, _nothing(), error=error, is_down=True, has_ended=True)


def reading(underway: list[Asked]) -> Reading:
    """How far all of them are."""
    reads = [each.lane.read for each in underway if each.lane is not None]
    return Reading(sum(done for done, _ in reads), sum(total for _, total in reads), len(reads))


def free(underway: list[Asked], ended: threading.Condition) -> Asked | None:
    """One that has ended or need not wait; None where a while has passed and all still wait."""
    if (one := next((one for one in underway if one.has_ended or one.lane is None), None)) is not None:
        return one
    lane = first_free([one.lane for one in underway if one.lane is not None], ended, LOOK_EVERY_S)
    return next((one for one in underway if one.lane is lane and lane is not None), None)


def _timed(answered: Answered, lane: Lane | None) -> Answered:
    """With the times of the engine where it was asked in a thread, once: that is when they were measured."""
    answer = answered.answer
    if lane is None or not lane.timing or answer.calls != 1:
        return answered
    return replace(answered, answer=replace(answer, timing={**answer.timing, **lane.timing}))


def _nothing() -> AnswerEvents:
    """No events at all."""
    yield from ()
