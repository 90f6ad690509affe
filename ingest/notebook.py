"""Jupyter notebooks to text: cells in order, each a numbered page, with what they printed.

It refuses to run a cell and to read images and rich output; it takes the plain text that stands beside them.
What would take more memory than a notebook ever needs is refused before it is parsed, or read in part.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ingest.document import Document, Heading, Kind, Page, PageKind
from ingest.outcome import ReadFailure, Status

MOST_CELLS = 100_000
MOST_BRACKETS = 2_000_000  # each is an object or a list of up to 250 bytes once it is parsed
OUTPUT_LIMIT = 2_000  # characters of one output; a log of an hour is no document
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
FENCE = re.compile(r"\s{0,3}(```|~~~)")
TITLE = re.compile(r"[ ]{0,3}(#{1,6})[ \t]++(.*)")
SURROGATE = re.compile("[\ud800-\udfff]")


def read_notebook(text: str) -> Document:
    """The cells of an .ipynb file, formats 3 and 4; raises ReadFailure where it is not one."""
    notebook = _parse(text)
    read = _Read()
    count = 0
    for count, cell in enumerate(_cells(notebook), 1):
        if count <= MOST_CELLS:
            read.add(count, cell)
    partly = f"first {MOST_CELLS:,} of {count:,} cells" if count > MOST_CELLS else ""
    return read.document(partly)


@dataclass(slots=True)
class _Read:
    """What was read so far. An empty cell counts and leaves nothing."""

    parts: list[str] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    shortened: int = 0
    length: int = 0

    def add(self, number: int, cell: Mapping[str, Any]) -> None:
        words, cut = _cell_text(cell)
        if not words.strip():
            return
        self.headings += _headings(cell, words, self.length)
        self.shortened += cut
        self.parts.append(words)
        end = self.length + len(words) + 2
        self.pages.append(Page(number, _label(cell, number), self.length, end, PageKind.CELL))
        self.length = end

    def document(self, partly: str) -> Document:
        text = "\n\n".join(self.parts)
        if self.pages:
            self.pages[-1] = replace(self.pages[-1], end=len(text))
        notes = (f"{self.shortened} outputs shortened to {OUTPUT_LIMIT:,} characters",) if self.shortened else ()
        return Document(
            text=text,
            kind=Kind.NOTEBOOK,
            title=next((heading.title for heading in self.headings if heading.level == 1), ""),
            pages=tuple(self.pages),
            headings=tuple(self.headings),
            source_lines=(),
            notes=notes,
            metadata={"partly": partly} if partly else {},
        )


def _parse(text: str) -> Mapping[str, Any]:
    brackets = text.count("{") + text.count("[")
    if brackets > MOST_BRACKETS:
        raise ReadFailure(Status.TOO_LARGE, f"{brackets:,} objects and lists, limit {MOST_BRACKETS:,}")
    try:
        notebook = json.loads(text)
    except RecursionError:
        raise ReadFailure(Status.BROKEN, "not a notebook: nested too deeply") from None
    except ValueError as error:
        raise ReadFailure(Status.BROKEN, f"not a notebook: {error}") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells", notebook.get("worksheets")), list):
        raise ReadFailure(Status.BROKEN, "not a notebook: no cells")
    return notebook


def _cells(notebook: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    sheets = notebook.get("worksheets")
    for sheet in sheets if isinstance(sheets, list) else [notebook]:
        cells = sheet.get("cells") if isinstance(sheet, dict) else None
        yield from (cell for cell in cells if isinstance(cell, dict)) if isinstance(cells, list) else ()


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
        elif match and (title := match[2].rstrip(" \t#")):
            yield Heading(start + match.start(1), len(match[1]), title)
        start += len(line)
