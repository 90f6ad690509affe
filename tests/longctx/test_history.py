"""Sessions are kept exactly, by several processes at once, through crashes, and until they are removed."""

import os
import signal
import sqlite3
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longctx import migrations
from longctx.errors import StoreError
from longctx.history import History
from longctx.migrations import backups, connect, m001_sessions
from longctx.session import Exchange, Order, Session, Turn
from longctx.turn_row import derived, row_of, turn_of

ORDER = Order(3, "0rde5")


def a_turn(parent: str | None = None, question: str = "how high?", said: str = "38 metres", **more: Any) -> Turn:
    """A turn of the shape that `ask` keeps."""
    answer = {"schema": "longctx.answer/1", "answer_markdown": said, **more.pop("answer", {})}
    return Turn(parent=parent, question=question, answer=answer, corpus="c0", order=ORDER, plan="p0", **more)


def filled(history: History, *questions: str, corpus: str = "c0", title: str = "Tides") -> Session:
    session = history.begin(corpus, title)
    for question in questions:
        session = history.append(session.id, a_turn(session.tip, question))
    return session


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sessions.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    ticks = count(1000)
    with History(path, clock=lambda: float(next(ticks))) as opened:
        yield opened


def test_opening_makes_nothing_until_it_is_used_and_then_for_its_owner_only(path: Path) -> None:
    with History(path) as history:
        assert not path.exists()
        assert history.all() == []
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_turns_come_back_as_they_were_in_order(history: History) -> None:
    exchange = Exchange(array("I", [200_005, 1, 2]), array("I", [7, 2**32 - 1]), opens_window=True)
    first = a_turn(exchange=exchange, settings={"temperature": 0.1, "mode": "auto"}, created_s=1.25)
    second = a_turn(first.id, "and how old?", exchange=Exchange(array("I"), array("I")))
    session = history.begin("c0", "Tides")
    assert (session.tip, session.turns, len(session.id)) == (None, 0, 8)
    history.append(session.id, first)
    session = history.append(session.id, second)
    assert (session.tip, session.turns) == (second.id, 2)
    assert history.turns(session) == (first, second)
    assert [turn.id for turn in history.turns(session)] == [first.id, second.id]
    assert history.verify() == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=3),
    max_leaves=8,
)
IDS = st.lists(st.integers(0, 2**32 - 1), max_size=5).map(lambda ids: array("I", ids))
TURNS = st.builds(
    Turn,
    parent=st.none() | st.text("0123456789abcdef", min_size=16, max_size=16),
    question=st.text(st.characters(codec=None)),
    answer=st.dictionaries(st.text() | st.just("answer_markdown"), JSON, max_size=4),
    corpus=st.text(),
    order=st.builds(Order, st.integers(0), st.text()),
    plan=st.text(),
    settings=st.dictionaries(st.text(), JSON, max_size=3),
    exchange=st.none() | st.builds(Exchange, IDS, IDS, st.booleans()),
    created_s=st.floats(allow_nan=False),
)


@given(TURNS)
def test_a_turn_has_the_same_id_after_it_was_stored(turn: Turn) -> None:
    assert turn_of(row_of(turn)).id == turn.id


@settings(max_examples=40, deadline=None)
@given(TURNS)
def test_whatever_a_turn_holds_the_database_keeps_it(searched: History, turn: Turn) -> None:
    root = replace(turn, parent=None)
    session = searched.append(searched.begin("c0", turn.question).id, root)
    assert searched.turns(searched.find(session.id))[0].id == root.id
    assert searched.verify() == []
    searched.remove(session.id)


def test_what_json_would_change_is_not_taken(history: History) -> None:
    session = history.begin("c0", "t")
    with pytest.raises(ValueError, match="do not keep"):
        history.append(session.id, a_turn(settings={"k": {2: "a", 10: "b"}}))
    wide = Exchange(array("Q", [1]), array("Q", []))
    with pytest.raises(ValueError, match="do not keep"):
        history.append(session.id, a_turn(exchange=wide))
    assert history.find(session.id).turns == 0


