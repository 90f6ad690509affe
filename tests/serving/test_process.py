"""Servers in the background: waited for, ended with all that they started; no stranger is touched, nothing is left."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from longctx.errors import EngineError, UsageError
from longctx.serving.logs import followed, last_lines
from longctx.serving.process import Launch, StartFailed, check_free, start, stop
from longctx.serving.record import Records, ServerRecord, birth
from tests.serving.conftest import HOST, free_port, until

ANSWERS = """
import http.server, subprocess, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + ANSWERS
NEVER = "import sys, time; print('loading', flush=True); time.sleep(600)"


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    kept = Records.below(tmp_path / "state")
    yield kept
    for record in kept.all():
        stop(record, kept, 0.1)


def launch(program: str, name: str = "one", **changed: object) -> Launch:
    port = free_port()
    command = (sys.executable, "-c", program, str(port))
    made = Launch(name=name, command=command, environment={}, url=f"http://{HOST}:{port}/v1", engine="fake", model="m")
    return replace(made, **changed)  # type: ignore[arg-type]


def child_of(records: Records, name: str = "one") -> str:
    """The birth of the process that the server says it has started."""
    (line,) = (line for line in last_lines(records.log(name), 10) if line.startswith("child"))
    return birth(int(line.split()[1]))


def test_a_server_is_waited_for_known_and_ended(records: Records) -> None:
    told: list[str] = []
    record = start(launch(ANSWERS), records, lambda _, said: told.append(said))
    assert record.is_alive and records.all() == [record] == [records.get("one")]
    assert os.getsid(record.pid) == record.pid != os.getsid(0)
    assert oct(records.log("one").stat().st_mode)[-3:] == "600"
    assert child_of(records)
    assert stop(record, records)
    assert not record.is_alive and records.all() == []
    assert not stop(record, records)


def test_one_that_does_not_end_is_killed_with_its_children(records: Records) -> None:
    record = start(launch(STUBBORN), records, lambda *_: None)
    assert stop(record, records, 0.3)
    assert not record.is_alive
    until(lambda: not child_of(records))


def test_one_that_dies_is_told_with_its_last_words(records: Records) -> None:
    program = "import sys; print('first'); print('no such model'); sys.exit(7)"
    with pytest.raises(StartFailed, match=r"exit code 7") as caught:
        start(launch(program), records, lambda *_: None)
    assert caught.value.lines == ["first", "no such model"] and caught.value.exit_code == 5
    assert records.all() == []
    with pytest.raises(StartFailed, match="SIGKILL"):
        start(launch("import os; os.kill(os.getpid(), 9)"), records, lambda *_: None)
    with pytest.raises(EngineError, match="No such file"):
        start(launch("", command=("/no/such/program",)), records, lambda *_: None)
    assert records.all() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_leaves_nothing(records: Records, number: signal.Signals) -> None:
    before = signal.signal(number, signal.default_int_handler)
    seen: list[int] = []

    def interrupt(_seconds: float, said: str) -> None:
        if said == "loading":
            seen.extend(record.pid for record in records.all())
            signal.raise_signal(number)

    try:
        with pytest.raises(KeyboardInterrupt):
            start(launch(NEVER), records, interrupt)
    finally:
        signal.signal(number, before)
    assert len(seen) == 1 and not birth(seen[0])
    assert records.all() == []


def test_a_signal_while_the_process_is_made_ends_it_too(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    spawn = subprocess.Popen

    def spawned(*given: object, **more: object) -> "subprocess.Popen[bytes]":
        process = spawn(*given, **more)  # type: ignore[call-overload]
        made.append(process.pid)
        signal.raise_signal(signal.SIGINT)
        return process  # type: ignore[no-any-return]

    monkeypatch.setattr(subprocess, "Popen", spawned)
    with pytest.raises(KeyboardInterrupt):
        start(launch(NEVER), records, lambda *_: None)
    assert len(made) == 1 and not birth(made[0])


def test_a_number_that_is_another_process_by_now_is_left_alone(records: Records) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        record = ServerRecord(name="old", pid=stranger.pid, born="boot:1", command=(), url="", engine="", model="")
        records.save(record)
        assert not record.is_alive
        assert not stop(record, records)
        assert stranger.poll() is None and records.all() == []
    finally:
        stranger.kill()
        stranger.wait()
    assert not birth(stranger.pid)


def test_a_zombie_is_not_alive() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: not birth(ended.pid))
    ended.wait()


