"""Running a command and counting what it cost: CPU seconds of the process and all it waited for, and peak memory."""

import os
import re
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

REASON_CHARS = 120


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a guarded command came to its end; `why` is empty where it ended well."""

    why: str
    cpu_s: float
    wall_s: float
    rss_mb: float


def guarded(
    command: Sequence[str],
    log: Path,
    *,
    limit_s: float,
    limit_mb: float,
    cwd: Path,
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Run `command` in a process group of its own, which is killed when its time is over or its memory too much.

    Memory is what all its processes hold now, looked at twice a second; what they print goes to `log`.
    """
    begun, peak, why = time.perf_counter(), 0.0, ""
    with log.open("w") as out:
        environ = {**os.environ, **(env or {})}
        process = subprocess.Popen(command, cwd=cwd, env=environ, stdout=out, stderr=out, start_new_session=True)
        try:
            while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                peak = max(peak, _group_mb(process.pid))
                elapsed = time.perf_counter() - begun
                why = f"killed after {limit_s:,.0f} s" if elapsed > limit_s else why
                why = f"killed at {peak / 1024:.1f} GiB of memory" if peak > limit_mb else why
                if why:
                    break
                time.sleep(0.5)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    why = why or reason(process.returncode, log)
    return Ended(
        why=why,
        cpu_s=usage.ru_utime + usage.ru_stime,
        wall_s=time.perf_counter() - begun,
        rss_mb=max(peak, 0.0),
    )


def _group_mb(group: int) -> float:
    """What the processes of a group hold in memory."""
    pages = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            pages += int(fields[21]) if int(fields[2]) == group else 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def reason(returncode: int, log: Path) -> str:
    """Why a process ended, from its exit code and what it printed; nothing where it ended well."""
    if not returncode:
        return ""
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    named = [line for line in lines if re.search(r"\w(Error|Exception|Exit):", line)]
    return short_reason([*lines, *named][-1]) if lines else f"exit {returncode}"


def short_reason(text: str) -> str:
    """A line for a page: folders left out of paths, and cut."""
    text = re.sub(r"(?<![\w.:/])/(?:[^\s/'\"]+/)+", ".../", " ".join(text.split()))
    return text if len(text) <= REASON_CHARS else f"{text[: REASON_CHARS - 1]}…"
