"""The backend as a process: what it is asked, stopped, killed and fed with, and that nothing of it is left."""

import asyncio
import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from longctx.analysis import Asking
from longctx.backend import wire
from longctx.backend.client import ROOT, BackendProcess, ending, start_backend
from longctx.backend.logs import KEPT, new_log
from longctx.backend.process import attempted
from longctx.backend.replies import (
    Answered,
    CorpusOpened,
    Delta,
    Done,
    EngineOpened,
    Failed,
    FilesAre,
    Planned,
    Prefill,
    ReadingFiles,
    Reply,
)
from longctx.backend.requests import AnyRequest, Ask, Files, NewSession, Open, Stop, UseEngine
from longctx.request import Request
from longctx.settings import Settings

MakeTree = Callable[[dict[str, str | bytes]], Path]
Kind = TypeVar("Kind", bound=Reply)
WAIT_S = 60.0
SAMPLES = ROOT / "sample_corpora"
SCRIPT = """
[[answer]]
match = "slow"
delay_s = 60

[[answer]]
match = "long"
text = '''{words}'''
tokens_per_s = 40

[[answer]]
text = 'Seven metres [{{id:tides.md}}: "reaches seven metres"].'
"""
NOISY = """
import os, subprocess, sys
from contextlib import contextmanager
from longctx.engines.scripted import opened as scripted

@contextmanager
def opened(setup):
    print("noise of Python")
    sys.stdout.flush()
    os.write(1, b'[1,"Done",{}]\\nnoise of C\\n')
    os.write(2, b"noise on stderr\\n")
    subprocess.run(["sh", "-c", "echo noise of a child; cat"], check=True)
    with scripted(setup) as engine:
        yield engine
"""


class Line:
    """A backend and what it has told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, Reply]] = []
        self.deaths: list[str] = []
        self._news = asyncio.Event()
        self.backend: BackendProcess

    def tell(self, number: int, reply: Reply) -> None:
        self.told.append((number, reply))
        self._news.set()

    def died(self, reason: str) -> None:
        self.deaths.append(reason)
        self._news.set()

    def send(self, request: AnyRequest) -> int:
        return self.backend.send(request)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + WAIT_S
        while not is_so():
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), deadline - time.monotonic())

    async def first(self, number: int, kind: type[Kind]) -> Kind:
        """The first reply of a kind to a request."""
        await self.until(lambda: any(isinstance(each, kind) for each in self.to(number)))
        return next(each for each in self.to(number) if isinstance(each, kind))

    async def end(self, number: int) -> Done | Failed:
        """The last reply to a request."""
        await self.until(lambda: any(isinstance(each, Done | Failed) for each in self.to(number)))
        (end,) = (each for each in self.to(number) if isinstance(each, Done | Failed))
        assert self.to(number)[-1] is end
        return end

    def to(self, number: int) -> list[Reply]:
        return [reply for n, reply in self.told if n == number]


@asynccontextmanager
async def running(log: Path) -> AsyncIterator[Line]:
    line = Line()
    line.backend = await start_backend(line.tell, line.died, log=log)
    try:
        yield line
    finally:
        await line.backend.close()
        assert not is_alive(line.backend.pid)


@pytest.fixture
def log(home: Path) -> Path:
    return new_log(home / "longctx" / "state" / "logs")


@pytest.fixture
def opening(make_tree: MakeTree, tmp_path: Path) -> Open:
    script = tmp_path / "script.toml"
    script.write_text(SCRIPT.format(words=" ".join(f"word{n}" for n in range(500))))
    root = make_tree({"tides.md": "# Tides\n\nThe spring tide at the north mole reaches seven metres.\n"})
    settings = Settings(engine="scripted", model=str(script))
    return Open(request=Request((str(root),)), settings=settings, asking=Asking())


def is_alive(pid: int) -> bool:
    """Whether a process is there that still does something."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [
        int(each) for task in Path(f"/proc/{pid}/task").iterdir() for each in (task / "children").read_text().split()
    ]


def gone(pids: list[int]) -> bool:
    """Whether all of them end soon."""
    deadline = time.monotonic() + 15
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(is_alive, pids))


