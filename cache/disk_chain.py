"""A leased chain of blocks in files: what `DiskStore.chain` gives."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cache.block import DiskBlock
from cache.errors import StoreFailed
from cache.format import Link, link_after, next_link
from cache.keys import Fingerprint
from cache.leases import Lease
from cache.place import Place

if TYPE_CHECKING:
    from typing_extensions import Buffer

Put = Callable[[Link, "array[int]", "Mapping[str, Buffer]", Lease], DiskBlock]
Find = Callable[[Link, "Sequence[array[int]]", Lease], list[DiskBlock]]


class DiskChain:
    """See `cache.chain.Chain`; one thread at a time appends and cuts."""

    def __init__(self, fingerprint: Fingerprint, lease: Lease, place: Place, put: Put, find: Find) -> None:
        self.blocks: list[DiskBlock] = []
        self._fingerprint = fingerprint
        self._lease = lease
        self._place = place
        self._put = put
        self._find = find

    def append(self, ids: "array[int]", sections: "Mapping[str, Buffer]") -> DiskBlock:
        """Store the next window's block; raises StoreFull or StoreFailed."""
        link = next_link(self._fingerprint, self.blocks, ids)
        block = self._put(link, ids, sections, self._lease)
        self.blocks.append(block)
        return block

    def follow(self, windows: "Sequence[array[int]]") -> None:
        """Take further stored blocks; raises StoreFailed."""
        link = link_after(self._fingerprint, self.blocks)
        self.blocks += self._find(link, windows, self._lease)

    def cut(self, depth: int) -> None:
        """Forget the blocks from `depth` on."""
        for block in self.blocks[depth:]:
            block.close()
        del self.blocks[depth:]
        with suppress(StoreFailed), self._place.held(exclusive=False):
            self._lease.replace([block.key for block in self.blocks])

    def close(self) -> None:
        """Unmap all blocks and give up the lease."""
        for block in self.blocks:
            block.close()
        self.blocks = []
        self._lease.give_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
