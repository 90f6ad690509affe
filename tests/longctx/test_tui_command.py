"""`longctx tui`: what it refuses before anything is drawn, and what it opens."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest

from longctx.commands import tui as command
from longctx.commands.engine_options import EngineOptions, SessionOptions
from longctx.commands.options import Chosen
from longctx.errors import LongctxError, UsageError

TERMINAL = {**os.environ, "TERM": "xterm-256color"}


def longctx(*words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a command without a terminal."""
    run = [sys.executable, "-m", "longctx", *words]
    return subprocess.run(run, capture_output=True, text=True, stdin=subprocess.DEVNULL, env={**os.environ, **more})


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["tui", "."], "this is no terminal", "longctx chat"),
        (["tui", "-"], "nothing can come from standard input", "longctx chat"),
        (["tui", "--from-file", "-"], "nothing can come from standard input", "longctx chat"),
        (["tui", ".", "--strict"], "--strict", "corpus pane"),
        (["tui", ".", "--port", "9000"], "--port goes with --web", "--web --port"),
    ],
)
def test_what_can_not_be_done_is_said_at_once(words: list[str], said: str, hint: str) -> None:
    run = longctx(*words)
    assert run.returncode == 2
    assert said in run.stderr and hint in run.stderr
    assert run.stdout == ""


def test_nothing_at_all_is_help_in_a_pipe() -> None:
    run = longctx()
    assert "Usage: longctx" in run.stdout + run.stderr


def test_a_terminal_that_can_not_draw_is_told_about_chat() -> None:
    child = pexpect.spawn(sys.executable, ["-m", "longctx", "tui", "."], env={**TERMINAL, "TERM": "dumb"}, timeout=30)
    child.expect("TERM=dumb")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2


def opening(
    *sources: str,
    chosen: Chosen | None = None,
    engines: EngineOptions | None = None,
    sessions: SessionOptions | None = None,
) -> Any:
    """What a command line becomes."""
    return command._opening(
        chosen or Chosen(), engines or EngineOptions(), sessions or SessionOptions(), list(sources), 3
    )


def test_what_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened = opening("a", "b", engines=EngineOptions(engine="evidence", no_cache=True))
    assert opened.request.inputs == ("a", "b")
    assert (opened.settings.engine, opened.is_cached, opened.is_kept) == ("evidence", False, True)
    nothing = opening(chosen=Chosen(exclude=["*.log"]))
    assert nothing.request.inputs == ()
    assert nothing.request.selection.exclude == ("*.log",)
    resumed = opening(sessions=SessionOptions(resume="7f3c", no_log=True, title="T"))
    assert (resumed.request, resumed.resume, resumed.is_kept, resumed.title) == (None, "7f3c", False, "T")
    with pytest.raises(UsageError, match="exclude each other"):
        opening(sessions=SessionOptions(resume="7f3c", go_on=True))


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["tui", "x", "--web"], ["tui", "x"]),
        (["tui", "--web", "--port", "9000", "-e", "scout"], ["tui", "-e", "scout"]),
        (["tui", "--port=9000", "--web", "--", "--web"], ["tui", "--", "--web"]),
        (["tui", "--web", "--port"], ["tui"]),
    ],
)
def test_a_visitor_gets_the_same_words_without_those_for_the_server(words: list[str], kept: list[str]) -> None:
    assert command.without_web(words) == kept


@pytest.mark.parametrize(
    ("tokens", "line"),
    [
        (None, ""),
        ({}, ""),
        (
            {"prompt": 1000, "cached": 900, "output": 12},
            "last answer: 1,000 prompt tokens (90% cached), 12 tokens of answer",
        ),
        ({"prompt": 1000, "output": 0}, "last answer: 1,000 prompt tokens (cached: not reported), 0 tokens of answer"),
    ],
)
def test_what_the_last_answer_took(tokens: object, line: str) -> None:
    assert command.tokens_line({"tokens": tokens}) == line


def test_it_starts_on_a_terminal_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("# Tides\n\nThe lighthouse is 38 metres high.\n")
    home = {"LONGCTX_HOME": str(tmp_path / "home")}
    words = ["-m", "longctx", "tui", str(tmp_path / "note.md"), "--engine", "evidence"]
    child = pexpect.spawn(sys.executable, words, env={**TERMINAL, **home}, dimensions=(30, 100), timeout=60)
    child.expect("ready")
    child.send("\x11")
    child.expect(r"\x1b\[\?1049l")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    logs = list((tmp_path / "home" / "state" / "logs").iterdir())
    assert [log.stat().st_mode & 0o777 for log in logs] == [0o600]


def test_a_folder_of_logs_that_can_not_be_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "a file"
    home.touch()
    monkeypatch.setenv("LONGCTX_HOME", str(home))
    with pytest.raises(LongctxError, match=r"no log can be kept: .*/a file: File exists") as raised:
        command._run(opening("."))
    assert "LONGCTX_HOME" in raised.value.hint
