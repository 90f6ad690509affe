"""Plain text looked for in a text of any length, part by part, so that nobody waits for it.

Letters match in either case unless the words have a capital. It refuses patterns, and to remember more than MOST
places.
"""

import re
from bisect import bisect_left, bisect_right
from time import perf_counter

from tui.line_index import LineIndex

MOST = 10_000


class TextSearch:
    """A search that goes on as it is given time, and as the text grows."""

    def __init__(self, index: LineIndex, words: str) -> None:
        self.words = words
        self.places: list[int] = []
        self._index = index
        self._part = 0
        self._from = 0
        is_exact = words != words.lower()
        self._pattern = re.compile(re.escape(words), re.NOFLAG if is_exact else re.IGNORECASE)

    @property
    def is_done(self) -> bool:
        """Whether all that has come of the text was looked through, or enough was found."""
        return self._part >= len(self._index.parts) or self.is_full

    @property
    def is_full(self) -> bool:
        """Whether more was found than is remembered."""
        return len(self.places) >= MOST

    def go_on(self, seconds: float) -> bool:
        """Look for so long; whether there is more to do."""
        deadline = perf_counter() + seconds
        while not self.is_done:
            self._look(self._part)
            self._part += 1
            if perf_counter() > deadline:
                break
        return not self.is_done

    def next(self, offset: int) -> int | None:
        """The number, from 0, of the first place behind an offset, from the top again where there is none."""
        if not self.places:
            return None
        return bisect_right(self.places, offset) % len(self.places)

    def previous(self, offset: int) -> int | None:
        """The number of the last place before an offset, from the end again where there is none."""
        if not self.places:
            return None
        return (bisect_left(self.places, offset) - 1) % len(self.places)

    def within(self, start: int, end: int) -> list[tuple[int, int]]:
        """The places that lie in a range, or reach into it."""
        size = len(self.words)
        first, last = bisect_right(self.places, start - size), bisect_left(self.places, end)
        return [(place, place + size) for place in self.places[first:last]]

    def _look(self, part: int) -> None:
        """Look through a part and what of the one before it a match could begin in."""
        start = self._index.part_start(part)
        begin = max(self._from, start - len(self.words) + 1)
        text = self._index.slice(begin, start) + self._index.parts[part]
        for match in self._pattern.finditer(text):
            self.places.append(begin + match.start())
            self._from = begin + match.end()
            if self.is_full:
                return
