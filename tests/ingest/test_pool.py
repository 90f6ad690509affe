import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.outcome import ReadFailure, Status
from ingest.pool import BOOTSTRAP, WorkerPool
from ingest.worker import Limits

MIB = 1 << 20
# The readers of a worker that misbehaves on request; the pool runs them as it runs the real ones.
BAD_READERS = (
    BOOTSTRAP
    + """
import mmap, os, pickle, signal, socket, subprocess, sys, urllib.request
from ingest.document import Document, Heading, Kind
from ingest.worker import serve

def text(content, name, password):
    return Document(content.decode("utf-8", "surrogateescape"), Kind.PROSE, title=f"{name} {password}",
                    headings=(Heading(0, 1, "one"),))
def crash(*_): os.kill(os.getpid(), signal.SIGSEGV)
def leave(*_): os._exit(3)
def hang(*_):
    while True: pass
def hog(*_): return bytearray(100 << 20)
def creep(*_):
    kept = []
    while True: kept.append(str(len(kept)) * 100)
def reserve(content, name, password):
    mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    return text(content, name, password)
def deep(content, name, password): return deep(content, name, password)
def chatter(content, name, password):
    print("to stdout"); os.write(1, b"x" * 10); os.write(2, b"to stderr"); sys.stderr.write("more")
    return text(content, name, password)
def long(*_): return Document("x" * 3_000_000, Kind.PROSE)
def connect(*_): socket.create_connection(("127.0.0.1", 9))
def look_up(*_): socket.getaddrinfo("example.com", 80)
def download(*_): urllib.request.urlopen("http://127.0.0.1:9/")
def start(*_): subprocess.run(["/bin/true"])
def shell(*_): os.system("true")
def write(content, *_): open(content.decode(), "w")
def remove(content, *_): os.remove(content.decode())
def unpickle(*_): pickle.loads(b"cos\\nsystem\\n.")
def own_folder(content, name, password):
    with open("scratch", "w") as file: file.write("x")
    return Document(os.getcwd(), Kind.PROSE)
def tell(*_): return Document(f"{os.getpid()} {dict(os.environ)}", Kind.PROSE)

serve({name: (lambda limits, guard, read=read: read) for name, read in list(globals().items()) if callable(read)})
"""
)


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    limits = Limits(seconds=1, memory_bytes=64 * MIB, inflated_bytes=2_000_000, input_bytes=MIB)
    with WorkerPool(2, limits, program=BAD_READERS) as pool:
        yield pool


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "a.txt"
    path.write_text("some text")
    return str(path)


def failure(pool: WorkerPool, path: str, reader: str) -> tuple[Status, str]:
    with pytest.raises(ReadFailure) as raised:
        pool.read(path, reader)
    return raised.value.status, raised.value.detail


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(process: int) -> set[int]:
    """The processes that any thread of `process` has started."""
    found = [Path(f"/proc/{process}/task/{thread}/children") for thread in os.listdir(f"/proc/{process}/task")]
    return {int(child) for path in found for child in path.read_text().split()}


def test_a_document_and_the_digest_of_its_bytes(pool: WorkerPool, file: str) -> None:
    result = pool.read(file, "text", "secret")
    assert result.document.text == "some text"
    assert result.document.title == "a.txt secret" and result.document.headings[0].title == "one"
    assert result.digest == hashlib.sha256(b"some text").hexdigest()


@pytest.mark.parametrize(
    ("reader", "detail"),
    [
        ("crash", "parser stopped: signal 11"),
        ("leave", "parser stopped: exit status 3"),
        ("hang", "parser stopped: more than 1 s"),
        ("hog", "parser stopped: more than 64 MiB of memory"),
        ("creep", "parser stopped: more than 64 MiB of memory"),
        ("deep", "nested too deeply"),
    ],
)
def test_a_bad_file_costs_itself_only(pool: WorkerPool, file: str, reader: str, detail: str) -> None:
    pool.read(file, "text")
    assert failure(pool, file, reader) == (Status.BROKEN, detail)
    assert pool.read(file, "text").document.text == "some text"


def test_memory_that_is_only_reserved_is_not_counted(pool: WorkerPool, file: str) -> None:
    assert pool.read(file, "reserve").document.text == "some text"


def test_too_much_text(pool: WorkerPool, file: str) -> None:
    assert failure(pool, file, "long") == (Status.TOO_LARGE, "more than 2 MB of text")


@pytest.mark.parametrize("reader", ["connect", "look_up", "download", "start", "shell", "unpickle"])
def test_network_programs_and_pickles_are_refused(pool: WorkerPool, file: str, reader: str) -> None:
    status, detail = failure(pool, file, reader)
    assert status is Status.BROKEN and "refused" in detail


