"""What the file system and SQLite say of our stores is one line; what is no trouble of theirs stays as it is."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from longctx.errors import StoreError
from longctx.store_faults import explained


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.ENOTDIR, errno.ENOENT])
def test_a_place_that_can_not_be_used_is_named(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGCTX_HOME", "/home/me/longctx")
    for named in ("/home/me/longctx/data/longctx.db", "/home/me/longctx", b"/home/me"):
        with pytest.raises(StoreError, match=r"^b?'?/home/me") as raised, explained():
            raise OSError(number, os.strerror(number), named)
    assert "longctx paths" in raised.value.hint


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "no room"), OSError(errno.EPIPE, "gone", "x"), sqlite3.ProgrammingError("twice")],
)
def test_what_is_none_of_a_store_is_left_alone(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, explained():
        raise error
    assert raised.value is error


@pytest.mark.parametrize("named", ["no-such-program", "/srv/sources/gone.md", b"gone.md", 7, None])
def test_a_file_of_others_is_no_store(named: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGCTX_HOME", str(tmp_path / "home"))
    with pytest.raises(FileNotFoundError), explained():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", named)


def test_a_store_that_is_locked_can_be_tried_again() -> None:
    with pytest.raises(StoreError) as raised, explained():
        raise sqlite3.OperationalError("database is locked")
    assert raised.value.hint == "another longctx is writing: try again"
