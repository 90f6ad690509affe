"""A folder for the prefixes that one selftest stores: beside the real ones, locked while in use, gone afterwards.

It pushes nothing out of the user's own store. What a selftest left that was killed is removed by the next.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cache.lock import is_free, let_go

PREFIX = "selftest-"


@contextmanager
def own_store(beside: Path) -> Iterator[Path]:
    """The folder of a store, in a new folder in `beside`; raises OSError."""
    sweep(beside)
    folder, lock = _locked(beside)
    try:
        yield folder / "prefix"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        let_go(lock)


def sweep(beside: Path) -> None:
    """Remove the folders in `beside` that nobody uses any more."""
    for folder in beside.glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            if is_free(lock):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            let_go(lock)


def _locked(beside: Path) -> tuple[Path, int]:
    """A new folder and the lock on it; another one where somebody's sweep came between the two."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=beside))
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if is_free(lock) and folder.is_dir():
            return folder, lock
        let_go(lock)
