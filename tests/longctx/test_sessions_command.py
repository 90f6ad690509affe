"""`longctx sessions`: what users see of their conversations, safely."""

import json
import os
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from longctx import paths
from longctx.commands import sessions
from longctx.corpora import CorporaStore, CorpusRecord
from longctx.errors import LongctxError, StoreError, UsageError
from longctx.history import History
from longctx.session import Exchange, Order, Session, Turn

Fill = Callable[..., Session]


@pytest.fixture
def database(home: Path) -> Path:
    return paths.locate(os.environ).data / "sessions.db"


@pytest.fixture
def fill(database: Path) -> Fill:
    def filled(title: str, *questions: str, said: str = "38 metres [^1].", corpus: str = "c0") -> Session:
        with History(database) as history:
            session = history.begin(corpus, title)
            for question in questions:
                citation = {"n": 1, "place": "tide.md:3", "status": "verified", "quote": "38 metres"}
                answer = {"answer_markdown": said, "citations": [citation], "engine": {"kind": "scripted"}}
                exchange = Exchange(array("I", [1]), array("I", [2]))
                turn = Turn(
                    parent=session.tip,
                    question=question,
                    answer=answer,
                    corpus=corpus,
                    order=Order(1, "d"),
                    plan="p",
                    exchange=exchange,
                )
                session = history.append(session.id, turn)
            return session

    return filled


