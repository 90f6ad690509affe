"""Writes docs/commands.md from the commands' own help, and docs/ask.svg from a real answer.

    python docs/reference.py

A test writes commands.md again and compares, so that help and documentation say the same.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

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
QUESTION = "How tall is the lighthouse on Gannet Rock?"


def main() -> None:
    """Write both files."""
    (DOCS / "commands.md").write_text(commands(), encoding="utf-8")
    draw(DOCS / "ask.svg")


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


def draw(target: Path) -> None:
    """A picture of an answer over the sample library, drawn by the code that prints it."""
    import io

    from rich.console import Console

    import longctx
    from longctx import terminal

    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True, highlight=False)
    terminal.new_console = lambda _="auto": console
    os.chdir(DOCS.parent)
    console.print(f'$ longctx ask sample_corpora/* "{QUESTION}"\n', style="bold")
    with longctx.open("sample_corpora/library", "sample_corpora/repository") as corpus:
        terminal.print_answer(corpus.ask(QUESTION), lambda _: None)
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="longctx ask"), flags=re.DOTALL)
    target.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