def test_the_same_name_or_address_twice_is_refused(records: Records) -> None:
    first = launch(ANSWERS)
    record = start(first, records, lambda *_: None)
    for second in (launch(ANSWERS), replace(first, name="two")):
        with pytest.raises(EngineError, match=f"one runs already at {first.url} \\(pid {record.pid}\\)"):
            check_free(second, records)
    check_free(launch(ANSWERS, name="two"), records)
    stop(record, records)
    check_free(first, records)


def test_a_helper_node_is_not_waited_for(records: Records) -> None:
    record = start(launch(NEVER, answers=False), records, lambda *_: None)
    assert record.is_alive


GOOD = {"name": "x", "pid": 5000000, "born": "b", "command": ["a"], "url": "u", "engine": "e", "model": "m"}
WRONG: dict[str, object] = {"command": 5, "pid": 2**40, "born": 3, "url": "\x1b[31m", "engine": "\ud800", "model": None}
WRONG_TOO: dict[str, object] = {"command": [5], "pid": "7", "born": None, "url": [], "engine": {}}


@pytest.mark.parametrize("changed", [{name: value} for each in (WRONG, WRONG_TOO) for name, value in each.items()])
def test_a_field_of_another_kind_makes_no_record(records: Records, changed: dict[str, object]) -> None:
    records.save(ServerRecord(**{**GOOD, "name": "good", "command": ("a",)}))  # type: ignore[arg-type]
    (records.servers / "x.json").write_text(json.dumps(GOOD | changed))
    assert [record.name for record in records.all()] == ["good"] and records.get("x") is None
    assert records.unreadable() == [records.servers / "x.json"]


def test_a_file_that_no_server_can_be_called_after_is_passed_over(records: Records) -> None:
    records.servers.mkdir(parents=True)
    for name in ("-x", "a b", ".x"):
        (records.servers / f"{name}.json").write_text(json.dumps(GOOD | {"name": name}))
    os.mkfifo(records.servers / "fifo.json")
    (records.servers / "folder.json").mkdir()
    assert records.all() == []
    found = {path.stem for path in records.unreadable()}
    assert found == {"-x", "a b", ".x", "fifo", "folder"}


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 10_000, '{"name": "x"}', '{"name": 3, "pid": 1}'])
def test_a_record_that_is_none_is_passed_over(records: Records, content: str) -> None:
    records.servers.mkdir(parents=True)
    (records.servers / "x.json").write_text(content)
    assert records.all() == [] and records.get("x") is None


def test_a_record_names_its_own_file_and_no_process_group(records: Records) -> None:
    good = ServerRecord(name="x", pid=5000000, born="b", command=("a",), url="u", engine="e", model="m")
    records.save(good)
    assert records.get("x") == good
    text = (records.servers / "x.json").read_text()
    for bad in (text.replace('"x"', '"y"'), text.replace("5000000", "-1"), text.replace("5000000", "true")):
        (records.servers / "x.json").write_text(bad)
        assert records.get("x") is None
    for name in ("../x", "", ".x", "a/b", "x" * 65, "a b", "x\n"):
        with pytest.raises(UsageError):
            records.log(name)


def test_a_log_is_followed_until_its_server_ends(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_lines(log, 5) == []
    log.write_bytes(b"one\ntwo\nthr\xff\n")
    assert last_lines(log, 2) == ["two", "thr\ufffd"] and last_lines(log, 0) == []
    over = threading.Event()
    lines = followed(log, 1, over.is_set)
    assert next(lines) == "thr\ufffd"
    with log.open("ab") as stream:
        stream.write(b"four\nfi")
        stream.flush()
        assert next(lines) == "four"
        stream.write(b"ve\nsix")
    assert next(lines) == "five"
    log.write_bytes(b"anew\n")
    assert [next(lines), next(lines)] == ["six", "anew"]
    over.set()
    assert list(lines) == []
