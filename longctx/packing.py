"""Texts into windows of 8,192 tokens, cut where the text breaks.

A window is the reach of Llama 4's local attention and the unit of the prefix store, so each must be readable by
itself: whatever stands in it begins with a line that says what it is and where. Packing is a pure function of the
manifest's order and the texts; appending an entry changes nothing before the last window.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ingest.document import Document
from ingest.segments import Strength, breaks
from longctx import wording
from longctx.manifest import Entry
from longctx.tokenised import TokenisedDocument

WINDOW_TOKENS = 8192
# How far before a window's end a cut may be made to fall on a better break, as a share of the window.
SLACK = 0.04
# What a break is worth, in the same shares: a function's end is taken up to 3 % earlier than a plain line's.
WORTH = {
    Strength.LINE: 0.0,
    Strength.PARAGRAPH: 0.01,
    Strength.PAGE: 0.02,
    Strength.SECTION: 0.025,
    Strength.DEFINITION: 0.03,
}
LONGEST_LABEL = 60  # characters of a printed page label or a sheet's name
FEWEST_TOKENS = 64  # a part shorter than this isn't worth its header


class Encoder(Protocol):
    """What packing needs of a tokenizer."""

    def encode(self, text: str) -> Sequence[int]: ...


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a text that stands in one window: its characters and its tokens."""

    chars: tuple[int, int]
    tokens: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an entry in a window; `opening` is the line before it, `wrapper_tokens` counts it and the closing.

    `part` is None where the whole text stands in one piece (its character range is then not needed).
    """

    entry: Entry
    part: Part | None
    opening: str
    wrapper_tokens: int

    @property
    def size(self) -> int:
        """Tokens in the window, opening and closing included."""
        text_tokens = self.entry.tokens if self.part is None else self.part.tokens[1] - self.part.tokens[0]
        return text_tokens + self.wrapper_tokens


@dataclass(frozen=True, slots=True)
class Window:
    """Pieces that stand together in at most 8,192 tokens, after `lead` tokens of preamble (the first window)."""

    index: int
    lead: int
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Tokens in the window."""
        return self.lead + sum(piece.size for piece in self.pieces)


class Packer:
    """Packs entries for one corpus: the tag of its wrappers, an encoder and the texts are what it needs."""

    def __init__(self, tag: str, encoder: Encoder, load: Callable[[Entry], TokenisedDocument]) -> None:
        self._tag = tag
        self._encoder = encoder
        self._load = load
        self._closing = len(encoder.encode(wording.closing(tag)))

    def pack(self, entries: Iterable[Entry], lead: int) -> Iterator[Window]:
        """The windows, in order; `lead` tokens are taken in the first one."""
        index, pieces, room = 0, list[Piece](), WINDOW_TOKENS - lead
        for entry in entries:
            for piece in self._pieces(entry, room):
                if piece.size > room:
                    yield Window(index, lead if index == 0 else 0, tuple(pieces))
                    index, pieces, room = index + 1, [], WINDOW_TOKENS
                pieces.append(piece)
                room -= piece.size
        if pieces:
            yield Window(index, lead if index == 0 else 0, tuple(pieces))

    def cut(self, entry: Entry, most: int) -> Iterator[Piece]:
        """The entry whole where that takes at most `most` tokens, else in parts of at most so many.

        A name that takes half of `most` makes its parts longer.
        """
        whole = self._piece(entry, None, "", (1, 1))
        if whole.size <= most:
            yield whole
        else:
            yield from self._in_parts(entry, most, most)

    def _pieces(self, entry: Entry, room: int) -> Iterator[Piece]:
        """The entry whole where it fits in `room`, or alone when little would be left; else its parts."""
        whole = self._piece(entry, None, "", (1, 1))
        fits_alone = whole.size <= WINDOW_TOKENS
        if whole.size <= room or (fits_alone and room <= SLACK * WINDOW_TOKENS):
            yield whole
            return
        yield from self._in_parts(entry, room, WINDOW_TOKENS)

    def _in_parts(self, entry: Entry, first_room: int, room: int) -> Iterator[Piece]:
        text = self._load(entry)
        reserve = self._reserve(entry, text.document)
        room = max(room, 2 * reserve)  # a part has at least as much text as wrapper
        parts = list(_parts(text, first_room - reserve, room - reserve))
        for number, part in enumerate(parts, start=1):
            place = place_of(text.document, *part.chars)
            yield self._piece(entry, part, place, (number, len(parts)))

    def _piece(self, entry: Entry, part: Part | None, place: str, which: tuple[int, int]) -> Piece:
        opening = wording.opening(self._tag, entry.document_id, entry.path, place, which)
        return Piece(entry, part, opening, len(self._encoder.encode(opening)) + self._closing)

    def _reserve(self, entry: Entry, document: Document) -> int:
        """Tokens that no wrapper of this entry exceeds: that of its longest places, written twice over."""
        end = len(document.text)
        longest = max(document.pages, key=lambda page: len(page.label.encode("utf-8", "replace")), default=None)
        places = [place_of(document, max(0, end - 1), end)]
        if longest is not None:
            places.append(place_of(document, longest.start, longest.start + 1))
        return self._piece(entry, None, " ".join(place for place in places for _ in (0, 1)), (999, 999)).wrapper_tokens


def _parts(text: TokenisedDocument, first_room: int, room: int) -> Iterator[Part]:
    """Cut a text: at most `first_room` tokens in the first part (none where that is too little), `room` in others."""
    begin, total = 0, len(text.ids)
    limit = first_room if first_room >= FEWEST_TOKENS + SLACK * WINDOW_TOKENS else room
    while total - begin > limit:
        cut = _cut(text, begin, begin + limit)
        yield _part(text, begin, cut)
        begin, limit = cut, room
    yield _part(text, begin, total)


def _part(text: TokenisedDocument, begin: int, end: int) -> Part:
    first = text.char_of(begin)
    last = len(text.document.text) if end == len(text.ids) else text.char_of(end)
    assert first is not None and last is not None, "parts are cut at characters"
    return Part((first, last), (begin, end))


def _cut(text: TokenisedDocument, begin: int, limit: int) -> int:
    """The token before which to cut: the best break near the limit, else the limit itself (at a character)."""
    low = text.whole_char(max(begin + 1, limit - int(SLACK * WINDOW_TOKENS)))
    high = text.whole_char(limit)
    candidates = [
        (WORTH[strength] - (limit - token) / WINDOW_TOKENS, token)
        for offset, strength in breaks(text.document, _char(text, low), _char(text, high) + 1)
        if (token := text.token_of(offset)) is not None and begin < token <= limit
    ]
    return max(candidates)[1] if candidates else max(high, begin + 1)


def _char(text: TokenisedDocument, token: int) -> int:
    char = text.char_of(token)
    assert char is not None, "the token begins a character"
    return char


def place_of(document: Document, start: int, end: int) -> str:
    """Where a range stands, for the header: pages by number and label, else lines."""
    anchor = document.anchor(start, end)
    if anchor.page is not None:
        last = document.page_at(max(start, end - 1)) or anchor.page
        labels = dict.fromkeys(page.label[:LONGEST_LABEL] for page in (anchor.page, last))
        label = "-".join(labels)
        return f'{anchor.page.kind}s="{anchor.page.number}-{last.number}" printed={json.dumps(label)}'
    return f'lines="{anchor.lines[0]}-{anchor.lines[1]}"' if anchor.lines else ""
