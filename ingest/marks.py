"""Where on a page a passage of its text stands: by its letters and digits alone, in the order that the text has.

Blanks, hyphens, ligatures, accents and forms of characters tell nothing apart. It refuses to guess: a passage of which
a letter is missing stands nowhere. It knows no PDF library.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

from ingest.layout import MARGIN

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Passage:
    """What is looked for; `before` is how many letters of the page's text stand ahead of it, which tells one of several
    from the others."""

    text: str
    before: int = 0


@dataclass(frozen=True, slots=True)
class Glyph:
    """What is drawn of a character or a ligature; `line` is the number of its line."""

    text: str
    box: Box
    line: int


def letters(text: str) -> str:
    """The letters and digits, each in its plainest form."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
    return "".join(filter(str.isalnum, text))


def boxes_of(passage: Passage, glyphs: Sequence[Glyph], height: float) -> list[Box]:
    """A box for each line of the passage on a page of that height; nothing where it does not stand there.

    Running heads, which the text may not have, are passed over where they part it.
    """
    wanted = letters(passage.text)
    if not wanted:
        return []
    body = [glyph for glyph in glyphs if MARGIN * height <= glyph.box[1] and glyph.box[3] <= (1 - MARGIN) * height]
    for part in (glyphs, body):
        if found := _glyphs_of(wanted, passage, part):
            return [_around(list(line)) for _, line in groupby(found, key=lambda glyph: glyph.line)]
    return []


def _glyphs_of(wanted: str, passage: Passage, glyphs: Sequence[Glyph]) -> Sequence[Glyph]:
    pieces = [letters(glyph.text) for glyph in glyphs]
    owners = [index for index, piece in enumerate(pieces) for _ in piece]
    starts = list(_occurrences("".join(pieces), wanted))
    if not starts:
        return ()
    nearest = min(starts, key=lambda start: abs(start - passage.before))
    first, last = owners[nearest], owners[nearest + len(wanted) - 1]
    ahead = _signs(reversed(passage.text), reversed(glyphs[:first]))
    behind = _signs(passage.text, glyphs[last + 1 :])
    return glyphs[first - ahead : last + 1 + behind]


def _signs(text: Iterable[str], beyond: Iterable[Glyph]) -> int:
    """How many signs that end the passage, such as a full stop, are drawn next to its last letter."""
    signs: list[str] = []
    for character in text:
        signs = [] if letters(character) else [*signs, character]
    drawn = zip(signs, beyond, strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1].text and not pair[0].isspace(), drawn)))


def _occurrences(text: str, wanted: str) -> Iterator[int]:
    start = text.find(wanted)
    while start >= 0:
        yield start
        start = text.find(wanted, start + 1)


def _around(glyphs: Sequence[Glyph]) -> Box:
    lefts, tops, rights, bottoms = zip(*[glyph.box for glyph in glyphs], strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
