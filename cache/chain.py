"""What a caller sees of a store: blocks of bytes under names, and the chain of them that a prompt uses.

The same promises hold for every store. What a caller is given is what was stored, or an exception.
"""

from array import array
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from cache.keys import BlockKey, Fingerprint

if TYPE_CHECKING:
    from typing_extensions import Buffer


Parts = Sequence[tuple[int, int]] | None


class Block(Protocol):
    """One window's stored bytes; nothing is read before it is asked for."""

    @property
    def key(self) -> BlockKey: ...

    @property
    def ids(self) -> "array[int]": ...

    @property
    def nbytes(self) -> int:
        """What it occupies in the store."""
        ...

    def size(self, name: str) -> int:
        """How many bytes are under `name`, without reading them; KeyError where there is no such section."""
        ...

    def section(self, name: str, parts: Parts = None) -> memoryview:
        """All bytes under `name`, checked before they are given; KeyError where there is no such section.

        With `parts` (pairs of offsets) a copy of what lies between those, one after the other: no more than that is
        read and checked, each time anew, and none of it stays in memory but the copy. A view is writable, writing to
        it reaches nobody else, and it is valid as long as it is held. Raises BlockLost.
        """
        ...

    def release(self) -> None:
        """Give memory back to the system; views stay valid, and what is asked for again is read and checked again."""
        ...


class Chain(Protocol):
    """The stored blocks of one prompt's first windows, kept from eviction until it is closed; a context manager."""

    @property
    def blocks(self) -> Sequence[Block]: ...

    def append(self, ids: "array[int]", sections: "Mapping[str, Buffer]") -> Block:
        """Store the block of the next window; it is durable when this returns.

        Raises StoreFull or StoreFailed; then nothing has changed, and the next call may succeed.
        """
        ...

    def follow(self, windows: "Sequence[array[int]]") -> None:
        """Take further stored blocks, as many as the next `windows` begin with. Raises StoreFailed.

        After a lost block was stored again, those that were behind it are found so: their keys are still the same.
        """
        ...

    def cut(self, depth: int) -> None:
        """Forget the blocks from `depth` on: they stay stored, but this chain ends before them."""
        ...

    def close(self) -> None:
        """Let the blocks go; may be called again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class BlockStore(Protocol):
    """Where chains are kept."""

    def chain(self, fingerprint: Fingerprint, windows: "Sequence[array[int]]") -> Chain:
        """The longest stored chain that these windows begin with; the caller does not change `windows` afterwards."""
        ...

    def digest(self, identity: str) -> str | None:
        """A digest that was remembered under `identity`, if it still is."""
        ...

    def remember(self, identity: str, digest: str) -> None:
        """Keep a digest that was dear to compute; losing it costs only time."""
        ...

    def close(self) -> None: ...
