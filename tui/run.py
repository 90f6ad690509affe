"""Runs the application on this terminal, and leaves the terminal as it was, however it ends.

Whatever libraries print to file descriptor 2 goes into the log while the application draws: Textual gets a descriptor
of its own for the terminal.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from longctx.backend.client import start_backend
from longctx.backend.logs import opened
from longctx.backend.requests import Open
from longctx.errors import LongctxError
from tui.app import Ended, LongctxApp
from tui.garbage import collected_when_idle

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
GRACE_S = 10.0  # a terminal that has gone may take nothing any more; then this process ends without it
INTERRUPTED = 130
PARENT_S = 2.0


def run(opening: Open, *, log: Path, theme: str, memory: Path) -> Ended:
    """Run until a person leaves, or a signal ends it. Raises LongctxError where the application broke."""
    with drawn_apart(log):
        app = LongctxApp(opening, partial(start_backend, log=log), theme=theme, memory=memory)
        ended = asyncio.run(_run(app))
    if app.return_code:
        raise LongctxError("the terminal UI ended with an error", f"its log: {log}; longctx chat needs no screen")
    return ended if ended is not None else app.ended(by_signal=True)  # a browser's tab was closed


async def _run(app: LongctxApp) -> Ended | None:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, _leave, app)
    following = asyncio.create_task(_follow_parent(app)) if is_web() else None
    try:
        async with collected_when_idle(app):
            return await app.run_async()
    finally:
        if following is not None:
            following.cancel()
        for number in SIGNALS:
            loop.remove_signal_handler(number)


def _leave(app: LongctxApp) -> None:
    last = threading.Timer(GRACE_S, os._exit, (INTERRUPTED,))
    last.daemon = True
    last.start()
    app.leave_by_signal()


async def _follow_parent(app: LongctxApp) -> None:
    """End with the web server, however that one ended."""
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(PARENT_S)
    _leave(app)


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
