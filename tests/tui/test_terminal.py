"""The program as a person has it: in a terminal of its own, with the scripted engine, from start to quit."""

import os
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pyte
import pytest

ROOT = Path(__file__).parents[2]
TOUR = ROOT / "docs" / "examples" / "tour.toml"
QUESTION = "When is a warning lowered?"
CTRL_C, CTRL_G, CTRL_Q, F3 = "\x03", "\x07", "\x11", "\x1bOR"
DEADLINE_S = 60


class Terminal:
    """`longctx tui` in a pseudo-terminal, and what its screen shows."""

    def __init__(self, home: Path, *words: str, size: tuple[int, int] = (120, 40)) -> None:
        columns, lines = size
        self.home = home
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        plain = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        environment = {**plain, "TERM": "xterm-256color", "COLORTERM": "truecolor", "TEXTUAL_ANIMATIONS": "none"}
        command = ["-P", "-m", "longctx", "tui", *words]
        self.child = pexpect.spawn(sys.executable, command, env=environment, dimensions=(lines, columns), cwd=ROOT)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def read(self) -> bool:
        """Take what has come; whether more can come."""
        try:
            new = self.child.read_nonblocking(1 << 16, timeout=0.1)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += new
        self._stream.feed(new)
        return True

    def wait(self, is_so: Callable[[str], bool]) -> str:
        """Read until the screen is as wanted."""
        deadline = time.monotonic() + DEADLINE_S
        while not is_so(self.text):
            assert time.monotonic() < deadline, f"never so:\n{self.text}"
            assert self.read() or is_so(self.text), f"ended:\n{self.text}"
        return self.text

    def type(self, keys: str) -> None:
        self.child.send(keys)

    def end(self) -> int:
        """Read until it has ended; its exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while self.read():
            assert time.monotonic() < deadline, f"never ended:\n{self.text}"
        self.child.wait()
        return self.child.exitstatus if self.child.exitstatus is not None else -(self.child.signalstatus or 0)

    @property
    def is_cooked(self) -> bool:
        """Whether the terminal edits lines and echoes again."""
        modes: int = termios.tcgetattr(self.child.child_fd)[3]
        return bool(modes & termios.ECHO) and bool(modes & termios.ICANON)

    def hang_up(self) -> None:
        """Close the terminal, as a window is closed."""
        self.child.ptyproc.fileobj.close()
        self.child.closed = self.child.ptyproc.closed = True

    def processes(self) -> list[int]:
        """All processes that this program began, itself among them."""
        mark = f"LONGCTX_HOME={os.environ['LONGCTX_HOME']}".encode()
        return [
            pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if pid != os.getpid() and _has(pid, mark)
        ]

    def backend(self) -> int:
        """The backend's process."""
        return next(pid for pid in self.processes() if b"longctx.backend" in _read(pid, "cmdline"))


def _has(pid: int, mark: bytes) -> bool:
    return mark in _read(pid, "environ").split(b"\0") and not _read(pid, "stat").rpartition(b")")[2].startswith(b" Z")


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def gone(terminal: Terminal) -> bool:
    deadline = time.monotonic() + 10
    while terminal.processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not terminal.processes()


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    opened = Terminal(home, "sample_corpora/repository", "--engine", "scripted", "--model", str(TOUR))
    yield opened
    if not opened.child.closed:
        opened.child.close(force=True)
    for pid in opened.processes():
        os.kill(pid, signal.SIGKILL)


def is_ready(text: str) -> bool:
    return "tidewatch" in text and "ready" in text


def answered(text: str) -> bool:
    return "3 verified" in text and "sentences cited" in text


def test_from_start_to_quit(terminal: Terminal) -> None:
    terminal.wait(is_ready)
    terminal.type(QUESTION)
    terminal.wait(lambda text: QUESTION in text)
    terminal.type("\r")
    terminal.wait(answered)
    terminal.type(F3)
    terminal.wait(lambda text: "] next citation" in text)  # keys go to the conversation now
    terminal.type("n")
    terminal.wait(lambda text: "class Level" in text and "✓ verified" in text)
    terminal.type(CTRL_Q)
    assert terminal.end() == 0
    assert b"\x1b[?1049l" in terminal.raw and b"\x1b[?25h" in terminal.raw and b"\x1b[?1000l" in terminal.raw
    said = terminal.raw.rpartition(b"\x1b[?1049l")[2]
    assert b"longctx tui -r " in said
    assert terminal.is_cooked
    assert gone(terminal)


def test_ctrl_c_twice_leaves_nothing_behind(terminal: Terminal) -> None:
    terminal.wait(is_ready)
    terminal.type(CTRL_C)
    terminal.wait(lambda text: "again" in text)
    terminal.type(CTRL_C)
    assert terminal.end() in (0, 130)
    assert b"\x1b[?1049l" in terminal.raw
    assert gone(terminal)


def test_closing_the_terminal_leaves_nothing_behind(terminal: Terminal) -> None:
    terminal.wait(is_ready)
    assert len(terminal.processes()) >= 2
    terminal.hang_up()
    assert gone(terminal)


def test_a_backend_that_dies_is_a_message_and_can_be_started_again(terminal: Terminal) -> None:
    terminal.wait(is_ready)
    os.kill(terminal.backend(), signal.SIGKILL)
    terminal.wait(lambda text: "SIGKILL" in text)
    terminal.type("\r")
    terminal.wait(lambda text: is_ready(text) and "SIGKILL" not in text)
    terminal.type(QUESTION + "\r")
    terminal.wait(answered)
    terminal.type(CTRL_Q)
    assert terminal.end() == 0
    assert gone(terminal)


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An editor that writes once it is interrupted."""
    program = tmp_path / "slow-editor"
    program.write_text("""#!/bin/sh
trap 'printf %s " and more" >> "$1"; exit 0' INT
echo editing
while :; do sleep 0.1; done
""")
    program.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(program))
    return program


def test_an_editor_has_the_terminal_and_the_keys(editor: Path, terminal: Terminal) -> None:
    terminal.wait(is_ready)
    terminal.type("this" + CTRL_G)
    terminal.wait(lambda _: b"editing" in terminal.raw)
    terminal.type(CTRL_C)
    terminal.wait(lambda text: "this and more" in text)
    editor.unlink()
    terminal.type(CTRL_G)
    terminal.wait(lambda text: "not found" in text)
    terminal.type(CTRL_Q)
    assert terminal.end() == 0
    assert gone(terminal)