def test_a_turn_behind_an_older_one_makes_a_branch_and_loses_nothing(history: History) -> None:
    session = filled(history, "one", "two")
    root, second = history.turns(session)
    sibling = a_turn(root.id, "two, said otherwise")
    session = history.append(session.id, sibling)
    assert (session.tip, session.turns) == (sibling.id, 2)
    assert history.turns(session) == (root, sibling)
    assert history.aside(session) == (second,)
    session = history.append(session.id, a_turn(second.id, "three"))
    assert session.turns == 3
    assert history.aside(session) == (sibling,)
    assert history.verify() == []


def test_a_turn_needs_its_session_and_its_parent(history: History) -> None:
    session = filled(history, "one")
    with pytest.raises(StoreError, match="no session"):
        history.append("ffffffff", a_turn())
    with pytest.raises(StoreError, match="no turn 0123"):
        history.append(session.id, a_turn("0123" * 4))
    assert history.find(session.id) == session


def test_what_fails_halfway_leaves_nothing_behind(path: Path) -> None:
    with History(path) as history:
        session = filled(history, "one")
    with History(path, clock=lambda: next(iter(()))) as history, pytest.raises(StopIteration):
        history.append(session.id, a_turn(session.tip, "two"))
    with History(path) as history:
        assert history.find(session.id) == session
        assert history.search("two") == []
        assert history.verify() == []


def test_sessions_are_found_by_id_and_by_title(history: History) -> None:
    tides, moons = filled(history, "one"), filled(history, "two", title="Moons\n of  Mars")
    assert history.find(tides.id) == tides == history.find(tides.id[:6].upper()) == history.find("Tides")
    assert history.find("Moons of Mars").id == moons.id
    with pytest.raises(StoreError, match="no session"):
        history.find("")
    with pytest.raises(StoreError, match="no session"):
        history.find("Tide")
    again = filled(history, "three")
    with pytest.raises(StoreError, match="2 sessions") as trouble:
        history.find("Tides")
    assert tides.id in trouble.value.hint and again.id in trouble.value.hint


def test_the_last_session_is_the_one_that_got_a_turn_last(history: History) -> None:
    assert history.last() is None
    with pytest.raises(StoreError, match="no session yet"):
        history.find("last")
    first, second = filled(history, "one"), filled(history, "two", corpus="c1")
    empty = history.begin("c0", "failed before its first answer")
    assert history.last() == second
    assert history.find("last") == second
    assert history.last("c0") == first
    assert history.last("c9") is None
    first = history.append(first.id, a_turn(first.tip, "again"))
    assert history.last() == first
    assert [each.id for each in history.all()] == [first.id, empty.id, second.id]
    assert len(history.all(2)) == 2


def test_words_are_found_on_both_sides_by_their_beginnings(history: History) -> None:
    session = history.begin("c0", "Tides")
    turn = a_turn(None, "Who keeps the lighthouse?", "Édith Piaf keeps it, since 1901.")
    session = history.append(session.id, turn)
    history.append(session.id, a_turn(turn.id, "潮汐表在哪里", "潮汐表在附录中。"))
    for words in ("lightho", "LIGHT keep", "edith", "1901 who"):
        (found,) = history.search(words)
        assert (found.session.id, found.turn, found.question) == (session.id, turn.id, turn.question)
        assert "[" in found.snippet
    assert [each.question for each in history.search("汐表")] == ["潮汐表在哪里"]
    assert history.search("lighthouse submarine") == []
    assert history.search("ighthouse") == []
    assert history.search(" ") == []


@given(st.text(st.characters(codec=None)))
@settings(max_examples=200, deadline=None)
def test_no_query_is_a_syntax_error(searched: History, words: str) -> None:
    searched.search(words)


@pytest.mark.parametrize(
    "words", ['"', 'a"b', "NEAR(a b)", "a OR", "question:a", "*", "^a", "(", "a -b", "{a}:b", "\0", "%_"]
)
def test_operators_are_only_words(searched: History, words: str) -> None:
    searched.search(words)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    with History(tmp_path_factory.mktemp("h") / "sessions.db") as history:
        filled(history, "a b", "c d")
        yield history


