"""The bytes of a regular file within a bound: nothing that would wait for a writer, or never end."""

import os
import stat
from pathlib import Path


class NotRead(Exception):
    """A file, or a text in it, that is not what it has to be; `line` is where, if that is known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def regular_content(path: Path, most: int) -> bytes:
    """What is in the file; raises NotRead, also where that is more."""
    content = regular_beginning(path, most + 1)
    if len(content) > most:
        raise NotRead(f"more than {most >> 10:,} KiB")
    return content


def regular_beginning(path: Path, most: int) -> bytes:
    """The first bytes of the file, at most so many; raises NotRead."""
    try:
        with open(path, "rb", opener=_opened) as stream:
            return stream.read(most)
    except OSError as error:
        raise NotRead(error.strerror or str(error)) from error
    except ValueError as error:
        raise NotRead("no file can have such a name") from error


def _opened(path: str, flags: int) -> int:
    """A descriptor of a regular file; opening a pipe does not wait for its other end."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise NotRead("not a regular file")
