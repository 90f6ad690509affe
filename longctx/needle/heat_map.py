"""A heat map as a value: rows of squares that say by shade and by sign how much was found; drawn elsewhere."""

from dataclasses import dataclass
from enum import StrEnum

from longctx.needle.grid import tokens_of
from longctx.needle.result import Column, Result

CUT_ROW = "cut by an edge"


class Sign(StrEnum):
    """What is seen of a square without its colour."""

    FOUND = "✓"
    PART = "≈"
    MISSING = "✗"
    CROSSED = "!"  # found, where nothing is to be
    UNASKED = "·"
    NOT_EXPECTED = "–"  # not found, and not to be


MEANINGS = {
    Sign.FOUND: "found",
    Sign.PART: "in part",
    Sign.MISSING: "not found",
    Sign.CROSSED: "found across an edge",
    Sign.NOT_EXPECTED: "can't be found",
    Sign.UNASKED: "not asked",
}


@dataclass(frozen=True, slots=True)
class Square:
    """`title` says in words what is the matter."""

    sign: Sign
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """A square for each column."""

    name: str
    squares: tuple[Square, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """`rows` from the beginning of the text to its end; `apart` are drawn below them. `across` and `down` name axes.

    `about` says in a line what was measured, `description` what the squares say, for those who don't see them.
    """

    title: str
    about: str
    description: str
    across: str
    down: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    apart: tuple[Row, ...] = ()


def heat_map(result: Result) -> HeatMap:
    """Depth by length, and below it the facts that windows' edges cut."""
    grid = result.subject.grid
    rows = tuple(
        Row(f"{grid.share(row):.0%}", tuple(_square(result, row, length) for length in grid.lengths))
        for row in range(grid.depths)
    )
    cut = Row(CUT_ROW, tuple(_cut_square(result, length) for length in grid.lengths))
    return HeatMap(
        title=f"{result.found:,} of {len(result.inside):,} facts found",
        about=result.subject.description,
        description=". ".join(filter(None, [*map(_sentence, result.columns), cut_sentence(result)])),
        across="tokens read before the question",
        down="depth of the fact",
        columns=tuple(short(tokens_of(length)) for length in grid.lengths),
        rows=rows,
        apart=(cut,) if grid.edges else (),
    )


def legend(drawn: HeatMap) -> str:
    """What the signs mean that are in it."""
    seen = {square.sign for row in (*drawn.rows, *drawn.apart) for square in row.squares}
    return "   ".join(f"{sign} {meaning}" for sign, meaning in MEANINGS.items() if sign in seen)


def cut_sentence(result: Result) -> str:
    """What became of the facts that windows' edges cut, and why; nothing where none was asked for."""
    if not result.cut:
        return ""
    found = f"{result.crossed:,} of {len(result.cut):,} facts found that a window's edge cuts"
    if result.crossed:
        return f"{found}: local attention must end there, and in this engine it reads on"
    return (
        f"{found}, as none can be: local attention ends there (packing cuts where the text breaks, never inside a line)"
    )


def _sentence(column: Column) -> str:
    return f"{column.tokens:,} tokens: {column.found:,} of {column.inside:,} found"


def short(tokens: int) -> str:
    """A number of tokens: `131,072`, `10.5M`."""
    return f"{tokens:,}" if tokens < 999_500 else f"{tokens / 10**6:.3g}M"


def _square(result: Result, row: int, length: int) -> Square:
    where = f"{tokens_of(length):,} tokens"
    if result.subject.grid.shown(row, length) is None:
        return Square(Sign.UNASKED, f"{where}: not asked: a shorter text has fewer windows")
    asked = result.at(row, length)
    if asked is None:
        return Square(Sign.UNASKED, f"{where}: not asked")
    outcome = asked.outcome
    sign = Sign.FOUND if outcome.is_found else Sign.PART if outcome.right else Sign.MISSING
    what = f"{outcome.right} of {outcome.wanted} tokens right"
    return Square(sign, f"{where}, fact at {asked.at:,}: {what}, first token after {outcome.first_s:.2f} s")


def _cut_square(result: Result, length: int) -> Square:
    rows = [each for each in result.cut if each.length == length]
    where, found = f"{tokens_of(length):,} tokens", sum(each.outcome.is_found for each in rows)
    sign = Sign.CROSSED if found else Sign.NOT_EXPECTED
    if not rows:
        return Square(Sign.UNASKED, f"{where}: no fact is cut, or none was asked for")
    return Square(sign, f"{where}: {found} of {len(rows)} cut facts found")
