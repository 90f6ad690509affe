"""PDF to a document: text in reading order, page by page, with printed page labels and the outline.

It runs inside a limited worker, so a hang or a bomb costs that file only. It refuses to run a script, to
write an attachment, to read what has no text layer (it says which pages), and to take for a PDF what is none.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import PurePosixPath
from typing import Any

from ingest.cleaning import Cleaned, RawPage, clean_pages, is_legible
from ingest.document import Document, Heading, Kind, Page
from ingest.layout import Block, LineBoxes, arrange
from ingest.outcome import ReadFailure, Status
from ingest.page_labels import page_labels

MAX_PAGES = 50_000
MAX_CHARS = 64 * 2**20
MAX_FAILURES_IN_A_ROW = 100  # a file that lies about its page count fails on each
MAX_HEADINGS = 20_000

_HEADER_BYTES = 1024
_ATTACHMENT = 17  # PDF_ANNOT_FILE_ATTACHMENT
_REMARK_CHARS = 200
_NAMES_SHOWN = 10
_FEWEST_DRAWINGS = 3  # a page with fewer and no image is blank: a rule or a background, not writing
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ERROR_CODE = re.compile(r"code=\d+: ")  # MuPDF's own, which says nothing to a person
_NUMBERING = re.compile(r"(?:[A-Z]?\.?\d[\d.]*\s+)?")
_MAGICS: Mapping[bytes, str] = {
    b"PK\x03\x04": "a zip archive",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\xd0\xcf\x11\xe0": "an old Office file",
    b"\x1f\x8b": "a gzip archive",
    b"%!PS": "PostScript",
    b"{\\rtf": "RTF",
}


@dataclass(slots=True)
class _Pages:
    """What was read of the pages so far."""

    raw: list[RawPage] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)
    reason: str = ""


def read(content: bytes, name: str, password: str | None = None) -> Document:
    """The document in the bytes of the PDF `name`; raises ReadFailure where there is none to be had.

    Pages that could not be read are named in the notes and in `metadata["partly"]`.
    """
    if b"%PDF" not in content[:_HEADER_BYTES]:
        raise ReadFailure(Status.BROKEN, f"not a PDF ({looks_like(content)})")
    library = _silent_library()
    try:
        with _open(library, content, password) as pdf:
            return _document(library, pdf, name)
    except ReadFailure:
        raise
    except Exception as error:  # an outer wall: the library has five unrelated types
        raise ReadFailure(Status.BROKEN, _remark(error)) from error


def looks_like(content: bytes) -> str:
    """What a file that is no PDF seems to be, for a person."""
    start = content[:_HEADER_BYTES].lstrip().lower()
    if not content:
        return "empty file"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "looks like HTML"
    for magic, label in _MAGICS.items():
        if content.startswith(magic):
            return f"looks like {label}"
    return "looks like binary data" if b"\0" in start else "looks like text"


def _silent_library() -> Any:
    """PyMuPDF, which writes to stderr and would spoil a screen unless told not to."""
    library = _library()
    library.TOOLS.mupdf_display_errors(on=False)
    library.TOOLS.mupdf_display_warnings(on=False)
    library.TOOLS.reset_mupdf_warnings()
    return library


def _library() -> Any:
    import pymupdf  # here: it takes half a second, and few commands need it

    return pymupdf


def _open(library: Any, content: bytes, password: str | None) -> Any:
    pdf = library.open(stream=content, filetype="pdf")
    if pdf.needs_pass and not (password and pdf.authenticate(password)):
        raise ReadFailure(Status.PASSWORD, "the password is wrong" if password else "needs a password")
    return pdf


def _document(library: Any, pdf: Any, name: str) -> Document:
    total = pdf.page_count
    if total < 1:
        raise ReadFailure(Status.BROKEN, "has no pages")
    pages = _read_pages(pdf, total)
    cleaned = clean_pages(pages.raw)
    remarks = _unread(pdf, pages, cleaned, total)
    text = "".join(page.text for page in cleaned)
    ranges = _page_ranges(pages.raw, cleaned)
    headings, outline_notes = _headings(pdf, text, ranges)
    metadata = _metadata(pdf) | ({"partly": "; ".join(remarks)} if remarks else {})
    return Document(
        text=text,
        kind=Kind.PDF,
        title=metadata.get("title") or PurePosixPath(name).stem,
        pages=ranges,
        headings=headings,
        source_lines=(),
        replaced=text.count("\ufffd"),
        notes=(*remarks, *outline_notes, *_attachments(pdf, pages), *_warnings(library)),
        metadata=metadata,
    )


def _read_pages(pdf: Any, total: int) -> _Pages:
    pages = _Pages()
    labels = page_labels(pdf.get_page_labels(), min(total, MAX_PAGES))
    length = last_good = 0
    for number, label in enumerate(labels, 1):
        try:
            page = _read_page(pdf, number, label, pages.attachments)
            last_good = number
        except Exception as error:  # noqa: BLE001 - one bad page must not cost the others
            page = RawPage("", number, label)
            pages.failed.append(number)
            pages.reason = pages.reason or _remark(error)
        pages.raw.append(page)
        length += len(page.text)
        if length > MAX_CHARS or number - last_good >= MAX_FAILURES_IN_A_ROW:
            break
    return pages


def _read_page(pdf: Any, number: int, label: str, attachments: list[str]) -> RawPage:
    library = _library()
    page = pdf.load_page(number - 1)
    textpage = page.get_textpage(flags=library.TEXTFLAGS_BLOCKS)
    blocks: list[Block] = textpage.extractBLOCKS()
    turn = page.rotation_matrix if page.rotation else None
    if turn is not None:
        blocks = [(*(library.Rect(block[:4]) * turn), *block[4:]) for block in blocks]
    text, margins = arrange(blocks, page.bound().height, lambda: _line_boxes(textpage, turn))
    for xref, kind, _ in page.annot_xrefs():
        if kind == _ATTACHMENT:
            attachments.append(page.load_annot(xref).file_info["filename"])
    return RawPage(text, number, label, margins)


def _line_boxes(textpage: Any, turn: Any) -> LineBoxes:
    """The box of the first word of each line, which tells its row."""
    boxes: dict[int, list[tuple[float, float, float]]] = {}
    for word in [word for word in textpage.extractWORDS() if word[7] == 0]:
        left, top, _, bottom = word[:4] if turn is None else _library().Rect(word[:4]) * turn
        boxes.setdefault(word[5], []).append((left, top, bottom))
    return boxes


def _unread(pdf: Any, pages: _Pages, cleaned: Sequence[Cleaned], total: int) -> list[str]:
    """What of the file was not read, in words; raises ReadFailure if that is all of it."""
    empty = [
        page
        for page, clean in zip(pages.raw, cleaned, strict=True)
        if page.number not in pages.failed and _lacks_text(page, clean)
    ]
    drawn = [page.number for page in empty if _is_drawn(pdf, page)]
    damaged = [page.number for page in empty if page.number not in drawn] if pdf.is_repaired else []
    if len(pages.failed) == len(cleaned):
        raise ReadFailure(Status.BROKEN, f"no page can be read: {pages.reason}")
    if len(empty) + len(pages.failed) == len(cleaned):
        reason = "needs OCR" if drawn else "damaged file" if damaged else "blank"
        raise ReadFailure(Status.NO_TEXT, f"{_counted(len(empty), 'page')}, no text: {reason}")
    remarks = []
    if drawn:
        remarks.append(f"no text on {page_list(drawn)}: needs OCR")
    if damaged:
        remarks.append(f"no text on {page_list(damaged)}: damaged file")
    if pages.failed:
        remarks.append(f"can't read {page_list(pages.failed)}: {pages.reason}")
    if len(cleaned) < total:
        remarks.append(f"first {len(cleaned):,} of {_counted(total, 'page')}")
    return remarks


def _lacks_text(page: RawPage, clean: Cleaned) -> bool:
    # Most pages lose little in cleaning, and need no second look.
    if len(clean.text) > 0.9 * len(page.text) and "\ufffd" not in page.text:
        return not clean.text or clean.text.isspace()
    return not clean.text.strip() or not is_legible(page.text)


def _is_drawn(pdf: Any, page: RawPage) -> bool:
    """Whether a page without text shows anything, such as a scan; one that can't be drawn is taken to.

    Where running heads were all its text, only an image tells of more.
    """
    try:
        drawings = [kind for kind, _ in pdf.load_page(page.number - 1).get_bboxlog() if not kind.startswith("clip")]
    except Exception:  # noqa: BLE001 - the doubt is in favour of naming the page
        return True
    if any("image" in kind for kind in drawings):
        return True
    had_text = page.text.strip() and is_legible(page.text)
    return not had_text and (len(drawings) >= _FEWEST_DRAWINGS or any("text" in kind for kind in drawings))


def page_list(numbers: Iterable[int]) -> str:
    """Sorted page numbers as "page 3" or "pages 3-5, 9"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    return f"page {shown}" if len(runs) == 1 and runs[0][0] == runs[0][1] else f"pages {shown}"


