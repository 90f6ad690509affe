"""Programs of the person's own: no shell, and no file name is an option."""

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tui.outside import ABSENT, NoProgram, edited, editor_words, end_here, opening, run_aside, run_here, suspended


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that is all of PATH; each writes its arguments to `said`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("vim", "code", "hx", "xdg-open", "oddity"):
        program = folder / name
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/said\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder we are in, which is there no more."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    return folder


@pytest.mark.parametrize(
    ("editor", "words", "takes_terminal"),
    [
        ("vim", ["vim", "+12", "/x/-a.py"], True),
        ("vim -R", ["vim", "-R", "+12", "/x/-a.py"], True),
        ("code -n", ["code", "-n", "--goto", "/x/-a.py:12"], False),
        ("hx", ["hx", "/x/-a.py:12"], True),
        ("oddity", ["oddity", "/x/-a.py"], True),
    ],
)
@pytest.mark.usefixtures("programs")
def test_an_editor_is_told_the_line(editor: str, words: list[str], takes_terminal: bool) -> None:
    found = opening("/x/-a.py", 12, {"EDITOR": editor})
    assert list(found.words) == words
    assert found.takes_terminal is takes_terminal


@pytest.mark.usefixtures("programs")
def test_visual_comes_first_and_without_either_what_is_there() -> None:
    assert opening("/a", None, {"VISUAL": "hx", "EDITOR": "vim"}).words == ("hx", "/a")
    assert opening("/a", None, {}).words[0].endswith("/vim")


@pytest.mark.parametrize("name", ["a.pdf", "A.PDF", "x.docx", "s.png"])
def test_documents_go_to_the_desktop(programs: Path, name: str) -> None:
    found = opening(f"/x/{name}", None, {"EDITOR": "vim"})
    assert found.words == (str(programs / "xdg-open"), f"/x/{name}")
    assert not found.takes_terminal


@pytest.mark.parametrize("name", ["a.desktop", "a.sh", "a.html", "a.exe", "pdf"])
@pytest.mark.usefixtures("programs")
def test_what_a_desktop_might_run_is_opened_as_text(name: str) -> None:
    assert opening(f"/x/{name}", None, {"EDITOR": "vim"}).words == ("vim", f"/x/{name}")


@pytest.mark.usefixtures("programs")
def test_a_relative_name_never_becomes_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert opening("-c:!sh", 1, {"EDITOR": "vim"}).words[-1] == str(tmp_path / "-c:!sh")


@pytest.mark.parametrize(
    ("environ", "said"), [({"EDITOR": "nope -x"}, "nope -x: not found"), ({"EDITOR": "vim '"}, "can't be understood")]
)
@pytest.mark.usefixtures("programs")
def test_an_editor_that_there_is_not_is_one_line(environ: dict[str, str], said: str) -> None:
    with pytest.raises(NoProgram) as raised:
        opening("/a", 1, environ)
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_nothing_at_all_can_open_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoProgram, match=ABSENT.partition(":")[0]):
        opening("/a", None, {})
    with pytest.raises(NoProgram, match="xdg-utils"):
        opening("/a.pdf", None, {})


@pytest.mark.usefixtures("programs")
def test_a_program_gets_its_words_as_they_are(tmp_path: Path) -> None:
    assert run_aside(["xdg-open", "/x/$(id) [/red].pdf"]) == 0
    assert (tmp_path / "said").read_text() == "/x/$(id) [/red].pdf\n"
    with pytest.raises(NoProgram, match="nope"):
        run_here([str(tmp_path / "nope")])


def test_a_question_is_written_in_an_editor(tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "%s" "longer" >> "$1"\n')
    editor.chmod(0o755)
    assert edited("a question, ", [str(editor)]) == "a question, longer"
    editor.write_text("#!/bin/sh\nexit 3\n")
    assert edited("as \udcff it was", [str(editor)]) == "as \udcff it was"


@pytest.mark.parametrize("does", ['rm "$1"', 'rm -r "$(dirname "$1")"', 'rm "$1"; mkdir "$1"'])
def test_an_editor_that_leaves_no_file_is_one_line(tmp_path: Path, does: str) -> None:
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\n{does}\n")
    editor.chmod(0o755)
    with pytest.raises(NoProgram, match="as it was"):
        edited("a question", [str(editor)])


def test_no_room_for_a_file_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(NoProgram, match="as it was"):
        edited("a question", ["true"])


@pytest.mark.usefixtures("programs")
def test_a_relative_name_in_a_folder_that_is_gone_is_one_line(gone: Path) -> None:
    assert not gone.exists()
    with pytest.raises(NoProgram, match="is gone"):
        opening("a.py", 1, {"EDITOR": "vim"})


class Suspending:
    """As Textual's application: it goes on only where it is left without an exception."""

    def __init__(self) -> None:
        self.goes_on = False

    @contextmanager
    def suspend(self) -> Iterator[None]:
        yield
        self.goes_on = True

    def refresh(self, *, layout: bool) -> None:
        assert layout


def test_the_application_goes_on_whatever_happened() -> None:
    app: Any = Suspending()
    with pytest.raises(NoProgram, match="nope"), suspended(app):
        run_here(["/nope"])
    assert app.goes_on


@pytest.mark.parametrize("ignores", ["", "trap '' TERM;"])
def test_the_program_on_the_terminal_can_be_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ignores: str
) -> None:
    monkeypatch.setattr("tui.outside.ENDING_S", 0.2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    editor, runs = tmp_path / "editor", tmp_path / "runs"
    editor.write_text(f"#!/bin/sh\n{ignores} touch '{runs}'; read nothing < '{tmp_path / 'fifo'}'\n")
    editor.chmod(0o755)
    os.mkfifo(tmp_path / "fifo")

    def end() -> None:
        for _ in range(1000):
            if runs.exists():
                break
            time.sleep(0.01)
        end_here()

    thread = threading.Thread(target=end)
    thread.start()
    assert edited("as it was", [str(editor)]) == "as it was"
    thread.join()
    assert not list(tmp_path.glob("longctx-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_keys_that_interrupt_are_the_programs(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    app: Any = Suspending()
    with suspended(app):
        os.kill(os.getpid(), number)
        assert run_here([sys.executable, "-S", "-c", f"import os; os.kill(os.getpid(), {number})"]) == -number
    assert signal.getsignal(number) is before


def test_the_editor_is_looked_for_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoProgram, match="nope: not found"):
        editor_words({"EDITOR": "nope"})
