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

ROWS = st.lists(st.dictionaries(st.text(st.characters(), max_size=5), st.integers() | st.text(max_size=20)), max_size=6)


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
from longctx.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Journal(pathlib.Path({str(place)!r})) as journal:
    journal.append({{"n": 1}})
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
    try:
        journal.append({{"n": "x" * 1000}})
    except OSError as error:
        print(error.strerror)
    journal.append({{"n": 2}})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "File too large\n"
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
