"""What a document is: one text string, and everything else as offsets into it.

Offsets are code points, ranges are half-open. Page and line numbers are 1-based because people read them;
they are made here by bisecting offsets, and never stored in place of an offset.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a document's text is; decides where it may be cut."""

    CODE = "code"
    PROSE = "prose"
    MARKDOWN = "markdown"
    HTML = "html"
    NOTEBOOK = "notebook"
    TABLE = "table"
    PDF = "pdf"
    WORD = "word"
    SLIDES = "slides"
    SHEETS = "sheets"
    MAIL = "mail"
    BOOK = "book"


class PageKind(StrEnum):
    """What one numbered part of a document is called in front of a person."""

    PAGE = "page"
    SLIDE = "slide"
    SHEET = "sheet"
    CELL = "cell"


@dataclass(frozen=True, slots=True)
class Page:
    """A numbered part: `number` counts from 1 physically, `label` is what is printed on it ("xiv", "Q3 costs")."""

    number: int
    label: str
    start: int
    end: int
    kind: PageKind = PageKind.PAGE


@dataclass(frozen=True, slots=True)
class Heading:
    """A title inside the text, at `start`; level 1 is the highest."""

    start: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a range of text stands, in a person's terms; what is not known is None."""

    page: Page | None
    lines: tuple[int, int] | None
    heading: str | None


@dataclass(frozen=True, slots=True)
class Document:
    """The text of one source and where its parts are.

    `source_lines` says how lines of `text` relate to lines of the file: None where `text` is the file's own text
    (line numbers are then counted), a sorted sequence of (offset, file line) where it was extracted from a text
    file (HTML, notebooks), and () where the file has no lines (PDF, Office).
    `notes` are remarks a person should see ("has 1 attachment, not read").
    """

    text: str
    kind: Kind
    title: str = ""
    pages: tuple[Page, ...] = ()
    headings: tuple[Heading, ...] = ()
    source_lines: tuple[tuple[int, int], ...] | None = None
    encoding: str = "utf-8"
    replaced: int = 0
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def page_at(self, offset: int) -> Page | None:
        """The page that holds `offset`, or None in a document without pages."""
        if not self.pages:
            return None
        return self.pages[max(0, bisect_right(self.pages, offset, key=lambda page: page.start) - 1)]

    def line_at(self, offset: int) -> int | None:
        """The 1-based line of the source file at `offset`, or None where the file has no lines."""
        if self.source_lines is None:
            return self.text.count("\n", 0, offset) + 1
        if not self.source_lines:
            return None
        index = bisect_right(self.source_lines, offset, key=lambda pair: pair[0])
        return self.source_lines[max(0, index - 1)][1]

    def heading_at(self, offset: int) -> str | None:
        """The title of the section that holds `offset`."""
        index = bisect_right(self.headings, offset, key=lambda heading: heading.start)
        return self.headings[index - 1].title if index else None

    def anchor(self, start: int, end: int) -> Anchor:
        """The place of `text[start:end]`; its last line is that of the last character, not of what follows."""
        first = self.line_at(start)
        last = self.line_at(max(start, end - 1))
        lines = (first, last) if first is not None and last is not None else None
        return Anchor(page=self.page_at(start), lines=lines, heading=self.heading_at(start))


def to_json(document: Document) -> dict[str, Any]:
    """Plain JSON values for everything but the text, which is kept apart; what is as by default is left out."""
    rows: dict[str, Any] = {
        "title": document.title,
        "pages": [[p.number, p.label, p.start, p.end, p.kind] for p in document.pages],
        "headings": [[h.start, h.level, h.title] for h in document.headings],
        "replaced": document.replaced,
        "notes": list(document.notes),
        "metadata": dict(document.metadata),
    }
    kept = {name: value for name, value in rows.items() if value}
    if document.source_lines is not None:
        kept["source_lines"] = document.source_lines
    return {"kind": document.kind, "encoding": document.encoding, **kept}


def from_json(text: str, fields: Mapping[str, Any]) -> Document:
    """The inverse of `to_json`; raises KeyError or ValueError where `fields` is not its output."""
    lines = fields.get("source_lines")
    return Document(
        text=text,
        kind=Kind(fields["kind"]),
        title=fields.get("title", ""),
        pages=tuple(Page(n, label, a, b, PageKind(kind)) for n, label, a, b, kind in fields.get("pages", ())),
        headings=tuple(Heading(*row) for row in fields.get("headings", ())),
        source_lines=None if lines is None else _pairs(lines),
        encoding=fields["encoding"],
        replaced=fields.get("replaced", 0),
        notes=tuple(fields.get("notes", ())),
        metadata=fields.get("metadata", {}),
    )


def _pairs(rows: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((offset, line) for offset, line in rows)
