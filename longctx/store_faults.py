"""What SQLite and the file system say of our stores, in words for a user."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.database import DatabaseTrouble
from longctx import paths
from longctx.errors import StoreError

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
PLACES = {errno.EEXIST, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENOENT, *NO_ROOM}
ROOM_HINT = "is there room, and may you write there? longctx paths shows where it is"


@contextmanager
def explained() -> Iterator[None]:
    """Turn what goes wrong with stores inside the block into a StoreError; other files are none of theirs."""
    try:
        yield
    except OSError as error:
        if error.errno not in PLACES or not _is_ours(error.filename):
            raise
        raise StoreError(f"{error.filename}: {error.strerror}", _place_hint(error)) from error
    except DatabaseTrouble as trouble:
        raise StoreError(str(trouble), "update longctx, or remove that file: it is made again") from trouble
    except sqlite3.ProgrammingError:
        raise  # a defect of this program says nothing of the file
    except sqlite3.DatabaseError as error:
        raise StoreError(f"a store can't be used: {error}", _hint(str(error))) from error


def _is_ours(named: object) -> bool:
    """Whether this path lies in a folder of ours, or leads to one: that it can't be made is told of its parents."""
    if not isinstance(named, (str, bytes, os.PathLike)):
        return False
    path, places = Path(os.path.abspath(os.fsdecode(named))), paths.locate(os.environ)
    folders = (places.data, places.cache, places.state)
    return any(path.is_relative_to(each) or each.is_relative_to(path) for each in folders)


def _place_hint(error: OSError) -> str:
    return ROOM_HINT if error.errno in NO_ROOM else "longctx paths shows where it keeps things"


def _hint(said: str) -> str:
    if "locked" in said:
        return "another longctx is writing: try again"
    if "full" in said or "readonly" in said or "disk" in said or "unable to open" in said:
        return ROOM_HINT
    return "empty the cache directory that longctx paths shows: it is made again"
