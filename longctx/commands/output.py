"""Where data goes: stdout, or a file that appears whole or not at all."""

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from longctx.errors import UsageError


def stdout_is_terminal() -> bool:
    """Whether a person is likely to read stdout as it comes."""
    return stdout_is_tty() and os.environ.get("TERM") != "dumb"


def stdout_is_tty() -> bool:
    """Whether control characters would reach a terminal of any kind."""
    return sys.stdout is not None and sys.stdout.isatty()


def stdin_is_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def outputs_are_one() -> bool:
    """Whether stderr ends where stdout does: on one terminal, or after `2>&1`."""
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # None where one is closed
        return False


@contextmanager
def open_output(path: Path | None) -> Iterator[IO[str]]:
    """stdout, or a text stream whose content replaces the file at `path` when the block ends well.

    What is no regular file (a pipe, /dev/null) is written to as it is; a link is followed.
    """
    if path is None or str(path) == "-":
        yield _stdout()
        return
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise UsageError(f"{path}: is a folder", "give -o the name of a file")
    try:
        with _directly(target) if target.exists() and not target.is_file() else _replacing(target) as stream:
            yield stream
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "give -o a file that you can write") from error


def _stdout() -> IO[str]:
    """stdout in UTF-8 whatever the locale, with names of undecodable bytes as they are."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    if sys.stdout is None:
        raise UsageError("standard output is closed", "as with >&- in a shell")
    return sys.stdout


def _directly(target: Path) -> IO[str]:
    return target.open("w", encoding="utf-8", errors="surrogateescape", newline="")


@contextmanager
def _replacing(target: Path) -> Iterator[IO[str]]:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            yield stream
        temporary.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
