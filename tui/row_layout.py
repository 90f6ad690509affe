"""Where a text's characters stand in rows and cells: what is drawn of a piece, where it wraps, which row is which.

Rows are counted block by block. A block that nobody has looked at is estimated, so that a text of any length has its
place at once; `measure` makes the rest exact in slices of time. It refuses to draw what a terminal would obey.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from time import perf_counter

from rich.cells import get_character_cell_size

from ingest.naming import safe_text
from tui.line_index import LineIndex

TAB = 4
BLOCK = 64  # pieces
CACHED_BLOCKS = 64
# Terminals don't agree on how wide these make what they join, so they are not drawn.
_JOINERS = frozenset("\u200d\ufe0e\ufe0f")


@dataclass(frozen=True, slots=True)
class Row:
    """A row: the characters of a piece that stand in it, or the ruler above a page (its index)."""

    piece: int
    start: int
    end: int
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """Text as it is drawn; `places[i]` is where character i begins in `shown`, the last one is the end."""

    shown: str
    places: Sequence[int]

    def character(self, place: int) -> int:
        """The character that is drawn at a place of `shown`."""
        return max(0, bisect_right(self.places, place, hi=len(self.places) - 1) - 1)


def draw(text: str) -> Drawn:
    """What a terminal is given for `text`: tabs as spaces, controls and directions in visible forms."""
    if is_plain(text):
        return Drawn(text, range(len(text) + 1))
    shown: list[str] = []
    places = [0]
    column = 0
    for character in text:
        glyph, width = _glyph(character, column % TAB)
        shown.append(glyph)
        places.append(places[-1] + len(glyph))
        column += width
    return Drawn("".join(shown), places)


def is_plain(text: str) -> bool:
    """Whether each character is one cell that shows itself."""
    return text.isascii() and text.isprintable()


def wrap(text: str, width: int) -> list[int]:
    """Where the rows of `text` begin: after a space where there is one, else where the width ends."""
    if _fits(text, width):
        return [0]
    return _wrap_plain(text, width) if is_plain(text) else _wrap_wide(text, width)


def _glyph(character: str, column: int) -> tuple[str, int]:
    return (" " * (TAB - column), TAB - column) if character == "\t" else _visible(character)


@lru_cache(8192)
def _visible(character: str) -> tuple[str, int]:
    if character in _JOINERS:
        return "", 0
    shown = safe_text(character) if character != "\n" else "␊"
    return shown, sum(map(get_character_cell_size, shown))


def _fits(text: str, width: int) -> bool:
    """Whether it is plain at a glance that `text` needs no second row."""
    if len(text) * 2 + text.count("\t") * TAB > width:
        return len(text) <= width and is_plain(text)
    return text.replace("\t", " ").isprintable()


def _wrap_plain(text: str, width: int) -> list[int]:
    starts = [0]
    while len(text) - starts[-1] > width:
        start = starts[-1]
        space = text.rfind(" ", start, start + width + 1)
        starts.append(space + 1 if space > start else start + width)
    return starts


def _wrap_wide(text: str, width: int) -> list[int]:
    """A tab counts as widest, since where it begins changes with the row."""
    starts, column, space = [0], 0, 0
    cells = [_glyph(character, 0)[1] for character in text]
    for i, character in enumerate(text):
        while column + cells[i] > width and i > starts[-1] and character != " ":
            starts.append(space if space > starts[-1] else i)
            column = sum(cells[starts[-1] : i])
        column += cells[i]
        if character in " \t":
            space = i + 1
    return starts


class RowLayout:
    """The rows of a text that still grows, `width` cells wide; None where lines are not wrapped."""

    def __init__(self, index: LineIndex, page_starts: Sequence[int] = (), width: int | None = None) -> None:
        self.index = index
        self.width = width
        self._page_starts = page_starts
        self._counts: list[int] = []
        self._ends: list[int] = []
        self._measured = 0  # all blocks before this one are exact
        self._exact: set[int] = set()
        self._cache: dict[int, list[Row]] = {}
        self.grow()

    @property
    def total(self) -> int:
        """How many rows there are, as far as is known."""
        ends = self._sums()
        return ends[-1] if ends else 0

    def grow(self) -> None:
        """Take in what the index has got."""
        changed = max(0, len(self._counts) - 1)
        self._cache.pop(changed, None)
        self._exact.discard(changed)
        self._measured = min(self._measured, changed)
        blocks = -(-len(self.index) // BLOCK)
        self._counts[changed:] = [self._estimate(block) for block in range(changed, blocks)]
        self._ends = []

    def at(self, y: int) -> Row | None:
        """Row `y`, or None beyond the end."""
        while 0 <= y < self.total:
            block = bisect_right(self._sums(), y)
            rows = self._rows(block)
            first = self._sums()[block] - len(rows)
            if y < first + len(rows):
                return rows[y - first]
        return None

    def row_of(self, offset: int) -> int:
        """The row in which a character stands."""
        block = self.index.piece_at(max(0, min(offset, self.index.length - 1))) // BLOCK
        rows = self._rows(block)
        first = self._sums()[block] - len(rows)
        texts = [i for i, row in enumerate(rows) if row.page is None]
        place = bisect_right(texts, offset, key=lambda i: rows[i].start) - 1
        return first + (texts[max(0, place)] if texts else 0)

    def text(self, row: Row) -> str:
        """The characters of a row, without a line end."""
        text = self.index.slice(row.start, row.end)
        return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")

    def measure(self, seconds: float) -> bool:
        """Make more blocks exact for so long; whether there is more to do."""
        deadline = perf_counter() + seconds
        while self._measured < len(self._counts):
            if self._measured not in self._exact:
                self._count(self._measured, len(self._make(self._measured)))
            self._measured += 1
            if perf_counter() > deadline:
                break
        return self._measured < len(self._counts)

    def _sums(self) -> list[int]:
        if not self._ends:
            self._ends = list(accumulate(self._counts))
        return self._ends

    def _rows(self, block: int) -> list[Row]:
        if block not in self._cache:
            if len(self._cache) >= CACHED_BLOCKS:
                self._cache.clear()
            self._cache[block] = self._make(block)
            self._count(block, len(self._cache[block]))
        return self._cache[block]

    def _count(self, block: int, rows: int) -> None:
        self._exact.add(block)
        if self._counts[block] != rows:
            self._counts[block] = rows
            self._ends = []

    def _pieces(self, block: int) -> range:
        return range(block * BLOCK, min(len(self.index), (block + 1) * BLOCK))

    def _bounds(self, block: int) -> tuple[int, int]:
        pieces = self._pieces(block)
        return self.index.starts[pieces.start], self.index.end(pieces.stop - 1)

    def _pages(self, block: int) -> range:
        """The pages that begin in a block; the last block has those at the very end."""
        start, end = self._bounds(block)
        is_last = (block + 1) * BLOCK >= len(self.index)
        first = bisect_left(self._page_starts, start)
        return range(first, bisect_left(self._page_starts, end + is_last))

    def _estimate(self, block: int) -> int:
        """The rows of a block, exact where lines are not wrapped."""
        pieces, (start, end) = self._pieces(block), self._bounds(block)
        shown = len(pieces) - (self._is_nothing(pieces[-1]))
        if self.width is None:
            self._exact.add(block)
            return shown + len(self._pages(block))
        return max(shown, (end - start) // self.width) + len(self._pages(block))

    def _is_nothing(self, piece: int) -> bool:
        """Whether a piece is what follows the last line end."""
        return self.index.starts[piece] == self.index.length

    def _make(self, block: int) -> list[Row]:
        rows: list[Row] = []
        pages = list(self._pages(block))
        base, end = self._bounds(block)
        text = self.index.slice(base, end) if self.width is not None else ""
        for piece in self._pieces(block):
            start = self.index.starts[piece]
            while pages and self._page_starts[pages[0]] <= start:
                rows.append(self._ruler(piece, pages.pop(0)))
            if not self._is_nothing(piece):
                rows += self._piece_rows(piece, text[start - base : self.index.end(piece) - base])
        return rows + [self._ruler(self._pieces(block)[-1], page) for page in pages]

    def _ruler(self, piece: int, page: int) -> Row:
        return Row(piece, self._page_starts[page], self._page_starts[page], page)

    def _piece_rows(self, piece: int, text: str) -> list[Row]:
        start, end = self.index.starts[piece], self.index.end(piece)
        if self.width is None:
            return [Row(piece, start, end)]
        starts = [start + place for place in wrap(text.removesuffix("\n").removesuffix("\r"), self.width)]
        return [Row(piece, *bounds) for bounds in zip(starts, [*starts[1:], end], strict=True)]
