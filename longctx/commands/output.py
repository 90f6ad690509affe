"""Where data goes: stdout, or a file that appears whole or not at all."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from longctx.errors import UsageError
from longctx.whole_file import whole_file


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
        with whole_file(target) as stream:
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
