"""Spreadsheets to text: each sheet a page, each row that has something in it a line, its cells between bars.

Read with openpyxl and xlrd, which unstructured brings; unstructured's own way through pandas fills the
rectangle between the outermost cells, and two cells far apart make it gigabytes. Formulas are not computed:
the value that was stored with one is shown, or the formula where there is none.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from io import BytesIO
from typing import Any
from zipfile import ZipFile

from ingest.document import Document, Heading, Kind, Page, PageKind
from ingest.outcome import ReadFailure, Status

EMPTY_RUN = 8  # longer runs of empty cells are counted, not drawn
Row = Sequence[Any]
Sheet = tuple[str, Iterable[Row]]


def read_xlsx(content: bytes, archive: ZipFile) -> Document:
    """A workbook of Excel 2007 or later; `archive` is the same file, known not to be a bomb."""
    load_workbook: Any = import_module("openpyxl").load_workbook
    values = load_workbook(BytesIO(content), read_only=True, data_only=True, keep_links=False)
    formulas = None
    if _has_formulas(archive):
        formulas = load_workbook(BytesIO(content), read_only=True, keep_links=False)
    sheets = [(sheet.title, _xlsx_rows(sheet, formulas)) for sheet in values.worksheets]
    return _document(sheets)


def read_xls(content: bytes) -> Document:
    """A workbook of Excel 97 to 2003."""
    xlrd: Any = import_module("xlrd")
    try:
        book = xlrd.open_workbook(file_contents=content, logfile=_Silence(), ragged_rows=True)
    except xlrd.XLRDError as error:
        raise ReadFailure(Status.BROKEN, str(error)) from None
    return _document([(sheet.name, _xls_rows(xlrd, sheet, book.datemode)) for sheet in book.sheets()])


class _Silence:
    def write(self, text: str) -> None:
        """xlrd's remarks go nowhere."""


def _has_formulas(archive: ZipFile) -> bool:
    names = [name for name in archive.namelist() if name.startswith("xl/worksheets/") and name.endswith(".xml")]
    return any(b"<f>" in sheet or b"<f " in sheet for sheet in map(archive.read, names))


def _xlsx_rows(sheet: Any, formulas: Any) -> Iterator[Row]:
    sheet.reset_dimensions()  # rows are then as wide as their own last cell, whatever extent is declared
    if formulas is None:
        yield from sheet.iter_rows(values_only=True)
        return
    twin = formulas[sheet.title]
    twin.reset_dimensions()
    for row, source in zip(sheet.iter_rows(values_only=True), twin.iter_rows(values_only=True), strict=False):
        yield [value if value is not None else _formula(cell) for value, cell in zip(row, source, strict=False)]


def _formula(cell: object) -> str | None:
    text = getattr(cell, "text", cell)  # an array formula wraps its text
    return text if isinstance(text, str) and text.startswith("=") else None


def _xls_rows(xlrd: Any, sheet: Any, datemode: int) -> Iterator[Row]:
    for index in range(sheet.nrows):
        yield [_xls_value(xlrd, cell, datemode) for cell in sheet.row(index)]


def _xls_value(xlrd: Any, cell: Any, datemode: int) -> Any:
    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            return xlrd.xldate_as_datetime(cell.value, datemode)
        except (ValueError, OverflowError):
            return cell.value
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return bool(cell.value)
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return xlrd.error_text_from_code.get(cell.value, "#ERROR")
    return cell.value


def _document(sheets: Iterable[Sheet]) -> Document:
    parts: list[str] = []
    pages: list[Page] = []
    start = 0
    for number, (name, rows) in enumerate(sheets, 1):
        lines = [line for line in map(_line, rows) if line]
        parts.append("\n".join([name, *lines]) + "\n")
        end = start + len(parts[-1]) + 1
        pages.append(Page(number, name, start, end, PageKind.SHEET))
        start = end
    if all(part.count("\n") == 1 for part in parts):
        raise ReadFailure(Status.NO_TEXT, "no cell has a value")
    text = "\n".join(parts)
    pages[-1] = replace(pages[-1], end=len(text))
    headings = tuple(Heading(page.start, 1, page.label) for page in pages)
    return Document(text, Kind.SHEETS, pages=tuple(pages), headings=headings, source_lines=())


def _line(row: Row) -> str:
    """One row; empty cells keep their place, those at the end are dropped."""
    if not row:
        return ""
    cells = [_words(value) for value in row]
    while cells and not cells[-1]:
        cells.pop()
    if not all(cells):
        cells = list(_shortened(cells))
    return " | ".join(cells)


def _shortened(cells: Iterable[str]) -> Iterator[str]:
    run = 0
    for cell in cells:
        if not cell:
            run += 1
            continue
        yield from [""] * run if run <= EMPTY_RUN else [f"({run} empty)"]
        run = 0
        yield cell


def _words(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime) and not (value.hour or value.minute or value.second or value.microsecond):
        return value.date().isoformat()
    return " ".join(str(value).split())
