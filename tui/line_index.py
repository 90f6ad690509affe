"""A text that arrives in parts, and where its lines begin; 100 MB of it are indexed part by part and never joined.

A line of more than LONGEST characters is cut into pieces, so that whoever draws or measures one has little to do.
Offsets are characters of the whole text. It refuses to change what it has.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

LONGEST = 4096


class LineIndex:
    """The pieces of a text: lines, or parts of long lines. `breaks` are offsets at which a piece begins in any case."""

    def __init__(self, breaks: Sequence[int] = ()) -> None:
        self._breaks = sorted(breaks)
        self._parts: list[str] = []
        self._part_starts = array("Q")
        self._starts = array("Q", [0])
        self._continued = array("Q")  # the pieces that begin no line
        self._line_start = 0
        self.longest = 0
        self.length = 0

    def __len__(self) -> int:
        """How many pieces there are; the last one may still grow."""
        return len(self._starts)

    def add(self, text: str) -> None:
        """More of the text."""
        if not text:
            return
        start, self.length = self.length, self.length + len(text)
        self._parts.append(text)
        self._part_starts.append(start)
        lengths = list(map(len, text.split("\n")))
        lines = list(accumulate(map((1).__add__, lengths[:-1]), initial=start))[1:]
        longest = max(lengths[0] + start - self._line_start, max(lengths))
        self._add_pieces(lines, is_long=longest > LONGEST)
        self._line_start = lines[-1] if lines else self._line_start
        self.longest = max(self.longest, min(LONGEST, longest))

    @property
    def parts(self) -> Sequence[str]:
        """The text as it came."""
        return self._parts

    @property
    def starts(self) -> Sequence[int]:
        """Where each piece begins."""
        return self._starts

    @property
    def lines(self) -> int:
        """How many lines there are."""
        return len(self._starts) - len(self._continued)

    def part_start(self, part: int) -> int:
        """Where a part begins."""
        return self._part_starts[part]

    def end(self, piece: int) -> int:
        """Where a piece ends, its line end included."""
        return self._starts[piece + 1] if piece + 1 < len(self._starts) else self.length

    def piece_at(self, offset: int) -> int:
        """The piece that holds an offset."""
        return max(0, bisect_right(self._starts, offset) - 1)

    def line_of(self, piece: int) -> int:
        """The line, counting from 1, that a piece belongs to."""
        return piece + 1 - bisect_right(self._continued, piece)

    def begins_line(self, piece: int) -> bool:
        """Whether a piece is the first one of its line."""
        place = bisect_left(self._continued, piece)
        return place == len(self._continued) or self._continued[place] != piece

    def piece_of_line(self, line: int) -> int:
        """The first piece of a line, counting from 1; the last line for one beyond it."""
        line = max(1, min(line, self.lines))
        return bisect_left(range(len(self._starts)), line, key=self.line_of)

    def slice(self, start: int, end: int) -> str:
        """The characters from `start` to `end`."""
        first = max(0, bisect_right(self._part_starts, start) - 1)
        return "".join(self._slices(first, max(0, start), min(end, self.length)))

    def _slices(self, part: int, start: int, end: int) -> Iterator[str]:
        while part < len(self._parts) and self._part_starts[part] < end:
            base = self._part_starts[part]
            yield self._parts[part][max(0, start - base) : end - base]
            part += 1

    def _add_pieces(self, lines: list[int], *, is_long: bool) -> None:
        extra = self._forced() + (self._cuts(lines) if is_long else [])
        if not extra:
            self._starts.extend(lines)
            return
        begins = set(lines)
        news = sorted(begins.union(extra))
        self._continued.extend(len(self._starts) + i for i, new in enumerate(news) if new not in begins)
        self._starts.extend(news)

    def _forced(self) -> list[int]:
        """The breaks that no piece begins at yet; one at the end waits for what comes behind it."""
        first, last = bisect_right(self._breaks, self._starts[-1]), bisect_left(self._breaks, self.length)
        return self._breaks[first:last]

    def _cuts(self, lines: list[int]) -> list[int]:
        """Where long lines are cut; the open line of the part before goes on from its last cut."""
        ends = [*lines, self.length]
        return [
            cut
            for begin, end in zip([self._line_start, *lines], ends, strict=True)
            if end - begin > LONGEST + 1
            for cut in range(begin + LONGEST, end - 1, LONGEST)
            if cut > self._starts[-1]
        ]
