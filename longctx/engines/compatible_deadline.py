"""An end for a wait that a socket's own timeout never ends: bytes that come one by one start that timeout anew.

One thread for each request sleeps until the time that is set, which may be moved as often as something comes.
"""

import math
import time
from collections.abc import Callable
from threading import Condition, Thread
from types import TracebackType
from typing import Self

LONGEST_SLEEP_S = 3600.0
GRACE_S = 0.25  # a socket's own timeout says more, so it comes first


class Deadline:
    """Calls `end` when the time that was set is over; `passed` says that it has. Set again, it starts anew."""

    def __init__(self, end: Callable[[], None]) -> None:
        self.passed = False
        self._end = end
        self._due_s = self._wakes_s = math.inf
        self._is_open = True
        self._changed = Condition()
        self._thread = Thread(target=self._watch, name="deadline", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_open = False
            self._changed.notify()

    def within(self, seconds: float) -> None:
        """Pass in so many seconds from now, unless it has passed already."""
        with self._changed:
            self._due_s = time.monotonic() + max(seconds, 0.0) + GRACE_S
            if self._due_s < self._wakes_s:
                self._changed.notify()

    def stop(self) -> None:
        """Don't pass until a time is set again."""
        with self._changed:
            self._due_s = math.inf

    def _watch(self) -> None:
        with self._changed:
            while self._is_open and not self.passed:
                left_s = min(self._due_s - time.monotonic(), LONGEST_SLEEP_S)
                if left_s > 0:
                    self._wakes_s = time.monotonic() + left_s
                    self._changed.wait(left_s)
                else:
                    self.passed = True
                    self._end()
