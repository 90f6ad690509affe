"""Sentences, rows and lines of a passage, each with the words of a question that it holds; quotes are runs of them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from longctx.query import Query, tokens

LONGEST_WORDS = 50
# What a question and an entry of a list of contents are worth, against a sentence that tells something.
ASKS, LISTS = 0.5, 0.33


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]`, a sentence, row or line: `terms` and neighbouring `pairs` of the question's words in it.

    `size` is about its number of words; `tells` is what it is worth: one that is itself a question, or an entry of a
    list of contents, holds words without saying anything about them.
    """

    start: int
    end: int
    size: float
    terms: frozenset[int]
    pairs: frozenset[int]
    tells: float


# Dot leaders end none. A new line ends a sentence where the line is too short to have been wrapped, or where the
# next is a row or item.
_SENTENCE_END = re.compile(
    r"(?<=[.!?…])['\"”’)\]]*\s++(?!\.[\s.])|(?<=[。！？।॥။។])|\s*\n\s*\n\s*|(?<![^\n]{60})\n|\n(?=[^\n]*\|)"
    r"|\n(?=\s*(?:[-*•]|\d+[.)])\s)"
)
# Leaders to a page number, entries of a back-of-book index, links within the page, badges.
_LISTING = re.compile(
    r"(?:\.[ ]?){5,}\s*\w*\s*$|[^\W\d],[ ]\d{1,3}(?:[–-]\d{1,3})?(?:,[ ]\d{1,3}(?:[–-]\d{1,3})?)+$"
    r"|^\s*(?:[-*+]|\d+\.)[ ]+\[[^\]\n]*\]\(#|\[!\[",
    re.MULTILINE,
)
_LINE_END = re.compile(r"\n")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_WORD_END = re.compile(r"\S(?=\s|$)|" + _UNSPACED.pattern)


def spans(query: Query, text: str, start: int, end: int, *, by_line: bool = False) -> list[Span]:
    """The sentences (or lines) of `text[start:end]` that are not blank; very long ones in parts."""
    ends = _LINE_END if by_line else _SENTENCE_END
    found: list[Span] = []
    for match in ends.finditer(text, start, end):
        found.extend(_parts(query, text, start, match.start()))
        start = match.end()
    found.extend(_parts(query, text, start, end))
    return found


def runs(parts: Sequence[Span], most: float) -> Iterator[tuple[int, int, float]]:
    """First, last and size of every run of neighbours of at most `most` words; every single span is one."""
    for i, span in enumerate(parts):
        size = span.size
        yield i, i, size
        for j in range(i + 1, len(parts)):
            size += parts[j].size
            if size > most:
                break
            yield i, j, size


def grown(parts: Sequence[Span], first: int, last: int, most: float) -> tuple[int, int]:
    """The run made longer, at its end before its start, while it stays within `most` words."""
    size = sum(span.size for span in parts[first : last + 1])
    while last + 1 < len(parts) and size + parts[last + 1].size <= most:
        last += 1
        size += parts[last].size
    while first > 0 and size + parts[first - 1].size <= most:
        first -= 1
        size += parts[first].size
    return first, last


def _parts(query: Query, text: str, start: int, end: int) -> Iterator[Span]:
    part = text[start:end]
    begin = start + len(part) - len(part.lstrip())
    end = start + len(part.rstrip())
    if begin >= end:
        return
    stops = [match.end() for match in _WORD_END.finditer(text, begin, end)]
    step = LONGEST_WORDS if not _UNSPACED.search(part) else 2 * LONGEST_WORDS
    for stop in [*stops[step - 1 : -step // 4 : step], end]:
        yield _span(query, text, begin, stop, min(len(stops), step))
        begin = stop + len(text[stop:end]) - len(text[stop:end].lstrip())


def _span(query: Query, text: str, start: int, end: int, words: int) -> Span:
    part = text[start:end]
    found = [(place, i) for place, word in enumerate(tokens(part)) if (i := query.term_of(word)) is not None]
    near = {a for place, a in found for other, b in found if b == a + 1 and 0 < other - place <= 3}
    return Span(start, end, float(words), frozenset(i for _, i in found), frozenset(near), _tells(part))


def _tells(part: str) -> float:
    if _LISTING.search(part):
        return LISTS
    return ASKS if part.rstrip("\\\"'”’) ").endswith(("?", "？", "؟")) else 1.0
