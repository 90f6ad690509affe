"""The process that vLLM runs in, seen from this side: orders go out, events come in, and nothing of it is left.

It has a session of its own, so that Ctrl-C, which goes to all processes of a terminal, ends a run and not the engine;
what it prints goes to a log, never to our streams. It ends with this program, however this one ends.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from longctx.engines.vllm_options import Launch
from longctx.errors import EngineError
from longctx.paths import ensure

PROGRAM = "longctx.engines.vllm_core"
LOG = "vllm.log"
LARGEST_LOG = 8 << 20
GRACE_S = 15.0  # a little more than the program gives itself
ENDING_S = 5.0
STARTING = 0  # the number of what is told before there is an order
Event = Mapping[str, Any]
Events = queue.SimpleQueue[Event]
ROOT = Path(__file__).resolve().parents[2]


class VllmProcess:
    """A running program. `ask` may be called when `opened` has returned; each call has events of its own."""

    def __init__(self, launch: Launch, environ: Mapping[str, str], logs: Path) -> None:
        self.log = ensure(logs) / LOG
        with open(self.log, "ab", opener=_private) as log:
            if log.tell() > LARGEST_LOG:
                log.truncate(0)
            self._process = _started(environ, log)
        self._numbers = count(1)
        self._waiting: dict[int, Events] = {STARTING: queue.SimpleQueue()}
        self._last: Event | None = None
        self._orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        threading.Thread(target=self._write, daemon=True).start()
        self._orders.put(launch.to_json() + b"\n")

    def opened(self) -> Event:
        """What it has started, once it has; raises EngineError."""
        return self._next(self._waiting[STARTING])

    def ask(self, ids: bytes, sampling: Mapping[str, object]) -> Generator[Event, None, None]:
        """The events of one answer; closing stops it. Raises EngineError where the program fails."""
        number = next(self._numbers)
        events = self._waiting.setdefault(number, queue.SimpleQueue())
        if self._last is not None:  # looked at after the events are waited for: one of the two knows of an end
            events.put(self._last)
        order = json.dumps({"ask": number, "bytes": len(ids), "sampling": sampling})
        is_over = False
        try:
            self._orders.put(order.encode() + b"\n" + ids)
            while not is_over:
                event = self._next(events)
                is_over = event["event"] in ("finished", "refused")
                yield event
        finally:
            del self._waiting[number]
            if not is_over:
                self._orders.put(json.dumps({"stop": number}).encode() + b"\n")

    def close(self) -> None:
        """Ends the program and all that it has started; what it was doing is lost."""
        self._orders.put(None)
        try:
            self._reader.join(GRACE_S)
        finally:
            self.kill()

    def kill(self) -> None:
        """The same at once: where nothing has been started yet that is better ended in order."""
        if self._process.returncode is None:  # until it is waited for, its number can't be another's
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._orders.put(None)

    def _next(self, events: "Events") -> Event:
        event = events.get()
        if event["event"] != "failed":
            return event
        raise EngineError(f"vLLM has failed: {event['reason']}", event["hint"] or f"{self.log} says more")

    def _read(self) -> None:
        """Hands out events to who waits for them, and the last one, which says why there are no more, to all."""
        assert self._process.stdout is not None
        last: Event | None = None
        for line in self._process.stdout:
            event = json.loads(line)
            last = event if event["event"] == "failed" else last
            if waiting := self._waiting.get(event.get("n", STARTING)):
                waiting.put(event)
        self._last = last or {"event": "failed", "reason": self._ending(), "hint": ""}
        for waiting in list(self._waiting.values()):
            waiting.put(self._last)

    def _write(self) -> None:
        """Beside the caller, whom Ctrl-C may interrupt at any byte."""
        assert self._process.stdin is not None
        with suppress(OSError), self._process.stdin as target:
            while (order := self._orders.get()) is not None:
                target.write(order)
                target.flush()

    def _ending(self) -> str:
        """Why there is nothing to read any more; a large process takes a moment from that to its end."""
        deadline = time.monotonic() + ENDING_S
        while time.monotonic() < deadline:
            try:
                ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            except ChildProcessError:  # this side has ended it
                return "it was ended"
            if ended and ended.si_code == os.CLD_EXITED:
                return f"its process ended with {ended.si_status}"
            if ended:
                return f"its process was ended by signal {ended.si_status}"
            time.sleep(0.01)
        return "it does not answer any more"


def _started(environ: Mapping[str, str], log: BinaryIO) -> "subprocess.Popen[bytes]":
    # With -P no folder of the user's that is named `cache` or `ingest` can stand in for ours.
    paths = [str(ROOT), *filter(None, [environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env={**environ, "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
    )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
