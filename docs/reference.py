"""Writes docs/commands.md from the commands' own help, and docs/ask.svg and docs/chat.svg from real answers.

    python docs/reference.py

A test writes commands.md again and compares, so that help and documentation say the same.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

DOCS = Path(__file__).parent
COMMANDS = (
    "",
    "ask",
    "chat",
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
QUESTION = "How tall is the lighthouse on Gannet Rock?"


def main() -> None:
    """Write all of it."""
    (DOCS / "commands.md").write_text(commands(), encoding="utf-8")
    draw()


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
    (DOCS / f"{name}.svg").write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
