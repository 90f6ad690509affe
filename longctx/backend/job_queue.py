"""Jobs that wait for the one before them. One that waits can be dropped, the one that runs interrupted: just that one.

The main thread takes and runs them; any other may put them in and stop them. A stopped job gets KeyboardInterrupt,
as with Ctrl-C on the command line; once more where it is stopped again long after that and has not ended.
"""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from longctx.backend.requests import Job

Ending = TypeVar("Ending")

AGAIN_S = 5.0  # so long a job that was interrupted is left to put its things in order
REPEAT_S = 0.05


class JobQueue:
    """Make it in the main thread: it takes over SIGINT there."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, Job]] = deque()
        self._is_closed = False
        self._taken = 0
        self._running = 0
        self._wanted = 0
        self._interrupted_s = 0.0
        self._main = threading.main_thread()
        signal.signal(signal.SIGINT, self._interrupt)

    def put(self, number: int, job: Job) -> None:
        """A job that is to be done."""
        with self._changed:
            self._waiting.append((number, job))
            self._changed.notify()

    def stop(self, number: int) -> bool:
        """Stop a job; whether it was dropped before it began, so that nobody will tell of it."""
        with self._changed:
            for waiting in self._waiting:
                if waiting[0] == number:
                    self._waiting.remove(waiting)
                    return True
            if number and number == self._taken and number != self._wanted:
                self._wanted = number
                threading.Thread(target=self._insist, args=(number,), name="stop", daemon=True).start()
        return False

    def close(self) -> None:
        """No job begins any more, and the one that runs is stopped."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify()
        self.stop(self._taken)

    def take(self) -> tuple[int, Job] | None:
        """The next job, once there is one; None after the last."""
        with self._changed:
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            self._taken, job = self._waiting.popleft() if self._waiting else (0, None)
        return None if job is None else (self._taken, job)

    def run(self, work: Callable[[], Ending]) -> Ending | None:
        """Do the job that was taken: what it returns, or None where it was stopped. Nothing else of the program is
        ever interrupted."""
        number = self._taken
        try:
            try:
                self._interrupted_s = 0.0
                self._running = number
                if self._wanted == number:  # stopped before it began
                    raise KeyboardInterrupt
                return work()
            finally:
                self._running = 0
        except KeyboardInterrupt:
            self._running = 0
            return None
        finally:
            self._taken = 0

    def _insist(self, number: int) -> None:
        """Signal until it is heard: one that comes just before the main thread begins to wait does not wake it."""
        assert self._main.ident is not None
        while self._wanted == number == self._taken:
            signal.pthread_kill(self._main.ident, signal.SIGINT)
            time.sleep(REPEAT_S)

    def _interrupt(self, _number: int, _frame: object) -> None:
        if self._running == 0 or self._running != self._wanted:
            return
        self._wanted = 0
        now = time.monotonic()
        if now - self._interrupted_s > AGAIN_S:
            self._interrupted_s = now
            raise KeyboardInterrupt
