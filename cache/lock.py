"""The lock of a whole store, between threads and processes: shared by who looks up, exclusive for who removes or adds.

It is never held while a block's bytes are written or read. It can't be taken twice by one thread.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


@contextmanager
def held(folder: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold the lock of the store in `folder`; waits for it.

    Whoever comes takes the turn first: else a row of overlapping readers would keep a writer waiting for ever.
    """
    turn = _taken(folder / "turn", fcntl.LOCK_EX)
    try:
        lock = _taken(folder / "lock", fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
    finally:
        let_go(turn)
    try:
        yield
    finally:
        let_go(lock)


def is_free(descriptor: int) -> bool:
    """Take the lock of an open file if nobody has it; whether that was so."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def let_go(descriptor: int) -> None:
    """Unlock and close: a process forked meanwhile has the descriptor too, and closing here would not unlock it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _taken(path: Path, kind: int) -> int:
    descriptor = os.open(path, FLAGS, 0o600)
    try:
        fcntl.flock(descriptor, kind)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
