"""What a selftest found: a value made of the facts that were asked for, and its JSON (`longctx.selftest/1`)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import median
from typing import Any

from longctx.engines.base import Identity
from longctx.needle.grid import Grid, tokens_of
from longctx.needle.planting import SEED
from longctx.needle.selftest import Asked

SCHEMA = "longctx.selftest/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was tested on what: the engine, the attention it computes, the text and how it was laid out."""

    identity: Identity
    description: str
    attention: str
    source: str
    own_tokens: int
    grid: Grid
    seed: int = SEED


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A length: `first_s` is the time to the first token of its first question, which reads what is new.

    `read_tokens` is how much that was, None where the engine doesn't say. `again_s` is the time of the others in the
    middle, None where there was one only.
    """

    length: int
    found: int
    inside: int
    cut_found: int
    cut: int
    first_s: float
    read_tokens: int | None
    again_s: float | None
    skipped_mass: float

    @property
    def tokens(self) -> int:
        """Of the text, without the question."""
        return tokens_of(self.length)

    @property
    def prefill_tokens_per_s(self) -> float | None:
        """Of the question that read what is new; None where little was, or it is not known how much."""
        read = self.read_tokens or 0
        return read / self.first_s if read >= tokens_of(1) and self.first_s > 0 else None


@dataclass(frozen=True)
class Result:
    """`stopped` says why not all was asked, nothing where all was."""

    subject: Subject
    asked: Sequence[Asked]
    warnings: tuple[str, ...] = ()
    stopped: str = ""

    @cached_property
    def inside(self) -> list[Asked]:
        """The facts inside windows, which are to be found."""
        return [each for each in self.asked if not each.is_cut]

    @cached_property
    def cut(self) -> list[Asked]:
        """The facts that a window's edge cuts, which can't be."""
        return [each for each in self.asked if each.is_cut]

    @property
    def found(self) -> int:
        """How many of `inside` were."""
        return sum(each.outcome.is_found for each in self.inside)

    @property
    def crossed(self) -> int:
        """How many of `cut` were found: then local attention reads beyond its window's edge."""
        return sum(each.outcome.is_found for each in self.cut)

    @property
    def is_sound(self) -> bool:
        """Whether every fact inside a window was asked for and found, and none that an edge cuts."""
        return not self.stopped and self.found == len(self.inside) and not self.crossed

    @property
    def columns(self) -> list[Column]:
        """A column for each length at which anything was asked."""
        lengths = self.subject.grid.lengths
        return [_column(length, rows) for length in lengths if (rows := [a for a in self.asked if a.length == length])]

    def at(self, row: int, length: int) -> Asked | None:
        """What a cell of the grid shows; None where it was not asked, or a row above shows it."""
        window = self.subject.grid.shown(row, length)
        return None if window is None else self._by_place.get((length, window))

    @cached_property
    def _by_place(self) -> dict[tuple[int, int], Asked]:
        return {(each.length, each.window): each for each in self.inside}

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        subject = self.subject
        return {
            "schema": SCHEMA,
            "engine": {**asdict(subject.identity), "description": subject.description},
            "attention": subject.attention,
            "text": {
                "source": subject.source,
                "own_tokens": subject.own_tokens,
                "tokens": subject.grid.tokens,
                "windows": subject.grid.windows,
                "seed": subject.seed,
            },
            "found": self.found,
            "asked": len(self.inside),
            "cut_found": self.crossed,
            "sound": self.is_sound,
            "stopped": self.stopped,
            "warnings": list(self.warnings),
            "lengths": [_column_json(column) for column in self.columns],
            "facts": [_fact_json(each) for each in self.inside],
            "cut_facts": [_fact_json(each) for each in self.cut],
        }


def _column(length: int, rows: Sequence[Asked]) -> Column:
    inside, cut = [a for a in rows if not a.is_cut], [a for a in rows if a.is_cut]
    again = [each.outcome.first_s for each in rows[1:]]
    return Column(
        length=length,
        found=sum(each.outcome.is_found for each in inside),
        inside=len(inside),
        cut_found=sum(each.outcome.is_found for each in cut),
        cut=len(cut),
        first_s=rows[0].outcome.first_s,
        read_tokens=rows[0].outcome.read_tokens,
        again_s=median(again) if again else None,
        skipped_mass=max(each.outcome.skipped_mass for each in rows),
    )


def _column_json(column: Column) -> dict[str, Any]:
    speed = column.prefill_tokens_per_s
    return {**asdict(column), "tokens": column.tokens, "prefill_tokens_per_s": speed}


def _fact_json(asked: Asked) -> dict[str, Any]:
    length = tokens_of(asked.length)
    place = {"length": length, "window": asked.window, "position": asked.at, "depth": round(asked.at / length, 6)}
    return {**place, "found": asked.outcome.is_found, **asdict(asked.outcome)}
