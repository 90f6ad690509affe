"""What a model was given to read, so that what it quotes can be looked up there and nowhere else."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ingest.document import Document
from longctx.manifest import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class SentText:
    """A document as far as it was sent: `ranges` are half-open, sorted and apart, in characters of its text."""

    document_id: str
    document: Document
    digest: str
    paths: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...]
    is_current: bool = True

    def holds(self, start: int, end: int) -> bool:
        """Whether all of `text[start:end]` was sent."""
        return any(first <= start and end <= last for first, last in self.ranges)


class Sent:
    """The documents of one prompt by the ids that stand in it; each is loaded when it is asked for.

    `load` gives an entry's text and `paths` its present names, `search` the entries in whose text words may stand,
    the likeliest first.
    """

    def __init__(
        self,
        ranges: Mapping[Entry, Iterable[tuple[int, int]] | None],
        *,
        load: Callable[[Entry], Document],
        paths: Callable[[Entry], tuple[str, ...]],
        search: Callable[[str], Iterable[Entry]],
    ) -> None:
        self._ranges = {entry.document_id: (entry, given) for entry, given in ranges.items()}
        self._load = load
        self._paths = paths
        self._search = search
        self._loaded: dict[str, SentText] = {}

    def __len__(self) -> int:
        return len(self._ranges)

    def get(self, document_id: str) -> SentText | None:
        """The document of that id, or None where none was sent under it."""
        if document_id not in self._ranges:
            return None
        if document_id not in self._loaded:
            self._loaded[document_id] = self._text(*self._ranges[document_id])
        return self._loaded[document_id]

    def likely(self, words: str) -> Iterator[SentText]:
        """The sent documents in whose text these words may stand, the likeliest first."""
        for entry in self._search(words):
            if (text := self.get(entry.document_id)) is not None:
                yield text

    def _text(self, entry: Entry, given: Iterable[tuple[int, int]] | None) -> SentText:
        document = self._load(entry)
        whole = (0, len(document.text))
        return SentText(
            document_id=entry.document_id,
            document=document,
            digest=entry.digest,
            paths=self._paths(entry) or (entry.path,),
            ranges=(whole,) if given is None else merged(given),
            is_current=entry.state == "current",
        )


def outside(places: Iterable[tuple[int, int]], within: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What of the ranges `within` stands in none of `places`; both are sorted and apart."""
    apart = tuple(places)
    for start, end in within:
        for first, last in apart:
            if start < first < end:
                yield start, first
            if first < end:
                start = max(start, last)
        if start < end:
            yield start, end


def merged(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The same characters as few ranges, in order."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)
