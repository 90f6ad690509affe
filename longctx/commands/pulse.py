"""A sign of life while an engine is silent: something is done every second or two, from a thread of its own.

What is shown by events and what by the pulse passes one lock, so that they never mix.
"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

EVERY_S = 1.5  # heartbeats are promised at least every 2 s


class Pulse(AbstractContextManager["Pulse"]):
    """Calls `beat` while nothing was shown for `every_s`; `with pulse.lock:` around whatever is shown."""

    def __init__(self, beat: Callable[[], None], every_s: float = EVERY_S) -> None:
        self.lock = threading.RLock()
        self._beat = beat
        self._every_s = every_s
        self._shown_s = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def shown(self) -> None:
        """Something was shown just now: the next beat comes `every_s` later."""
        self._shown_s = time.monotonic()

    def _run(self) -> None:
        while not self._ended.wait(max(0.01, self._shown_s + self._every_s - time.monotonic())):
            with self.lock:
                if not self._ended.is_set() and time.monotonic() - self._shown_s >= self._every_s:
                    self._beat()
                    self.shown()
