"""Blocks in use: one file per open chain, locked as long as its process lives, with the keys it uses in it.

A lease is taken and extended under the store's lock and read under the exclusive one, so nobody sees half of it.
The lock tells the living from the dead: a process that was killed leaves its file, not its lock.
"""

import fcntl
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cache import files, lock
from cache.keys import KEY_BYTES, BlockKey, is_key

FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
LINE_BYTES = 2 * KEY_BYTES + 1
MOST_LINES = 1_000_000


class Lease:
    """The keys that one chain keeps from eviction, until it is given up."""

    def __init__(self, folder: Path, keys: Sequence[BlockKey]) -> None:
        self._process = os.getpid()
        self._path = folder / f"{self._process}-{secrets.token_hex(8)}"
        self._lines = 0
        self._descriptor: int | None = os.open(self._path, FLAGS, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._write(0, keys)
        except BaseException:
            self.give_up()
            raise

    def add(self, *keys: BlockKey) -> None:
        """Keep these as well."""
        self._write(self._lines, keys)

    def replace(self, keys: Sequence[BlockKey]) -> None:
        """Keep these, and no others."""
        self._write(0, keys)
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, len(keys) * LINE_BYTES)

    def give_up(self) -> None:
        """Keep nothing more; may be called again. In a forked process it is left to the one that took it."""
        if self._descriptor is None:
            return
        if self._process == os.getpid():
            self._path.unlink(missing_ok=True)
            lock.let_go(self._descriptor)
        else:
            os.close(self._descriptor)
        self._descriptor = None

    def _write(self, line: int, keys: Sequence[BlockKey]) -> None:
        """Lines of one length at their places: what a write that failed has left is written over by the next."""
        text = "".join(f"{key}\n" for key in keys).encode()
        done = 0
        while done < len(text) and self._descriptor is not None:
            done += os.pwrite(self._descriptor, text[done:], line * LINE_BYTES + done)
        self._lines = line + len(keys)


def leased_keys(folder: Path) -> set[BlockKey]:
    """Every key in use by a living process; files of dead ones are removed. The caller holds the exclusive lock."""
    keys: set[BlockKey] = set()
    for path in folder.iterdir():
        keys.update(_keys_in(path))
    return keys


def _keys_in(path: Path) -> list[BlockKey]:
    with files.regular(path) as descriptor:
        if descriptor is None:
            return []
        if lock.is_free(descriptor):
            path.unlink(missing_ok=True)
            return []
        content = os.pread(descriptor, min(os.fstat(descriptor).st_size, MOST_LINES * LINE_BYTES), 0)
    lines = content.decode("ascii", errors="replace").splitlines()
    return [BlockKey(line) for line in lines if is_key(line)]