def _page_ranges(raw: Sequence[RawPage], cleaned: Sequence[Cleaned]) -> tuple[Page, ...]:
    offsets = pairwise(accumulate((len(page.text) for page in cleaned), initial=0))
    return tuple(Page(page.number, page.label, start, end) for page, (start, end) in zip(raw, offsets, strict=True))


def _headings(pdf: Any, text: str, pages: Sequence[Page]) -> tuple[tuple[Heading, ...], list[str]]:
    """The outline, each title at its place on its page, and a note if it can't be read or is cut."""
    notes = []
    headings: list[Heading] = []
    try:
        for level, raw, number in _outline(pdf):
            if len(headings) == MAX_HEADINGS:
                notes.append(f"outline: first {MAX_HEADINGS:,} titles")
                break
            if 1 <= number <= len(pages) and (title := _plain(raw)):
                headings.append(Heading(_find_title(text, pages[number - 1], title), level, title))
    except Exception as error:  # noqa: BLE001 - a broken outline must not cost the text
        notes.append(f"can't read the outline: {_remark(error)}")
    return tuple(sorted(headings, key=lambda heading: heading.start)), notes


def _outline(pdf: Any) -> Iterator[tuple[int, str, int]]:
    """Level, title and page number of each title in order.

    It is walked here since `get_toc` loads all of it a second time and recurses as deep as the file says.
    """
    stack = [(1, pdf.outline)]
    while stack:
        level, item = stack.pop()
        if item is None or not item.this.m_internal:
            continue
        index = item.page
        if index < 0 and (item.uri or "").startswith("#"):
            index = pdf.resolve_link(item.uri)[0]
        yield level, item.title or "", index + 1
        stack += [(level, item.next), (level + 1, item.down)]


