"""The process in which a file of a binary format is parsed, kept apart from the user's.

It reads one file at a time and answers over two pipes, in JSON and UTF-8. It refuses the network, other
programs (pandoc excepted), writing outside its own folder, and pickles; what a parser prints goes nowhere.
"""

import json
import os
import re
import resource
import signal
import stat
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import IO, Any

from ingest.document import Document, to_json
from ingest.guard import Guard
from ingest.outcome import ReadFailure, Status

LENGTHS = struct.Struct(">II")  # of the JSON and of the text after it
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
GROWTH_BYTES = 256 << 20  # a worker that still holds so much after a file is not used again
SET_PARENT_DEATH_SIGNAL = 1
ADDRESS = re.compile(r"'?<[^<>]* object at 0x[0-9a-f]+>'?")
MEMORY_WORDS = ("malloc", "out of memory", "cannot allocate", "memory allocation")

ReadContent = Callable[..., Document]  # of the bytes, the name, the password, and arguments by their names


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost; `memory_bytes` counts from what the process holds with its reader loaded."""

    seconds: float = 20
    memory_bytes: int = 1 << 30
    inflated_bytes: int = 200_000_000
    input_bytes: int = 512 << 20


Load = Callable[[Limits, Guard], ReadContent]


def main() -> None:
    """Serve this package's readers until the parent closes the pipe; arguments come from `ingest.pool`."""
    from ingest import office  # not with this module, which the parent imports too

    readers: dict[str, Load] = {"pdf": _load_pdf}
    readers |= {name: partial(_load_office, name) for name in office.FORMATS}
    serve(readers)


def _load_pdf(_limits: Limits, _guard: Guard) -> ReadContent:
    import pymupdf  # noqa: F401  (loaded before the memory is measured)

    from ingest.pdf import read

    return read


def _load_office(name: str, limits: Limits, guard: Guard) -> ReadContent:
    from ingest import office

    guard.programs |= office.load(name)

    def read(content: bytes, _name: str, password: str | None) -> Document:
        return office.read(content, name, password, inflated_bytes=limits.inflated_bytes)

    return read


def serve(readers: Mapping[str, Load]) -> None:
    """Answer requests with `readers`, each loaded when it is first asked for."""
    requests, replies = _take_pipes()
    limits = Limits(**json.loads(sys.argv[2]))
    _isolate(parent=int(sys.argv[3]))
    guard = Guard(os.getcwd())
    guard.install()
    loaded: dict[str, ReadContent] = {}
    while frame := receive(requests):
        request = frame[0]
        try:
            if request["reader"] not in loaded:
                loaded[request["reader"]] = readers[request["reader"]](limits, guard)
        except Exception as error:  # noqa: BLE001  (a reader that can't be loaded is said to be so)
            failure = _failure(error, limits)
            send(replies, {"failed": failure.status, "detail": failure.detail})
            continue
        before = _held_bytes()
        send(replies, {"begun": True})
        with guard.reading():
            reply, text = _answer(request, loaded[request["reader"]], limits)
        retire = reply.get("retire", False) or _held_bytes() - before > GROWTH_BYTES
        send(replies, {**reply, "retire": retire}, text)


