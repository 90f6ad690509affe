"""What SQLite and the file system say of our stores, in words for a user."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from ingest.database import DatabaseTrouble
from longctx.errors import StoreError


@contextmanager
def explained() -> Iterator[None]:
    """Turn what goes wrong with stores inside the block into a StoreError."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise StoreError(f"{error.filename}: {error.strerror}", "longctx paths shows where it keeps things") from error
    except DatabaseTrouble as trouble:
        raise StoreError(str(trouble), "update longctx, or remove that file: it is made again") from trouble
    except sqlite3.DatabaseError as error:
        raise StoreError(f"a store can't be used: {error}", _hint(str(error))) from error


def _hint(said: str) -> str:
    if "locked" in said:
        return "another longctx is writing: try again"
    if "full" in said or "readonly" in said or "disk" in said or "unable to open" in said:
        return "is there room, and may you write there? longctx paths shows where it is"
    return "empty the cache directory that longctx paths shows: it is made again"