def _find_title(text: str, page: Page, title: str) -> int:
    """Where the title stands on its page, with its number if one leads it; the page's start if nowhere.

    A line that is the title comes before one that mentions it.
    """
    words = _NUMBERING.sub("", title, count=1)  # the outline has a space where the page has a gap
    mention = -1
    place = text.find(words, page.start, page.end)
    while place >= 0:
        line = max(page.start, text.rfind("\n", page.start, place) + 1)
        if text[place + len(words)] == "\n" and _NUMBERING.fullmatch(text, line, place):
            return line
        mention = place if mention < 0 else mention
        place = text.find(words, place + 1, page.end)
    return mention if mention >= 0 else _find_loosely(text, page, words)


def _find_loosely(text: str, page: Page, title: str) -> int:
    """As `_find_title`, for a title over several lines or in capitals: letters count, white space doesn't."""
    words = text[page.start : page.end].split()
    place = "".join(words).lower().find("".join(title.split()).lower())
    if place < 0:
        return page.start
    offset = page.start
    for word in words:
        offset = text.index(word, offset)
        if place < len(word):
            return offset
        place -= len(word)
        offset += len(word)
    return page.start


def _metadata(pdf: Any) -> dict[str, str]:
    return {key: plain for key, value in (pdf.metadata or {}).items() if (plain := _plain(value or ""))}


def _attachments(pdf: Any, pages: _Pages) -> list[str]:
    names = [_plain(name) for name in [*pdf.embfile_names(), *pages.attachments]]
    if not names:
        return []
    more = ", …" if len(names) > _NAMES_SHOWN else ""
    return [f"has {_counted(len(names), 'attachment')}, not read: {', '.join(names[:_NAMES_SHOWN])}{more}"]


def _warnings(library: Any) -> list[str]:
    warnings = library.TOOLS.mupdf_warnings().splitlines()
    if not warnings:
        return []
    return [f"MuPDF gave {_counted(len(warnings), 'warning')}, first: {_plain(warnings[0])}"]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _plain(value: str) -> str:
    """One printable line of bounded length."""
    return _UNPRINTABLE.sub(" ", str(value)).strip()[:_REMARK_CHARS]


def _remark(error: Exception) -> str:
    return _ERROR_CODE.sub("", _plain(str(error))) or type(error).__name__