async def test_questions_are_answered_and_stopped(log: Path, opening: Open) -> None:
    async with running(log) as line:
        number = line.send(opening)
        assert await line.end(number) == Done()
        assert line.send(Ask(question="How high?")) == number + 1
        assert await line.end(number + 1) == Done()
        answered = await line.first(number + 1, Answered)
        assert answered.turn.answer["citations"][0]["status"] == "verified"

        slow = line.send(Ask(question="Something long"))
        waiting, after = line.send(Ask(question="never asked")), line.send(NewSession())
        await line.first(slow, Delta)
        assert isinstance((await line.first(line.send(Files()), FilesAre)).files, tuple), "answered meanwhile"
        assert await line.end(line.send(Stop(waiting))) == Done()
        assert line.to(waiting) == [Failed("stopped", exit_code=130)]
        assert not any(isinstance(reply, Answered) for reply in line.to(slow))
        line.send(Stop(slow))
        assert await line.end(slow) == Failed("stopped", exit_code=130)
        answered = await line.first(slow, Answered)
        assert answered.turn.answer["ending"] == "interrupted"
        assert answered.turn.answer["answer_markdown"].startswith("word")
        assert answered.session is not None
        assert answered.session.turns == 2
        assert await line.end(after) == Done()
        assert line.deaths == []
    assert line.deaths == []
    assert log.read_text() == ""


async def test_a_stop_before_the_first_word_keeps_nothing(log: Path, opening: Open) -> None:
    async with running(log) as line:
        line.send(opening)
        slow = line.send(Ask(question="slow"))
        await line.first(slow, Prefill)
        line.send(Stop(slow))
        assert await line.end(slow) == Failed("stopped", exit_code=130)
        assert not any(isinstance(reply, Answered) for reply in line.to(slow))


async def test_reading_can_be_stopped_and_gone_on_with(log: Path, opening: Open, make_tree: MakeTree) -> None:
    make_tree({f"many/{n}.md": f"# {n}\n\n" + f"The pier {n} is {n} metres long.\n" * 40 for n in range(600)})
    async with running(log) as line:
        number = line.send(opening)
        reading = await line.first(number, ReadingFiles)
        assert reading.total == 601
        line.send(Stop(number))
        assert await line.end(number) == Failed("stopped", exit_code=130)
        failed = await line.end(line.send(Ask(question="How high?")))
        assert isinstance(failed, Failed)
        assert failed.message == "no corpus is open"
        number = line.send(opening)
        assert (await line.first(number, CorpusOpened)).files == 601


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_death_is_told_once(log: Path, opening: Open, number: signal.Signals) -> None:
    async with running(log) as line:
        line.send(opening)
        await line.first(line.send(Ask(question="long")), Delta)
        os.kill(line.backend.pid, number)
        await line.until(lambda: bool(line.deaths))
        assert line.deaths == [f"it was killed by {number.name}; its log: {log}"]
        line.send(Files())  # goes nowhere
    assert len(line.deaths) == 1
    if number == signal.SIGSEGV:
        assert "Segmentation fault" in log.read_text()


async def test_it_can_be_closed_while_it_works(log: Path, opening: Open) -> None:
    async with running(log) as line:
        line.send(opening)
        await line.first(line.send(Ask(question="slow")), Prefill)
        began = time.monotonic()
        await line.backend.close()
        assert time.monotonic() - began < 1.5, "in order, not by force"
        told = len(line.told)
        await asyncio.sleep(0)
        assert len(line.told) == told
    assert line.deaths == []


