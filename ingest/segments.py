"""Where a document's text breaks: definitions, sections, pages, paragraphs and lines, by its layout alone.

It reads no grammar. A definition is a line that looks like one and the lines indented under it, which holds
for Python and for formatted source in most other languages. It refuses to tokenise, to count, to change text.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from ingest.document import Document, Kind


class Strength(IntEnum):
    """How good a place is for a cut; larger is better."""

    LINE = 1
    PARAGRAPH = 2
    PAGE = 3
    SECTION = 4
    DEFINITION = 5


@dataclass(frozen=True, slots=True)
class Definition:
    """A function or class: `start` takes in what leads it, `body_start` follows its first line."""

    start: int
    end: int
    name: str
    kind: str
    body_start: int
    indent: int = 0


# Words that open a definition in the languages people keep in repositories; the name follows.
_KEYWORDS = (
    r"def|class|function\*?|func|fn|fun|sub|interface|struct|enum|trait|protocol|record|union|module|namespace|"
    r"defmodule|defp|defmacro|defun|defn|object|proc|contract|macro_rules!|impl(?:<[^>\n]*>)?|"
    r"type(?=[ \t]+\w+(?:[^=\n]*\{|[ \t]+(?:func\b|\[|map\[|chan\b|\*|[\w.]+[ \t]*$)))"
)
_MODIFIERS = (
    r"(?:(?:export|default|declare|public|private|protected|internal|static|final|abstract|async|sealed|open|"
    r"override|virtual|inline|const|unsafe|extern(?:[ ]\"\w+\")?|pub(?:\([\w: ]+\))?|local|partial|data|"
    r"suspend|readonly|typedef|template[ ]?<[^\n]*>)[ \t]+)*"
)
_KEYWORD_LINE = re.compile(
    rf"^([ \t]*){_MODIFIERS}({_KEYWORDS})[ \t]+(?:\([^()\n]*\)[ \t]*)?([\w$.:!?]*[\w$!?])[^\n]*\n?",
    re.MULTILINE,
)
_PYTHON_LINE = re.compile(r"^([ \t]*)(?:async[ \t]+)?(def|class)[ \t]+(\w+)[ \t]*[(:\[][^\n]*\n?", re.MULTILINE)
# `int Foo::bar(…) {`, `public List<T> name(…) {`, `name(args) {`, `const f = (x) => {`, `name() {`.
_BRACE_LINE = re.compile(
    r"^([ \t]*)(?!(?:if|else|for|while|switch|catch|return|do|try|throw|new|case|elif|with|match|using)\b)"
    r"(?:(?:(?:export|const|let|var)[ \t]+)*([\w$.]+)[ \t]*[=:][ \t]*(?:async[ \t]*)?"
    r"(?:function\b[^\n]*|(?:\([^()\n]*\)|\w+)[ \t]*(?::[^=\n]+)?=>[^\n]*)"
    r"|(?:[\w$<>\[\],.*&:?~]+[ \t]+[*&]*){0,5}(?!(?:func|function|fn|if)\b)([\w$:~]+)[ \t]*"
    r"\((?:[^;{}\n]*\)[^;{}\n=]*(?:\{[^\n]*)?|[^;{})\n]*,)$)\n?",
    re.MULTILINE,
)
_PYTHON_HINT = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+\w+[^\n{]*[:(,]$", re.MULTILINE)
# `# Title`, `= Title =` and `== Title` (wikis, AsciiDoc), a line with a rule under it, or a directive of
# reStructuredText that describes a thing by its name (`.. c:function:: int f(void)`).
_OUTER_HEADING = re.compile(
    r"^(?:#{1,6}[ \t]+\S[^\n]*|[ ]?=(?:[ ]?=){0,5}[ ]\S[^\n=]{0,120}[ ]=[= ]*$|={2,6}[ ]\S[^\n=]{0,120}$"
    r"|[^\s=~^\-|][^\n]*\n(?:={3,}|-{3,}|~{3,}|\^{3,})[ \t]*$"
    r"|\.\.[ ](?:\w+:(?!current)\w+|function|class|method|data|attribute|exception|module|option|envvar|describe)::"
    r"[ ]+\S[^\n]*)",
    re.MULTILINE,
)
_DIRECTIVE = re.compile(r"\.\.[ ][\w:]+::[ ]+")
_DIRECTIVE_LEVEL = 9
_LEAD = re.compile(r"[ \t]*(?:@|#|//|/\*|\*|--|;;|\[\w|%)")
_CLOSING = ")]}"
_LAST_INDENT = 200
LONGEST_TITLE = 200  # characters


def definitions(document: Document) -> list[Definition]:
    """The functions, methods and classes of code in order; nested ones follow what holds them."""
    if document.kind is not Kind.CODE:
        return []
    text = document.text
    found: list[Definition] = []
    floor = 0
    for indent, kind, name, line_start, body_start in _definition_lines(text):
        start = _lead_start(text, line_start, indent, floor)
        found.append(Definition(start, _block_end(text, body_start, indent), name, kind, body_start, indent))
        floor = body_start
    return found


def breaks(document: Document, start: int, end: int) -> list[tuple[int, Strength]]:
    """The places strictly between `start` and `end` where a cut may be made, each with its strength.

    Each stands at the start of a line or of a page. Reads only the range and a line or two about it.
    """
    text = document.text
    places = dict.fromkeys(_line_starts(text, start, end), Strength.LINE)
    for place in _paragraph_starts(text, start, end):
        places[place] = Strength.PARAGRAPH
    lo = bisect_left(document.pages, start + 1, key=lambda page: page.start)
    for page in document.pages[lo : bisect_left(document.pages, end, key=lambda page: page.start)]:
        places[page.start] = Strength.PAGE
    for place, strength in _strong_starts(document, start, end):
        places[place] = strength
    return sorted(places.items())


def sections(document: Document) -> list[tuple[int, str]]:
    """Start of each section and the titles that lead to it, "Book › Chapter › Section": the document's own headings,
    else those that its text shows."""
    if document.headings or document.kind is Kind.CODE:
        return _paths((heading.start, heading.level, heading.title) for heading in document.headings)
    if document.kind not in (Kind.MARKDOWN, Kind.PROSE):
        return []
    return _paths((m.start(), *_level_and_title(m.group())) for m in _OUTER_HEADING.finditer(document.text))


def _paths(headings: Iterable[tuple[int, int, str]]) -> list[tuple[int, str]]:
    above: list[tuple[int, str]] = []
    found: list[tuple[int, str]] = []
    for start, level, title in headings:
        while above and above[-1][0] >= level:
            above.pop()
        above.append((level, title[:LONGEST_TITLE]))
        found.append((start, " › ".join(title for _, title in above)))
    return found


def _level_and_title(heading: str) -> tuple[int, str]:
    if directive := _DIRECTIVE.match(heading):
        return _DIRECTIVE_LEVEL, heading[directive.end() :].strip()
    first, _, rule = heading.partition("\n")
    if rule:
        return "=-~^".index(rule[0]) + 1, first.strip()
    bare = first.strip("#= \t")
    return first[: first.find(bare)].count(first.strip()[0]), bare


def _line_starts(text: str, start: int, end: int) -> Iterator[int]:
    last = max(start, end - 1)
    place = text.find("\n", start, last)
    while place >= 0:
        yield place + 1
        place = text.find("\n", place + 1, last)


_PARAGRAPH = re.compile(r"\n[ \t\r]*\n(?=[^\n])")


def _paragraph_starts(text: str, start: int, end: int) -> Iterator[int]:
    for match in _PARAGRAPH.finditer(text, max(0, start - 1), min(end + 1, len(text))):
        if start < match.end() < end:
            yield match.end()


def _strong_starts(document: Document, start: int, end: int) -> Iterator[tuple[int, Strength]]:
    lo = bisect_left(document.headings, start + 1, key=lambda heading: heading.start)
    for heading in document.headings[lo : bisect_left(document.headings, end, key=lambda h: h.start)]:
        yield _line_start(document.text, heading.start, start), Strength.SECTION
    if document.kind is Kind.CODE:
        yield from _definition_starts(document.text, start, end)
    elif document.kind in (Kind.MARKDOWN, Kind.PROSE) and not document.headings:
        for match in _OUTER_HEADING.finditer(document.text, start + 1, end):
            yield match.start(), Strength.SECTION


def _line_start(text: str, place: int, floor: int) -> int:
    begin = text.rfind("\n", floor, place) + 1
    return begin if begin > floor else place


def _definition_starts(text: str, start: int, end: int) -> Iterator[tuple[int, Strength]]:
    """Only outer definitions and methods: a cut before a closure parts it from the function it belongs to."""
    for indent, _, _, line_start, _ in _definition_lines(text, start + 1, end):
        place = _lead_start(text, line_start, indent, start)
        if indent <= 4 and start < place < end:
            yield place, Strength.DEFINITION


def _definition_lines(
    text: str, start: int = 0, end: int = _LAST_INDENT**6
) -> Iterator[tuple[int, str, str, int, int]]:
    """(indent, kind, name, line start, line end) of each line in the range that looks like a definition."""
    end = min(end, len(text))
    if _PYTHON_HINT.search(text, start, end):
        for m in _PYTHON_LINE.finditer(text, start, end):
            yield len(m[1]), "class" if m[2] == "class" else "function", m[3], m.start(), m.end()
        return
    rows = {m.start(): (m[1], _kind(m[2]), m[3], m.end()) for m in _KEYWORD_LINE.finditer(text, start, end)}
    for m in _BRACE_LINE.finditer(text, start, end):
        rows.setdefault(m.start(), (m[1], "function", m[2] or m[3], m.end()))
    for begin, (space, kind, name, stop) in sorted(rows.items()):
        yield len(space), kind, name, begin, stop


def _kind(keyword: str) -> str:
    functions = ("def", "function", "func", "fn", "fun", "sub", "defp", "defun", "defn", "proc", "defmacro")
    return "function" if keyword.rstrip("*") in functions else "class"


def _lead_start(text: str, line_start: int, indent: int, floor: int) -> int:
    """Where the decorators, attributes and comments directly above a definition begin."""
    start = place = line_start
    while place > floor:
        above = text.rfind("\n", floor, place - 1) + 1 or floor
        line = text[above : place - 1]
        bare = line.lstrip()
        depth = len(line) - len(bare)
        if not bare or depth < indent or (above == floor and floor and text[floor - 1] != "\n"):
            break
        if depth == indent and _LEAD.match(line):
            start = above
        elif depth == indent and bare[0] not in _CLOSING:
            break
        place = above
    return start


_BOUNDARIES: dict[int, re.Pattern[str]] = {}


def _boundary(indent: int) -> re.Pattern[str]:
    """The next line indented no deeper that is neither a closer nor a comment of the block."""
    if indent not in _BOUNDARIES:
        _BOUNDARIES[indent] = re.compile(
            rf"^[ \t]{{0,{indent}}}(?![)\]}}{{#*]|//|/\*|(?:end|fi|done|esac)\b|where\b)[^\s]", re.MULTILINE
        )
    return _BOUNDARIES[indent]


def _block_end(text: str, body_start: int, indent: int) -> int:
    """The end of the block under a definition line, blank lines and comments after it left out."""
    place, quotes = body_start, (0, 0)
    for found in _boundary(min(indent, _LAST_INDENT)).finditer(text, body_start):
        quotes = _quotes(text, place, found.start(), quotes)
        place = found.start()
        if quotes == (0, 0):
            return _trimmed(text, body_start, place, indent)
    return _trimmed(text, body_start, len(text), indent)


def _quotes(text: str, start: int, stop: int, before: tuple[int, int]) -> tuple[int, int]:
    """Whether a triple-quoted string is open at `stop`, for each of the two quotes."""
    double, single = before
    return (double + text.count('"""', start, stop)) % 2, (single + text.count("'''", start, stop)) % 2


def _trimmed(text: str, start: int, stop: int, indent: int) -> int:
    while stop > start:
        above = max(text.rfind("\n", start, stop - 1) + 1, start)
        line = text[above:stop]
        bare = line.lstrip()
        if bare and (len(line) - len(bare) > indent or not _LEAD.match(line)):
            break
        stop = above
    return stop
