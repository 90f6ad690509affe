"""Which blocks to drop for room: pure policy over rows; deletes nothing.

Only leaves go, least recently used first, so that what stays is always chains from their beginning; what is kept
(leased or pinned) keeps everything before it.
"""

import heapq
from collections.abc import Collection, Iterator
from itertools import takewhile

from cache.keys import BlockKey
from cache.stored import StoredBlock, ancestry, count_children


def to_free(rows: Collection[StoredBlock], kept: Collection[BlockKey], nbytes: int) -> list[StoredBlock]:
    """What to drop, in order, for `nbytes` to be free; all that may go where that is less."""
    drops: list[StoredBlock] = []
    freed = 0
    for row in evictable(rows, kept):
        if freed >= nbytes:
            break
        drops.append(row)
        freed += row.nbytes
    return drops


def unused_since(rows: Collection[StoredBlock], kept: Collection[BlockKey], moment: float) -> list[StoredBlock]:
    """What to drop, in order, of what was last used before `moment`."""
    return list(takewhile(lambda row: row.last_used < moment, evictable(rows, kept)))


def evictable(rows: Collection[StoredBlock], kept: Collection[BlockKey]) -> Iterator[StoredBlock]:
    """Every block that may be dropped, in the order in which they would be."""
    by_key, protected = {row.key: row for row in rows}, staying(rows, kept)
    children = count_children(rows)
    leaves = [_rank(row) for row in rows if not children.get(row.key) and row.key not in protected]
    heapq.heapify(leaves)
    while leaves:
        row = by_key[heapq.heappop(leaves)[-1]]
        yield row
        children[row.parent] -= 1
        above = by_key.get(row.parent)
        if above is not None and not children[row.parent] and above.key not in protected:
            heapq.heappush(leaves, _rank(above))


def staying(rows: Collection[StoredBlock], kept: Collection[BlockKey]) -> set[BlockKey]:
    """What is kept, and all before it."""
    by_key, found = {row.key: row for row in rows}, set[BlockKey]()
    for key in kept:
        before = takewhile(lambda row: row.key not in found, ancestry(key, by_key))
        found.update(row.key for row in before)
    return found


def _rank(row: StoredBlock) -> tuple[float, int, BlockKey]:
    """Oldest first; of blocks used together the last of its chain first."""
    return row.last_used, -row.depth, row.key
