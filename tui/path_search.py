"""Paths that a few typed letters may mean, best first: in a name, at a word's start, anywhere, or in this order."""

import itertools
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

LOOKED_AT = 400  # candidates that are ranked
SHOWN = 8
HOLDS = 4  # the last of the classes that hold what is typed as it is


class PathSearch:
    """Searches many paths as one text; 20,000 take some milliseconds a key."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        folded = [f"/{_folded(path)}" for path in paths]
        self._text = "\n".join(folded)
        self._starts: list[int] = []
        position = 0
        for path in folded:
            self._starts.append(position)
            position += len(path) + 1

    def best(self, typed: str, limit: int = SHOWN) -> list[str]:
        """The paths that `typed` may mean; the first ones where nothing is typed."""
        wanted = _folded(typed)
        if not wanted:
            return list(self._paths[:limit])
        found = dict.fromkeys(self._holding(wanted))
        if len(found) < limit:
            found |= dict.fromkeys(self._scattered(wanted))
        return [self._paths[i] for i in sorted(found, key=lambda i: self._rank(i, wanted))[:limit]]

    def _holding(self, wanted: str) -> Iterator[int]:
        """Paths that hold it as it is: those with a name that begins with it, then all others."""
        for needle in (f"/{wanted}", wanted):
            position = count = 0
            while count < LOOKED_AT and (position := self._text.find(needle, position)) >= 0:
                index = bisect_right(self._starts, position) - 1
                yield index
                count += 1
                position = self._end(index)

    def _scattered(self, wanted: str) -> Iterator[int]:
        """Paths that hold its letters in this order."""
        letters = "".join(rf"[^{re.escape(letter)}\n]*+{re.escape(letter)}" for letter in wanted)
        for count, match in enumerate(re.finditer(rf"^{letters}", self._text, re.MULTILINE)):
            if count >= LOOKED_AT:
                return
            yield bisect_right(self._starts, match.start()) - 1

    def _end(self, index: int) -> int:
        return self._starts[index + 1] if index + 1 < len(self._starts) else len(self._text)

    def _rank(self, index: int, wanted: str) -> tuple[int, int, int, str]:
        path = _folded(self._paths[index])
        name = path.rpartition("/")[2]
        kind = _class(path, name, wanted)
        return kind, _gaps(path, wanted) if kind > HOLDS else 0, len(path), path


def _class(path: str, name: str, wanted: str) -> int:
    """How well it fits, from 0."""
    if name.startswith(wanted):
        return 0
    at_start = re.compile(rf"(?<![^\W_]){re.escape(wanted)}")
    for place, text in enumerate((name, path)):
        if wanted in text:
            return 1 + 2 * place + (at_start.search(text) is None)
    starts = "".join(re.findall(r"(?<![^\W_])\w", path))
    return 5 if _is_within(wanted, starts) else 6 if _is_within(wanted, name) else 7


def _is_within(wanted: str, text: str) -> bool:
    letters = iter(text)
    return all(letter in letters for letter in wanted)


def _gaps(path: str, wanted: str) -> int:
    """How often other letters stand between those that are wanted, in the order in which they come first."""
    places: list[int] = []
    for letter in wanted:
        places.append(path.find(letter, places[-1] + 1 if places else 0))
    return sum(after != before + 1 for before, after in itertools.pairwise(places))


def _folded(path: str) -> str:
    return path.lower().replace("\n", " ")
