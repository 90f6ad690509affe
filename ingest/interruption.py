"""Holding off what interrupts: a block that would leave two things at odds if it were left half way.

It is for blocks that soon end, and does nothing in other threads: those are never interrupted.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object] | int
SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
LEFT_ALONE = (None, signal.SIG_IGN)  # of others, who have it in C; and without effect


@contextmanager
def undisturbed() -> Iterator[None]:
    """What would interrupt this block does so at its end, also where something goes wrong in it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    found = {number: signal.getsignal(number) for number in SIGNALS}
    before: dict[int, Handler] = {
        number: handler for number, handler in found.items() if handler is not None and handler not in LEFT_ALONE
    }
    try:
        with _blocked():
            _handle(dict.fromkeys(before, hold))
        yield
    finally:
        with _blocked():
            _handle(before)
            for each in dict.fromkeys(came):
                signal.raise_signal(each)


@contextmanager
def _blocked() -> Iterator[None]:
    """The signals come at the end of this block, all of them: a handler that raises keeps no other from its turn."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _handle(handlers: Mapping[int, Handler]) -> None:
    """Set handlers. A signal that another thread took may run one of them, which raises, before the last is set."""
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    except BaseException:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        raise
