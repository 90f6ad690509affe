"""The terminal is Textual's alone: what is printed to descriptor 2 goes into the log."""

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
