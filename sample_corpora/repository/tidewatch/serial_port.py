"""The line to the gauge: opened, read line by line, and opened again when it fails.

The serial device is put into raw mode at 4800 baud with termios, so that no third-party package is needed. A plain
file is accepted in its place; recorded days are replayed that way.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

log = logging.getLogger(__name__)

LONGEST_LINE = 120
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0


def read_lines(port: Path, sleep: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """Lines from `port` for ever, or until the end when it is a regular file.

    After a failure the port is opened again, first after one second, then after twice as long each time, but never
    after more than a minute. A line that arrives resets the wait.
    """
    wait = FIRST_WAIT_S
    while True:
        try:
            for line in _open_and_read(port):
                wait = FIRST_WAIT_S
                yield line
        except OSError as error:
            log.warning("%s: %s; trying again in %.0f s", port, error.strerror, wait)
        if port.is_file():
            return
        sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT_S)


def split_lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Whole lines from arbitrary chunks; an overlong line is dropped, since the gauge never sends one."""
    pending = b""
    for chunk in chunks:
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            if len(line) <= LONGEST_LINE:
                yield line.decode("ascii", errors="replace")
        if len(pending) > LONGEST_LINE:
            log.warning("dropped %d bytes without a line end", len(pending))
            pending = b""


def _open_and_read(port: Path) -> Iterator[str]:
    descriptor = os.open(port, os.O_RDONLY | os.O_NOCTTY)
    try:
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):
            _set_raw(descriptor)
        yield from split_lines(iter(lambda: os.read(descriptor, 256), b""))
    finally:
        os.close(descriptor)


def _set_raw(descriptor: int) -> None:
    import termios
    import tty

    tty.setraw(descriptor)
    attributes = termios.tcgetattr(descriptor)
    attributes[4] = attributes[5] = termios.B4800
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
