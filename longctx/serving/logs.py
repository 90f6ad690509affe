"""What a server in the background has said: its last lines, and those that come."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LARGEST_TAIL = 1 << 20
POLL_S = 0.2


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log, none where there is no log."""
    return _tail(log, count)[0]


def followed(log: Path, count: int, is_over: Callable[[], bool]) -> Iterator[str]:
    """The last lines and then each that comes, until `is_over`; a log that was begun anew is read from its start."""
    lines, offset = _tail(log, count)
    yield from lines
    rest = b""
    while True:
        is_last = is_over()
        new, began, offset = _after(log, offset)
        if began and rest:
            yield _text(rest)
            rest = b""
        *whole, rest = (rest + new).split(b"\n")
        yield from map(_text, whole)
        if is_last:
            if rest:
                yield _text(rest)
            return
        if not new:
            time.sleep(POLL_S)


def _tail(log: Path, count: int) -> tuple[list[str], int]:
    """The last whole lines, and how far they reach."""
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - LARGEST_TAIL))
            content = stream.read(LARGEST_TAIL)
    except OSError:
        return [], 0
    lines = content.splitlines()
    return [_text(line) for line in lines[-count:] if count], size


def _after(log: Path, offset: int) -> tuple[bytes, bool, int]:
    """What has come, whether the log was begun anew, and how far that reaches."""
    try:
        with log.open("rb") as stream:
            began = offset > stream.seek(0, os.SEEK_END)
            start = stream.seek(0 if began else offset)
            new = stream.read(LARGEST_TAIL)
    except OSError:
        return b"", False, offset
    return new, began, start + len(new)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")
