"""The geometry of a report's plots: where the bars and squares are that the page draws, and the words to them.

Lengths across are percentages, so that a plot is as wide as the page lets it be while its text keeps its size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from longctx.counted import counted
from longctx.durations import duration
from longctx.reports import phrases
from longctx.reports.report import Report, State, WindowRow

BARS_MOST = 20
TIMED_MOST = 30
LONG_S = 1.0  # what a plot of times is worth drawing for
LABEL_MOST = 36  # characters
ACROSS = 32  # squares of the map side by side
SQUARES_MOST = 1024
LEVELS = 4  # of shade


@dataclass(frozen=True, slots=True)
class Bar:
    """`whole` is its length in percent, `part` that of its first, lighter piece; `title` says all of it in words."""

    label: str
    value: str
    title: str
    whole: float
    part: float = 0.0


@dataclass(frozen=True, slots=True)
class Bars:
    """Horizontal bars, one below the other."""

    title: str
    description: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Square:
    """A square of the map that is cited, by its column and row; `level` is its shade, from 1."""

    column: int
    row: int
    count: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class WindowMap:
    """Windows as squares in reading order: `cited` ones, and the columns and rows of the others."""

    title: str
    description: str
    columns: int
    rows: int
    cited: tuple[Square, ...]
    others: tuple[tuple[int, int], ...]
    per_square: int


def token_shares(report: Report) -> Bars | None:
    """The share of each of the largest documents in the tokens of all, and in words that of all others."""
    ordered = sorted(report.documents, key=lambda row: -row.tokens)
    total = sum(row.tokens for row in ordered)
    if not total or len(ordered) < 2:
        return None
    sizes = [(row.path, row.tokens) for row in ordered[:BARS_MOST]]
    bars = [_share(path, size, total, sizes[0][1]) for path, size in sizes]
    if rest := sum(row.tokens for row in ordered[BARS_MOST:]):
        others, value = f"{len(ordered) - BARS_MOST:,} other documents", f"{rest:,} · {phrases.percent(rest, total)}"
        bars.append(Bar(others, value, f"{others}: {rest:,} tokens, {phrases.percent(rest, total)}", 0))
    what = f"{bars[0].title}; {len(ordered):,} documents have {total:,} tokens in all."
    return Bars("Share of tokens by document", f"The largest is {what}", tuple(bars))


def _share(path: str, size: int, total: int, most: int) -> Bar:
    share = phrases.percent(size, total)
    title = f"{phrases.name(path)}: {size:,} tokens, {share}"
    return Bar(phrases.tail(path, LABEL_MOST), f"{size:,} · {share}", title, _length(size, most))


def window_map(report: Report) -> WindowMap | None:
    """Where in the corpus the verified citations stand."""
    windows = report.windows
    if len(windows) < 2:
        return None
    per_square = ceil(len(windows) / SQUARES_MOST)
    groups = [windows[i : i + per_square] for i in range(0, len(windows), per_square)]
    most = max(sum(window.cited for window in group) for group in groups)
    squares = [_square(i, group, most) for i, group in enumerate(groups)]
    count = sum(window.cited > 0 for window in windows)
    said = f"{count:,} of {len(windows):,} windows hold verified citations; a number is how many."
    return WindowMap(
        title="Windows that are cited",
        description=said if per_square == 1 else f"{said} A square stands for {per_square} windows.",
        columns=min(ACROSS, len(squares)),
        rows=ceil(len(squares) / ACROSS),
        cited=tuple(square for square in squares if square.count),
        others=tuple((square.column, square.row) for square in squares if not square.count),
        per_square=per_square,
    )


def _square(index: int, group: Sequence[WindowRow], most: int) -> Square:
    count = sum(window.cited for window in group)
    first, last = group[0], group[-1]
    number = f"{first.index + 1:,}" if first is last else f"{first.index + 1:,} to {last.index + 1:,}"
    title = f"window {number}: {count:,} verified citations; it begins with {phrases.name(first.first)}"
    return Square(index % ACROSS, index // ACROSS, count, level(count, most), title)


def timings(report: Report) -> Bars | None:
    """How long each item took, of those that took longest; None where none took long."""
    asked = [item for item in report.items if item.state is not State.PENDING]
    timed = [(item.id, seconds) for item in asked if (seconds := phrases.seconds(item.wall_s))]
    most = max((seconds for _, seconds in timed), default=0.0)
    if most < LONG_S:
        return None
    bars = [
        Bar(
            label=phrases.tail(name, LABEL_MOST),
            value=duration(seconds),
            title=f"{phrases.name(name)}: {duration(seconds)}",
            whole=_length(seconds, most),
        )
        for name, seconds in (timed[i] for i in _largest([seconds for _, seconds in timed]))
    ]
    total = duration(sum(seconds for _, seconds in timed))
    said = f"The times of {counted(len(timed), 'item')} add up to {total}"
    return Bars("Time by item", f"{said}{_shown(len(timed), 'took longest')}.", tuple(bars))


def cached_shares(report: Report) -> Bars | None:
    """The tokens of each item's prompts, the piece first that came from a cache; None where no engine tells."""
    told = [(item, *phrases.tokens(item)) for item in report.items]
    known = [(item.id, prompt, cached) for item, prompt, cached in told if prompt and cached is not None]
    if not known:
        return None
    most = max(prompt for _, prompt, _ in known)
    bars = [
        Bar(
            label=phrases.tail(each, LABEL_MOST),
            value=f"{prompt:,} · {phrases.percent(cached, prompt)} cached",
            title=f"{phrases.name(each)}: {prompt:,} tokens of prompt, {cached:,} of them from the cache",
            whole=_length(prompt, most),
            part=_length(min(cached, prompt), most),
        )
        for each, prompt, cached in (known[i] for i in _largest([prompt for _, prompt, _ in known]))
    ]
    cached, prompt = phrases.cached_tokens(report)
    said = f"{phrases.percent(cached, prompt)} of {prompt:,} tokens came from the cache; that piece of a bar is hollow"
    return Bars("Tokens read and taken from the cache", f"{said}{_shown(len(known), 'read most')}.", tuple(bars))


def _largest(sizes: Sequence[float]) -> list[int]:
    """Where the largest stand, as many as a plot has room for, in their order."""
    return sorted(sorted(range(len(sizes)), key=lambda i: -sizes[i])[:TIMED_MOST])


def _shown(count: int, what: str) -> str:
    return f"; shown are the {TIMED_MOST} that {what}" if count > TIMED_MOST else ""


def level(count: int, most: int) -> int:
    """The shade of a count among counts of which `most` is the highest; 0 for none."""
    return ceil(LEVELS * count / most) if count > 0 else 0


def _length(size: float, most: float) -> float:
    """Of the longest bar, in percent; what is anything can be seen."""
    return max(0.3, round(100 * size / most, 2)) if size else 0.0