def test_files_outside_are_not_changed(pool: WorkerPool, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text(str(victim))
    for reader in ("write", "remove"):
        assert "refused: changing a file" in failure(pool, str(victim), reader)[1]
    assert victim.read_text() == str(victim)


def test_the_own_folder_goes_with_the_pool(file: str) -> None:
    with WorkerPool(1, program=BAD_READERS) as pool:
        folder = Path(pool.read(file, "own_folder").document.text)
        assert (folder / "scratch").exists()
    assert not folder.exists()


def test_what_parsers_print_is_not_seen(file: str, capfd: pytest.CaptureFixture[str]) -> None:
    with WorkerPool(1, program=BAD_READERS) as pool:
        assert pool.read(file, "chatter").document.text == "some text"
    assert capfd.readouterr() == ("", "")


def test_the_environment_is_not_handed_on(pool: WorkerPool, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET", "do not tell")
    text = pool.read(file, "tell").document.text
    assert "do not tell" not in text and "'DO_NOT_TRACK': '1'" in text and os.environ["HOME"] not in text


def test_a_worker_is_used_again(pool: WorkerPool, file: str) -> None:
    workers = {pool.read(file, "tell").document.text.split()[0] for _ in range(5)}
    assert len(workers) == 1


def test_many_at_once(pool: WorkerPool, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.txt" for number in range(30)]
    for path in paths:
        path.write_text(path.name)
    futures = [pool.submit(str(path), "crash" if index % 7 == 3 else "text") for index, path in enumerate(paths)]
    for index, (path, future) in enumerate(zip(paths, futures, strict=True)):
        if index % 7 == 3:
            assert isinstance(future.exception(), ReadFailure)
        else:
            assert future.result().document.text == path.name


def test_special_missing_and_large_files(pool: WorkerPool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "large", "wb") as large:
        large.truncate(20 << 30)
    assert failure(pool, str(tmp_path / "pipe"), "text")[0] is Status.SPECIAL
    assert failure(pool, str(tmp_path), "text")[0] is Status.SPECIAL
    assert failure(pool, str(tmp_path / "none"), "text")[0] is Status.UNREADABLE
    assert failure(pool, str(tmp_path / "large"), "text") == (Status.TOO_LARGE, "20,480 MiB, limit 1 MiB")


def test_any_name_and_any_text(pool: WorkerPool, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"odd\n\x1b[31m\xff name")
    path.write_bytes(b"caf\xe9\0!")
    document = pool.read(str(path), "text").document
    assert document.text == "caf\ufffd\ufffd!" and document.replaced == 2
    document.title.encode()


def test_closing_is_quick_and_leaves_no_process(file: str) -> None:
    others = children(os.getpid())
    pool = WorkerPool(2, Limits(seconds=60), program=BAD_READERS)
    futures = [pool.submit(file, "hang") for _ in range(5)]
    wait_until(lambda: len(children(os.getpid()) - others) >= 2)
    workers = children(os.getpid()) - others
    start = time.monotonic()
    pool.close()
    assert time.monotonic() - start < 2
    assert all(future.cancelled() or future.exception() for future in futures)
    assert not workers & children(os.getpid())


def test_no_orphan_when_the_parent_is_killed(file: str) -> None:
    program = f"""
import sys
from ingest.pool import WorkerPool
from ingest.worker import Limits
pool = WorkerPool(1, Limits(seconds=60), program={BAD_READERS!r})
pool.read({file!r}, "text")
future = pool.submit({file!r}, "hang")
print("ready", flush=True)
future.result()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout and parent.stdout.readline() == b"ready\n"
    workers = children(parent.pid)
    assert workers
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not any(map(is_alive, workers)))


def test_the_users_folder_can_take_no_packages_place(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ingest", "cache", "json", "struct"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    with WorkerPool(1, program=BAD_READERS) as pool:
        assert pool.read(file, "text").document.text == "some text"


def test_paths_may_be_relative(pool: WorkerPool, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(file).parent)
    assert pool.read("a.txt", "text").document.text == "some text"


def test_a_worker_broken_by_an_earlier_file_is_not_held_against_the_next(pool: WorkerPool, file: str) -> None:
    worker = int(pool.read(file, "tell").document.text.split()[0])
    os.kill(worker, signal.SIGKILL)
    assert pool.read(file, "text").document.text == "some text"


def test_a_large_answer_crosses_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    path.write_text("ünïcödé \n" * 400_000)
    with WorkerPool(1, program=BAD_READERS) as pool:
        assert pool.read(str(path), "text").document.text == path.read_text()


def test_the_limits_are_those_promised() -> None:
    assert Limits() == Limits(20, 1 << 30, 200_000_000, 512 * MIB)


def test_no_socket_is_opened_by_the_pool(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    with WorkerPool(1, program=BAD_READERS) as pool:
        pool.read(file, "text")
