"""A file to which one run appends what it has finished, a JSON value a line, so that a later run goes on from there.

What a run that was killed wrote of its last line is cut off. One process writes at a time; nothing written is changed.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from ingest.naming import show
from longctx.errors import StoreError

LARGEST_BYTES = 1 << 30
FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Journal(AbstractContextManager["Journal"]):
    """The records of a file, and an end to append to. Raises StoreError where another run has it, or it is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, FLAGS, 0o666)
        except OSError as error:
            raise StoreError(f"{show(str(path))}: {error.strerror}", "name another folder") from error
        try:
            self._lock()
            self._records = self._read()
        except BaseException:
            os.close(self._descriptor)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def records(self) -> tuple[Mapping[str, Any], ...]:
        """All records, those of earlier runs first."""
        return tuple(self._records)

    def append(self, record: Mapping[str, Any]) -> None:
        """Keep a record; it is on the disk when this returns. Raises OSError."""
        line = json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"
        done = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            self._write(line)
        except BaseException:
            os.ftruncate(self._descriptor, done)
            raise
        self._records.append(json.loads(line))

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

    def _read(self) -> list[Mapping[str, Any]]:
        size = os.fstat(self._descriptor).st_size
        if size > LARGEST_BYTES:
            raise StoreError(f"{show(str(self._path))}: {size:,} bytes are no journal of ours", "name another folder")
        with os.fdopen(os.dup(self._descriptor), "rb") as stream:
            stream.seek(0)
            content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]
        records = [self._record(number, line) for number, line in enumerate(whole.splitlines(), start=1)]
        if len(whole) < len(content):
            os.ftruncate(self._descriptor, len(whole))
        return records

    def _record(self, number: int, line: bytes) -> Mapping[str, Any]:
        try:
            record = json.loads(line)
            if isinstance(record, dict):
                return record
        except (ValueError, RecursionError):
            pass
        raise StoreError(
            f"{show(str(self._path))}:{number}: not a record of ours", "move the file aside, or name another folder"
        )
