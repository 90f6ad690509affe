"""What is known of stored blocks without opening them: rows, and the chains they form; values and pure functions."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from cache.format import Header
from cache.keys import BlockKey


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlock:
    """One block; `nbytes` is what its file occupies, times are in seconds since the epoch."""

    key: BlockKey
    parent: BlockKey
    root: BlockKey
    depth: int
    tokens: int
    nbytes: int
    model: str
    dtype: str
    layout: str
    created: float
    last_used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChain:
    """The blocks from a root to a tip that has no child; `own_bytes` belong to no other chain.

    `whole` is false where a block before the tip is missing: such a chain can't be used until that one is stored again.
    """

    tip: BlockKey
    root: BlockKey
    model: str
    dtype: str
    layout: str
    blocks: int
    tokens: int
    nbytes: int
    own_bytes: int
    created: float
    last_used: float
    pinned: bool
    label: str
    whole: bool


def row_of(header: Header, created: float, last_used: float) -> StoredBlock:
    """What is known of a block by the header of its file."""
    return StoredBlock(
        key=header.key,
        parent=header.parent,
        root=header.fingerprint.root(),
        depth=header.depth,
        tokens=len(header.ids),
        nbytes=header.file_bytes,
        model=header.fingerprint.model,
        dtype=header.fingerprint.dtype,
        layout=header.fingerprint.layout,
        created=created,
        last_used=last_used,
    )


def chains_of(rows: Collection[StoredBlock], pins: Mapping[BlockKey, str]) -> list[StoredChain]:
    """The chains that rows form, the one used last first; `pins` are labels by pinned key."""
    by_key = {row.key: row for row in rows}
    children = count_children(rows)
    tips = [row for row in rows if not children.get(row.key)]
    chains = [_chain(tip, by_key, children, pins) for tip in tips]
    return sorted(chains, key=lambda chain: (-chain.last_used, chain.tip))


def count_children(rows: Iterable[StoredBlock]) -> dict[BlockKey, int]:
    """How many stored blocks follow each key."""
    counts: dict[BlockKey, int] = {}
    for row in rows:
        counts[row.parent] = counts.get(row.parent, 0) + 1
    return counts


def ancestry(key: BlockKey, by_key: Mapping[BlockKey, StoredBlock]) -> Iterator[StoredBlock]:
    """A block and those before it, nearest first, as far as they are stored; each once, whatever rows say."""
    row, seen = by_key.get(key), set[BlockKey]()
    while row is not None and row.key not in seen:
        seen.add(row.key)
        yield row
        row = by_key.get(row.parent)


def _chain(
    tip: StoredBlock,
    by_key: Mapping[BlockKey, StoredBlock],
    children: Mapping[BlockKey, int],
    pins: Mapping[BlockKey, str],
) -> StoredChain:
    line = list(ancestry(tip.key, by_key))
    pinned = [row.key for row in line if row.key in pins]
    shared = next((n for n, row in enumerate(line) if children.get(row.key, 0) > 1), len(line))
    return StoredChain(
        tip=tip.key,
        root=tip.root,
        model=tip.model,
        dtype=tip.dtype,
        layout=tip.layout,
        blocks=len(line),
        tokens=sum(row.tokens for row in line),
        nbytes=sum(row.nbytes for row in line),
        own_bytes=sum(row.nbytes for row in line[:shared]),
        created=tip.created,
        last_used=tip.last_used,
        pinned=bool(pinned),
        label=next((pins[key] for key in pinned if pins[key]), ""),
        whole=len(line) == tip.depth + 1,
    )