def test_a_new_title_is_one_line(history: History) -> None:
    session = filled(history, "one")
    assert history.rename(session.id, " New\n\ttitle \udcff").title == "New title ?"
    assert history.rename(session.id, "x" * 500).title == "x" * 200
    assert history.rename(session.id, "").title == "untitled"
    with pytest.raises(StoreError, match="no session"):
        history.rename("ffffffff", "x")


def test_what_is_removed_is_gone_from_the_file_and_what_others_need_stays(history: History, path: Path) -> None:
    kept = filled(history, "kept walrus")
    gone = history.begin("c0", "secret title")
    gone = history.append(
        gone.id, a_turn(kept.tip, "abracadabra " * 2000, exchange=Exchange(array("I", [1]), array("I")))
    )
    fork = history.append(history.begin("c0", "fork").id, a_turn(kept.tip, "forked"))
    assert b"abracadabra" in path.read_bytes()
    history.remove(kept.id, gone.id)
    assert [each.id for each in history.all()] == [fork.id]
    assert [turn.question for turn in history.turns(fork)] == ["kept walrus", "forked"]
    content = path.read_bytes()
    assert b"abracadabra" not in content and b"secret title" not in content
    assert b"walrus" in content
    assert history.search("abracadabra") == []
    assert history.verify() == []
    history.remove(fork.id)
    assert b"walrus" not in path.read_bytes()


def test_the_prefill_rate_is_the_median_of_the_last_turns_that_measured_it(history: History) -> None:
    def measured(prompt: object, cached: object, ttft_s: object, model: str = "m", calls: int = 1) -> None:
        tokens = {"prompt": prompt} | ({} if cached is None else {"cached": cached})
        facts = {"engine": {"kind": "scout", "model": model}, "tokens": tokens, "timing": {"ttft_s": ttft_s}}
        facts["calls"] = calls  # type: ignore[assignment]
        history.append(session.id, a_turn(answer=facts, created_s=next(clock)))

    clock = map(float, count())
    session = history.begin("c0", "t")
    assert history.prefill_rate("scout", "m") is None
    measured(999_000, 0, 1.0)  # too long ago, after the five below
    for prompt, cached, ttft_s in ((2000, 1000, 10.0), (4000, 0, 10.0), (3000, 0, 10.0), (500_000, 100_000, 1000.0)):
        measured(prompt, cached, ttft_s)
    measured(9000, 0, 10.0)
    measured(100_000, None, 1.0)  # how many were new is not known
    measured(100_000, 99_990, 1.0)  # too few
    measured(1000, 100_000, 1.0)  # more than there were: not known either
    measured("many", 0, 1.0)
    measured(9000, 0, float("nan"))
    measured(900_000, 0, 1.0, calls=12)  # the first token of the last call, all of them read
    measured(9000, 0, 0.0)
    measured(9000, 0, 1.0, model="other")
    assert history.prefill_rate("scout", "m") == 400.0
    assert history.prefill_rate("scout", "other") == 9000.0
    assert history.prefill_rate("vllm", "m") is None


@pytest.mark.parametrize(
    ("prompt", "cached", "new"), [(10, 4, 6), (10, 10, 0), (10, 11, None), (0, 2**62, None), (10, -1, None)]
)
def test_no_turn_has_fewer_than_no_new_tokens(prompt: int, cached: int, new: int | None) -> None:
    assert derived(a_turn(answer={"tokens": {"prompt": prompt, "cached": cached}}))["new_tokens"] == new


Spoil = Callable[[sqlite3.Connection, str], object]
SPOILED: dict[str, tuple[Spoil, str]] = {
    "content": (
        lambda c, t: c.execute("UPDATE turns SET opens_window = 1, question_ids = answer_ids WHERE id = ?", (t,)),
        "its id is not",
    ),
    "unreadable": (lambda c, t: c.execute("UPDATE turns SET body = x'00' WHERE id = ?", (t,)), "can't be read"),
    "parent": (lambda c, t: c.execute("DELETE FROM turns WHERE id != ?", (t,)), "is missing"),
    "column": (lambda c, t: c.execute("UPDATE turns SET parent = NULL WHERE id = ?", (t,)), "its parent is not"),
    "depth": (lambda c, t: c.execute("UPDATE turns SET depth = 7 WHERE id = ?", (t,)), "its depth is not"),
    "tip": (lambda c, t: c.execute("UPDATE sessions SET tip = 'nowhere'"), "its last turn, nowhere"),
    "search": (
        lambda c, t: c.execute("UPDATE turns SET question = 'another' WHERE id = ?", (t,)),
        "its question is not",
    ),
    "words": (lambda c, t: c.execute("INSERT INTO turn_words (turn_words) VALUES ('delete-all')"), "not in step"),
}


