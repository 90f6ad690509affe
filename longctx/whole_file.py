"""A text file that appears whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LONGEST = 60  # characters of the name that the unfinished file has too: a name can't be longer than 255 bytes


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A text stream in UTF-8 whose content replaces the file at `path` when the block ends well. Raises OSError.

    What is no regular file (a pipe, /dev/null) is written to as it is; a link is followed.
    """
    target = Path(os.path.realpath(path))
    with _directly(target) if target.exists() and not target.is_file() else _replacing(target) as stream:
        yield stream


def _directly(target: Path) -> IO[str]:
    return target.open("w", encoding="utf-8", errors="surrogateescape", newline="")


@contextmanager
def _replacing(target: Path) -> Iterator[IO[str]]:
    temporary = target.with_name(f".{target.name[:LONGEST]}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            if target.exists():
                os.fchmod(descriptor, target.stat().st_mode & 0o777)
            yield stream
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