async def test_noise_goes_into_the_log(
    log: Path, opening: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "plugin"
    (plugin / "noisy-1.0.dist-info").mkdir(parents=True)
    (plugin / "noisy-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy\nVersion: 1.0\n")
    (plugin / "noisy-1.0.dist-info" / "entry_points.txt").write_text("[longctx.engines]\nnoisy = noisy:opened\n")
    (plugin / "noisy.py").write_text(NOISY)
    monkeypatch.setenv("PYTHONPATH", str(plugin))
    async with running(log) as line:
        line.send(opening)
        number = line.send(UseEngine(name="noisy", model=opening.settings.model))
        assert (await line.first(number, EngineOpened)).name == "noisy"
        assert await line.end(number) == Done()
        assert await line.end(line.send(Ask(question="How high?"))) == Done()
    said = log.read_text()
    for noise in ("noise of Python", "noise of C", "noise on stderr", "noise of a child"):
        assert noise in said
    assert line.deaths == []


async def test_a_defect_costs_one_request(
    log: Path, opening: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin that raises what it should not, and one error that is not even an Exception of ours."""
    plugin = tmp_path / "plugin"
    (plugin / "bad-1.0.dist-info").mkdir(parents=True)
    (plugin / "bad-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    (plugin / "bad-1.0.dist-info" / "entry_points.txt").write_text("[longctx.engines]\nbad = bad:opened\n")
    (plugin / "bad.py").write_text("def opened(setup):\n    raise MemoryError\n")
    monkeypatch.setenv("PYTHONPATH", str(plugin))
    async with running(log) as line:
        line.send(opening)
        failed = await line.end(line.send(UseEngine(name="bad", model="m")))
        assert isinstance(failed, Failed)
        assert failed.message == "unexpected MemoryError"
        assert str(log) in failed.hint
        assert await line.end(line.send(Ask(question="How high?"))) == Done()
    assert "MemoryError" in log.read_text()


async def test_a_folder_of_the_same_name_does_not_stand_in(
    log: Path, opening: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ingest", "longctx", "json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    async with running(log) as line:
        assert await line.end(line.send(opening)) == Done()


def test_lines_that_are_no_requests_are_left_out(log: Path, opening: Open) -> None:
    lines = [b"", b"{}", b'[1,"Exec",{}]', b'["x","Files",{}]', b"\xff\xfe", b"[" * 100_000, b'[1,"Text",{"path":7}]']
    requests = b"\n".join([*lines, wire.write(5, opening).strip(), wire.write(6, Files())])
    run = subprocess.Popen(
        [sys.executable, "-P", "-m", "longctx.backend", str(log)], stdin=-1, stdout=-1, stderr=log.open("ab")
    )
    assert run.stdin is not None
    assert run.stdout is not None
    run.stdin.write(requests)
    run.stdin.flush()
    replies = list[tuple[int, Reply]]()
    while not replies or replies[-1] != (5, Done()):
        replies.append(wire.read_reply(run.stdout.readline()))
    run.stdin.close()
    assert {number for number, _ in replies} <= {5, 6}
    assert run.wait(WAIT_S) == 0
    assert log.read_text().count("a request was left out") == len(lines)
    run.stdout.close()


PARENT = """
import asyncio, sys
from pathlib import Path
from longctx.backend.client import start_backend
from longctx.backend import replies, requests, wire

async def main():
    def tell(number, reply):
        print(type(reply).__name__, flush=True)
    backend = await start_backend(tell, print, log=Path(sys.argv[1]))
    print(backend.pid, flush=True)
    backend.send(wire.read_request(sys.argv[2].encode())[1])
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_nothing_is_left_when_the_face_is_killed(log: Path, opening: Open) -> None:
    """In the middle of reading, with a worker process at work."""
    library = Request((str(SAMPLES / "library"),))
    request = Open(request=library, settings=Settings(engine="evidence"), asking=Asking())
    command = [sys.executable, "-c", PARENT, str(log), wire.write(1, request).decode()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        backend = int(parent.stdout.readline())
        begun = list[int]()
        deadline = time.monotonic() + WAIT_S
        while not begun and time.monotonic() < deadline:
            begun = children(backend)
            time.sleep(0.01)
        assert begun, "a worker reads the PDFs"
        parent.kill()
        parent.wait()
        assert gone([backend, *begun])


async def test_it_ends_in_order_when_asked_to(log: Path, opening: Open) -> None:
    """What was said until then of an answer is kept, also when the face just ends."""
    async with running(log) as line:
        line.send(opening)
        await line.first(line.send(Ask(question="long")), Delta)
    async with running(log) as line:
        number = line.send(Open(request=None, settings=opening.settings, asking=Asking(), goes_on=True))
        assert await line.end(number) == Done()
        number = line.send(Ask(question="And?"))
        assert (await line.first(number, Planned)).conversation_tokens > 0


def test_how_a_process_ended_is_said_in_words() -> None:
    assert ending(3) == "it ended with exit code 3"
    assert ending(-9) == "it was killed by SIGKILL"
    assert ending(-250) == "it was killed by signal 250"


@pytest.mark.parametrize("line", [b"nonsense\n", b'[1,"Done",{}', b"x" * 5000])
async def test_what_can_not_be_read_is_a_death(
    log: Path, line: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "liar.py"
    program.write_text(f"import sys, time\nsys.stdout.buffer.write({line!r})\nsys.stdout.flush()\ntime.sleep(60)\n")
    if not line.endswith(b"\n"):
        program.write_text(program.read_text().replace("time.sleep(60)", "sys.exit(0)"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("longctx.backend.client.PROGRAM", "liar")
    monkeypatch.setattr("longctx.backend.wire.LONGEST_LINE", 1000)
    async with running(log) as told:
        await told.until(lambda: bool(told.deaths))
    assert len(told.deaths) == 1
    assert "can't be read" in told.deaths[0]
    assert "\n" not in told.deaths[0]


async def test_one_that_does_not_listen_is_ended(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deaf.py").write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "sys.stdout.write('[1,\"Done\",{}]\\n')\n"
        "sys.stdout.flush()\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("longctx.backend.client.PROGRAM", "deaf")
    monkeypatch.setattr("longctx.backend.client.GRACE_S", 0.05)
    monkeypatch.setattr("longctx.backend.client.SOON_S", 0.05)
    async with running(log) as line:
        await line.end(1)
    assert line.deaths == []


def test_logs_are_private_and_few(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    made = [new_log(folder, now_s=1_700_000_000 + n) for n in range(KEPT + 3)]
    for age, each in enumerate(reversed(made)):
        if each.exists():
            os.utime(each, (1_700_000_000 - age, 1_700_000_000 - age))
    last = new_log(folder)
    kept = sorted(folder.glob("*.log"))
    assert len(kept) == KEPT
    assert last in kept
    assert {stat.S_IMODE(each.stat().st_mode) for each in kept} == {0o600}
    (folder / "vllm.log").write_text("of another")
    new_log(folder, now_s=1_800_000_000)
    assert (folder / "vllm.log").exists()


def test_the_log_of_another_face_that_runs_stays(tmp_path: Path) -> None:
    other = tmp_path / f"backend-20200101-000000-{os.getppid()}.log"
    other.touch()
    os.utime(other, (0, 0))
    for n in range(KEPT + 1):
        new_log(tmp_path, now_s=1_700_000_000 + n)
    assert other.exists()
    other.rename(gone := other.with_name("backend-20200101-000000-999999999.log"))
    new_log(tmp_path)
    assert not gone.exists()


async def test_a_log_that_takes_no_more_costs_nothing(opening: Open) -> None:
    async with running(Path("/dev/full")) as line:
        line.backend._process.stdin.write(b"garbage\n")  # type: ignore[union-attr]
        assert await line.end(line.send(opening)) == Done()
        assert await line.end(line.send(Ask(question="How high?"))) == Done()
        assert line.deaths == []


def test_a_defect_is_told_where_it_can_not_be_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("longctx.backend.process.os.write", full)
    told = attempted(broken, Path("backend.log"))
    assert isinstance(told, Failed)
    assert told.message.startswith("unexpected ZeroDivisionError")


def test_requests_hold_what_they_held(opening: Open) -> None:
    secret = Settings(engine="openai", api_key="sk-secret")
    request = Open(request=Request(("a\udcff",), stdin=b"\0\xff", password="p"), settings=secret, asking=Asking())
    line = wire.write(3, request)
    assert wire.read_request(line) == (3, request)
    assert json.loads(line)[1] == "Open"
    assert line.isascii()