@pytest.mark.parametrize("fault", SPOILED)
def test_verify_names_what_is_wrong(history: History, path: Path, fault: str) -> None:
    session = history.begin("c0", "t")
    for question in ("one", "two"):
        exchange = Exchange(array("I", [1, 2]), array("I", [3]))
        session = history.append(session.id, a_turn(session.tip, question, exchange=exchange))
    assert history.verify() == []
    spoil, said = SPOILED[fault]
    with closing(sqlite3.connect(path)) as connection:
        spoil(connection, session.tip or "")
        connection.commit()
    assert any(said in problem for problem in history.verify()), history.verify()


def test_a_changed_turn_is_not_gone_on_from(history: History, path: Path) -> None:
    session = filled(history, "one", "two")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE turns SET body = (SELECT body FROM turns WHERE n = 1)")
        connection.commit()
    with pytest.raises(StoreError, match="not what it was"):
        history.turns(session)
    history.remove(session.id)
    assert history.verify() == []


def test_the_search_index_can_be_made_anew(history: History, path: Path) -> None:
    filled(history, "lighthouse")
    SPOILED["words"][0](history._connection, "")
    assert history.search("lighthouse") == []
    assert history.verify(repair=True) != []
    assert history.verify() == []
    assert len(history.search("lighthouse")) == 1


WRITER = """
import sys
from pathlib import Path
from longctx.history import History
from longctx.session import Order, Turn
path, session, name, turns = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
with History(path) as history:
    for number in range(turns):
        tip = history.find(session).tip if session != "-" else None
        mine = session if session != "-" else history.begin("c0", name).id
        answer = {"answer_markdown": "x" * 3000}
        turn = Turn(parent=tip, question=f"{name} {number}", answer=answer, corpus="c0", order=Order(0, ""), plan="")
        history.append(mine, turn)
        print(turn.id, flush=True)
"""


def write(path: Path, session: str, name: str, turns: int) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", WRITER, str(path), session, name, str(turns)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_processes_that_write_at_once_lose_nothing(history: History, path: Path) -> None:
    session = history.begin("c0", "shared")
    writers = [write(path, session.id, name, 12) for name in ("ann", "bob", "cid")]
    kept = [line for writer in writers for line in writer.communicate()[0].split()]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert len(set(kept)) == 36
    session = history.find(session.id)
    everything = {turn.id for turn in (*history.turns(session), *history.aside(session))}
    assert everything == set(kept)
    assert history.verify() == []


def test_processes_that_open_a_new_store_at_once_make_it_once(path: Path) -> None:
    writers = [write(path, "-", name, 2) for name in ("ann", "bob", "cid")]
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    with History(path) as history:
        assert len(history.all()) == 6
        assert history.verify() == []


@pytest.mark.parametrize("after", [1, 4, 9])
def test_a_writer_that_is_killed_leaves_every_turn_it_told_of(history: History, path: Path, after: int) -> None:
    session = history.begin("c0", "shared")
    writer = write(path, session.id, "ann", 100_000)
    assert writer.stdout is not None
    told = [writer.stdout.readline().strip() for _ in range(after)]
    writer.kill()
    told += writer.communicate()[0].split()
    assert history.verify() == []
    kept = [turn.id for turn in history.turns(history.find(session.id))]
    assert set(told) <= set(kept)
    assert len(kept) <= len(told) + 1


def m002_moods(database: Any) -> None:
    database.table("moods").create({"id": str})


