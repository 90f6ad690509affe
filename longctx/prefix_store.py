"""The stored prefixes of this user, opened; what goes wrong with them comes out as an error for a user."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cache.errors import BlockDamaged, CacheError, NewerStore, NoSuchBlock, StoreFull
from longctx import paths
from longctx.errors import StoreError

if TYPE_CHECKING:
    from cache.store import DiskStore


@contextmanager
def open_store(folder: Path, limit_bytes: int | None, hint: str = "") -> "Iterator[DiskStore]":
    """The prefixes in `folder`; raises StoreError for what goes wrong with them, with `hint` or a fitting one."""
    from cache.store import DiskStore

    try:
        paths.ensure(folder.parent)
    except OSError as error:
        raise StoreError(f"{folder.parent}: {error.strerror}", "longctx paths shows where it keeps things") from error
    try:
        with DiskStore.open(folder, limit_bytes=limit_bytes) as store:
            yield store
    except CacheError as error:
        raise StoreError(str(error), hint or _hint(error)) from error


def _hint(error: CacheError) -> str:
    match error:
        case NoSuchBlock():
            return "longctx cache ls shows their keys"
        case StoreFull():
            return "longctx cache prune makes room; the setting cache_limit_gb allows more"
        case NewerStore():
            return "update longctx"
        case BlockDamaged():
            return "longctx cache verify --repair puts damaged blocks aside"
        case _:
            return "is there room, and may you write there? longctx paths shows where it is"
