"""Which documents the items of a report cite, and how often: the table of items and documents."""

from dataclasses import dataclass

from longctx.counted import counted
from longctx.reports.phrases import name, tail
from longctx.reports.report import Kind, Report, matrix, shared_folder

ROWS_MOST = 60
COLUMNS_MOST = 200
LABEL_MOST = 28  # characters of an item's id
PATH_MOST = 56


@dataclass(frozen=True, slots=True)
class Column:
    """An item: `place` is where it stands among the items of the report."""

    place: int
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """A document and its verified citations in each column."""

    path: str
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """Verified citations in all columns."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Coverage:
    """The table; `others` are cited documents that it has no room for, `uncited` those without verified citations, of
    which `missing` says so. Summaries of single documents have no column: each cites its own."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    others: int
    uncited: tuple[str, ...]
    missing: str
    left_out: int  # items

    @property
    def most(self) -> int:
        """The highest count of an item and a document."""
        return max((count for row in self.rows for count in row.counts), default=0)


def coverage(report: Report) -> Coverage | None:
    """The documents that are cited most come first; None where nothing has been asked of all of them."""
    asked = [(place, item) for place, item in enumerate(report.items) if item.kind is not Kind.DOCUMENT]
    if not asked or not any(item.evidence for _, item in asked):
        return None
    columns = [Column(place, name(item.id, LABEL_MOST), name(item.title)) for place, item in asked[:COLUMNS_MOST]]
    counts = matrix(report)
    shown = [counts.get(item.id, {}) for _, item in asked[:COLUMNS_MOST]]
    paths = sorted(
        {path for each in shown for path in each}, key=lambda path: (-sum(e.get(path, 0) for e in shown), path)
    )
    above = shared_folder([row.path for row in report.documents if row.tokens])
    rows = [
        Row(tail(path.removeprefix(above), PATH_MOST), tuple(each.get(path, 0) for each in shown))
        for path in paths[:ROWS_MOST]
    ]
    cited = set(paths)
    uncited = tuple(row.path for row in report.documents if not cited.intersection((row.path, *row.also)))
    return Coverage(
        columns=tuple(columns),
        rows=tuple(rows),
        others=len(paths[ROWS_MOST:]),
        uncited=tuple(name(path.removeprefix(above)) for path in uncited),
        missing=_missing(report, {item.kind for _, item in asked}, len(uncited)) if uncited else "",
        left_out=len(asked[COLUMNS_MOST:]),
    )


def _missing(report: Report, kinds: set[Kind], count: int) -> str:
    """How many documents nothing cites that has a column."""
    of = counted(len(report.documents), "document")
    names = " or ".join(_NAMES[kind] for kind in (Kind.QUESTION, Kind.SUMMARY) if kind in kinds)
    own = any(item.kind is Kind.DOCUMENT for item in report.items)
    apart = ", summaries of single documents apart" if own else ""
    return f"{count:,} of {of} have no verified citation in {names}{apart}"


_NAMES = {Kind.QUESTION: "any question", Kind.SUMMARY: "the summary of the whole corpus"}
