"""Which documents the items of a report cite, and how often: the table of items and documents."""

from dataclasses import dataclass

from longctx.reports.phrases import name, tail
from longctx.reports.report import Kind, Report, matrix

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
    """The table; `others` are cited documents that it has no room for, `uncited` those without verified citations."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    others: int
    uncited: int
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
    rows = [Row(tail(path, PATH_MOST), tuple(each.get(path, 0) for each in shown)) for path in paths[:ROWS_MOST]]
    uncited = len({row.path for row in report.documents} - set(paths))
    return Coverage(tuple(columns), tuple(rows), len(paths[ROWS_MOST:]), uncited, len(asked[COLUMNS_MOST:]))
