"""The backend as a face has it: a process to which requests are sent and whose replies are told, on one event loop.

It has a session of its own, so that a terminal's Ctrl-C does not reach it, and what it prints goes to its log. It ends
with the face, however that one ends.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Protocol

from longctx.backend import wire
from longctx.backend.logs import opened
from longctx.backend.replies import Reply
from longctx.backend.requests import AnyRequest

PROGRAM = "longctx.backend"
ROOT = Path(__file__).resolve().parents[2]
GRACE_S = 2.0  # to end in order
SOON_S = 1.0  # to end when told to
ENDING_S = 5.0  # from its last word to its end

Tell = Callable[[int, Reply], object]
Died = Callable[[str], object]


class Backend(Protocol):
    """What a face needs of the backend."""

    def send(self, request: AnyRequest) -> int:
        """Send a request; its number, which its replies have too."""
        ...

    async def close(self) -> None:
        """End it, and all that it began. Nothing is told any more."""
        ...


class Starter(Protocol):
    """Begins a backend. `tell` is called for each reply, `died` once where it ends without being closed."""

    async def __call__(self, tell: Tell, died: Died) -> Backend: ...


async def start_backend(tell: Tell, died: Died, *, log: Path) -> "BackendProcess":
    """Begin the backend in a process of its own; a Starter, once `log` (see `logs.new_log`) is given."""
    # With -P no folder of the user's that is named `cache` or `ingest` can stand in for ours.
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    with opened(log) as stream:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", PROGRAM, str(log)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=stream,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
            limit=wire.LONGEST_LINE,
        )
    return BackendProcess(process, tell, died, log)


class BackendProcess:
    """A running backend."""

    def __init__(self, process: Process, tell: Tell, died: Died, log: Path) -> None:
        self._process = process
        self._tell = tell
        self._died = died
        self._log = log
        self._numbers = count(1)
        self._is_closed = False
        self._following = asyncio.create_task(self._follow())

    @property
    def pid(self) -> int:
        """The number of its process, and of the group of those that it began."""
        return self._process.pid

    def send(self, request: AnyRequest) -> int:
        """Send a request; its number. After the end it goes nowhere."""
        assert self._process.stdin is not None
        number = next(self._numbers)
        if not self._process.stdin.is_closing():
            self._process.stdin.write(wire.write(number, request))
        return number

    async def close(self) -> None:
        """End it in order, and where that takes too long at once."""
        assert self._process.stdin is not None
        self._is_closed = True
        self._process.stdin.close()
        if await self._ended(GRACE_S):
            return
        for sent, seconds in ((signal.SIGTERM, SOON_S), (signal.SIGKILL, ENDING_S)):
            self._signal(sent)
            if await self._ended(seconds):
                break
        self._following.cancel()

    async def _ended(self, seconds: float) -> bool:
        """Whether process and replies end within so many seconds."""
        done, _ = await asyncio.wait({self._following}, timeout=seconds)
        return bool(done)

    async def _follow(self) -> None:
        """Tell what comes, then how it ended."""
        said = await self._told()
        if said:
            self._signal(signal.SIGKILL)
        code = await self._process.wait()
        if not self._is_closed:
            self._signal(signal.SIGKILL)  # whatever it began and could not end
            self._died(f"{said or ending(code)}; its log: {self._log}")

    async def _told(self) -> str:
        """Tell each reply until the last; why none is read any more, where that is not the end of the process."""
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                number, reply = wire.read_reply(line)
                if not self._is_closed:
                    self._tell(number, reply)
        except ValueError as error:  # wire.Malformed, and of the reader a line that is too long
            return f"it said what can't be read ({error})"
        return ""

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def ending(code: int) -> str:
    """How a process with this exit code ended, in a few words."""
    if code >= 0:
        return f"it ended with exit code {code}"
    try:
        return f"it was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was killed by signal {-code}"
