"""What of a corpus bears most on a question, within a number of tokens: pieces of texts, in the corpus's order.

Pieces are whole texts, or parts of long ones; they stand in windows of their own as in the whole prompt, with the
same headers. Chosen are first the pieces in which search finds something, then those next to them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, groupby

from longctx.corpus import Corpus
from longctx.manifest import Entry
from longctx.packing import WINDOW_TOKENS, Packer, Piece, Window
from longctx.recap import Excerpt, present_path, search
from longctx.sent import merged

# Pieces have at most this share of the limit, between these bounds: the smaller it is, the finer is chosen. Half or
# twice as much of any changes little (func-dev at a quarter: 0.95 to 0.975 held).
SHARE, SMALLEST, LARGEST = 1 / 32, 1024, 4096
# Passages asked of search: one for so many tokens of the limit, within these bounds.
TOKENS_A_PASSAGE, FEWEST, MOST = 250, 400, 4000
# So many pieces that do not fit, and the room counts as full.
MISSES = 20


@dataclass(frozen=True, slots=True)
class Focus:
    """Windows of chosen pieces, and which characters of which text stand in them; None is all of it."""

    windows: tuple[Window, ...]
    ranges: Mapping[Entry, tuple[tuple[int, int], ...] | None]

    def holds(self, excerpt: Excerpt) -> bool:
        """Whether all of a passage was chosen."""
        ranges = self.ranges.get(excerpt.entry, ())
        return ranges is None or any(a <= excerpt.start and excerpt.end <= b for a, b in ranges)


def choose(corpus: Corpus, question: str, room: int, lead: int, limit: int | None = None) -> Focus:
    """The pieces that bear most on `question`, in at most `room` tokens with `lead` tokens before the first.

    `limit` is that of the whole prompt, the room where None is given: pieces are cut and ranked for it, so that less
    room within the same limit leaves out pieces and changes none. Without room for any there is a window of the `lead`.
    """
    choice = _Choice(corpus, room - lead, limit or room)
    return of_pieces(corpus, choice.pieces(question) if room > lead else (), lead)


def cover(
    corpus: Corpus, entries: Sequence[Entry], passages: Sequence[Excerpt], room: int, lead: int, limit: int
) -> Focus:
    """As much as there is room for of these texts and of no others: pieces with `passages` in them, best first, then
    the first piece of each text, the second of each, and so on."""
    choice = _Choice(corpus, room - lead, limit)
    return of_pieces(corpus, choice.covering(entries, passages) if room > lead else (), lead)


def of_pieces(corpus: Corpus, pieces: Iterable[Piece], lead: int) -> Focus:
    """These pieces in the corpus's order, in windows of which the first begins with `lead` tokens."""
    chosen = sorted(pieces, key=_place)
    by_position = {position: list(pieces) for position, pieces in groupby(chosen, lambda piece: piece.entry.position)}
    entries = (entry for entry in corpus.entries if entry.position in by_position)
    ranges = {entry: _ranges(entry, by_position[entry.position]) for entry in entries}
    return Focus(tuple(_windows(chosen, lead)), ranges)


def _ranges(entry: Entry, pieces: Sequence[Piece]) -> tuple[tuple[int, int], ...] | None:
    """The characters of a text that stand in its pieces, None where they are all of it."""
    parts = [piece.part for piece in pieces if piece.part]
    if sum(last - first for first, last in (part.tokens for part in parts)) in (0, entry.tokens):
        return None
    return merged(part.chars for part in parts)


class _Choice:
    """Pieces of one corpus on their way into a room of `room` tokens in a prompt of at most `limit`."""

    def __init__(self, corpus: Corpus, room: int, limit: int) -> None:
        self._corpus = corpus
        self._room = room
        self._most = int(min(max(limit * SHARE, SMALLEST), LARGEST))
        self._passages = int(min(max(limit / TOKENS_A_PASSAGE, FEWEST), MOST))
        self._packer = Packer(corpus.record.tag, corpus.tokenizer, corpus.tokenised)
        self._cut: dict[Entry, tuple[Piece, ...]] = {}

    def pieces(self, question: str) -> Iterator[Piece]:
        """The chosen pieces, those that bear most on the question first."""
        found = search(self._corpus, question, self._passages)
        return self._fitting(chain(self._ranked(found), self._near(found)))

    def covering(self, entries: Sequence[Entry], found: Sequence[Excerpt]) -> Iterator[Piece]:
        """Pieces of these texts."""
        return self._fitting(chain(self._ranked(found), self._in_turn(entries)))

    def _in_turn(self, entries: Sequence[Entry]) -> Iterator[Piece]:
        """The first piece of each text, then the second of those that have one; texts are cut when it is their turn."""
        for n in count():
            longer = list[Entry]()
            for entry in entries:
                if len(self._pieces(entry)) > n:
                    yield self._pieces(entry)[n]
                    longer.append(entry)
            if not longer:
                return
            entries = longer

    def _fitting(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        taken, misses = set[Piece](), 0
        for piece in pieces:
            if misses >= MISSES:
                return
            if piece.size > self._room:
                misses += 1
            elif piece not in taken:
                taken.add(piece)
                self._room -= piece.size
                yield piece

    def _ranked(self, found: Sequence[Excerpt]) -> list[Piece]:
        """The pieces with passages in them, by their best one: to count the others too finds a little less."""
        return list(dict.fromkeys(p for each in found for p in self._pieces(each.entry) if _overlap(p, each)))

    def _near(self, found: Sequence[Excerpt]) -> Iterator[Piece]:
        """All other pieces: of texts in which something was found, then of their folders, then of the rest."""
        entries = dict.fromkeys(excerpt.entry for excerpt in found)
        folders = {folder: n for n, folder in reversed(list(enumerate(map(_folder, entries))))}
        current = (entry for entry in self._corpus.current if entry not in entries)
        others = sorted(current, key=lambda e: (folders.get(_folder(e), len(folders)), e.position))
        for entry in (*entries, *others):
            yield from self._pieces(entry)

    def _pieces(self, entry: Entry) -> tuple[Piece, ...]:
        if entry not in self._cut:
            shown = replace(entry, path=present_path(self._corpus, entry))
            self._cut[entry] = tuple(self._packer.cut(shown, self._most))
        return self._cut[entry]


def _overlap(piece: Piece, excerpt: Excerpt) -> bool:
    first, last = piece.part.chars if piece.part else (excerpt.start, excerpt.end)
    return excerpt.start < last and first < excerpt.end


def _folder(entry: Entry) -> str:
    return entry.path.rpartition("/")[0]


def _place(piece: Piece) -> tuple[int, int]:
    return piece.entry.position, piece.part.chars[0] if piece.part else 0


def _windows(pieces: Iterable[Piece], lead: int) -> Iterator[Window]:
    """The pieces in windows, in order; `lead` tokens are taken in the first one."""
    index, held, room = 0, list[Piece](), WINDOW_TOKENS - lead
    for piece in pieces:
        if piece.size > room:
            yield Window(index, lead if index == 0 else 0, tuple(held))
            index, held, room = index + 1, [], WINDOW_TOKENS
        held.append(piece)
        room -= piece.size
    yield Window(index, lead if index == 0 else 0, tuple(held))
