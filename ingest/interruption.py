"""Holding off what interrupts: a block that would leave two things at odds if it were left half way.

It is for blocks that soon end, and does nothing in other threads: those are never interrupted.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)  # the one that comes most is back last
LEFT_ALONE = (None, signal.SIG_IGN)  # of others, who have it in C; and without effect


@contextmanager
def undisturbed() -> Iterator[None]:
    """What would interrupt this block does so at its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number, handler in before.items():
            if handler not in LEFT_ALONE:
                signal.signal(number, hold)
        yield
    finally:
        for number, handler in before.items():
            if handler not in LEFT_ALONE:
                signal.signal(number, handler)
    for each in dict.fromkeys(came):
        signal.raise_signal(each)