def m003_dies(database: Any) -> None:
    database.table("dying").create({"id": str})
    database.execute("DELETE FROM turns")
    os.kill(os.getpid(), signal.SIGKILL)


def test_steps_are_taken_once_in_order_with_a_copy_of_what_was_before(path: Path) -> None:
    with History(path) as history:
        session = filled(history, "one")
    assert backups(path) == []
    for _ in range(2):
        connect(path, (m001_sessions, m002_moods)).close()
    (copy,) = backups(path)
    assert copy.name == "sessions.db.before-m002_moods"
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as old, closing(sqlite3.connect(path)) as new:
        names = "SELECT name FROM _sqlite_migrations ORDER BY id"
        assert [row[0] for row in old.execute(names)] == ["m001_sessions"]
        assert [row[0] for row in new.execute(names)] == ["m001_sessions", "m002_moods"]
        assert old.execute("SELECT id FROM sessions").fetchall() == [(session.id,)]
    with History(copy) as history:
        assert history.verify() == []


def test_only_the_newest_copies_are_kept(path: Path) -> None:
    connect(path).close()
    taken = [m001_sessions]
    for number in range(2, 7):
        step = type(m002_moods)(
            m002_moods.__code__.replace(co_consts=(None, f"t{number}", *m002_moods.__code__.co_consts[2:])), globals()
        )
        step.__name__ = f"m00{number}_more"
        taken.append(step)
        connect(path, taken).close()
    assert [each.name[-9:] for each in backups(path)] == ["m006_more", "m005_more", "m004_more"]


def test_a_process_killed_while_it_changes_the_schema_changes_nothing(path: Path) -> None:
    with History(path) as history:
        session = filled(history, "one", "two")
    child = os.fork()
    if child == 0:
        connect(path, (m001_sessions, m002_moods, m003_dies))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with History(path) as history:
        assert len(history.turns(session)) == 2
        assert history.verify() == []
    with closing(sqlite3.connect(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert not tables & {"moods", "dying"}
    assert [each.name for each in backups(path)] == ["sessions.db.before-m002_moods"]


def test_a_step_that_fails_changes_nothing(path: Path) -> None:
    def m002_fails(database: Any) -> None:
        database.table("half").create({"id": str})
        database.execute("SELECT * FROM nowhere")

    connect(path).close()
    with pytest.raises(StoreError, match="nowhere"):
        connect(path, (m001_sessions, m002_fails))
    with closing(connect(path)) as connection:
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchall()


def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    connect(path, (m001_sessions, m002_moods)).close()
    before = path.read_bytes()
    with History(path) as history, pytest.raises(StoreError, match=r"newer version.*m002_moods"):
        history.all()
    assert path.read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == ["sessions.db"]


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + bytes(4080)])
def test_a_broken_file_is_named_with_its_newest_copy_and_never_replaced(path: Path, content: bytes) -> None:
    connect(path).close()
    connect(path, (m001_sessions, m002_moods)).close()
    path.write_bytes(content)
    with History(path) as history, pytest.raises(StoreError) as trouble:
        history.last()
    assert str(path) in str(trouble.value)
    assert "sessions.db.before-m002_moods" in trouble.value.hint
    assert path.read_bytes() == content


def test_somebody_elses_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with History(path) as history, pytest.raises(StoreError, match="something else"):
        history.begin("c0", "t")
    assert path.read_bytes() == before


def test_a_place_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with History(tmp_path / "file" / "sessions.db") as history, pytest.raises(StoreError, match="file"):
        history.all()
    with History(tmp_path) as history, pytest.raises(StoreError, match="irectory"):
        history.all()


def test_a_store_that_is_busy_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "BUSY_TIMEOUT_S", 0.05)
    connect(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other, History(path) as history:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked") as trouble:
            history.begin("c0", "t")
    assert "try again" in trouble.value.hint


def test_a_store_that_is_up_to_date_opens_without_sqlite_utils(path: Path) -> None:
    connect(path).close()
    program = (
        "import sys; from pathlib import Path; from longctx.history import History\n"
        "with History(Path(sys.argv[1])) as history: history.last()\n"
        "assert not {'sqlite_utils', 'numpy', 'torch'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
