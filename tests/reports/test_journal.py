"""What a run has finished stands in its journal, whole, whatever happens to the process or to the file."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longctx.errors import StoreError
from longctx.journal import LARGEST_BYTES, Journal
from longctx.steps import JournalSteps

VALUES = st.integers(-(1 << 63), (1 << 63) - 1) | st.text(max_size=20)
ROWS = st.lists(st.dictionaries(st.text(st.characters(), max_size=5), VALUES), max_size=6)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def test_what_was_appended_is_there_for_the_next_run(place: Path) -> None:
    with Journal(place) as journal:
        journal.append({"event": "item", "name": "caf\udce9"})
        journal.append({"event": "end"})
    with Journal(place) as journal:
        assert journal.records == ({"event": "item", "name": "caf\udce9"}, {"event": "end"})


@given(rows=ROWS, cut=st.integers(0, 400))
def test_a_line_that_was_cut_off_is_gone_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]], cut: int
) -> None:
    place = tmp_path_factory.mktemp("cut") / "run.jsonl"
    with Journal(place) as journal:
        for row in rows:
            journal.append(row)
    content = place.read_bytes()
    place.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    with Journal(place) as journal:
        assert list(journal.records) == rows[:whole]
        journal.append({"after": 1})
    with Journal(place) as journal:
        assert list(journal.records) == [*rows[:whole], {"after": 1}]


def test_two_cannot_write_it_at_once(place: Path) -> None:
    with Journal(place), pytest.raises(StoreError, match=r"run\.jsonl: another longctx is writing it"):
        Journal(place)
    with Journal(place) as journal:
        assert journal.records == ()


@pytest.mark.parametrize("line", [b"nonsense", b"[1]", b"\xff\xfe", b"", b'"x"', b"[" * 100_000])
def test_what_is_no_record_is_named_with_its_line(place: Path, line: bytes) -> None:
    place.write_bytes(b'{"event":"run"}\n' + line + b"\n")
    with pytest.raises(StoreError, match=r"run\.jsonl:2: not a record of ours"):
        Journal(place)
    assert place.read_bytes().startswith(b'{"event":"run"}\n'), "a file that is not ours stays as it is"


@pytest.mark.parametrize("content", [b'{"loss":1}', b'{"loss":1}\n', b'{"event":"click"', b"\n", b"notes"])
def test_a_file_of_something_else_stays_as_it_is(place: Path, content: bytes) -> None:
    place.write_bytes(content)
    with pytest.raises(StoreError, match=r"run\.jsonl:1: not a record of ours"):
        Journal(place, b'{"event":"run"')
    assert place.read_bytes() == content


def test_the_first_line_may_be_cut_off_too(place: Path) -> None:
    for written in (b'{"ev', b'{"event":"run","at'):
        place.write_bytes(written)
        with Journal(place, b'{"event":"run"') as journal:
            assert journal.records == () and place.read_bytes() == b""


@pytest.mark.parametrize(
    "value", ["NaN", "-Infinity", "1e999", "1" + "0" * 400, str(1 << 63), "0" * 5000, "[[]" + ",[]" * 1_000_000 + "]"]
)
def test_values_that_no_program_reads_alike_are_refused(place: Path, value: str) -> None:
    place.write_text(f'{{"a":1}}\n{{"a":{value}}}\n')
    with pytest.raises(StoreError, match=r"run\.jsonl:2: not a record of ours"):
        Journal(place)


def test_what_is_no_regular_file_is_refused(place: Path) -> None:
    os.mkfifo(place)
    with pytest.raises(StoreError, match=r"run\.jsonl: not a regular file"):
        Journal(place)


def test_a_line_without_end_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longctx.journal.LINE_BYTES", 100)
    place.write_bytes(b'{"a":1}\n{"a":"' + b"x" * 100 + b'"}\n')
    with pytest.raises(StoreError, match=r"run\.jsonl:2: a line of more than"):
        Journal(place)


def test_what_can_be_no_journal_is_not_read(place: Path, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    place.symlink_to(tmp_path / "there")
    with pytest.raises(StoreError):
        Journal(place)
    place.unlink()
    place.mkdir()
    with pytest.raises(StoreError):
        Journal(place)
    with pytest.raises(StoreError):
        Journal(tmp_path / "no" / "folder")
    huge = tmp_path / "huge"
    with huge.open("wb") as stream:
        stream.truncate(LARGEST_BYTES + 1)
    with pytest.raises(StoreError, match="no journal of ours"):
        Journal(huge)


def test_a_record_that_did_not_fit_leaves_no_trace(place: Path) -> None:
    """The limit on a file's size stands for a disk that is full."""
    program = f"""
import pathlib, resource, signal
from longctx.errors import StoreError
from longctx.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Journal(pathlib.Path({str(place)!r})) as journal:
    journal.append({{"n": 1}})
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
    try:
        journal.append({{"n": "x" * 1000}})
    except StoreError as error:
        print(error)
    journal.append({{"n": 2}})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{place} can't be written: File too large\n"
    assert place.read_text() == '{"n":1}\n{"n":2}\n'


def test_every_record_is_on_the_disk_before_append_returns(place: Path) -> None:
    """Killed right after it said so, the writer has lost nothing."""
    program = f"""
import os, pathlib, signal
from longctx.journal import Journal
journal = Journal(pathlib.Path({str(place)!r}))
for n in range(20):
    journal.append({{"n": n}})
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert done.returncode == -signal.SIGKILL
    with Journal(place) as journal:
        assert [row["n"] for row in journal.records] == list(range(20))


def test_steps_are_found_by_their_keys(place: Path) -> None:
    with Journal(place) as journal:
        steps = JournalSteps(journal)
        steps.put("a", {"answer_markdown": "x"})
        assert steps.get("a") == {"answer_markdown": "x"}
        assert steps.get("b") is None
    with Journal(place) as journal:
        assert JournalSteps(journal).get("a") == {"answer_markdown": "x"}
    assert json.loads(place.read_text())["event"] == "step"
