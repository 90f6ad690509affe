"""Cuts a document into passages, the units that search ranks: functions, paragraphs, pages, table rows.

A passage is a range of the document's text with a name. It copies no text, and knows no question.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.document import Document, Kind, PageKind
from ingest.segments import Definition, definitions, sections

# Raised when the same document would be cut or named otherwise.
PASSAGES_VERSION = 3

# In characters. Long enough to hold a paragraph's subject, short enough for the best sentence to stand out.
PROSE_LEAST, PROSE_MOST, CODE_MOST, ROWS_MOST = 200, 500, 1800, 700
# Of a name or heading: it stands with each of its passages, however long a stranger made it.
NAME_MOST = 200


@dataclass(frozen=True, slots=True)
class Passage:
    """`text[start:end]` of a document: `name` is its function or sheet, `heading` what it stands under.

    `kind` is "function", "class", "part" (of a long one), "code", "prose" or "row".
    """

    start: int
    end: int
    kind: str
    name: str = ""
    heading: str = ""


def passages(document: Document) -> Iterator[Passage]:
    """The passages of a document in order, without overlap; together they hold all text but white space."""
    if document.kind is Kind.CODE:
        yield from _code(document)
    elif document.kind in (Kind.TABLE, Kind.SHEETS):
        yield from _tables(document)
    else:
        yield from _prose(document)


def shortened(path: str, joint: str) -> str:
    """A name or heading of `NAME_MOST` characters at most: of titles that lead to each other the last ones."""
    if len(path) <= NAME_MOST:
        return path
    end = path[-NAME_MOST:].partition(joint)[2]
    return end or path[:NAME_MOST]


def _code(document: Document) -> Iterator[Passage]:
    text = document.text
    for start, end, kind, name, path in _units(document):
        name, heading = name[:NAME_MOST], shortened(path, ".")
        for first, last in _pieces(text, start, end, CODE_MOST, _BLANK_LINE):
            yield Passage(first, last, kind if first == start else "part", name, heading)


def _units(document: Document) -> Iterator[tuple[int, int, str, str, str]]:
    """Functions, methods, class headers and what stands between them. A closure stays in its function."""
    cursor, function_end = 0, 0
    owners: list[Definition] = []
    for definition in definitions(document):
        if definition.start < function_end:
            continue
        for _ in range(len(owners)):
            if owners[-1].end > definition.start:
                break
            yield from _rest(cursor, owners[-1].end, owners)
            cursor = max(cursor, owners.pop().end)
        yield from _rest(cursor, definition.start, owners)
        cursor = definition.start
        if definition.kind == "class":
            owners.append(definition)
            continue
        yield cursor, definition.end, "function", definition.name, _path(owners)
        cursor = function_end = definition.end
    while owners:
        yield from _rest(cursor, owners[-1].end, owners)
        cursor = max(cursor, owners.pop().end)
    yield from _rest(cursor, len(document.text), owners)


def _rest(start: int, end: int, owners: list[Definition]) -> Iterator[tuple[int, int, str, str, str]]:
    if start >= end:
        return
    if owners and start == owners[-1].start:
        yield start, end, "class", owners[-1].name, _path(owners[:-1])
    else:
        yield start, end, "code", "", _path(owners)


def _path(owners: list[Definition]) -> str:
    return ".".join(owner.name for owner in owners)


def _tables(document: Document) -> Iterator[Passage]:
    """Rows together up to a size; the first row of a sheet, which names the columns, is their heading."""
    for start, end, name in _parts(document):
        header = document.text[start : document.text.find("\n", start, end) + 1 or end].strip()[:NAME_MOST]
        for first, last in _pieces(document.text, start, end, ROWS_MOST, _LINE):
            yield Passage(first, last, "row", name, header)


def _parts(document: Document) -> list[tuple[int, int, str]]:
    pages = document.pages
    if not pages:
        return [(0, len(document.text), document.title[:NAME_MOST])]
    return [(page.start, page.end, page.label[:NAME_MOST] if page.kind is PageKind.SHEET else "") for page in pages]


def _prose(document: Document) -> Iterator[Passage]:
    titles = [(start, shortened(title, " › ")) for start, title in sections(document)]
    starts = [start for start, _ in titles]
    for start, end, name in _parts(document):
        inner = [place for place in starts if start < place < end] if len(starts) < 50 else _within(starts, start, end)
        for first, last in zip([start, *inner], [*inner, end], strict=True):
            index = bisect_right(starts, first) - 1
            heading = titles[index][1] if index >= 0 else ""
            yield from _section(document.text, first, last, name, heading)


def _within(starts: list[int], start: int, end: int) -> list[int]:
    return starts[bisect_right(starts, start) : bisect_right(starts, end - 1)]


def _section(text: str, start: int, end: int, name: str, heading: str) -> Iterator[Passage]:
    """Paragraphs, short ones joined to the next, long ones split after a sentence."""
    pending = -1
    for first, last in _paragraphs(text, start, end):
        if pending >= 0 and last - pending > PROSE_MOST:
            yield Passage(pending, first, "prose", name, heading)
            pending = -1
        begin = first if pending < 0 else pending
        if last - begin < PROSE_LEAST:
            pending = begin
            continue
        for piece in _pieces(text, begin, last, PROSE_MOST, _SENTENCE):
            yield Passage(*piece, "prose", name, heading)
        pending = -1
    if pending >= 0:
        yield Passage(pending, end, "prose", name, heading)


_PARAGRAPH_END = re.compile(r"\n[ \t\r]*\n\s*")
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_LINE = re.compile(r"\n")
_SENTENCE = re.compile(r"[.!?…]['\"”’)\]]*\s+|[。！？।॥။។]")


def _paragraphs(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for match in _PARAGRAPH_END.finditer(text, start, end):
        if match.start() > start:
            yield start, match.end()
        start = match.end()
    if start < end:
        yield start, end


def _pieces(text: str, start: int, end: int, most: int, where: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Ranges of about `most` characters at most, cut at the last match of `where` that fits or at a space."""
    while end - start > most:
        cut = _cut(text, start + most // 3, start + most, where)
        if text[start:cut].strip():
            yield start, cut
        start = cut
    if text[start:end].strip():
        yield start, end


def _cut(text: str, start: int, end: int, where: re.Pattern[str]) -> int:
    places = [match.end() for match in where.finditer(text, start, end)]
    if places:
        return places[-1]
    return max(text.rfind("\n", start, end), text.rfind(" ", start, end)) + 1 or end
