"""Questions without a manifest: one a line (questions.txt), or a table of them (CSV with the columns id and text)."""

import csv
import io
from collections.abc import Iterator
from difflib import get_close_matches

from ingest.naming import show
from longctx.regular_file import NotRead
from longctx.reports.manifest_values import Fault, Lines, Place, Values

COLUMNS = ("id", "text", "require_verified", "schema", "depends_on")
SWITCHES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def read_lines(text: str) -> Values:
    """A question a line, named q1, q2 …; blank lines and lines that begin with # are none."""
    rows = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1)]
    asked = [(number, line) for number, line in rows if line and not line.startswith("#")]
    questions: list[dict[str, object]] = [{"id": f"q{i}", "text": line} for i, (_, line) in enumerate(asked, start=1)]
    return _listed(questions, [number for number, _ in asked], ())


def read_csv(text: str) -> Values:
    """A question a row; the first row names the columns. Raises NotRead."""
    rows = _rows(text)
    line, header = next(rows, (1, []))
    names = [name.strip().lower() for name in header]
    if problem := _header_problem(names):
        raise NotRead(problem, line)
    questions: list[dict[str, object]] = []
    lines: list[int] = []
    faults: list[Fault] = []
    for line, cells in rows:
        if len(cells) > len(names):
            message = f"{len(cells)} cells in {len(names)} columns; put a text with commas in quotes"
            faults.append(Fault(("question", len(questions)), message, line))
        questions.append(_question(dict(zip(names, cells, strict=False))))
        lines.append(line)
    return _listed(questions, lines, tuple(faults))


def _listed(questions: list[dict[str, object]], numbers: list[int], faults: tuple[Fault, ...]) -> Values:
    places: dict[Place, int] = {("question", i): number for i, number in enumerate(numbers)}
    lines: Lines = {("question",): 1, **places}
    return Values({"question": questions}, lambda: lines, faults)


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with its first line. Spreadsheets of half of Europe separate by semicolons."""
    first = text.split("\n", 1)[0]
    delimiter = ";" if ";" in first and "," not in first else ","
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    begin = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield begin, row
            begin = reader.line_num + 1
    except csv.Error as error:
        raise NotRead(str(error), begin) from error


def _header_problem(names: list[str]) -> str:
    for name in names:
        if name not in COLUMNS:
            near = get_close_matches(name, COLUMNS, n=1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(COLUMNS)}"
            return f'unknown column "{show(name)}"; {meant}'
    if len(set(names)) < len(names):
        return "a column is named twice"
    missing = [name for name in COLUMNS[:2] if name not in names]
    return f"the first row must name the columns id and text; {' and '.join(missing)} missing" if missing else ""


def _question(cells: dict[str, str]) -> dict[str, object]:
    """What is left out of a row is as if the key were not there."""
    values: dict[str, object] = {name: cell.replace("\r\n", "\n").strip() for name, cell in cells.items()}
    question = {name: value for name, value in values.items() if value or name in ("id", "text")}
    if "require_verified" in question:
        said = str(question["require_verified"])
        question["require_verified"] = SWITCHES.get(said.lower(), said)
    if "depends_on" in question:
        question["depends_on"] = str(question["depends_on"]).split()
    return question
