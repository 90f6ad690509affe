"""Running a command and counting what it cost: CPU seconds of the process and all it waited for, and peak memory."""

import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of a command took."""

    cpu_s: float
    wall_s: float
    rss_mb: float
    returncode: int
    stdout: str
    stderr: str


def measure(command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Cost:
    """Run `command` to its end. Its CPU seconds hold those of its children, since it waits for them."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **(env or {})}, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said = [_text(file) for file in (out, err)]
    elapsed = time.perf_counter() - begun
    cpu_s = usage.ru_utime + usage.ru_stime
    return Cost(cpu_s, elapsed, usage.ru_maxrss / 1024, process.returncode, said[0], said[1])


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def checked(command: Sequence[str], **options: object) -> Cost:
    """As `measure`; a failing command ends the benchmark."""
    cost = measure(command, **options)  # type: ignore[arg-type]  # the options of measure
    if cost.returncode:
        raise SystemExit(f"{shlex.join(command)} exited with {cost.returncode}:\n{cost.stderr}")
    return cost
