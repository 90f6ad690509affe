"""What is known of each local window of a context: empty, new, prefilled, cached, stale, passage, cited.

Pure functions over what the backend tells; draws nothing. Where several things hold for a window the strongest is its
state.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import accumulate

from longctx.answer import Mode
from longctx.backend.replies import Evidence, Place, Planned, Prefill, WindowsAre
from longctx.citations import Citation
from longctx.packing import WINDOW_TOKENS

MODEL_TOKENS = 10_485_760

Range = tuple[int, int | None, int]  # the first character, the one behind the last (None for the end), the window


class WindowState(IntEnum):
    """The state of a window; the greater one wins."""

    EMPTY = 0
    NEW = 1
    PREFILLED = 2
    CACHED = 3
    STALE = 4
    PASSAGE = 5
    CITED = 6

    @property
    def sign(self) -> str:
        """What stands for it where each window has a cell of its own."""
        return "·░▓●SPC"[self]

    @property
    def block(self) -> str:
        """What stands for two windows of it in one cell."""
        return "·▒▓█SPC"[self]

    @property
    def is_letter(self) -> bool:
        """Whether it is marked among those that only fill."""
        return self >= WindowState.STALE

    @property
    def word(self) -> str:
        """Its name on the screen, and in styles."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class CorpusMap:
    """The windows of a corpus made ready for looking up: at which token each ends, whose texts stand in it, and where
    each text stands. The KV of the first `stored` ones is kept."""

    ends: tuple[int, ...] = ()
    paths: tuple[tuple[str, ...], ...] = ()
    places: Mapping[str, tuple[Range, ...]] = field(default_factory=dict)
    stale: frozenset[int] = frozenset()
    stored: int = 0
    plain: int = 0  # the tokens of the texts, without the headers that the windows give them

    @property
    def tokens(self) -> int:
        """The tokens of the windows."""
        return self.ends[-1] if self.ends else 0

    def size(self, window: int) -> int:
        """The tokens of a window; 0 for one behind the corpus."""
        if window >= len(self.ends):
            return 0
        return self.ends[window] - (self.ends[window - 1] if window else 0)

    def windows_at(self, sha256: str, start: int, end: int) -> Iterator[int]:
        """The windows in which some of these characters of a text stand."""
        ranges, last = self.places.get(sha256, ()), max(end, start + 1)
        first = bisect_right(ranges, start, key=lambda held: held[0]) - 1
        for begin, stop, window in ranges[max(first, 0) :]:
            if begin >= last:
                break
            if stop is None or stop > start:
                yield window


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How far a question has come: tokens that the engine has read, those of them that it had kept, the places that
    bear on it and those that its answer cites. Only with `is_whole` are the windows sent as they stand."""

    done: int = 0
    cached: int = 0
    is_whole: bool = True
    evidence: tuple[Place, ...] = ()
    cited: tuple[Place, ...] = ()


def map_of(told: WindowsAre) -> CorpusMap:
    """The windows as the backend tells them."""
    places: dict[str, list[Range]] = {}
    stale = set[int]()
    for number, window in enumerate(told.windows):
        for piece in window.pieces:
            text = told.texts[piece.text]
            places.setdefault(text.sha256, []).append((piece.start, piece.end, number))
            if text.is_stale:
                stale.add(number)
    return CorpusMap(
        ends=tuple(accumulate(window.tokens for window in told.windows)),
        paths=tuple(tuple(told.texts[piece.text].path for piece in window.pieces) for window in told.windows),
        places={sha256: _in_order(ranges) for sha256, ranges in places.items()},
        stale=frozenset(stale),
        stored=told.cached or 0,
        plain=sum(text.tokens for text in told.texts),
    )


def _in_order(ranges: list[Range]) -> tuple[Range, ...]:
    return tuple(sorted(ranges, key=lambda held: held[0]) if len(ranges) > 1 else ranges)


def begun(planned: Planned) -> Course:
    """The course of a question of which nothing is read yet."""
    return Course(is_whole=planned.mode is Mode.FULL)


def bearing(course: Course, evidence: Evidence) -> Course:
    """The course once it is known what bears on the question."""
    return replace(course, evidence=evidence.places)


def read(course: Course, prefill: Prefill) -> Course:
    """The course once the engine has read so much."""
    return replace(course, done=prefill.done, cached=prefill.cached)


def citing(course: Course, citation: Citation) -> Course:
    """The course with one more citation; one that was not found stands nowhere."""
    if citation.chars is None:
        return course
    return replace(course, cited=(*course.cited, Place(citation.sha256, *citation.chars)))


def windows_shown(corpus: CorpusMap, limit_tokens: int | None) -> int:
    """How many windows a map has: as many as the engine takes, and always all of the corpus."""
    room = min(max(limit_tokens or 0, 0), MODEL_TOKENS)
    return max(len(corpus.ends), -(-room // WINDOW_TOKENS), 1)


def states(corpus: CorpusMap, course: Course, shown: int) -> list[WindowState]:
    """The state of each of the windows shown, in order."""
    done, kept = (bisect_right(corpus.ends, n) if course.is_whole else 0 for n in (course.done, course.cached))
    size = len(corpus.ends)
    kept = min(max(kept, corpus.stored), size)
    known = [WindowState.CACHED] * kept + [WindowState.PREFILLED] * (done - kept)
    known += [WindowState.NEW] * (size - len(known)) + [WindowState.EMPTY] * (shown - size)
    for window in corpus.stale:
        known[window] = WindowState.STALE
    for places, state in ((course.evidence, WindowState.PASSAGE), (course.cited, WindowState.CITED)):
        for place in places:
            for window in corpus.windows_at(place.sha256, place.start, place.end):
                known[window] = state
    return known


def counts(known: Sequence[WindowState]) -> list[tuple[WindowState, int]]:
    """How many windows have each state, the strongest first, without those that none has."""
    counted = Counter(known)
    return [(state, counted[state]) for state in reversed(WindowState) if counted[state]]
