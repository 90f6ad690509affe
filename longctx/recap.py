"""The passages that search ranks best for a question, as they stand directly before it.

Three of four layers of Llama 4 see only their own window: here they see evidence and question together. What no file
says any more is not searched and never stands here. Passages are cut where search cuts them, and nowhere else.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from ingest.document import Document
from longctx import evidence, wording
from longctx.corpus import Corpus, index_key
from longctx.manifest import Entry
from longctx.packing import place_of
from longctx.sent import merged

PASSAGES = 40
# Passages of one text that are no further apart, in characters, are shown as one.
GAP = 40


@dataclass(frozen=True, slots=True)
class Excerpt:
    """`text[start:end]` of an entry's text; `score` is what search gave it, from 0 to 1."""

    entry: Entry
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Recap:
    """Passages as they are sent: their ids, and the characters of each text that stand in them."""

    ids: "array[int]"
    ranges: Mapping[Entry, tuple[tuple[int, int], ...]]

    @property
    def places(self) -> tuple[tuple[str, int, int], ...]:
        """The digest of the file and the characters of its text, for each passage in order."""
        return tuple((entry.digest, start, end) for entry, ranges in self.ranges.items() for start, end in ranges)


def passages_for(
    corpus: Corpus, question: str, earlier: Sequence[str] = (), limit: int = PASSAGES
) -> tuple[Excerpt, ...]:
    """The passages that bear on a question, best first.

    A question that follows others is also read together with the one before it, and the two rankings alternate.
    """
    asked = [question, f"{earlier[-1]} {question}"] if earlier else [question]
    rankings = [search(corpus, each, limit) for each in asked]
    distinct: dict[tuple[Entry, int], Excerpt] = {}
    for excerpt in chain.from_iterable(zip_longest(*rankings)):
        if excerpt is not None:
            distinct.setdefault((excerpt.entry, excerpt.start), excerpt)
    return tuple(distinct.values())[:limit]


def search(corpus: Corpus, words: str, limit: int) -> list[Excerpt]:
    """What the index ranks best for some words, best first."""
    entries = {index_key(entry): entry for entry in corpus.entries}
    hits = evidence.search(corpus.index, words, limit).hits[:limit]
    return [Excerpt(entries[hit.digest], hit.start, hit.end, hit.score) for hit in hits if hit.digest in entries]


def present_path(corpus: Corpus, entry: Entry) -> str:
    """The name that a text has now."""
    return next(iter(corpus.paths_of(entry)), entry.path)


def recap(corpus: Corpus, ranked: Sequence[Excerpt], room: int) -> Recap:
    """As many of the passages as take at most `room` tokens, the best of them last; none where none fits."""
    written = _Written(corpus)
    chosen = list(_affordable(written, ranked, room))
    while chosen:
        made = _joined(written, chosen)
        if len(made.ids) <= room:
            return made
        chosen.pop()
    return Recap(array("I"), {})


class _Written:
    """Passages in their wrappers, as ids; each text is loaded once."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._loaded: dict[Entry, Document] = {}
        self._encode = corpus.tokenizer.encode
        self.heading = array("I", self._encode(wording.excerpts()))

    def ids(self, entry: Entry, start: int, end: int) -> "array[int]":
        """The ids of a passage with the lines about it."""
        if entry not in self._loaded:
            self._loaded[entry] = self._corpus.document(entry)
        tag, document = self._corpus.record.tag, self._loaded[entry]
        place = place_of(document, start, end)
        opening = wording.excerpt_opening(tag, entry.document_id, present_path(self._corpus, entry), place)
        parts = (opening, document.text[start:end], wording.closing(tag))
        return array("I", [token for part in parts for token in self._encode(part)])


def _affordable(written: _Written, ranked: Iterable[Excerpt], room: int) -> Iterator[Excerpt]:
    """The passages that fit one after another, as if none were joined to its neighbour."""
    room -= len(written.heading)
    for excerpt in ranked:
        size = len(written.ids(excerpt.entry, excerpt.start, excerpt.end))
        if size <= room:
            yield excerpt
            room -= size


def _joined(written: _Written, chosen: Sequence[Excerpt]) -> Recap:
    """Neighbours as one; texts by their best passage, the best last, and within a text in its own order."""
    places: dict[Entry, list[tuple[int, int]]] = {}
    for excerpt in chosen:
        places.setdefault(excerpt.entry, []).append((excerpt.start, excerpt.end))
    ranges = {entry: _without_gaps(ranges) for entry, ranges in reversed(places.items())}
    ids = array("I", written.heading)
    for entry, joined in ranges.items():
        for start, end in joined:
            ids.extend(written.ids(entry, start, end))
    return Recap(ids, ranges)


def _without_gaps(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Neighbours as one, with the little between them."""
    widened = merged((start, end + GAP) for start, end in ranges)
    return tuple((start, end - GAP) for start, end in widened)
