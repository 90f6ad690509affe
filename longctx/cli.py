"""The command line: commands put together, errors turned into one line and an exit code.

It is the composition root: nobody imports it but `longctx.__main__`.
"""

import errno
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from longctx import __version__
from longctx.errors import ExitCode, Interrupted, LongctxError
from longctx.narration import report_error

# Where each command is, and each group of commands. A run loads the one that it needs: all of them cost 0.03 CPU s.
COMMANDS = {
    "ask": "longctx.commands.ask:ask",
    "chat": "longctx.commands.chat:chat",
    "summarize": "longctx.commands.summarize:summarize",
    "tui": "longctx.commands.tui:tui",
    "pack": "longctx.commands.pack:pack",
    "ingest": "longctx.commands.ingest:ingest",
    "plan": "longctx.commands.plan:plan",
    "complete": "longctx.commands.complete:complete",
    "paths": "longctx.commands.config:paths_command",
    "completions": "longctx.commands.completions:completions",
}
GROUPS = {
    "report": "longctx.commands.report:app",
    "corpora": "longctx.commands.corpora:app",
    "engine": "longctx.commands.engine:app",
    "cache": "longctx.commands.cache_store:app",
    "sessions": "longctx.commands.sessions:app",
    "cite": "longctx.commands.cite:app",
    "config": "longctx.commands.config:app",
}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
EXIT_CODES = (
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 corpus, 4 does not fit, 5 engine, 6 evidence, 7 some items, 130 stopped."
)
DEFECT_HINT = "this is a defect of longctx; `longctx --debug …` shows where"


class Commands(TyperGroup):
    """Our commands; Ctrl-C (or SIGTERM, SIGHUP) in any of them is exit code 130, with what was finished kept."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted; what was finished is kept") from None
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")  # of the library that looks at values
            raise


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"longctx {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    """Ask whole repositories and document libraries; every citation is checked.

    On a terminal longctx alone opens the terminal UI, as longctx tui does.
    """


def build(words: Sequence[str] = ()) -> typer.Typer:
    """The command line for these words: the command that they name, or all where they name none."""
    app = typer.Typer(
        name="longctx",
        cls=Commands,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=EXIT_CODES,
    )
    app.callback()(root)
    named = next((word for word in words if not word.startswith("-")), "")
    alone = named in COMMANDS or named in GROUPS
    for name, where in COMMANDS.items():
        if name == named or not alone:
            app.command(name)(_loaded(where))
    for name, where in GROUPS.items():
        if name == named or not alone:
            app.add_typer(_loaded(where), name=name)
    return app


def _loaded(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)


def main() -> int:
    """Run the command line; the exit code. Usage errors and --help end in SystemExit."""
    if sys.stderr is None:  # closed, as with 2>&- in a shell: what would be said there must not go to stdout
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as this process lives
    try:
        _run()
    except LongctxError as error:
        report_error(error)
        return error.exit_code
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        if isinstance(error, OSError) and _is_full(error):
            report_error(LongctxError(f"output can't be written: {error.strerror}", "is there room where it goes?"))
            return ExitCode.FAILED
        report_error(LongctxError(f"unexpected {type(error).__name__}: {error}", DEFECT_HINT))
        return ExitCode.FAILED
    return ExitCode.OK


def _run() -> None:
    """Run the command line; what is left for stdout is written while its failure can still be told."""
    try:
        words = sys.argv[1:] or _alone()
        build(words)(words, prog_name="longctx")
    except SystemExit:
        _flush()
        raise
    _flush()


def _alone() -> list[str]:
    """The words that no words at all stand for: the terminal UI where there is a screen, else help."""
    on_screen = sys.stdin is not None and sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty()
    return ["tui"] if on_screen and os.environ.get("TERM") not in (None, "dumb") else []


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _is_full(error: OSError) -> bool:
    """Whether a stream took no more; what is left for stdout goes nowhere then, else its loss is told again at the end.

    A file that can't be opened has its name in the error.
    """
    if error.filename is not None or error.errno not in FULL:
        return False
    try:
        _flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return True
