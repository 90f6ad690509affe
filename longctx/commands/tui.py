"""`longctx tui`: the terminal UI, for asking, reading sources and summarising; also in a browser of this machine."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longctx.commands.engine_options import EngineOptions, SessionOptions
from longctx.commands.options import Chosen, with_shared_options
from longctx.commands.output import stdin_is_terminal, stdout_is_terminal, stdout_is_tty
from longctx.errors import Interrupted, LongctxError, UsageError

if TYPE_CHECKING:
    from longctx.backend.requests import Open
    from longctx.request import Request
    from longctx.settings import Settings
    from tui.app import Ended

PORT = 8765
WEB = "Web"
WEB_DRIVER = ":WebDriver"
LOGS = "LONGCTX_HOME names another folder"
CHAT = "longctx chat needs no screen; longctx ask answers one question"


@with_shared_options
def tui(
    chosen: Chosen,
    engines: EngineOptions,
    sessions: SessionOptions,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Folders, files, globs, git URLs.", show_default=False),
    ] = None,
    quotes: Annotated[int, typer.Option(min=1, max=50, help="At most so many quotes of the evidence engine.")] = 3,
    web: Annotated[
        bool,
        typer.Option(
            "--web", help="In a browser of this machine instead; needs the extra \\[web].", rich_help_panel=WEB
        ),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=1024, max=65535, metavar="N", help=f"With --web; {PORT} if none.", rich_help_panel=WEB),
    ] = None,
) -> None:
    """Ask, read the sources and summarise on one screen; citations open where they stand.

    Without a PATH it shows what was open lately. F1 is help, ctrl+p lists what can be done, ctrl+q leaves; the
    conversation is kept as a session. --web serves it on 127.0.0.1 alone: whoever has the link that is printed can
    read what longctx reads.

    longctx tui ./repo

    longctx tui -c

    longctx tui ./papers --web
    """
    _refuse(chosen, sources or [])
    if web:
        _serve(port or PORT)
        return
    if port is not None:
        raise UsageError("--port goes with --web", "longctx tui PATH... --web --port 8765")
    _check_terminal()
    opening = _opening(chosen, engines, sessions, sources or [], quotes)
    _say_end(_run(opening), quiet=chosen.quiet, is_kept=opening.is_kept)


def on_terminal() -> bool:
    """Whether there is a screen and a keyboard."""
    return stdin_is_terminal() and stdout_is_terminal()


def _refuse(chosen: Chosen, sources: Sequence[str]) -> None:
    """What this command can't do, said before anything is read."""
    if "-" in sources or chosen.from_file == "-":
        raise UsageError("nothing can come from standard input here: the keyboard is needed", f"name a file; {CHAT}")
    if chosen.strict:
        raise UsageError("--strict is for commands that end by themselves", "the corpus pane shows what was left out")


def _check_terminal() -> None:
    """Raises UsageError where nothing can be drawn; a web server's visitor has a screen of another kind."""
    if on_terminal() or os.environ.get("TEXTUAL_DRIVER", "").endswith(WEB_DRIVER):
        return
    if os.environ.get("TERM") == "dumb" and stdin_is_terminal() and stdout_is_tty():
        raise UsageError("this terminal can't be drawn on (TERM=dumb)", CHAT)
    raise UsageError("this is no terminal", CHAT)


def _opening(
    chosen: Chosen, engines: EngineOptions, sessions: SessionOptions, sources: list[str], quotes: int
) -> "Open":
    from longctx.backend.requests import Open

    if sessions.go_on and sessions.resume is not None:
        raise UsageError("--continue and --resume exclude each other", "--resume ID names the session")
    configured = engines.settings(chosen)
    if not chosen.quiet:
        for warning in configured.warnings:
            typer.echo(f"longctx: {warning}", err=True)
    return Open(
        request=_request(chosen, sessions, sources, configured),
        settings=configured,
        asking=engines.asking(configured, quotes),
        resume=sessions.resume,
        goes_on=sessions.go_on,
        is_kept=not sessions.no_log,
        title=sessions.title or "",
        is_cached=not engines.no_cache,
    )


def _request(chosen: Chosen, sessions: SessionOptions, sources: list[str], configured: "Settings") -> "Request | None":
    """What is to be read; None where a session brings its own sources, nothing in it where the first screen asks."""
    if sources or chosen.from_file is not None:
        return chosen.request(sources, configured)
    return None if sessions.resumes else replace(chosen.request(["."], configured), inputs=())


def _run(opening: "Open") -> "Ended":
    from longctx import paths
    from longctx.backend.logs import new_log
    from tui.run import run
    from tui.themes import chosen_theme, remembered

    if opening.settings.color == "never":
        os.environ["NO_COLOR"] = "1"
    state = paths.locate(os.environ).state
    memory = state / "tui.json"
    theme = chosen_theme(opening.settings.theme, remembered(memory), os.environ)
    try:
        log = new_log(state / "logs")
    except OSError as error:
        raise LongctxError(f"no log can be kept: {error.filename or state}: {error.strerror}", LOGS) from error
    return run(opening, log=log, theme=theme, memory=memory)


def _say_end(ended: "Ended", *, quiet: bool, is_kept: bool) -> None:
    """What is good to know on the normal screen: how to go on, and what the last answer took."""
    session = ended.session
    if not quiet and ended.answer is not None and (took := tokens_line(ended.answer)):
        typer.echo(took, err=True)
    if not quiet and session is not None and is_kept:
        typer.echo(f"session {session.id}: longctx tui -r {session.id}, or longctx chat -r {session.id}", err=True)
    if ended.by_signal:
        raise Interrupted("interrupted; what was finished is kept")


def tokens_line(answer: Mapping[str, Any]) -> str:
    """What an answer took, from its JSON form; empty for one that no model wrote."""
    tokens = answer.get("tokens")
    if not isinstance(tokens, Mapping) or not (prompt := tokens.get("prompt")):
        return ""
    cached = tokens.get("cached")
    share = "cached: not reported" if cached is None else f"{cached / max(1, prompt):.0%} cached"
    return f"last answer: {prompt:,} prompt tokens ({share}), {tokens.get('output', 0):,} tokens of answer"


def _serve(port: int) -> None:
    """Serve this very command line, without what is about serving."""
    try:
        from tui.web import serve
    except ModuleNotFoundError as error:
        raise UsageError("--web needs textual-serve", "pip install 'longctx[web]'") from error
    words = without_web(sys.argv[1:])
    try:
        serve(words, port, lambda line: typer.echo(line, err=True))
    except OSError as error:
        raise UsageError(f"port {port} can't be taken: {error.strerror or error}", "--port names another") from error


def without_web(words: Sequence[str]) -> list[str]:
    """A command line without `--web` and `--port`; what follows `--` is left alone."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            return [*kept, word, *rest]
        if word == "--port":
            next(rest, None)
        elif word != "--web" and not word.startswith("--port="):
            kept.append(word)
    return kept
