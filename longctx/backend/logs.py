"""The logs of the backend: a private file for each face, of which those that run and the last few are kept."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from longctx.paths import ensure

KEPT = 5
PATTERN = "backend-*.log"


def new_log(folder: Path, *, now_s: float | None = None) -> Path:
    """A new log in this folder, readable by its owner only; all but the last few of the old ones go, unless the
    face still runs that began them."""
    ensure(folder)
    began = time.strftime("%Y%m%d-%H%M%S", time.localtime(now_s))
    log = folder / f"backend-{began}-{os.getpid()}.log"
    opened(log).close()
    for old in sorted(folder.glob(PATTERN), key=_age)[KEPT:]:
        if not _runs(old):
            with suppress(OSError):
                old.unlink()
    return log


def opened(log: Path) -> BinaryIO:
    """The log, to be written at its end."""
    return open(log, "ab", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW, 0o600))


def _runs(log: Path) -> bool:
    """Whether the face that a log is named after is there, and is another one than this."""
    try:
        number = int(log.stem.rpartition("-")[2])
        os.kill(number, 0)
    except PermissionError:
        return True
    except (ValueError, OSError, OverflowError):
        return False
    return number != os.getpid()


def _age(log: Path) -> float:
    """Younger logs come first."""
    try:
        return -log.stat().st_mtime
    except OSError:
        return 0.0
