"""In how many calls a summary is made that does not fit in one: of documents, of the notes on them, then of the whole.

A pure function of texts and limits: how many calls there will be is known before the first is made. Nothing is sent.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ingest.naming import show
from longctx.corpus import Corpus
from longctx.errors import DoesNotFit
from longctx.manifest import Entry
from longctx.packing import WINDOW_TOKENS, Packer, Piece
from longctx.recap import present_path

# A call writes notes of at most this share of what the engine takes, between these bounds.
NOTES_SHARE, FEWEST_NOTES, MOST_NOTES = 1 / 8, 256, 4096
STATEMENT_TOKENS = 100  # of a statement with its quote
NAME_SHOWN = 50  # characters


Place = tuple[int, int]  # number of a window, and what is left of it


@dataclass(frozen=True, slots=True)
class Room:
    """What a limit leaves for texts: so many windows of so many tokens, of the first of which `lead` are taken."""

    windows: int
    window_tokens: int
    lead: int

    @classmethod
    def beside(cls, order: int, limit: int, lead: int) -> "Room":
        """Beside an order that takes so much with its answer.

        Windows count whole, since there are engines where a short one leaves positions unused; what stands in one
        window together with its order leaves none.
        """
        if limit - order < WINDOW_TOKENS:
            return cls(1, max(0, min(limit, WINDOW_TOKENS) - order), lead)
        return cls((limit - order) // WINDOW_TOKENS, WINDOW_TOKENS, lead)

    @property
    def largest(self) -> int:
        """What fits each of its windows."""
        return max(0, self.window_tokens - self.lead)

    @property
    def start(self) -> Place:
        """Where it is empty."""
        return 0, self.largest

    def behind(self, place: Place, sizes: Iterable[int]) -> Place | None:
        """The place behind these, each of which stands in one window; None where there is none."""
        window, left = place
        for size in sizes:
            if size > left:
                window, left = window + 1, self.window_tokens
            left -= size
        return (window, left) if window < self.windows and left >= 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What is left of an engine's limit: for texts, and in tokens for notes that fewer are made of and for those of the
    whole.

    `notes` is what a call may write for those above it.
    """

    limit: int
    texts: Room
    joined: int
    whole: int
    notes: int

    @property
    def note(self) -> int:
        """What the notes of one call take at the most, with the paths of the documents and what stands about them."""
        return self.notes + self.notes // 2

    @property
    def statements(self) -> int:
        """About how many statements the notes of one call have."""
        return self.notes // STATEMENT_TOKENS


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece of a text, which of how many it is."""

    piece: Piece
    number: int
    of: int

    @property
    def label(self) -> str:
        """What it is, safe to show: `docs/a.md`, or `docs/b.md, part 2 of 5`."""
        path = show(self.piece.entry.path)
        name = path if len(path) <= NAME_SHOWN else f"…{path[1 - NAME_SHOWN :]}"
        return f"{name}, part {self.number:,} of {self.of:,}" if self.of > 1 else name


@dataclass(frozen=True, slots=True)
class Leaf:
    """What one call reads."""

    cuts: tuple[Cut, ...]

    @property
    def pieces(self) -> Iterator[Piece]:
        """The pieces in order."""
        return (cut.piece for cut in self.cuts)

    @property
    def label(self) -> str:
        """The first and the last of it, safe to show: `docs/a.md … docs/f.md`."""
        return " … ".join(dict.fromkeys((self.cuts[0].label, self.cuts[-1].label)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`leaves` in the corpus's order; each level above has so many calls, the last of which feeds the whole."""

    leaves: tuple[Leaf, ...]
    levels: tuple[int, ...]
    tokens: int
    rooms: Rooms

    @property
    def calls(self) -> int:
        """How often the engine is asked. Where all texts fit in one call, it is that of the whole."""
        return 1 if len(self.leaves) == 1 else len(self.leaves) + sum(self.levels) + 1

    @property
    def counted(self) -> str:
        """`14 calls: 10 of documents, 3 of groups, 1 of the whole`."""
        if self.calls == 1:
            return "1 call"
        groups = f"{sum(self.levels):,} of groups, " if self.levels else ""
        return f"{self.calls:,} calls: {len(self.leaves):,} of documents, {groups}1 of the whole"


def plan(corpus: Corpus, entries: Sequence[Entry], rooms: Rooms) -> Plan:
    """The calls for a summary of these texts; raises DoesNotFit where the limit is too small for that."""
    if rooms.joined < 2 * rooms.note or rooms.whole < rooms.note:
        raise _too_small(rooms)
    leaves = tuple(map(Leaf, _leaves(_cut(corpus, entries, rooms.texts.largest), rooms)))
    return Plan(
        leaves=leaves,
        levels=tuple(_levels(len(leaves), rooms)),
        tokens=sum(entry.tokens for entry in entries),
        rooms=rooms,
    )


def notes_tokens(limit: int) -> int:
    """What a call may write for those above it."""
    return max(FEWEST_NOTES, min(int(limit * NOTES_SHARE), MOST_NOTES))


def shares(count: int, parts: int) -> list[slice]:
    """So many results in so many runs of about equal length."""
    ends = [count * part // parts for part in range(parts + 1)]
    return [slice(a, b) for a, b in pairwise(ends)]


def _levels(count: int, rooms: Rooms) -> Iterator[int]:
    """How many calls each level has until the whole takes what the last one gives."""
    while count > rooms.whole // rooms.note:
        count = math.ceil(count / (rooms.joined // rooms.note))
        yield count


def _cut(corpus: Corpus, entries: Iterable[Entry], room: int) -> Iterator[tuple[Cut, ...]]:
    """Each text whole, or in the parts in which it fits a window and a call."""
    packer = Packer(corpus.record.tag, corpus.tokenizer, corpus.tokenised)
    for entry in entries:
        shown = replace(entry, path=present_path(corpus, entry))
        pieces = tuple(packer.cut(shown, room))
        yield tuple(Cut(piece, number, len(pieces)) for number, piece in enumerate(pieces, start=1))


def _leaves(texts: Iterable[tuple[Cut, ...]], rooms: Rooms) -> Iterator[tuple[Cut, ...]]:
    """Runs of texts that fit a call; a text that fits in none is spread over several."""
    room, held = rooms.texts, list[Cut]()
    place = room.start
    for text in texts:
        for run in (text,) if room.behind(room.start, _sizes(text)) else ((cut,) for cut in text):
            behind = room.behind(place, _sizes(run))
            if behind is None and held:
                yield tuple(held)
                held, behind = [], room.behind(room.start, _sizes(run))
            if behind is None:
                raise _too_small(rooms)
            held += run
            place = behind
    if held:
        yield tuple(held)


def _sizes(cuts: Iterable[Cut]) -> Iterator[int]:
    return (cut.piece.size for cut in cuts)


def _too_small(rooms: Rooms) -> DoesNotFit:
    return DoesNotFit(
        f"an engine that takes {rooms.limit:,} tokens is too small for a summary in several calls",
        "--context says how much it takes; --length short, fewer --max-tokens or --sections and a shorter --focus "
        "leave more room",
    )
