"""Writes docs/commands.md from the commands' own help, and docs/{ask,chat,tui}.svg from real answers.

    python docs/reference.py

A test writes commands.md and tui.svg again and compares, so that help, pictures and the program say the same.
"""

import asyncio
import html
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from textual.pilot import Pilot

    from longctx.backend.requests import Open

DOCS = Path(__file__).parent
COMMANDS = (
    "",
    "ask",
    "chat",
    "tui",
    "summarize",
    "report",
    "report diff",
    "sessions",
    "sessions ls",
    "sessions show",
    "sessions search",
    "sessions rename",
    "sessions export",
    "sessions rm",
    "sessions verify",
    "cite",
    "cite check",
    "pack",
    "ingest",
    "plan",
    "complete",
    "engine",
    "engine list",
    "engine doctor",
    "engine bench",
    "engine selftest",
    "engine serve",
    "engine stop",
    "engine logs",
    "engine describe",
    "cache",
    "cache ls",
    "cache show",
    "cache verify",
    "cache prune",
    "cache pin",
    "cache unpin",
    "cache warm",
    "corpora",
    "corpora ls",
    "corpora show",
    "corpora diff",
    "corpora rm",
    "corpora repack",
    "paths",
    "config",
    "config show",
    "config validate",
    "completions",
)
CHAT = ("When is a warning lowered?", "Which gaps are filled?")
SAMPLE = "sample_corpora/repository"
QUESTION = "How tall is the lighthouse on Gannet Rock?"


def main() -> None:
    """Write all of it."""
    (DOCS / "commands.md").write_text(commands(), encoding="utf-8")
    draw()
    (DOCS / "tui.svg").write_text(terminal_ui(), encoding="utf-8")


def commands() -> str:
    """The reference: each command's help as it is printed at 100 columns."""
    parts = ["# Commands\n\nWritten by `python docs/reference.py` from the commands' own `--help`.\n"]
    parts += [f"## `{f'longctx {name}'.strip()}`\n\n```text\n{help_of(name)}\n```\n" for name in COMMANDS]
    return "\n".join(parts)


def help_of(name: str) -> str:
    """What `longctx NAME --help` prints, without colour and trailing spaces."""
    environ = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb"}
    command = [sys.executable, "-P", "-m", "longctx", *name.split(), "--help"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())


def draw() -> None:
    """Pictures of answers over the samples, drawn by the code that prints them: quotes, and a scripted model's."""
    import longctx
    from longctx import terminal

    os.chdir(DOCS.parent)
    console = screen(f'longctx ask sample_corpora/* "{QUESTION}"')
    with longctx.open("sample_corpora/library", "sample_corpora/repository") as corpus:
        terminal.print_answer(corpus.ask(QUESTION), lambda _: None)
    save(console, "ask")
    console = screen("longctx chat sample_corpora/repository")
    script = DOCS / "examples" / "tour.toml"
    with (
        longctx.open("sample_corpora/repository") as corpus,
        longctx.open_engine("scripted", model=script) as engine,
    ):
        for question in CHAT:
            answer = corpus.ask(question, engine=engine)
            console.print(f"> {question}", style="bold")
            console.print(answer.answer_markdown.strip(), markup=False)
            terminal.print_footnotes(answer, lambda _: None)
            console.print()
    save(console, "chat")


def terminal_ui() -> str:
    """A picture of the terminal UI: a scripted answer over a sample, its second citation opened."""
    os.chdir(DOCS.parent)
    home = os.environ.get("LONGCTX_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LONGCTX_HOME"] = folder  # its session is nobody's
        try:
            return asyncio.run(_terminal_ui(Path(folder) / "backend.log"))
        finally:
            os.environ.pop("LONGCTX_HOME")
            os.environ.update({"LONGCTX_HOME": home} if home is not None else {})


async def _terminal_ui(log: Path) -> str:
    from longctx.backend.client import start_backend
    from tui.app import LongctxApp

    app = LongctxApp(_opening(), partial(start_backend, log=log), theme="longctx-dark")
    async with app.run_test(size=(132, 36)) as pilot:
        await _until(pilot, lambda shown: "ready" in shown and "tidewatch/" in shown)
        app.workspace.post_message(_asked(CHAT[0]))
        await _until(pilot, lambda shown: "sentences cited" in shown)
        await pilot.press("f3", "n", "n")
        await _until(pilot, lambda shown: "2/3" in shown and "Marks" in shown)
        return _without_fonts(app.export_screenshot(title=f"longctx tui {SAMPLE}", simplify=True))


def _opening() -> "Open":
    from longctx.analysis import Asking
    from longctx.backend.requests import Open
    from longctx.request import Request
    from longctx.settings import Settings

    settings = Settings(engine="scripted", model=str(DOCS / "examples" / "tour.toml"))
    return Open(request=Request((SAMPLE,)), settings=settings, asking=Asking(), title="Tide warnings")


def _asked(question: str) -> Any:
    from tui.messages import QuestionAsked

    return QuestionAsked(question)


async def _until(pilot: "Pilot[Any]", is_so: Callable[[str], bool]) -> None:
    for _ in range(300):
        await pilot.pause(0.1)
        if is_so(words(pilot.app.export_screenshot(simplify=True))):
            return
    raise TimeoutError("the screen never showed what was waited for")


def words(svg: str) -> str:
    """What a picture says."""
    return html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", svg, flags=re.DOTALL)).replace("\xa0", " ")


def screen(command: str) -> "Console":
    """A console that keeps what is printed, as the one that answers are printed on."""
    import io

    from rich.console import Console

    from longctx import terminal

    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True, highlight=False)
    terminal.new_console = lambda _="auto": console
    console.print(f"$ {command}\n", style="bold")
    return console


def save(console: "Console", name: str) -> None:
    """Write what is on the console as a picture."""
    drawn = console.export_svg(title=f"longctx {name}")
    (DOCS / f"{name}.svg").write_text(_without_fonts(drawn), encoding="utf-8")


def _without_fonts(svg: str) -> str:
    """Nothing that a picture would have to load."""
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    main()
