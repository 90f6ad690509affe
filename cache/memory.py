"""The same store without a disk, for tests and for callers who have none; it ends with its process."""

import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cache import eviction
from cache.chain import Parts
from cache.errors import StoreFull
from cache.format import Link, flat, link_after, next_link, pack
from cache.keys import BlockKey, Fingerprint, child_key
from cache.stored import StoredBlock, row_of

if TYPE_CHECKING:
    from typing_extensions import Buffer


@dataclass(frozen=True, slots=True)
class _Held:
    row: StoredBlock
    ids: "array[int]"
    sections: dict[str, bytes]


class MemoryStore:
    """Chains in memory, under the cap that `DiskStore` would keep for the same blocks; for one thread."""

    def __init__(self, limit_bytes: int | None = None, clock: Callable[[], float] = time.time) -> None:
        self.limit_bytes = limit_bytes
        self._clock = clock
        self._held: dict[BlockKey, _Held] = {}
        self._pinned: set[BlockKey] = set()
        self._digests: dict[str, str] = {}
        self._chains: list[MemoryChain] = []

    def chain(self, fingerprint: Fingerprint, windows: "Sequence[array[int]]") -> "MemoryChain":
        """The longest stored chain; see `cache.chain.BlockStore`."""
        chain = MemoryChain(self, fingerprint)
        chain.follow(windows)
        self._chains.append(chain)
        return chain

    def find(self, parent: BlockKey, windows: "Sequence[array[int]]") -> "list[MemoryBlock]":
        """The blocks that are stored for these windows after `parent`; see `cache.chain.Chain.follow`."""
        found: list[MemoryBlock] = []
        for ids in windows:
            parent = child_key(parent, ids)
            if parent not in self._held:
                break
            found.append(self._use(parent))
        return found

    def put(self, link: Link, ids: "array[int]", sections: "Mapping[str, Buffer]") -> "MemoryBlock":
        """Store one block; see `cache.chain.Chain.append`."""
        key = child_key(link.parent, ids)
        if key not in self._held:
            views = flat(sections)
            header = pack(link, key, ids, views)[1]
            self._make_room(header.file_bytes)
            kept, now = {name: bytes(view) for name, view in views.items()}, self._clock()
            self._held[key] = _Held(row_of(header, now, now), array("I", ids), kept)
        return self._use(key)

    def let_go(self, chain: "MemoryChain") -> None:
        """A chain that was closed keeps nothing."""
        self._chains = [each for each in self._chains if each is not chain]

    def digest(self, identity: str) -> str | None:
        """A digest that was remembered."""
        return self._digests.get(identity)

    def remember(self, identity: str, digest: str) -> None:
        """Keep a digest."""
        self._digests[identity] = digest

    def rows(self) -> list[StoredBlock]:
        """Every stored block, by root and depth."""
        return sorted((held.row for held in self._held.values()), key=lambda row: (row.root, row.depth, row.key))

    def pin(self, key: BlockKey) -> None:
        """Keep a block and all before it."""
        self._pinned.add(key)

    def unpin(self, key: BlockKey) -> None:
        """Keep it no longer."""
        self._pinned.discard(key)

    def close(self) -> None:
        """Nothing is open."""

    def _use(self, key: BlockKey) -> "MemoryBlock":
        held = self._held[key]
        held = replace(held, row=replace(held.row, last_used=self._clock()))
        self._held[key] = held
        return MemoryBlock(key, held.ids, held.row.nbytes, held.sections)

    def _make_room(self, nbytes: int) -> None:
        rows = [held.row for held in self._held.values()]
        excess = sum(row.nbytes for row in rows) + nbytes - (self.limit_bytes or 0)
        if self.limit_bytes is None or excess <= 0:
            return
        kept = self._pinned | {block.key for chain in self._chains for block in chain.blocks}
        drops = eviction.to_free(rows, kept, excess)
        if sum(row.nbytes for row in drops) < excess:
            raise StoreFull(f"no room for {nbytes:,} bytes in memory: the limit is {self.limit_bytes:,} bytes")
        for row in drops:
            del self._held[row.key]


class MemoryBlock:
    """A block of `MemoryStore`; see `cache.chain.Block`. Views are of copies, so that none reaches what is stored."""

    def __init__(self, key: BlockKey, ids: "array[int]", nbytes: int, sections: Mapping[str, bytes]) -> None:
        self.key = key
        self.ids = ids
        self.nbytes = nbytes
        self._stored = sections
        self._copies: dict[str, bytearray] = {}

    def size(self, name: str) -> int:
        """How many bytes are under `name`."""
        return len(self._stored[name])

    def section(self, name: str, parts: Parts = None) -> memoryview:
        """All bytes under `name`."""
        if parts is not None:
            return self._copied(name, parts)
        if name not in self._copies:
            self._copies[name] = bytearray(self._stored[name])
        return memoryview(self._copies[name])

    def release(self) -> None:
        """Drop the copies; views keep theirs."""
        self._copies = {}

    def _copied(self, name: str, parts: Sequence[tuple[int, int]]) -> memoryview:
        stored = self._stored[name]
        for start, stop in parts:
            if not 0 <= start <= stop <= len(stored):
                raise ValueError(f"{start}:{stop} is not within the {len(stored)} bytes of {name}")
        return memoryview(bytearray().join(stored[start:stop] for start, stop in parts))


class MemoryChain:
    """A chain of a `MemoryStore`; see `cache.chain.Chain`."""

    def __init__(self, store: MemoryStore, fingerprint: Fingerprint) -> None:
        self.blocks: list[MemoryBlock] = []
        self._store = store
        self._fingerprint = fingerprint

    def append(self, ids: "array[int]", sections: "Mapping[str, Buffer]") -> MemoryBlock:
        """Store the next window's block."""
        link = next_link(self._fingerprint, self.blocks, ids)
        block = self._store.put(link, ids, sections)
        self.blocks.append(block)
        return block

    def follow(self, windows: "Sequence[array[int]]") -> None:
        """Take further stored blocks."""
        link = link_after(self._fingerprint, self.blocks)
        self.blocks += self._store.find(link.parent, windows)

    def cut(self, depth: int) -> None:
        """Forget the blocks from `depth` on."""
        del self.blocks[depth:]

    def close(self) -> None:
        """Let the blocks go."""
        self.blocks = []
        self._store.let_go(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
