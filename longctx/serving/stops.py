"""Stop strings: text that ends an answer, found however it is cut, and never given out in part."""

from collections.abc import Sequence


class StopStrings:
    """Text goes in piece by piece and comes out as soon as it can't begin a stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """What is certain by now; all before the first stop string where one was `found`."""
        self._held += text
        at = min((at for stop in self._stops if (at := self._held.find(stop)) >= 0), default=-1)
        self.found = at >= 0
        return self._give(at if self.found else len(self._held) - self._may_begin())

    def finish(self) -> str:
        """What was held back, when no more comes."""
        return self._give(len(self._held))

    def _give(self, end: int) -> str:
        given, self._held = self._held[:end], self._held[end:]
        return given

    def _may_begin(self) -> int:
        """The length of the longest end of the text that a stop string begins with."""
        longest = max(map(len, self._stops), default=1) - 1
        ends = range(min(longest, len(self._held)), 0, -1)
        return next((size for size in ends if any(s.startswith(self._held[-size:]) for s in self._stops)), 0)
