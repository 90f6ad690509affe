"""What SQLite and the file system say of our stores, in words for a user."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from ingest.database import DatabaseTrouble
from longctx.errors import StoreError

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
PLACES = {errno.EEXIST, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENOENT, *NO_ROOM}
ROOM_HINT = "is there room, and may you write there? longctx paths shows where it is"


@contextmanager
def explained() -> Iterator[None]:
    """Turn what goes wrong with stores inside the block into a StoreError."""
    try:
        yield
    except OSError as error:
        if error.errno not in PLACES or error.filename is None:
            raise
        raise StoreError(f"{error.filename}: {error.strerror}", _place_hint(error)) from error
    except DatabaseTrouble as trouble:
        raise StoreError(str(trouble), "update longctx, or remove that file: it is made again") from trouble
    except sqlite3.ProgrammingError:
        raise  # a defect of this program says nothing of the file
    except sqlite3.DatabaseError as error:
        raise StoreError(f"a store can't be used: {error}", _hint(str(error))) from error


def _place_hint(error: OSError) -> str:
    return ROOM_HINT if error.errno in NO_ROOM else "longctx paths shows where it keeps things"


def _hint(said: str) -> str:
    if "locked" in said:
        return "another longctx is writing: try again"
    if "full" in said or "readonly" in said or "disk" in said or "unable to open" in said:
        return ROOM_HINT
    return "empty the cache directory that longctx paths shows: it is made again"
