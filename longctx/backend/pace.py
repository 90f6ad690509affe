"""How often something is told: often enough to be seen to move, never so often that showing it costs more than doing.

What is held back is told before anything that follows it, by whoever asks for it with `flush`. There is no timer: a
run that waits says nothing.
"""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")
Clock = Callable[[], float]


class Latest(Generic[Value]):
    """The newest of many values, at most one in `every_s`; the last is always told."""

    def __init__(self, tell: Callable[[Value], None], every_s: float, clock: Clock = time.monotonic) -> None:
        self._tell = tell
        self._every_s = every_s
        self._clock = clock
        self._held: Value | None = None
        self._told_s = float("-inf")

    def put(self, value: Value) -> None:
        """A newer value, told now or with a later one."""
        self._held = value
        if self._clock() - self._told_s >= self._every_s:
            self.flush()

    def flush(self) -> None:
        """Tell the newest, where it was not told yet."""
        held, self._held = self._held, None
        if held is not None:
            self._told_s = self._clock()
            self._tell(held)


class Coalescer:
    """Pieces of a text, several of them together at most once in `every_s`; none is lost."""

    def __init__(self, tell: Callable[[str], None], every_s: float, clock: Clock = time.monotonic) -> None:
        self._tell = tell
        self._every_s = every_s
        self._clock = clock
        self._held: list[str] = []
        self._told_s = float("-inf")

    def put(self, text: str) -> None:
        """More of the text."""
        self._held.append(text)
        if self._clock() - self._told_s >= self._every_s:
            self.flush()

    def flush(self) -> None:
        """Tell what was held back."""
        text, self._held = "".join(self._held), []
        if text:
            self._told_s = self._clock()
            self._tell(text)
