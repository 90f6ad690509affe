"""A conversation as it was asked for, open: its corpus up to date, its engine, its session."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from longctx.commands.engine_options import EngineOptions, SessionOptions
from longctx.commands.faces import Progress
from longctx.commands.options import Chosen
from longctx.errors import UsageError

if TYPE_CHECKING:
    from longctx.analysis import Asking
    from longctx.answer import Answer
    from longctx.corpus import Corpus
    from longctx.dialogue import Dialogue
    from longctx.engines.base import Engine
    from longctx.history import History
    from longctx.opening import Wanted
    from longctx.request import Request
    from longctx.session import Session
    from longctx.settings import Settings


@dataclass(frozen=True, slots=True)
class Opened:
    """What a question needs, open."""

    dialogue: "Dialogue"
    corpus: "Corpus"
    engine: "Engine | None"
    asking: "Asking"
    configured: "Settings"


@contextmanager
def open_dialogue(
    chosen: Chosen,
    engines: EngineOptions,
    sessions: SessionOptions,
    inputs: list[str],
    *,
    progress: Progress,
    quotes: int = 3,
    kept: bool = True,
    guided: bool = False,
) -> Iterator[Opened]:
    """The corpus up to date, the engine and the session, as they were asked for; `guided` if answers obey a schema.

    What is wrong with the engine's name or model is said before a corpus is read.
    """
    from longctx import opening
    from longctx.dialogue import Dialogue
    from longctx.setup import engine_setup

    configured = engines.settings(chosen)
    wanted = _wanted(sessions)
    setup = engine_setup(configured, stored=not engines.no_cache, guided=guided)
    with ExitStack() as stack:
        history = stack.enter_context(_history()) if _is_kept(sessions, kept) else None
        session, request = _resumed(chosen, wanted, history, inputs)
        picked = opening.pick(configured.engine, setup, history, session)
        corpus, _ = stack.enter_context(chosen.corpus(request or inputs))
        if history is not None:
            over = opening.session_over(corpus.record.id, session, wanted, history)
            if over != session:
                session = over
                picked = opening.pick(configured.engine, setup, history, session)
        if session is not None and history is not None and sessions.title:
            session = history.rename(session.id, sessions.title)
        progress.say(picked.why)
        with progress.during(f"opening the engine {picked.name}"):
            engine = stack.enter_context(opening.opened(picked))
        asking = engines.asking(configured, quotes)
        dialogue = Dialogue(
            corpus,
            engine,
            asking,
            history=history,
            session=session,
            kept=not sessions.no_log,
            title=sessions.title or "",
            opened_from=opening.origin(picked),
        )
        yield Opened(dialogue, corpus, engine, asking, configured)


def write_end(
    answer: "Answer", opened: Opened, stream: IO[str], *, on_terminal: bool, show_quotes: bool = False
) -> None:
    """What follows an answer's text: its footnotes; of an answer that only quotes, all of it."""
    from longctx import terminal

    location, color = opened.corpus.location, opened.configured.color
    match opened.engine is None, on_terminal:
        case True, True:
            terminal.print_answer(answer, location, color)
        case True, False:
            stream.write(terminal.plain_answer(answer))
        case False, True:
            terminal.print_footnotes(answer, location, color, show_quotes=show_quotes)
        case False, False:
            stream.write(terminal.plain_footnotes(answer, show_quotes=show_quotes))
    stream.flush()


def _is_kept(sessions: SessionOptions, kept: bool) -> bool:
    return sessions.resumes or (kept and not sessions.no_log)


@contextmanager
def _history() -> "Iterator[History]":
    from longctx import paths
    from longctx.history import History
    from longctx.opening import SESSIONS

    with History(paths.locate(os.environ).data / SESSIONS) as history:
        yield history


def _wanted(sessions: SessionOptions) -> "Wanted":
    from longctx.opening import Wanted

    if sessions.go_on and sessions.resume is not None:
        raise UsageError("--continue and --resume exclude each other", "--resume ID names the session")
    return Wanted(sessions.resume, sessions.go_on)


def _resumed(
    chosen: Chosen, wanted: "Wanted", history: "History | None", inputs: list[str]
) -> "tuple[Session | None, Request | None]":
    """The session that goes on, and its sources where none were named."""
    from longctx import paths
    from longctx.opening import session_of, sources_of

    if history is None:
        return None, None
    has_sources = bool(inputs) or chosen.from_file is not None
    session = session_of(wanted, history, has_sources=has_sources)
    if session is None or has_sources:
        return session, None
    return session, sources_of(session, paths.locate(os.environ))
