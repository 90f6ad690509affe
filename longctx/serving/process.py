"""A server in the background: started apart from this terminal, waited for, ended; no other process is ever touched.

Until it answers, whatever ends the waiting ends the server too.
"""

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from ingest.interruption import undisturbed
from longctx import paths
from longctx.errors import EngineError
from longctx.serving.logs import last_lines
from longctx.serving.record import Records, ServerRecord, birth

POLL_S = 0.2
ANSWER_S = 2.0
ENDING_S = 15.0
PRIVATE = 0o600
LINES_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What is to be started; `environment` is added to this process's own, `answers` is False for a helper node."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    url: str
    engine: str
    model: str
    answers: bool = True


class StartFailed(EngineError):
    """The server ended before it answered; `lines` are the last that it said."""

    def __init__(self, message: str, hint: str, lines: list[str]) -> None:
        super().__init__(message, hint)
        self.lines = lines


def start(launch: Launch, records: Records, tell: Callable[[float, str], None]) -> ServerRecord:
    """Start it and wait until it answers; `tell` hears the seconds and the log's last line. Raises EngineError."""
    with _started(launch, records) as (process, record):
        began = time.monotonic()
        while launch.answers and not answers(launch.url):
            _check_alive(process, record, records)
            tell(time.monotonic() - began, next(iter(last_lines(records.log(launch.name), 1)), ""))
            time.sleep(POLL_S)
        _check_alive(process, record, records)
    return record


def check_free(launch: Launch, records: Records) -> None:
    """Refuse a name or an address that another server of ours has; the records of dead ones are dropped."""
    for record in records.all():
        if not record.is_alive:
            records.forget(record.name)
        elif record.name == launch.name or (record.url == launch.url and launch.answers):
            raise EngineError(
                f"{record.name} runs already at {record.url} (pid {record.pid})",
                f"longctx engine stop {record.name}, or another --port",
            )


def answers(url: str) -> bool:
    """Whether a server says under /health that it is ready."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def stop(record: ServerRecord, records: Records, patience_s: float = ENDING_S) -> bool:
    """End a server and what it started; whether it was alive. One that doesn't end in time is killed."""
    was_alive = record.is_alive
    if was_alive:
        _signal(record, signal.SIGTERM)
        if not _ended(record, patience_s):
            _signal(record, signal.SIGKILL, whole_group=True)
            _ended(record, patience_s)
    records.forget(record.name)
    return was_alive


@contextmanager
def _started(launch: Launch, records: Records) -> Iterator[tuple["subprocess.Popen[bytes]", ServerRecord]]:
    """The process, kept if the block ends well, and ended with all that it started if not."""
    process: subprocess.Popen[bytes] | None = None
    try:
        with undisturbed():  # a process that is started in it is known by then
            process = _spawn(launch, records)
            record = _record(launch, process.pid)
            records.save(record)
        yield process, record
    except BaseException:
        if process is not None:
            _end(process)
            records.forget(launch.name)
        raise


def _spawn(launch: Launch, records: Records) -> "subprocess.Popen[bytes]":
    log = records.log(launch.name)
    try:
        paths.ensure(records.logs)
        log.unlink(missing_ok=True)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE)
    except OSError as error:
        raise EngineError(f"{log}: {error.strerror}", "longctx paths shows where it keeps things") from error
    try:
        return subprocess.Popen(
            launch.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **launch.environment},
            start_new_session=True,
        )
    except OSError as error:
        raise EngineError(f"{launch.command[0]}: {error.strerror}", "is it there, and may it be run?") from error
    finally:
        os.close(output)


def _record(launch: Launch, pid: int) -> ServerRecord:
    return ServerRecord(
        name=launch.name,
        pid=pid,
        born=birth(pid),
        command=launch.command,
        url=launch.url,
        engine=launch.engine,
        model=launch.model,
    )


def _check_alive(process: "subprocess.Popen[bytes]", record: ServerRecord, records: Records) -> None:
    """Raise EngineError where it has ended, with what it said last."""
    code = process.poll()
    if code is None:
        return
    how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
    raise StartFailed(
        f"{record.name} ended while it was starting ({how})",
        f"longctx engine logs {record.name} shows all that it said",
        lines=last_lines(records.log(record.name), LINES_SHOWN),
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process of ours and its session; it is not waited for by anybody else, so its number is still its own."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDING_S)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _signal(record: ServerRecord, number: signal.Signals, *, whole_group: bool = False) -> None:
    """Signal the process, if it still is that one."""
    if record.is_alive:
        with suppress(ProcessLookupError, PermissionError):
            if whole_group and os.getpgid(record.pid) == record.pid:
                os.killpg(record.pid, number)
            else:
                os.kill(record.pid, number)


def _ended(record: ServerRecord, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while record.is_alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S / 8)
    return True
