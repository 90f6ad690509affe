"""HTML to text: what a reader of the page sees, with the file's line numbers kept.

It refuses to fetch, to run scripts and to follow links. It never recurses and looks at every character a
bounded number of times, so depth and broken tags cost nothing more: `html.parser` rereads the rest of the
file at each tag that is not closed (24 KB of them took 3 s).
"""

import re
from html import unescape

from ingest.document import Document, Heading, Kind

MARK = re.compile(r"<(?=/?[a-zA-Z]|[!?])")
# A tag ends at > or, where that was forgotten, before the next <; neither counts inside a quoted value.
TAG = re.compile(r"<(/?)([a-zA-Z][^\s/<>]*+)((?:[^<>\"'=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+')?+|[\"'])*+)>?")

UNSEEN = frozenset({"script", "style", "template", "noscript", "iframe", "object", "noembed", "noframes"})
BLOCKS = "address blockquote body center dl fieldset figcaption figure head hr html legend menu p pre title"
# Only elements that must be closed: what is hidden and never closed would take the rest of the page with it.
BOXES = "article aside details dialog div footer form header main nav ol section summary table ul"
PARAGRAPHS = frozenset(f"{BLOCKS} {BOXES}".split())
HIDEABLE = frozenset(f"{BOXES} span".split())
LINES = frozenset({"br", "caption", "dd", "dt", "li", "optgroup", "option", "tr"})
LEVELS = {"title": 0, "h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
CELLS = frozenset({"td", "th"})

ATTRIBUTE = re.compile(r"([^\s=/\"']++)(?:\s*+=\s*+(\"[^\"]*+\"|'[^']*+'|[^\s\"']*+))?+")
UNDISPLAYED = re.compile(r"display\s*+:\s*+none", re.IGNORECASE)

SPACE, LINE, BLANK = 1, 2, 3  # how far the next text stands from the last
GAPS = ("", " ", "\n", "\n\n")
NO_CELL, CLOSED_CELL = -1, -2  # instead of the offset at which a row's open cell began
LAYOUT_CELL = 200  # a cell with more text than this is page layout: its paragraphs are kept apart

CODE_TAG = re.compile(r"<\?(?:php\b|=)|<%[=@!\-#\s]")
BRACES = re.compile(r"\{\{[^{}\n]{1,200}\}\}|\{%[^%\n]{1,200}%\}")


def read_html(text: str) -> Document:
    """The visible text of an HTML page: paragraphs apart, a table row a line, headings marked."""
    page = _Page(text)
    unclosed: set[str] = set()
    position = 0
    while mark := MARK.search(text, position):
        page.add(position, mark.start())
        position = _read_markup(text, mark.start(), page, unclosed)
    page.add(position, len(text))
    return page.document()


def is_template(text: str) -> bool:
    """Whether the markup is a template's source (PHP, ERB, Jinja, Vue …), to be kept as code."""
    if CODE_TAG.search(text):
        return True
    for count, match in enumerate(BRACES.finditer(text)):
        if count == 20:
            break
        if not any(_inside(text, match.start(), name) for name in ("pre", "code", "script", "style")):
            return True
    return False


def _inside(text: str, position: int, name: str) -> bool:
    return text.rfind(f"<{name}", 0, position) > text.rfind(f"</{name}", 0, position)


def _read_markup(text: str, start: int, page: "_Page", unclosed: set[str]) -> int:
    """Tell `page` of the tag at `start`; gives the offset where the text goes on."""
    tag = TAG.match(text, start)
    if tag is None:
        return _past_comment(text, start, unclosed)
    closing, name = bool(tag[1]), tag[2].lower()
    page.tag(name, closing, hidden=not closing and name in HIDEABLE and _is_hidden(tag[3]))
    if name in UNSEEN and not closing:
        return _past(text, f"</{name}", tag.end(), unclosed)
    return tag.end()


def _is_hidden(attributes: str) -> bool:
    for match in ATTRIBUTE.finditer(attributes):
        name = match[1].lower()
        if name == "hidden" or (name == "style" and UNDISPLAYED.search(match[2] or "")):
            return True
    return False


def _past_comment(text: str, start: int, unclosed: set[str]) -> int:
    end = start + 2
    if text.startswith("<!--", start):
        end = _past(text, "--", start + 4, unclosed)
    return _past(text, ">", end, unclosed)


def _past(text: str, end: str, position: int, unclosed: set[str]) -> int:
    """The offset of `end` (after it, if it is >), or `position` if there is none, which is found out once."""
    if end in unclosed:
        return position
    match = re.compile(re.escape(end), re.IGNORECASE).search(text, position)
    if match is None:
        unclosed.add(end)
        return position
    return match.end() if end == ">" else match.start()


class _Page:
    """The text so far, and how the next text will stand to it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.counted, self.line = 0, 1
        self.parts: list[str] = []
        self.length = 0
        self.gap, self.bars, self.bullet = 0, 0, False
        self.preformatted = 0
        self.hidden, self.hidden_depth, self.hidden_parts = "", 0, 0
        self.cells: list[int] = []  # of each open table, where its open cell began
        self.row_started = False
        self.capture: tuple[int, int, int] | None = None  # level, index into parts, offset
        self.title = ""
        self.headings: list[Heading] = []
        self.lines: list[tuple[int, int]] = []

    def document(self) -> Document:
        self._end_capture()
        return Document(
            text="".join(self.parts),
            kind=Kind.HTML,
            title=self.title,
            headings=tuple(self.headings),
            source_lines=tuple(self.lines),
            notes=(f"hidden parts not read: {self.hidden_parts}",) if self.hidden_parts else (),
        )

    def add(self, start: int, end: int) -> None:
        """Append what can be seen of `source[start:end]`."""
        if start == end or self.hidden_depth:
            return
        self.line += self.source.count("\n", self.counted, start)
        self.counted = start
        lines = self.source[start:end].split("\n")
        for index, line in enumerate(lines):
            if index:
                self._break(LINE if self.preformatted else SPACE)
            self._add_line(line, self.line + index)

    def tag(self, name: str, closing: bool, hidden: bool) -> None:
        """Note what a tag means for the place of the next text, or that none is to be seen."""
        if self.hidden_depth:
            self.hidden_depth += (name == self.hidden) * (-1 if closing else 1)
        elif hidden:
            self.hidden, self.hidden_depth = name, 1
            self.hidden_parts += 1
        elif name in LEVELS:
            self._end_capture()
            self._break(BLANK)
            if not closing:
                self.capture = (LEVELS[name], len(self.parts), -1)
        elif name in CELLS:
            self._cell(closing)
        elif name == "table":
            self._table(closing)
        elif name in PARAGRAPHS:
            self._block(name, closing)
        elif name in LINES:
            self._line(name, closing)

    def _add_line(self, line: str, number: int) -> None:
        seen = _unescape(line)
        words = seen.rstrip() if self.preformatted else " ".join(seen.split())
        if not words.strip():
            if seen:
                self._break(SPACE)
            return
        if seen[0].isspace() and not self.preformatted:
            self._break(SPACE)
        self._append(words, number)
        self.gap = SPACE if seen[-1].isspace() else 0

    def _append(self, words: str, number: int) -> None:
        lead = self._lead()
        start = self.length + len(lead)
        if self.capture and self.capture[2] < 0:
            self.capture = (self.capture[0], len(self.parts) + 1, start)
        if not self.lines or self.lines[-1][1] != number:
            self.lines.append((start - len(lead.lstrip()), number))  # a bullet stands on the line of its item
        self.parts += (lead, words)
        self.length = start + len(words)
        self.bars, self.bullet = 0, False

    def _lead(self) -> str:
        """What goes before the next text: white space, cell bars, a bullet."""
        lead = GAPS[self.gap] if self.parts else ""
        if self.bars:
            lead = lead.rstrip(" ") + (" |" * self.bars if self.row_started else "|" * self.bars) + " "
        self.row_started = True
        return lead + ("- " if self.bullet else "")

    def _break(self, gap: int) -> None:
        if self._in_cell() and self.length - self.cells[-1] <= LAYOUT_CELL:
            gap = SPACE
        self.gap = max(self.gap, gap)

    def _block(self, name: str, closing: bool) -> None:
        if self.capture and self.capture[2] >= 0:
            self._end_capture()
        self._break(BLANK)
        if name == "pre":
            self.preformatted = max(0, self.preformatted + (-1 if closing else 1))

    def _line(self, name: str, closing: bool) -> None:
        if name == "tr":
            self.bars, self.row_started = 0, False
            if self.cells:
                self.cells[-1] = NO_CELL
        self._break(LINE)
        if name == "li":
            self.bullet = not closing and not self._in_cell()

    def _table(self, closing: bool) -> None:
        if closing and self.cells:
            self.cells.pop()
        self.bars = 0
        self.gap = max(self.gap, LINE if self._in_cell() else BLANK)
        if not closing:
            self.cells.append(NO_CELL)

    def _cell(self, closing: bool) -> None:
        if not self.cells:
            self._break(SPACE)
        elif closing:
            self.cells[-1] = CLOSED_CELL
        else:
            self.bars += self.cells[-1] != NO_CELL
            self.cells[-1] = self.length

    def _in_cell(self) -> bool:
        return bool(self.cells) and self.cells[-1] >= 0

    def _end_capture(self) -> None:
        """Close the heading or title that is being read, if it has text."""
        if self.capture and self.capture[2] >= 0:
            level, index, start = self.capture
            words = " ".join("".join(self.parts[index:]).split())
            if level:
                self.headings.append(Heading(start, level, words))
            elif not self.title:
                self.title = words
        self.capture = None


def _unescape(line: str) -> str:
    if "&" not in line:
        return line
    try:
        return unescape(line)
    except ValueError:  # a numeric reference of more digits than Python converts
        return line
