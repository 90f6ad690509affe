"""Runs the application on this terminal, and leaves the terminal as it was, however it ends.

Whatever libraries print to file descriptor 2 goes into the log while the application draws: Textual gets a descriptor
of its own for the terminal.
"""

import asyncio
import os
import signal
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

from longctx.backend.client import start_backend
from longctx.backend.logs import opened
from longctx.backend.requests import Open
from longctx.errors import LongctxError
from tui.app import Ended, LongctxApp
from tui.garbage import collected_when_idle
from tui.outside import end_here

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
HEARD_S = 3  # a loop that hears of a signal no sooner waits for a terminal that takes nothing any more
GRACE_S = 10  # to end in order
INTERRUPTED = 130
PARENT_S = 2.0
TOLD = b"\0"


def run(opening: Open, *, log: Path, theme: str, memory: Path) -> Ended:
    """Run until a person leaves, or a signal ends it. Raises LongctxError where the application broke."""
    with drawn_apart(log):
        app = LongctxApp(opening, partial(start_backend, log=log), theme=theme, memory=memory)
        ended = asyncio.run(_run(app))
    if app.return_code:
        raise LongctxError("the terminal UI ended with an error", f"its log: {log}; longctx chat needs no screen")
    return ended if ended is not None else app.ended()  # a browser's tab was closed


async def _run(app: LongctxApp) -> Ended | None:
    with Ending(app, asyncio.get_running_loop()) as ending:
        if is_web():
            threading.Thread(target=ending.follow, args=(os.getppid(),), name="parent", daemon=True).start()
        async with collected_when_idle(app):
            return await app.run_async()


class Ending:
    """Ends the application on a signal: in order, or at once where its loop does not hear of it.

    A thread reads what signals came. The main one may wait for a terminal that takes nothing any more, and neither
    the loop nor a handler is called then; a signal need not even wake it.
    """

    def __init__(self, app: LongctxApp, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop
        self._is_heard = threading.Event()
        self._modes = _modes()
        self._before: dict[signal.Signals, Any] = {}
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, lambda *_: self.tell()) for number in SIGNALS}
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        threading.Thread(target=self._wait, name="signals", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._writer)
        self._writer = -1

    def tell(self) -> None:
        """End."""
        with suppress(OSError):
            os.write(self._writer, TOLD)

    def follow(self, parent: int) -> None:
        """End with the web server, however that one ended. For a thread: the loop may wait for that very server."""
        while os.getppid() == parent:
            time.sleep(PARENT_S)
        self.tell()

    def _wait(self) -> None:
        """Read numbers of signals until one ends us; whoever is at the keyboard may have sent SIGINT elsewhere."""
        ends = TOLD + bytes((signal.SIGTERM, signal.SIGHUP))
        while (came := os.read(self._reader, 1)) and came not in ends:
            pass
        if came:
            self._end()

    def _end(self) -> None:
        """In order, and where that takes too long without the terminal; the backend ends with us, and so does a
        program that was given the terminal."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._leave)
        end_here()
        if self._is_heard.wait(HEARD_S):
            time.sleep(GRACE_S)
        if self._modes is not None:
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
            with suppress(termios.error):
                termios.tcsetattr(0, termios.TCSANOW, self._modes)
        os._exit(INTERRUPTED)

    def _leave(self) -> None:
        self._is_heard.set()
        self._app.leave_by_signal()


def _modes() -> list[Any] | None:
    """How the terminal is set; None where there is none."""
    try:
        return termios.tcgetattr(0)
    except termios.error:
        return None


def is_web() -> bool:
    """Whether a web server runs this application for a browser."""
    return os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver")


@contextmanager
def drawn_apart(log: Path) -> Iterator[None]:
    """Give Textual the terminal under a descriptor of its own, and let descriptor 2 be the log."""
    before, stderr = sys.__stderr__, os.dup(2)
    terminal = open(os.dup(1), "w", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed below
    try:
        with opened(log) as stream:
            os.dup2(stream.fileno(), 2)
        sys.__stderr__ = terminal  # type: ignore[misc]  # where Textual draws
        yield
    finally:
        sys.__stderr__ = before  # type: ignore[misc]
        os.dup2(stderr, 2)
        os.close(stderr)
        with suppress(OSError):
            terminal.close()
