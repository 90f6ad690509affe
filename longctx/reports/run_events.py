"""What a run of a report is asked to do, and what it tells on its way. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass

from longctx.events import AnswerEvent
from longctx.reports.items import Work
from longctx.reports.report import Item

NEW, AGAIN, WAITS = "new", "failed before", "they refer to these"
FORCED, FALLEN = "asked again with --force", "its kept answer does not stand"
NOT_ASKED = "not asked"


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
class Agenda:
    """What is about to be done: items in all, those done before, those that are asked and why, those left for later.

    So many `without_model` can't be answered, since only a model gives what is asked of them.
    """

    total: int
    done: int
    asked: Mapping[str, int]
    waiting: int
    without_model: int = 0


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
    """So many items are not asked because the engine is down."""

    items: int
    reason: str


RunEvent = Agenda | Begun | Told | Reading | Settled | GaveUp
