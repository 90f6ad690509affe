"""Page texts without what the page, not the author, put there: line-end hyphens, running heads, noise.

It only leaves out; it never changes, adds or moves a character, so a quote stands in the page as it is cited
(ligatures, accents and mid-line soft hyphens included), and each offset leads back to the extracted text.
It refuses to guess at hyphens across blocks or pages, where what follows may be a caption or a footnote.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

REPEATED_ON = 3  # pages; two may be chance
VOCABULARY_CHARS = 64_000
ILLEGIBLE_SHARE = 0.25  # of a page's characters
PLACE_PT = 3  # heads of one layout stand at one height; extraction moves them by a point at most

# Tab and newline stay. Lone surrogates go too: they come from broken fonts and can't be written as UTF-8.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # no +: half the time of one
_ILLEGIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
_LINE_END_HYPHEN = re.compile("([-\u2010\u00ad]) ?\n")
_LINE_ENDS = ("-\n", "- \n", "\u00ad", "\u2010")
_LETTERS = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"[0-9]{1,9}")
_WORD = re.compile(r"\w")
_TRAILING_BLANKS = re.compile(r"[ \t]+(?=\n)")
_PATHS = frozenset("/._@")
_LONGEST_WORD = 60
_SOFT_HYPHEN = "\u00ad"
_SHORTEST_HALF = 3


@dataclass(frozen=True, slots=True)
class MarginBlock:
    """A block near the top or foot of a page that may be a running head; `end` is after the blank line."""

    start: int
    end: int
    top: float


@dataclass(frozen=True, slots=True)
class RawPage:
    """The text of one page as extracted, with its 1-based number and printed label."""

    text: str
    number: int = 1
    label: str = ""
    margins: tuple[MarginBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Text with parts left out.

    `edits` are sorted pairs (offset in `text`, offset in the raw text); both run in step between them.
    """

    text: str
    edits: tuple[tuple[int, int], ...] = ((0, 0),)

    def raw_offset(self, offset: int) -> int:
        """Where the character at `offset` stood in the raw text."""
        clean, raw = self.edits[max(0, bisect_right(self.edits, offset, key=lambda edit: edit[0]) - 1)]
        return raw + offset - clean

    def clean_offset(self, raw_offset: int) -> int:
        """Where a raw offset is now; for a character that was left out, the place where it would stand."""
        index = max(0, bisect_right(self.edits, raw_offset, key=lambda edit: edit[1]) - 1)
        clean, raw = self.edits[index]
        following = self.edits[index + 1][0] if index + 1 < len(self.edits) else len(self.text)
        return min(max(0, clean + raw_offset - raw), following)


def clean_pages(pages: Sequence[RawPage]) -> list[Cleaned]:
    """Each page without control bytes, blanks at line ends, line-end hyphens and running heads."""
    heads = running_heads(pages)
    words = vocabulary([page.text for page in pages])
    return [
        leave_out(page.text, [*noise(page.text), *line_end_hyphens(page.text, words), *ranges])
        for page, ranges in zip(pages, heads, strict=True)
    ]


def leave_out(raw: str, ranges: Iterable[tuple[int, int]]) -> Cleaned:
    """`raw` without the half-open `ranges`, which may overlap and come in any order."""
    kept: list[str] = []
    edits: list[tuple[int, int]] = [(0, 0)]
    length = end = 0
    for start, stop in sorted(ranges):
        if stop <= end:
            continue
        if start > end:
            kept.append(raw[end:start])
            length += start - end
        end = stop
        if edits[-1][0] == length:
            edits.pop()
        edits.append((length, end))
    kept.append(raw[end:])
    return Cleaned("".join(kept), tuple(edits))


def noise(text: str) -> Iterator[tuple[int, int]]:
    """NUL and other control characters, lone surrogates, blanks at line ends."""
    for match in _CONTROL.finditer(text):
        yield match.span()
    if " \n" in text:
        for match in _TRAILING_BLANKS.finditer(text):
            yield match.span()