def send(pipe: IO[bytes], message: Mapping[str, Any], text: str = "") -> None:
    """Write one message; a path in it may hold lone surrogates, `text` may not."""
    head, body = json.dumps(message).encode(), text.encode()
    pipe.write(LENGTHS.pack(len(head), len(body)))
    pipe.write(head)
    pipe.write(body)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[Any, str] | None:
    """The next message, or None when the other side is gone."""
    lengths = pipe.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head, body = LENGTHS.unpack(lengths)
    return json.loads(pipe.read(head)), pipe.read(body).decode()


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Keep the pipes for ourselves: what parsers print or ask goes to /dev/null."""
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    return open(requests, "rb"), open(replies, "wb")


def _isolate(parent: int) -> None:
    """Die with the parent, leave no core, and let the parent alone hear Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    die_with_parent()
    if os.getppid() != parent:
        os._exit(0)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the thread that started it ends (Linux; elsewhere nothing)."""
    import ctypes

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _answer(request: Mapping[str, Any], read: ReadContent, limits: Limits) -> tuple[dict[str, Any], str]:
    path = request["path"]
    try:
        with _memory_limit(limits.memory_bytes):
            content = _read_file(path, limits.input_bytes)
            document = _storable(read(content, os.path.basename(path), request["password"], **request["arguments"]))
        if len(document.text) > limits.inflated_bytes:
            raise ReadFailure(Status.TOO_LARGE, f"more than {limits.inflated_bytes // 1_000_000:,} MB of text")
    except BaseException as error:  # noqa: BLE001  (the wall: whatever a parser raises costs its file only)
        failure = _failure(error, limits)
        return {"failed": failure.status, "detail": failure.detail, "retire": _is_memory(error)}, ""
    return {"document": _storable_fields(document), "digest": sha256(content).hexdigest()}, document.text


def _read_file(path: str, limit: int) -> bytes:
    """The bytes of a regular file, all from one moment; raises ReadFailure."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise ReadFailure(Status.UNREADABLE, "no permission") from None
    except OSError as error:
        raise ReadFailure(Status.UNREADABLE, error.strerror or "can't be opened") from None
    try:
        for _ in range(2):
            before = os.fstat(descriptor)
            _check_file(before, limit)
            content = _read_all(descriptor, before.st_size)
            if len(content) == before.st_size and _moment(before) == _moment(os.fstat(descriptor)):
                return content
    finally:
        os.close(descriptor)
    raise ReadFailure(Status.CHANGED)


def _read_all(descriptor: int, size: int) -> bytes:
    """Up to one byte more than `size`, so that a file that has grown is noticed."""
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        return file.read(size + 1)


def _check_file(status: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ReadFailure(Status.SPECIAL, "not a regular file")
    if status.st_size > limit:
        raise ReadFailure(Status.TOO_LARGE, f"{status.st_size / 2**20:,.0f} MiB, limit {limit / 2**20:,.0f} MiB")


def _moment(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


class _memory_limit:  # noqa: N801  (used as a statement)
    """Let allocations fail that would take the process `size` bytes past what it holds now.

    RLIMIT_DATA counts private writable memory; RLIMIT_AS would count what numpy and pandoc only reserve.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        self._set(_held_bytes() + self.size)

    def __exit__(self, *_: object) -> None:
        self._set(resource.getrlimit(resource.RLIMIT_DATA)[1])

    def _set(self, soft: int) -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _held_bytes() -> int:
    """The private writable memory of this process, as RLIMIT_DATA counts it; 0 where there is no /proc."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[5]) * resource.getpagesize()
    except OSError:
        return 0


def _storable(document: Document) -> Document:
    """Without lone surrogates and NULs, which neither UTF-8 nor SQLite keeps; offsets stay."""
    text, count = UNSTORABLE.subn("\ufffd", document.text)
    return replace(document, text=text, replaced=document.replaced + count) if count else document


def _storable_fields(document: Document) -> dict[str, Any]:
    whole = json.dumps(to_json(document), ensure_ascii=False).encode("utf-8", "replace")
    fields: dict[str, Any] = json.loads(whole)
    return fields


def _failure(error: BaseException, limits: Limits) -> ReadFailure:
    if isinstance(error, ReadFailure):
        return error
    if _is_memory(error):
        return ReadFailure(Status.BROKEN, f"parser stopped: more than {size(limits.memory_bytes)} of memory")
    if isinstance(error, RecursionError):
        return ReadFailure(Status.BROKEN, "nested too deeply")
    words = " ".join(ADDRESS.sub("it", str(error)).split())[:200]
    return ReadFailure(Status.BROKEN, f"{type(error).__name__}: {words}" if words else type(error).__name__)


def _is_memory(error: BaseException) -> bool:
    words = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in words for sign in MEMORY_WORDS)


def size(count: int) -> str:
    """A limit in front of a person: "1 GiB", "64 MiB"."""
    return f"{count / 2**30:g} GiB" if count >= 2**30 else f"{count / 2**20:g} MiB"
