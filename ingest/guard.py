"""What a worker process may not do, whatever a document makes its parser try.

An audit hook refuses the network and other programs at all times, and pickles and changes to files outside
the worker's folder while a document is open. It can't be taken off. It does not bind native code, which is
why workers also have limits and parsers are run with their own switches for this.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NEVER = (
    "socket.",
    "urllib.",
    "http.",
    "ftplib.",
    "imaplib.",
    "poplib.",
    "smtplib.",
    "webbrowser.",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "pty.",
)
CHANGES = frozenset(
    f"os.{call}"
    for call in (
        "chmod",
        "chown",
        "link",
        "mkdir",
        "remove",
        "rename",
        "rmdir",
        "symlink",
        "truncate",
        "utime",
    )
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """Installed once in a process; `programs` are the executables that may still be started."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.realpath(folder)
        self.programs: set[str] = set()
        self._reading = False

    def install(self) -> None:
        """Add the hook, for the rest of the process's life."""
        sys.addaudithook(self._check)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While a document is open: imports before it may write compiled modules, nothing after may."""
        self._reading = True
        try:
            yield
        finally:
            self._reading = False

    def _check(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(NEVER):
            raise PermissionError(f"refused: {event}")
        if event == "subprocess.Popen" and arguments[0] not in self.programs:
            raise PermissionError("refused: starting a program")
        if self._reading:
            self._check_reading(event, arguments)

    def _check_reading(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "pickle.find_class":
            raise PermissionError("refused: a pickle")
        changes = event in CHANGES or (event == "open" and (arguments[2] or 0) & WRITING)
        if changes and not self._is_ours(arguments[0]):
            raise PermissionError("refused: changing a file")

    def _is_ours(self, path: object) -> bool:
        if isinstance(path, int):
            return True
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        real = os.path.realpath(os.fsdecode(path))
        return real == os.devnull or real.startswith(self.folder + os.sep)
