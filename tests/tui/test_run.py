"""The terminal is Textual's alone, and a signal ends the application whatever it waits for."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tui.run import is_web

PROGRAM = """
import os, sys
from pathlib import Path
from tui.run import drawn_apart
before = sys.__stderr__
with drawn_apart(Path(sys.argv[1])):
    os.write(2, b"noise of a library\\n")
    print("drawn", file=sys.__stderr__, flush=True)
    print("lone \\udcff", file=sys.__stderr__, flush=True)
assert sys.__stderr__ is before
os.write(2, b"after\\n")
"""


ENDING = """
import asyncio, os, signal, sys, threading
from tui import run
run.HEARD_S = 0.2

class App:
    def leave_by_signal(self):
        left.set()

def send(number, waits):
    # to this thread, as the kernel may: the main one is not woken then
    if waits:
        signal.pthread_kill(threading.get_ident(), number)
    else:
        os.kill(os.getpid(), number)

async def main(number, waits):
    global left
    left = asyncio.Event()
    with run.Ending(App(), asyncio.get_running_loop()):
        threading.Timer(0.2, send, (number, waits)).start()
        if waits:
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()  # as before a terminal that takes nothing
        await left.wait()

asyncio.run(main(int(sys.argv[1]), sys.argv[2] == "waits"))
"""


@pytest.mark.parametrize(
    ("number", "state", "code"),
    [
        (signal.SIGHUP, "waits", 130),
        (signal.SIGTERM, "waits", 130),
        (signal.SIGTERM, "runs", 0),
        (signal.SIGINT, "runs", 0),
    ],
)
def test_a_signal_ends_it_also_while_it_waits_for_the_terminal(number: int, state: str, code: int) -> None:
    command = [sys.executable, "-c", ENDING, str(int(number)), state]
    run = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=Path(__file__).parents[2])
    assert (run.returncode, run.stderr) == (code, "")


EDITING = """
import asyncio, os, signal, sys, threading, time
from tui import outside, run

class App:
    def leave_by_signal(self):
        left.set()

def send():
    while not outside._on_terminal:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)

async def main():
    global left
    left = asyncio.Event()
    with run.Ending(App(), asyncio.get_running_loop()):
        threading.Thread(target=send).start()
        print(outside.edited("draft", ["sh", "-c", "echo $$; exec sleep 30"]))
        await left.wait()

asyncio.run(main())
"""


def test_a_signal_ends_the_editor_that_has_the_terminal_too(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", EDITING],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    editor, _, draft = run.stdout.strip().rpartition("\n")
    assert (run.returncode, run.stderr, draft) == (0, "", "draft")
    assert not editor or not Path("/proc", editor).exists()
    assert not list(tmp_path.iterdir())


def test_noise_goes_into_the_log_and_drawing_to_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", PROGRAM, str(log)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert log.read_text() == "noise of a library\n"
    assert run.stdout == "drawn\nlone ?\n"
    assert run.stderr == "after\n"


def test_a_browser_is_known_by_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEXTUAL_DRIVER", raising=False)
    assert not is_web()
    monkeypatch.setenv("TEXTUAL_DRIVER", "textual.drivers.web_driver:WebDriver")
    assert is_web()
