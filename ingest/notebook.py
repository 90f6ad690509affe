"""Jupyter notebooks to text: cells in order, each a numbered page, with what they printed.

It refuses to run a cell and to read images and rich output; it takes the plain text that stands beside them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ingest.document import Document, Heading, Kind, Page, PageKind
from ingest.outcome import ReadFailure, Status

READER_VERSION = "notebook-1"

OUTPUT_LIMIT = 2_000  # characters of one output; a log of an hour is no document
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
FENCE = re.compile(r"\s{0,3}(```|~~~)")
TITLE = re.compile(r"[ ]{0,3}(#{1,6})[ \t]+(.*?)[ \t#]*$")
SURROGATE = re.compile("[\ud800-\udfff]")


def read_notebook(text: str) -> Document:
    """The cells of an .ipynb file, formats 3 and 4; raises ReadFailure where it is not one."""
    notebook = _parse(text)
    parts: list[str] = []
    pages: list[Page] = []
    headings: list[Heading] = []
    shortened = start = 0
    for number, cell in enumerate(_cells(notebook), 1):
        words, cut = _cell_text(cell)
        headings += _headings(cell, words, start)
        shortened += cut
        parts.append(words)
        end = start + len(words) + 2
        pages.append(Page(number, _label(cell, number), start, end, PageKind.CELL))
        start = end
    return _document("\n\n".join(parts), pages, headings, shortened)


def _parse(text: str) -> Mapping[str, Any]:
    try:
        notebook = json.loads(text)
    except RecursionError:
        raise ReadFailure(Status.BROKEN, "not a notebook: nested too deeply") from None
    except ValueError as error:
        raise ReadFailure(Status.BROKEN, f"not a notebook: {error}") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells", notebook.get("worksheets")), list):
        raise ReadFailure(Status.BROKEN, "not a notebook: no cells")
    return notebook


def _document(text: str, pages: list[Page], headings: list[Heading], shortened: int) -> Document:
    if pages:
        pages[-1] = replace(pages[-1], end=len(text))
    notes = (f"{shortened} outputs shortened to {OUTPUT_LIMIT:,} characters",) if shortened else ()
    return Document(
        text=text,
        kind=Kind.NOTEBOOK,
        title=next((heading.title for heading in headings if heading.level == 1), ""),
        pages=tuple(pages),
        headings=tuple(headings),
        source_lines=(),
        notes=notes,
    )


def _cells(notebook: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    sheets = notebook.get("worksheets")
    for sheet in [notebook] if sheets is None else sheets:
        for cell in sheet.get("cells") or () if isinstance(sheet, dict) else ():
            if isinstance(cell, dict):
                yield cell


def _label(cell: Mapping[str, Any], number: int) -> str:
    count = cell.get("execution_count", cell.get("prompt_number"))
    return f"[{count}]" if isinstance(count, int) else str(number)


def _cell_text(cell: Mapping[str, Any]) -> tuple[str, int]:
    """The text of a cell with its outputs, and how many outputs were shortened."""
    parts = [_source(cell)]
    shortened = 0
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else ():
        words = ANSI.sub("", _output(output)).strip("\n")
        if len(words) > OUTPUT_LIMIT:
            words = f"{words[:OUTPUT_LIMIT]}\n[{len(words) - OUTPUT_LIMIT:,} more characters not read]"
            shortened += 1
        if words.strip():
            parts.append(f"Output:\n{words}")
    return "\n\n".join(parts), shortened


def _source(cell: Mapping[str, Any]) -> str:
    words = _joined(cell.get("source", cell.get("input")))
    level = cell.get("level")
    if cell.get("cell_type") == "heading" and isinstance(level, int):
        return "#" * min(max(level, 1), 6) + " " + words
    return words


def _output(output: Any) -> str:
    if not isinstance(output, dict):
        return ""
    if "ename" in output:
        return f"{_joined(output['ename'])}: {_joined(output.get('evalue'))}"
    bundle = output.get("data")
    plain = bundle.get("text/plain") if isinstance(bundle, dict) else None
    return _joined(plain if plain is not None else output.get("text"))


def _joined(value: Any) -> str:
    """A text as notebooks keep it: a string or a list of lines. Lone surrogates can't be stored or sent."""
    lines = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return SURROGATE.sub("\ufffd", "".join(line for line in lines if isinstance(line, str)))


def _headings(cell: Mapping[str, Any], words: str, start: int) -> Iterator[Heading]:
    if cell.get("cell_type") not in ("markdown", "heading"):
        return
    fenced = False
    for line in words.splitlines(keepends=True):
        match = None if fenced else TITLE.match(line.rstrip("\r\n"))
        if FENCE.match(line):
            fenced = not fenced
        elif match and match[2]:
            yield Heading(start + match.start(1), len(match[1]), match[2])
        start += len(line)
