"""Worker processes as the rest of the program sees them: a path in, a document or a named failure out.

A file that crashes, hangs or bloats its worker costs that file only: the worker is killed and another one is
started when it is needed. The pool refuses to give a worker two files at a time, and to keep one that failed.
"""

import json
import os
import select
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ingest.document import Document, from_json
from ingest.outcome import ReadFailure, Status
from ingest.worker import LENGTHS, Limits, send

MOST_WORKERS = 4
START_SECONDS = 60.0  # to start Python and load a reader, which is not the file's fault
HEAD_BYTES = 64 << 20
UTF8_BYTES = 4  # at most, for one character
CHUNK = 1 << 20
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "PYPANDOC_PANDOC", "SYSTEMROOT", "TZ")
QUIET = {
    "DO_NOT_TRACK": "1",
    "SCARF_NO_ANALYTICS": "1",
    "UNSTRUCTURED_DISABLE_NOTICE": "1",
    "HF_HUB_OFFLINE": "1",
    "LC_ALL": "C.UTF-8",
    "PYTHONUTF8": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
# The package is loaded from where it lies: no folder of the same name elsewhere can take its place.
BOOTSTRAP = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
folder = sys.argv[1]
spec = spec_from_file_location("ingest", folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules["ingest"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["ingest"])
"""
SERVE = BOOTSTRAP + "from ingest.worker import main\nmain()\n"


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """A document, and the SHA-256 in hexadecimal of the very bytes it was made from."""

    document: Document
    digest: str


class WorkerPool:
    """At most `size` worker processes, started when first needed and used again; close it, or use `with`.

    `program` is the Python source that a worker runs; another one than the default serves other readers.
    """

    def __init__(self, size: int | None = None, limits: Limits | None = None, *, program: str = SERVE) -> None:
        self.size = size or min(MOST_WORKERS, os.cpu_count() or 1)
        self.limits = limits or Limits()
        self._program = program
        self._threads = ThreadPoolExecutor(self.size, "reader")
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._closed = False

    def submit(
        self, path: str, reader: str, password: str | None = None, arguments: Mapping[str, Any] | None = None
    ) -> "Future[WorkerResult]":
        """Read `path` with the reader of that name; the future raises ReadFailure where that fails.

        `arguments` are what a reader of another program wants to know besides, as plain JSON values.
        """
        return self._threads.submit(self._read, os.path.abspath(path), reader, password, arguments or {})

    def read(
        self, path: str, reader: str, password: str | None = None, arguments: Mapping[str, Any] | None = None
    ) -> WorkerResult:
        """As `submit`, waiting for the result."""
        return self.submit(path, reader, password, arguments).result()

    def close(self) -> None:
        """Stop at once: what is being read is abandoned, what waits is cancelled."""
        with self._lock:
            self._closed = True
            workers = list(self._all)
        for worker in workers:
            worker.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in workers:
            worker.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, path: str, reader: str, password: str | None, arguments: Mapping[str, Any]) -> WorkerResult:
        request = {"path": path, "reader": reader, "password": password, "arguments": arguments}
        worker = self._take()
        try:
            return self._ask(worker, request)
        except _Died as died:
            if not died.blames_earlier_file:
                raise
        return self._ask(self._start(), request)

    def _ask(self, worker: "_Worker", request: Mapping[str, Any]) -> WorkerResult:
        try:
            reply, text = worker.ask(request, self.limits)
        except BaseException:
            self._discard(worker)
            raise
        if reply.get("retire"):
            self._discard(worker)
        else:
            self._give_back(worker)
        if "failed" in reply:
            raise ReadFailure(Status(reply["failed"]), reply["detail"])
        return WorkerResult(from_json(text, reply["document"]), reply["digest"])

    def _take(self) -> "_Worker":
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._start()

    def _start(self) -> "_Worker":
        worker = _Worker(self._program, self.limits)
        with self._lock:
            self._all.add(worker)
            closed = self._closed
        if closed:
            self._discard(worker)
            raise RuntimeError("the worker pool is closed")
        return worker

    def _give_back(self, worker: "_Worker") -> None:
        with self._lock:
            self._idle.append(worker)

    def _discard(self, worker: "_Worker") -> None:
        worker.stop()
        with self._lock:
            self._all.discard(worker)


class _Died(ReadFailure):
    """A worker ended by itself; where other files had been through it, one of them may be to blame."""

    def __init__(self, detail: str, *, blames_earlier_file: bool) -> None:
        super().__init__(Status.BROKEN, detail)
        self.blames_earlier_file = blames_earlier_file


class _Worker:
    """One process and the pipes to it, in a session of its own so that its children are killed with it."""

    def __init__(self, program: str, limits: Limits) -> None:
        self._folder = tempfile.mkdtemp(prefix="longctx-")
        self._served = 0
        self._ending = threading.Lock()
        self._process = subprocess.Popen(
            _command(program, limits),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env=_environment(self._folder),
            start_new_session=True,
        )

    def ask(self, request: Mapping[str, Any], limits: Limits) -> tuple[dict[str, Any], str]:
        """The worker's answer to one request; raises ReadFailure where it dies or takes too long."""
        assert self._process.stdin is not None
        try:
            send(self._process.stdin, request)
        except BrokenPipeError:
            raise self._died() from None
        reply, text = self._receive(START_SECONDS, limits)
        if "begun" in reply:
            reply, text = self._receive(limits.seconds, limits)
            self._served += 1
        return reply, text

    def kill(self) -> None:
        """End the process and its children now."""
        with self._ending:
            if self._process.returncode is None:
                try:
                    os.killpg(self._process.pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    self._process.kill()

    def stop(self) -> None:
        """Kill, reap, and remove what the process left."""
        self.kill()
        with self._ending:
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _receive(self, seconds: float, limits: Limits) -> tuple[dict[str, Any], str]:
        deadline = time.monotonic() + seconds
        head, body = LENGTHS.unpack(self._take(LENGTHS.size, deadline, seconds))
        if head > HEAD_BYTES or body > UTF8_BYTES * limits.inflated_bytes:
            raise ReadFailure(Status.TOO_LARGE, "the parser's answer is too long")
        reply = json.loads(self._take(head, deadline, seconds))
        return reply, self._take(body, deadline, seconds).decode()

    def _take(self, count: int, deadline: float, seconds: float) -> bytes:
        """The next `count` bytes from the process."""
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        taken = bytearray()
        while len(taken) < count:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise ReadFailure(Status.BROKEN, f"parser stopped: more than {seconds:g} s")
            chunk = os.read(pipe, min(count - len(taken), CHUNK))
            if not chunk:
                raise self._died()
            taken += chunk
        return bytes(taken)

    def _died(self) -> _Died:
        self._process.wait()
        code = self._process.returncode
        detail = f"parser stopped: signal {-code}" if code < 0 else f"parser stopped: exit status {code}"
        return _Died(detail, blames_earlier_file=self._served > 0)


def _command(program: str, limits: Limits) -> Sequence[str]:
    package = str(Path(__file__).resolve().parent)
    return [sys.executable, "-P", "-c", program, package, json.dumps(asdict(limits)), str(os.getpid())]


def _environment(folder: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(path)]
    if paths:
        kept["PYTHONPATH"] = os.pathsep.join(paths)
    if site.ENABLE_USER_SITE:
        kept["PYTHONUSERBASE"] = site.getuserbase()
    return {**kept, **QUIET, "HOME": folder, "TMPDIR": folder}
