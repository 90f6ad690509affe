"""Which facts are asked for at which lengths: depths by lengths, and a few facts that a window's edge cuts.

Every length is a beginning of the same text, so that an engine which keeps what it has read reads each window once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from longctx.packing import WINDOW_TOKENS

MOST_LENGTHS = 8
CUT_AT = (0.0, 0.5, 1.0)  # of the windows' edges within a length


@dataclass(frozen=True, slots=True)
class Grid:
    """`windows` of text in all, asked over at `depths` depths from the beginning to the end."""

    windows: int
    depths: int

    @property
    def tokens(self) -> int:
        """Of the whole text."""
        return tokens_of(self.windows)

    @property
    def lengths(self) -> tuple[int, ...]:
        """In windows, ascending: the whole, its half, that half's half …"""
        halves = (self.windows >> times for times in reversed(range(MOST_LENGTHS)))
        return tuple(length for length in halves if length)

    @property
    def edges(self) -> tuple[int, ...]:
        """Every window at whose end a fact is cut."""
        return tuple(sorted({edge for length in self.lengths for edge in cut_edges(length)}))

    def share(self, row: int) -> float:
        """How deep a row of the grid is, from 0 to 1."""
        return row / (self.depths - 1)

    def window(self, row: int, length: int) -> int:
        """The window whose fact a row of the grid asks for."""
        return row * (length - 1) // (self.depths - 1)

    def shown(self, row: int, length: int) -> int | None:
        """The window whose fact a row of the grid shows; None where a row above it does, as windows are too few."""
        window = self.window(row, length)
        return None if row and window == self.window(row - 1, length) else window

    def asked(self, length: int) -> Iterator[int]:
        """The windows whose facts are asked for at a length, each once: a short one has fewer than there are rows."""
        yield from sorted({self.window(row, length) for row in range(self.depths)})


def cut_edges(length: int) -> tuple[int, ...]:
    """The windows at whose end a fact is cut that is asked for at a length: none in a single window."""
    last = length - 2
    return tuple(sorted({int(share * last) for share in CUT_AT})) if last >= 0 else ()


def tokens_of(windows: int) -> int:
    """Tokens in so many full windows."""
    return windows * WINDOW_TOKENS
