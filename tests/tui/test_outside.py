"""Programs of the person's own: no shell, and no file name is an option."""

import stat
from pathlib import Path

import pytest

from tui.outside import ABSENT, NoProgram, edited, opening, run_aside, run_here


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
    assert edited("a question, ", {"EDITOR": str(editor)}) == "a question, longer"
    editor.write_text("#!/bin/sh\nexit 3\n")
    assert edited("as \udcff it was", {"EDITOR": str(editor)}) == "as \udcff it was"
