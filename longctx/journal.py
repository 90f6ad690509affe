"""A file to which one run appends what it has finished, a JSON value a line, so that a later run goes on from there.

What a run that was killed wrote of its last line is cut off. One process writes at a time; nothing written is changed.
A file that does not begin as such a journal does is refused and stays as it is.
"""

import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ingest.naming import show
from longctx.errors import StoreError

LARGEST_BYTES = 512 << 20
LINE_BYTES = 64 << 20
VALUES_MOST = 2_000_000  # of a line: lists of nothing take thirty times their text in memory
INTEGERS = 1 << 63
FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
NO_RECORD = "not a record of ours"


class Journal(AbstractContextManager["Journal"]):
    """The records of a file, and an end to append to. Raises StoreError where another run has it, or it is none.

    `begins` is what such a journal begins with; `directory` a descriptor of its folder, where that is held open.
    """

    def __init__(self, path: Path, begins: bytes = b"{", directory: int | None = None) -> None:
        self._path, self._begins = path, begins
        try:
            self._descriptor = os.open(path if directory is None else path.name, FLAGS, 0o666, dir_fd=directory)
        except OSError as error:
            raise StoreError(f"{show(str(path))}: {error.strerror}", "name another folder") from error
        try:
            self._lock()
            self._lines = self._read()
        except BaseException:
            os.close(self._descriptor)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def lines(self) -> tuple[bytes, ...]:
        """All records as they stand in the file, those of earlier runs first; `parsed` gives their values."""
        return tuple(self._lines)

    @property
    def records(self) -> tuple[Mapping[str, Any], ...]:
        """All records; where they are many `lines` take less memory."""
        return tuple(map(parsed, self._lines))

    def append(self, record: Mapping[str, Any]) -> bytes:
        """Keep a record; it is on the disk when this returns, and its line given back. Raises StoreError."""
        line = json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"
        done = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            self._write(line)
        except OSError as error:
            os.ftruncate(self._descriptor, done)
            what = f"{show(str(self._path))} can't be written: {error.strerror}"
            raise StoreError(what, "is there room, and may you write there?") from error
        except BaseException:
            os.ftruncate(self._descriptor, done)
            raise
        self._lines.append(line.rstrip(b"\n"))
        return self._lines[-1]

    def close(self) -> None:
        """Let another run have it."""
        os.close(self._descriptor)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"{show(str(self._path))}: another longctx is writing it", "wait until it has ended"
            ) from None

    def _write(self, line: bytes) -> None:
        left = memoryview(line)
        while left:
            left = left[os.write(self._descriptor, left) :]
        os.fsync(self._descriptor)

    def _read(self) -> list[bytes]:
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{show(str(self._path))}: not a regular file", "name another folder")
        if status.st_size > LARGEST_BYTES:
            size = f"{status.st_size:,} bytes are no journal of ours"
            raise StoreError(f"{show(str(self._path))}: {size}", "name another folder")
        with os.fdopen(os.dup(self._descriptor), "rb") as stream:
            stream.seek(0)
            return list(self._whole_lines(stream))

    def _whole_lines(self, stream: IO[bytes]) -> Iterator[bytes]:
        """The lines, each a record; what is unfinished of the last one is cut off."""
        done = 0
        for number, line in enumerate(iter(lambda: stream.readline(LINE_BYTES), b""), start=1):
            if number == 1 and not line.startswith(self._begins[: len(line)]):
                raise self._refused(number)
            if not line.endswith(b"\n") and stream.read(1):
                raise self._refused(number, f"a line of more than {LINE_BYTES >> 20} MiB")
            if not line.endswith(b"\n"):
                os.ftruncate(self._descriptor, done)
                return
            done += len(line)
            self._check(number, line)
            yield line.rstrip(b"\n")

    def _check(self, number: int, line: bytes) -> None:
        try:
            parsed(line)
        except (ValueError, RecursionError):
            raise self._refused(number) from None

    def _refused(self, number: int, why: str = NO_RECORD) -> StoreError:
        where = f"{show(str(self._path))}:{number}"
        return StoreError(f"{where}: {why}", "move the file aside, or name another folder")


def parsed(line: bytes) -> dict[str, Any]:
    """The record of a line; raises ValueError or RecursionError for what no journal of ours has: other values than
    objects, numbers that are not finite or have more than 64 bits, more values than a record can have."""
    if sum(line.count(sign) for sign in (b",", b"[", b"{")) > VALUES_MOST:
        raise ValueError("too many values")
    found = _DECODER.decode(line.decode("ascii"))
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _integer(text: str) -> int:
    if len(text) > 20 or not -INTEGERS <= (value := int(text)) < INTEGERS:
        raise ValueError("an integer of more than 64 bits")
    return value


def _number(text: str) -> float:
    if not isfinite(value := float(text)):
        raise ValueError("a number that is not finite")
    return value


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_number, parse_constant=_number)
