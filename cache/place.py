"""One store's folder, its index and its lock, and the few changes that all the rest is made of.

A method that says so is called with the exclusive lock held; nothing here reads or writes a payload.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cache import files, lock, pins
from cache.errors import Malformed, NewerStore, StoreFailed
from cache.files import Fault, Opened
from cache.index import LATEST, Index, is_sound
from cache.keys import BlockKey, child_key
from cache.leases import leased_keys
from cache.stored import StoredBlock, row_of

Clock = Callable[[], float]


class Place:
    """A folder that was opened by this process; a fork opens its own."""

    def __init__(self, folder: Path, clock: Clock = time.time) -> None:
        self.folder = folder
        self.clock = clock
        self._process = os.getpid()
        with reported(folder):
            files.prepare(folder)
            with lock.held(folder, exclusive=True):
                files.sweep(folder)
                leased_keys(self.leases)
                self.index = self._open_index()

    @property
    def leases(self) -> Path:
        return self.folder / "leases"

    @property
    def pins(self) -> Path:
        return self.folder / "pins"

    def path(self, key: BlockKey) -> Path:
        """Where a block's file is, if it is stored."""
        return files.block_path(self.folder, key)

    @contextmanager
    def held(self, *, exclusive: bool) -> Iterator[None]:
        """Hold the store's lock, with the index of this very folder open. Raises StoreFailed for all that fails."""
        if os.getpid() != self._process:
            raise StoreFailed(f"the block store in {self.folder} was opened by another process")
        with reported(self.folder):
            if not self.index.is_current():
                self._renew_index()
            with lock.held(self.folder, exclusive=exclusive):
                yield

    def kept(self) -> set[BlockKey]:
        """What is leased or pinned. Under the exclusive lock."""
        return leased_keys(self.leases) | pins.pinned_keys(self.pins).keys()

    def enter(self, temporary: Path, row: StoredBlock) -> None:
        """Make a written file a block of the store, or leave the store as it was. Under the exclusive lock."""
        files.publish(temporary, self.path(row.key))
        try:
            self.index.put([row])
        except BaseException:
            files.remove(self.path(row.key))
            raise

    def drop(self, rows: Sequence[StoredBlock]) -> None:
        """Delete blocks. Under the exclusive lock.

        Out of the index first: what is killed between leaves files that the next start finds again. A full disk has
        no room for that: then the files go first, and what the index still has of them is forgotten by the next start.
        """
        try:
            self.index.forget(row.key for row in rows)
        except sqlite3.OperationalError:
            self._remove(rows)
            with suppress(sqlite3.OperationalError):
                self.index.forget(row.key for row in rows)
        else:
            self._remove(rows)

    def condemn(self, key: BlockKey, inode: int | None, fault: Fault) -> None:
        """Put a bad block out of the way; whoever found it goes on without it even if that fails."""
        with suppress(StoreFailed), self.held(exclusive=True):
            if fault is Fault.HEADER and self._has_header(key):
                return  # another process has stored it anew since
            if files.quarantine(self.folder, key, inode, fault, self.clock()):
                self.index.forget([key])

    def reconcile(self) -> None:
        """Bring the index to what is in the files. Under the exclusive lock."""
        self._fill(self.index)

    def row(self, found: Opened) -> StoredBlock:
        """The row of a block that is used now."""
        return _row(found, self.clock())

    def _remove(self, rows: Sequence[StoredBlock]) -> None:
        for row in rows:
            files.remove(self.path(row.key))

    def _has_header(self, key: BlockKey) -> bool:
        try:
            return files.look(self.path(key)).header.key == key
        except (OSError, Malformed, NewerStore):
            return False

    def _renew_index(self) -> None:
        with lock.held(self.folder, exclusive=True):
            if not self.index.is_current():
                self.index.close()
                self.index = self._open_index()

    def _open_index(self) -> Index:
        index = Index.open(self.folder / "index.db")
        with suppress(sqlite3.OperationalError):  # a full disk: it is only about the order in which blocks go
            index.limit_use(self.clock())
        self._fill(index)
        return index

    def _fill(self, index: Index) -> None:
        stored, known = set(files.stored_keys(self.folder)), index.keys()
        index.forget(known - stored)
        rows = []
        for key in sorted(stored - known):
            with suppress(Malformed, NewerStore, OSError):  # whoever asks for it, or verifies, is told
                found = files.look(self.path(key))
                if found.header.key == key == child_key(found.header.parent, found.header.ids):
                    rows.append(_row(found, min(found.modified, self.clock())))
        index.put([row for row in rows if is_sound(row)])


def _row(found: Opened, last_used: float) -> StoredBlock:
    """What the index keeps of a block."""
    return row_of(found.header, min(max(found.modified, 0.0), LATEST), max(float(last_used), 0.0))


@contextmanager
def reported(folder: Path) -> Iterator[None]:
    """Errors of disk and index become StoreFailed, in one line."""
    try:
        yield
    except OSError as error:
        raise StoreFailed(f"the block store in {folder} failed: {error.strerror or error}") from error
    except sqlite3.Error as error:
        raise StoreFailed(f"the index of the block store in {folder} failed: {error}") from error
