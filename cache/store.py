"""The durable store: chains of blocks in files, under a cap, for several threads and processes at once.

A file is the truth, the index only remembers. The store's lock is held for names, never for bytes: a block is written
before it is taken and read after it was given back. Any doubt about a block is a miss.
"""

import errno
import shutil
import sqlite3
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cache import eviction, files, pins
from cache.block import DiskBlock
from cache.chain import Block, BlockStore, Chain
from cache.disk_chain import DiskChain
from cache.errors import Malformed, NewerStore, NoSuchBlock, StoreFailed, StoreFull
from cache.files import Fault, Opened
from cache.format import Header, Link, flat, pack
from cache.keys import BlockKey, Fingerprint, child_key
from cache.leases import Lease
from cache.memory import MemoryStore
from cache.place import Clock, Place, reported
from cache.stored import StoredBlock, StoredChain, chains_of
from cache.verification import Checked, Parents, Verdict, check_file

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Block", "BlockStore", "Chain", "DiskStore", "MemoryStore", "default_limit"]
MOST_BYTES = 200 * 1024**3
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
Bad = tuple[BlockKey, int | None, Fault]


def default_limit(folder: Path, used_bytes: int) -> int:
    """Half of what the store has and the disk has left, but no more than 200 GiB."""
    return min(MOST_BYTES, (used_bytes + shutil.disk_usage(folder).free) // 2)


class DiskStore:
    """A store in one folder; its methods may be called from any thread of the process that opened it."""

    def __init__(self, place: Place, limit_bytes: int) -> None:
        self.folder = place.folder
        self.limit_bytes = limit_bytes
        self._place = place

    @classmethod
    def open(cls, folder: Path, limit_bytes: int | None = None, clock: Clock = time.time) -> "DiskStore":
        """Open or create; sweeps what dead processes left, and brings the index to what is in the files.

        Raises NewerStore, and StoreFailed where the folder can't be used.
        """
        place = Place(folder, clock)
        if limit_bytes is None:
            with reported(folder):
                limit_bytes = default_limit(folder, place.index.total_bytes())
        return cls(place, limit_bytes)

    def chain(self, fingerprint: Fingerprint, windows: "Sequence[array[int]]") -> DiskChain:
        """The longest stored chain; see `cache.chain.BlockStore`. Raises StoreFailed where it can't be leased."""
        with self._place.held(exclusive=False):
            lease = Lease(self._place.leases, [])
        chain = DiskChain(fingerprint, lease, self._place, self._put, self._find)
        try:
            chain.follow(windows)
        except BaseException:
            chain.close()
            raise
        return chain

    def digest(self, identity: str) -> str | None:
        """A digest that was remembered, if it still is."""
        try:
            return self._place.index.digest(identity)
        except sqlite3.Error:
            return None

    def remember(self, identity: str, digest: str) -> None:
        """Keep a digest; that it can't be kept is no error."""
        with suppress(StoreFailed), self._place.held(exclusive=False):
            self._place.index.remember(identity, digest)

    def rows(self) -> list[StoredBlock]:
        """Every stored block, by root and depth."""
        with self._place.held(exclusive=False):
            return sorted(self._place.index.rows(), key=lambda row: (row.root, row.depth, row.key))

    def chains(self) -> list[StoredChain]:
        """Every stored chain, the one used last first."""
        with self._place.held(exclusive=False):
            return chains_of(self._place.index.rows(), pins.pinned_keys(self._place.pins))

    def kept(self) -> set[BlockKey]:
        """What no pruning drops: what is leased or pinned, and all before it."""
        with self._place.held(exclusive=True):
            return eviction.staying(self._place.index.rows(), self._place.kept())

    def pin(self, key_prefix: str, label: str = "") -> BlockKey:
        """Keep a block and all before it until it is unpinned. Raises NoSuchBlock."""
        with self._place.held(exclusive=True):
            key = _only(key_prefix, (row.key for row in self._place.index.rows()))
            pins.write(self._place.pins, key, label)
            return key

    def unpin(self, key_prefix: str) -> BlockKey:
        """Keep it no longer. Raises NoSuchBlock."""
        with self._place.held(exclusive=True):
            key = _only(key_prefix, pins.pinned_keys(self._place.pins))
            pins.remove(self._place.pins, key)
            return key

    def prune(
        self,
        *,
        target_bytes: int | None = None,
        older_than: float | None = None,
        everything: bool = False,
        dry_run: bool = False,
    ) -> list[StoredBlock]:
        """Drop blocks until `target_bytes` are left, those last used before `older_than`, or all; returns them.

        What is leased or pinned stays. With `dry_run` nothing is dropped; all means the quarantine too.
        """
        with self._place.held(exclusive=True):
            rows, kept = self._place.index.rows(), self._place.kept()
            left = 0 if everything else target_bytes
            drops = [] if older_than is None else eviction.unused_since(rows, kept, older_than)
            if left is not None:
                # Both are beginnings of the same order, so the longer one holds the other.
                drops = max(drops, eviction.to_free(rows, kept, sum(row.nbytes for row in rows) - left), key=len)
            if not dry_run:
                self._place.drop(drops)
                if everything:
                    files.empty_quarantine(self.folder)
            return drops

    def quarantined_bytes(self) -> int:
        """What lies in quarantine; it counts towards no limit. Raises StoreFailed."""
        with reported(self.folder):
            return files.quarantined_bytes(self.folder)

    def verify(self, *, repair: bool = False) -> Iterator[Checked]:
        """Read every block wholly and say of each what it is; with `repair` bad ones go into quarantine.

        Others may use the store meanwhile: blocks that are stored or dropped during the walk are left out.
        """
        with self._place.held(exclusive=False):
            indexed, walked = self._place.index.keys(), list(files.stored_keys(self.folder))
        parents = Parents(self.folder)
        for key in walked:
            checked = check_file(self.folder, key, parents, is_indexed=key in indexed)
            if checked is not None:
                yield self._repaired(checked) if repair else checked
        for key in sorted(indexed.difference(walked)):
            gone = Checked(key, Verdict.GONE, "is in the index, but not on the disk")
            yield self._repaired(gone) if repair else gone

    def close(self) -> None:
        """Close the index; blocks of chains that are still open can be read."""
        self._place.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, link: Link, ids: "array[int]", sections: "Mapping[str, Buffer]", lease: Lease) -> DiskBlock:
        """Store one block and lease it."""
        place = self._place
        views = flat(sections)
        head, header = pack(link, child_key(link.parent, ids), ids, views)
        path = place.path(header.key)
        with place.held(exclusive=True):
            found = self._claimed(header, lease)
            if found is None:
                self._make_room(header.file_bytes)
        if found is None:
            with reported(self.folder), files.written(path, head, header, views) as temporary:
                found = self._published(temporary, header, lease)
        return self._block(found, ids)

    def _published(self, temporary: Path, header: Header, lease: Lease) -> Opened:
        """Give a written file its name, unless another process was faster."""
        place = self._place
        with place.held(exclusive=True):
            found = self._claimed(header, lease)
            if found is None:
                self._make_room(header.file_bytes)
                found = files.look(temporary)
                lease.add(header.key)
                place.enter(temporary, place.row(found))
            return found

    def _claimed(self, header: Header, lease: Lease) -> Opened | None:
        """Lease a block that is stored already, maybe by another process just now; None where it is not.

        A file of another block, or of another shape, is none: it is written over.
        """
        try:
            found = files.look(self._place.path(header.key))
        except (OSError, Malformed):
            return None
        except NewerStore as error:
            raise StoreFailed(str(error)) from error
        if not found.header.is_of(header.link, header.key, header.ids) or found.header.shape() != header.shape():
            return None
        lease.add(header.key)
        self._place.index.put([self._place.row(found)])
        return found

    def _find(self, link: Link, windows: "Sequence[array[int]]", lease: Lease) -> list[DiskBlock]:
        """The blocks that are stored for these windows from `link` on, leased."""
        files.allow_maps(link.depth + len(windows))
        with self._place.held(exclusive=False):
            blocks, bad = self._matched(link, windows)
            _lease_if_room(lease, [row.key for _, row in blocks])
            with suppress(sqlite3.Error):  # when a block was last used is no reason to fail
                self._place.index.put([row for _, row in blocks])
        if bad is not None:
            self._place.condemn(*bad)
        return [block for block, _ in blocks]

    def _matched(
        self, link: Link, windows: "Sequence[array[int]]"
    ) -> tuple[list[tuple[DiskBlock, StoredBlock]], Bad | None]:
        """The blocks that are stored for these windows from `link` on, and the bad one that ended them, if one did."""
        blocks: list[tuple[DiskBlock, StoredBlock]] = []
        for ids in windows:
            key = child_key(link.parent, ids)
            try:
                found = files.look(self._place.path(key))
            except Malformed:
                return blocks, (key, None, Fault.HEADER)
            except (OSError, NewerStore):
                break
            if not found.header.is_of(link, key, ids):
                return blocks, (key, found.inode, Fault.IDENTITY)
            blocks.append((self._block(found, ids), self._place.row(found)))
            link = Link(fingerprint=link.fingerprint, parent=key, depth=link.depth + 1)
        return blocks, None

    def _block(self, found: Opened, ids: "array[int]") -> DiskBlock:
        return DiskBlock(self._place.path(found.header.key), found, ids, self._place.condemn)

    def _make_room(self, nbytes: int) -> None:
        """Drop what is needed for a block of this size to fit; raises StoreFull, and then drops nothing."""
        excess = self._place.index.total_bytes() + nbytes - self.limit_bytes
        if excess <= 0:
            return
        drops = eviction.to_free(self._place.index.rows(), self._place.kept(), excess)
        if sum(row.nbytes for row in drops) < excess:
            raise StoreFull(f"no room for {nbytes:,} bytes in {self.folder}: its limit is {self.limit_bytes:,} bytes")
        self._place.drop(drops)

    def _repaired(self, checked: Checked) -> Checked:
        if checked.fault is not None:
            self._place.condemn(checked.key, checked.inode, checked.fault)
        elif checked.verdict in {Verdict.GONE, Verdict.UNINDEXED}:
            with self._place.held(exclusive=True):
                self._place.reconcile()
        return checked


def _lease_if_room(lease: Lease, keys: Sequence[BlockKey]) -> None:
    """A full disk takes no lease: blocks are used all the same, and one that is dropped meanwhile is a lost block."""
    try:
        lease.add(*keys)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise


def _only(key_prefix: str, keys: Iterable[BlockKey]) -> BlockKey:
    found = [key for key in keys if key_prefix and key.startswith(key_prefix)]
    if len(found) != 1:
        raise NoSuchBlock(f"{'several blocks have' if found else 'no block has'} a key that begins with {key_prefix!r}")
    return found[0]
