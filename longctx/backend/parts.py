"""Long lists in parts that are soon sent and soon read."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

PART_ROWS = 2000
PART_SIZE = 1 << 20
Row = TypeVar("Row")


def in_parts(rows: Iterable[Row], size: Callable[[Row], int]) -> Iterator[tuple[tuple[Row, ...], bool]]:
    """At most 2,000 rows a part and few behind a size of 2**20, and whether it is the last; there is always a last."""
    part, total = list[Row](), 0
    for row in rows:
        if len(part) == PART_ROWS or (part and total > PART_SIZE):
            yield tuple(part), False
            part, total = [], 0
        part.append(row)
        total += size(row)
    yield tuple(part), True