def is_legible(text: str) -> bool:
    """False where much of a page as extracted can't be read, as from a font without a character map."""
    return len(_ILLEGIBLE.findall(text)) <= len(text) * ILLEGIBLE_SHARE


def vocabulary(texts: Sequence[str]) -> set[str]:
    """The words of a document as far as splitting at white space finds them: enough to judge a hyphen by.

    Of a long document it is those of every n-th page, as they hardly grow but cost as much as cleaning does.
    """
    words: set[str] = set()
    for text in texts[:: 1 + sum(map(len, texts)) // VOCABULARY_CHARS]:
        # The halves of a broken word are no words of the document.
        words.update(text.replace("-\n", "\0").split())
    return words


def line_end_hyphens(text: str, words: set[str]) -> Iterator[tuple[int, int]]:
    """What to leave out where a word is broken at a line end: that end, and a hyphen put there to break it.

    A soft hyphen always goes. Another one goes before a lower-case letter, unless it is part of the word:
    beside a single letter (`e-mail`), in a path, address or chain (`/usr/some-`, `state-of-`), and where the
    document itself writes the word with it, or writes both halves as words but never the whole. Before a
    capital, a digit or a script without case everything stays.
    """
    if not any(end in text for end in _LINE_ENDS):
        return
    for match in _LINE_END_HYPHEN.finditer(text):
        hyphen, after = match.span()
        left = _LETTERS.match(text[max(0, hyphen - _LONGEST_WORD) : hyphen][::-1])  # backwards
        right = _LETTERS.match(text, after, after + _LONGEST_WORD)
        if left is None or right is None:
            continue
        if match[1] == _SOFT_HYPHEN:
            yield hyphen, after
        elif right[0][0].islower():
            before = text[max(0, hyphen - left.end() - 1) : hyphen - left.end()]
            if before == "-":
                stays = text[right.end() : right.end() + 1] == "-" or right[0] in words
            else:
                stays = before in _PATHS or _is_compound(left[0][::-1], match[1], right[0], words)
            yield hyphen + stays, after


def _is_compound(left: str, hyphen: str, right: str, words: set[str]) -> bool:
    if len(left) == 1 or len(right) == 1:
        return True
    if left + right in words or left.lower() + right in words:
        return False
    if f"{left}{hyphen}{right}" in words:
        return True
    return (
        min(len(left), len(right)) >= _SHORTEST_HALF and right in words and not words.isdisjoint((left, left.lower()))
    )


def running_heads(pages: Sequence[RawPage]) -> list[list[tuple[int, int]]]:
    """For each page the margin blocks that repeat at one height on three pages or more.

    Repeated means the same but for the page's own number, so that "Q1 results" and "Q2 results" both stay.
    The first of its kind stays too: it may stand nowhere else. A bare page number goes; the label has it.
    """
    keys = [[_keys(page, block) for block in page.margins] for page in pages]
    counts = Counter(key for blocks in keys for key in set().union(*blocks))
    seen: set[_Key] = set()
    found: list[list[tuple[int, int]]] = []
    for page, blocks in zip(pages, keys, strict=True):
        ranges = []
        for block, block_keys in zip(page.margins, blocks, strict=True):
            repeated = [key for key in block_keys if counts[key] >= REPEATED_ON]
            if any(key in seen or not _WORD.search(key[1]) for key in repeated):
                ranges.append((block.start, block.end))
            seen.update(repeated)
        found.append(ranges)
    return found


_Key = tuple[int, str, int]


def _keys(page: RawPage, block: MarginBlock) -> set[_Key]:
    """How this block may look on other pages: (height, text, distance of a number in it from the page's own).

    A bare page number leaves no letter or digit of its text.
    """
    place = round(block.top / PLACE_PT)
    text = " ".join(page.text[block.start : block.end].split())
    keys = {(place, text, 0)}
    if text == page.label:
        keys.add((place, "", 0))
    numbers = _NUMBER.findall(text)
    if numbers:
        for number, rest in ((numbers[0], text.split(numbers[0], 1)), (numbers[-1], text.rsplit(numbers[-1], 1))):
            keys.add((place, " ".join(rest), int(number) - page.number))
    return keys
