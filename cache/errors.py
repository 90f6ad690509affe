"""What can go wrong with stored blocks. A block that isn't there is a miss, never an error.

CacheError
├── StoreFull      the cap is reached by blocks in use, or a block is larger than the cap
├── StoreFailed    the disk or the index refused: no space, no permission, an I/O error; what was stored stays good
├── BlockLost      a block of a chain can't be had; what is before it can
│   ├── BlockDamaged   its bytes are not what was written; it is out of the way and can be stored again
│   └── BlockUnmapped  it is as it was, but memory or descriptors are used up
├── Malformed      a file that is no block, or one that was changed; never reaches a caller of the store
├── NewerStore     a newer version of this program wrote it; it is left as it is
└── NoSuchBlock    no stored block, or more than one, has a key that begins so
"""


class CacheError(Exception):
    """The root of this room's errors; the message is one line."""


class StoreFull(CacheError):
    """There is no room that may be made."""


class StoreFailed(CacheError):
    """A read or write was refused; nothing half-written is left."""


class BlockLost(CacheError):
    """A block of a chain, `depth` blocks from its beginning, can't be used."""

    def __init__(self, key: str, depth: int, reason: str) -> None:
        super().__init__(f"stored block {key[:12]} (window {depth + 1}) {reason}")
        self.key = key
        self.depth = depth
        self.reason = reason


class BlockDamaged(BlockLost):
    """It can't be trusted."""


class BlockUnmapped(BlockLost):
    """It can't be mapped, and others may not be either; what is stored stays good."""


class Malformed(CacheError):
    """The bytes of a file are no block of this format."""


class NewerStore(CacheError):
    """`version` of the format is beyond what this program knows."""

    def __init__(self, what: str, version: int, known: int) -> None:
        super().__init__(f"{what} was written by a newer version of longctx (format {version}, known {known})")
        self.version = version


class NoSuchBlock(CacheError):
    """A prefix of a key that names no block, or several."""
