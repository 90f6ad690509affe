"""Opening a file in a program of the person's own: their editor on this terminal, or the desktop's viewer.

No shell is involved, and names of files never become options: they are absolute. Only documents go to the desktop;
whatever a desktop would run is opened as text.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.app import App, SuspendNotSupported

VIEWED = frozenset(
    (
        "pdf",
        "docx",
        "doc",
        "pptx",
        "ppt",
        "xlsx",
        "xls",
        "epub",
        "odt",
        "odp",
        "ods",
        "rtf",
        "djvu",
        "png",
        "jpg",
        "jpeg",
        "gif",
    )
)
# How an editor is told a line. Of those that are not named here, most take the first form.
PLUS = frozenset(
    (
        "vi",
        "vim",
        "nvim",
        "view",
        "nano",
        "pico",
        "emacs",
        "emacsclient",
        "micro",
        "kak",
        "joe",
        "jed",
        "ne",
        "mg",
        "less",
    )
)
COLON = frozenset(("hx", "helix", "subl", "zed"))
GOTO = frozenset(("code", "codium", "code-insiders", "cursor"))
FALLBACKS = ("nano", "vim", "vi", "less")
ENDING_S = 1.0  # for a program that is to end
ABSENT = "no editor: set EDITOR to the name of one"


_on_terminal: list[subprocess.Popen[bytes]] = []  # the program that runs there


class NoProgram(Exception):
    """Nothing can open it; in one line, with what to do."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A command that opens a file; `takes_terminal` where it draws on the terminal it was called from."""

    words: tuple[str, ...]
    takes_terminal: bool


def opening(location: str, line: int | None, environ: Mapping[str, str]) -> Opening:
    """How to open a file at a line; raises NoProgram."""
    try:
        location = os.path.abspath(location)
    except OSError as error:
        raise NoProgram("it can't be opened: the folder that longctx was started in is gone") from error
    if os.path.splitext(location)[1].removeprefix(".").lower() in VIEWED:
        return Opening((*_viewer(), location), takes_terminal=False)
    editor = editor_words(environ)
    name = os.path.basename(editor[0])
    return Opening((*editor, *_at(name, location, line)), takes_terminal=name not in GOTO | {"subl", "zed"})


def _viewer() -> tuple[str, ...]:
    for name in ("open",) if sys.platform == "darwin" else ("xdg-open", "gio"):
        if found := shutil.which(name):
            return (found, "open") if name == "gio" else (found,)
    raise NoProgram("no program opens documents here: xdg-open is not installed (xdg-utils has it)")


def editor_words(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The person's editor with its options; raises NoProgram."""
    named = environ.get("VISUAL", "").strip() or environ.get("EDITOR", "").strip()
    if not named:
        found = next(filter(None, map(shutil.which, FALLBACKS)), None)
        if found is None:
            raise NoProgram(ABSENT)
        return (found,)
    try:
        words = shlex.split(named)
    except ValueError as error:
        raise NoProgram(f"EDITOR can't be understood: {error}") from error
    if not words or shutil.which(words[0]) is None:
        raise NoProgram(f"{named[:80]}: not found; EDITOR names it")
    return tuple(words)


def _at(editor: str, location: str, line: int | None) -> Sequence[str]:
    if line is None:
        return (location,)
    if editor in GOTO:
        return ("--goto", f"{location}:{line}")
    if editor in COLON:
        return (f"{location}:{line}",)
    return (f"+{line}", location) if editor in PLUS else (location,)


@contextmanager
def suspended(app: App[Any]) -> Iterator[None]:
    """The terminal as it was before the application began, for as long as another program draws on it.

    Keys that interrupt are that program's. Raises NoProgram where there is no terminal.
    """
    suspension = app.suspend()
    try:
        suspension.__enter__()
    except SuspendNotSupported as error:
        raise NoProgram("an editor needs a terminal, and this is a web page") from error
    try:
        with _uninterrupted():
            yield
    finally:
        suspension.__exit__(None, None, None)  # with an exception Textual would not go on
        app.refresh(layout=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let keys that interrupt do nothing here; a handler, unlike SIG_IGN, is not inherited by programs."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_here(words: Sequence[str]) -> int:
    """Run a program on the terminal, and wait for it; its exit code. Raises NoProgram."""
    terminal = sys.__stderr__
    try:
        with subprocess.Popen(words, stderr=terminal.fileno() if terminal is not None else None) as program:
            _on_terminal.append(program)
            try:
                return program.wait()
            finally:
                _on_terminal.remove(program)
    except OSError as error:
        raise NoProgram(f"{words[0]}: {error.strerror}") from error


def end_here() -> None:
    """End the program on the terminal, whoever waits for it. For a thread."""
    for program in tuple(_on_terminal):
        program.terminate()
        try:
            program.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            program.kill()


def run_aside(words: Sequence[str]) -> int:
    """Run a program that has windows of its own, and wait until it is on its way. Raises NoProgram."""
    quiet = subprocess.DEVNULL
    try:
        return subprocess.run(words, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True).returncode
    except OSError as error:
        raise NoProgram(f"{words[0]}: {error.strerror}") from error


def edited(text: str, editor: Sequence[str]) -> str:
    """The text as it comes back from an editor, on the terminal; raises NoProgram."""
    try:
        with tempfile.TemporaryDirectory(prefix="longctx-", ignore_cleanup_errors=True) as folder:
            file = Path(folder) / "question.md"
            file.write_text(text, "utf-8", "replace")
            if run_here((*editor, str(file))) != 0:
                return text
            return file.read_text("utf-8", "replace").rstrip("\n")
    except OSError as error:
        reason = "no file came back" if isinstance(error, FileNotFoundError) else error.strerror
        raise NoProgram(f"the question is as it was: {reason}") from error