def run(*words: str | Path, stdin: str = "") -> tuple[int, str, str]:
    result = CliRunner().invoke(sessions.app, [*map(str, words)], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_without_sessions_it_says_how_to_begin_one() -> None:
    assert "longctx ask" in run("ls")[1]
    assert json.loads(run("ls", "--json")[1]) == []
    with pytest.raises(StoreError, match="no session yet"):
        run("show", "last")


def test_a_list_names_corpus_turns_and_title(fill: Fill, database: Path) -> None:
    tides, moons = fill("Tides", "one", "two"), fill("Moons", "three", corpus="c1")
    fill("failed before its first answer")
    store = CorporaStore(database.with_name("longctx.db"))
    store.touch(CorpusRecord("c0", ("docs", "https://x.org/r.git"), "/home/me", "{}", "t", 0.0, 0.0))
    store.close()
    _, text, _ = run("ls")
    lines = text.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [moons.id, tides.id]
    assert lines[1].endswith("2  Tides (/home/me/docs, https://x.org/r.git)")
    assert lines[0].endswith("1  Moons (corpus c1)")
    assert "and 1 more" in run("list", "-n", "1")[1]
    assert len(run("ls", "--all")[1].splitlines()) == 4
    (_, second) = json.loads(run("ls", "--json")[1])
    assert {name: second[name] for name in ("id", "title", "turns", "sources")} == {
        "id": tides.id,
        "title": "Tides",
        "turns": 2,
        "sources": ["/home/me/docs", "https://x.org/r.git"],
    }


def test_a_session_is_shown_with_its_footnotes(fill: Fill) -> None:
    session = fill("Tides", "how high?", "and how old?")
    _, text, _ = run("show", session.id[:5])
    assert text.index("1. how high?") < text.index("38 metres [^1].") < text.index("2. and how old?")
    assert '[^1]: tide.md:3 (verified)  "38 metres"' in text
    assert run("show", "last")[1] == text == run("show", "Tides")[1]
    document = json.loads(run("show", "last", "--json")[1])
    assert [turn["question"] for turn in document["turns"]] == ["how high?", "and how old?"]
    assert document["aside"] == []


def test_branches_are_named(fill: Fill, database: Path) -> None:
    session = fill("Tides", "one", "two")
    with History(database) as history:
        root = history.turns(session)[0]
        turn = Turn(parent=root.id, question="two again", answer={}, corpus="c0", order=Order(0, ""), plan="")
        history.append(session.id, turn)
    _, text, narration = run("show", "last")
    assert "2. two again" in text
    assert "beside this line" in narration and "two" in narration
    assert [turn["question"] for turn in json.loads(run("show", "last", "--json")[1])["aside"]] == ["two"]


def test_nothing_paints_the_screen(fill: Fill) -> None:
    hostile = "\x1b]0;owned\x07\x1b[31m \u202eevil [bold]x[/bold] \udcff"
    session = fill(hostile, hostile, said=hostile)
    for words in (["ls"], ["show", "last"], ["search", "evil"], ["export", "last"], ["rename", session.id, hostile]):
        _, out, err = run(*words)
        assert not {"\x1b", "\x07", "\u202e"} & set(out + err), words
        assert "evil" in out
    assert "[bold]x[/bold]" in run("show", "last")[1]


def test_words_are_found(fill: Fill) -> None:
    session = fill("Tides", "how high is the lighthouse?")
    code, text, _ = run("search", "lightho", '"high')
    assert code == 0 and session.id in text and "[lighthouse]" in text
    (row,) = json.loads(run("search", "lighthouse", "--json")[1])
    assert row["session"] == session.id and row["question"] == "how high is the lighthouse?"
    code, text, narration = run("search", "submarine")
    assert (code, text) == (1, "") and "nothing" in narration
    assert run("search", "submarine", "--json")[:2] == (1, "[]\n")


def test_a_title_can_be_changed(fill: Fill) -> None:
    session = fill("Tides", "one")
    assert run("rename", "last", "Where the  locks are")[1] == f"{session.id}  Where the locks are\n"
    assert "Where the locks are" in run("ls")[1]


@pytest.mark.parametrize(
    ("name", "options", "start"),
    [
        ("x.html", [], "<!doctype html>"),
        ("x.htm", [], "<!doctype html>"),
        ("x.json", [], '{\n  "schema": "longctx.session/1"'),
        ("x.md", [], "# Tides"),
        ("x.txt", [], "# Tides"),
        ("x.txt", ["--as", "html"], "<!doctype html>"),
    ],
)
def test_a_session_is_exported_as_its_file_is_named(
    fill: Fill, tmp_path: Path, name: str, options: list[str], start: str
) -> None:
    fill("Tides", "one")
    assert run("export", "last", "-o", tmp_path / name, *options)[1] == ""
    assert (tmp_path / name).read_text().startswith(start)


def test_an_export_goes_to_standard_output(fill: Fill) -> None:
    fill("Tides", "one")
    assert run("export", "last")[1].startswith("# Tides")
    assert json.loads(run("export", "last", "--as", "json")[1])["turns"][0]["question"] == "one"


def test_sessions_are_forgotten_only_when_it_is_sure(
    fill: Fill, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tides, moons, suns = fill("Tides", "one"), fill("Moons", "two"), fill("Suns", "three")
    with pytest.raises(UsageError) as trouble:
        run("rm", tides.id)
    assert "--yes" in trouble.value.hint
    with pytest.raises(StoreError):
        run("rm", tides.id, "ffffffff", "--yes")
    monkeypatch.setattr(sessions, "stdin_is_terminal", lambda: True)
    assert run("rm", tides.id, stdin="n\n")[0] == 1
    with History(database) as history:
        assert len(history.all()) == 3
    assert run("rm", tides.id, "Tides", stdin="y\n")[0] == 0
    assert run("remove", "last", moons.id, "--yes")[1] == f"forgot {suns.id}, {moons.id}\n"
    with History(database) as history:
        assert history.all() == []


def test_copies_that_keep_what_was_removed_are_named(fill: Fill, database: Path) -> None:
    fill("Tides", "one")
    copy = database.with_name("sessions.db.before-m002_moods")
    copy.write_bytes(database.read_bytes())
    assert str(copy) in run("rm", "last", "--yes")[2]


def test_verify_says_whether_all_is_as_it_was(fill: Fill, database: Path) -> None:
    fill("Tides", "one")
    assert run("verify") == (0, "1 session, all as they were\n", "")
    with History(database) as history:
        history._connection.execute("UPDATE turns SET body = x'00'")
    code, text, _ = run("verify")
    assert code == 1 and "can't be read" in text and "1 problem" in text


def test_a_broken_store_of_corpora_hides_no_session(fill: Fill, database: Path) -> None:
    fill("Tides", "one")
    database.with_name("longctx.db").write_bytes(b"broken" * 1000)
    assert "Tides (corpus c0)" in run("ls")[1]


@pytest.mark.parametrize(
    "words", [["show", "ffff"], ["rename", "ffff", "x"], ["export", "ffff"], ["rm", "ffff", "--yes"]]
)
def test_an_unknown_session_is_one_line(fill: Fill, words: list[str]) -> None:
    fill("Tides", "one")
    with pytest.raises(LongctxError, match="no session with an id") as trouble:
        run(*words)
    assert "sessions ls" in trouble.value.hint


def test_every_command_shows_an_example() -> None:
    shown: dict[str, Any] = {
        command.callback.__name__: command.callback.__doc__
        for command in sessions.app.registered_commands
        if command.callback
    }
    assert set(shown) == {"ls", "show", "search", "rename", "export", "rm", "verify"}
    assert all(f"\n    longctx sessions {name}" in doc for name, doc in shown.items())
