"""Whether an engine reads at length: facts planted in a text, asked for at many depths of ever longer beginnings of it.

A generator of events; closing it ends the test. It prints nothing and keeps nothing: what it found lies in `Asked`.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from longctx.engines.base import Engine, Prefilled, Warned
from longctx.needle.grid import Grid, cut_edges
from longctx.needle.planting import Placed, Planted
from longctx.needle.trial import Outcome, ask, question


class Encoding(Protocol):
    """What is needed of a tokenizer."""

    def encode(self, text: str) -> Sequence[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


@dataclass(frozen=True, slots=True)
class Started:
    """So many `questions` are to be asked."""

    questions: int


@dataclass(frozen=True, slots=True)
class Reading:
    """`done` of `total` tokens of the prompt over `length` windows are read."""

    length: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Said:
    """What the engine wants a person to know."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A fact that was asked for over `length` windows; it stands in `window`, its key at position `at`.

    Where it `is_cut` that window's end stands between its key and its answer.
    """

    length: int
    window: int
    at: int
    is_cut: bool
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Through:
    """All is asked over `length` windows."""

    length: int


SelftestEvent = Started | Reading | Said | Asked | Through


def selftest(engine: Engine, planted: Planted, grid: Grid, encoding: Encoding) -> Iterator[SelftestEvent]:
    """Asks for the facts of `grid`, the shortest text first; raises EngineError and DoesNotFit."""
    yield Started(sum(len(list(_facts(planted, grid, length))) for length in grid.lengths))
    for length in grid.lengths:
        for window, placed, is_cut in _facts(planted, grid, length):
            outcome = yield from _asked(engine, planted, length, placed, encoding)
            yield Asked(length=length, window=window, at=placed.at, is_cut=is_cut, outcome=outcome)
        yield Through(length)


def _facts(planted: Planted, grid: Grid, length: int) -> Iterator[tuple[int, Placed, bool]]:
    for window in grid.asked(length):
        yield window, planted.inside[window], False
    for edge in cut_edges(length):
        yield edge, planted.cut[edge], True


def _asked(
    engine: Engine, planted: Planted, length: int, placed: Placed, encoding: Encoding
) -> Generator[Reading | Said, None, Outcome]:
    prompt = planted.prompt(length, question(placed.fact, encoding.encode))
    asking = ask(engine, prompt, placed.fact.answer, encoding.decode)
    while True:
        try:
            event = next(asking)
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome
        match event:
            case Prefilled():
                yield Reading(length, event.done, event.total)
            case Warned():
                yield Said(event.message)
