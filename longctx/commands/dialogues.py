"""A conversation as it was asked for, open: its corpus up to date, its engine, its session."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

from ingest.naming import show
from longctx.commands.engine_options import EngineOptions, SessionOptions
from longctx.commands.faces import Progress
from longctx.commands.machine import engine_setup
from longctx.commands.options import Chosen
from longctx.errors import StoreError, UsageError

if TYPE_CHECKING:
    from longctx.analysis import Asking
    from longctx.answer import Answer
    from longctx.corpus import Corpus
    from longctx.dialogue import Dialogue
    from longctx.engines.base import Engine
    from longctx.engines.choice import Chosen as Picked
    from longctx.engines.opening import EngineSetup
    from longctx.history import History
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
) -> Iterator[Opened]:
    """The corpus up to date, the engine and the session, as they were asked for.

    What is wrong with the engine's name or model is said before a corpus is read.
    """
    from longctx.dialogue import Dialogue

    configured = engines.settings(chosen)
    with ExitStack() as stack:
        history = stack.enter_context(_history()) if _is_kept(sessions, kept) else None
        session, request = _resumed(chosen, sessions, history, inputs)
        picked = _picked(configured, engines, history, session)
        corpus, _ = stack.enter_context(chosen.corpus(request or inputs))
        if session is None and sessions.resumes and history is not None:
            session = _last(history, corpus)
            picked = _picked(configured, engines, history, session)
        if session is not None and session.corpus != corpus.record.id:
            raise UsageError(f"session {session.id} is over other sources", "name none, and its own are taken")
        if session is not None and history is not None and sessions.title:
            session = history.rename(session.id, sessions.title)
        progress.say(picked.why)
        with progress.during(f"opening the engine {picked.name}"):
            engine = stack.enter_context(_engine(picked.name, picked.setup))
        asking = engines.asking(configured, quotes)
        dialogue = Dialogue(
            corpus,
            engine,
            asking,
            history=history,
            session=session,
            kept=not sessions.no_log,
            title=sessions.title or "",
            opened_from=_origin(picked),
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


def _picked(
    configured: "Settings", engines: EngineOptions, history: "History | None", session: "Session | None"
) -> "Picked":
    """The engine that was named or set, else that of the session's last turn, else the best that is there.

    Raises EngineError.
    """
    from longctx.engines.choice import AUTO, choose
    from longctx.engines.opening import check

    setup, name = engine_setup(configured, stored=not engines.no_cache), configured.engine
    if name != AUTO:
        check(name, setup)
    elif setup.model is None and setup.base_url is None and history is not None and session is not None:
        return _as_before(history, session, setup) or choose(name, setup)
    return choose(name, setup)


def _origin(picked: "Picked") -> dict[str, object]:
    """What a later question needs to go on with the same engine; no key is in it."""
    setup = picked.setup
    origin = {"engine": picked.name, "model": setup.model, "base_url": setup.base_url, "found_port": setup.found_port}
    return {name: value for name, value in origin.items() if value is not None}


def _as_before(history: "History", session: "Session", setup: "EngineSetup") -> "Picked | None":
    """The engine that a session's last turn was answered by."""
    from longctx.engines.choice import Chosen as Taken

    turns = history.turns(session)
    before = turns[-1].settings if turns else {}
    name, model, base_url = (before.get(key) for key in ("engine", "model", "base_url"))
    if not isinstance(name, str) or not (model or base_url):
        return None
    there = replace(setup, model=model, base_url=base_url)
    if isinstance(port := before.get("found_port"), int):  # nobody named that server: it must still be ours
        there = replace(there, found_port=port, api_key=None)
    where = " ".join(show(str(each)) for each in (model, base_url) if each)
    return Taken(name, there, f"engine: {name} ({where}): this session's; --engine takes another")


def _is_kept(sessions: SessionOptions, kept: bool) -> bool:
    return sessions.resumes or (kept and not sessions.no_log)


@contextmanager
def _engine(name: str, setup: "EngineSetup") -> "Iterator[Engine | None]":
    """The engine of that name; None for the one that only quotes."""
    from longctx.engines.opening import QUOTES, open_engine

    if name == QUOTES:
        yield None
        return
    with open_engine(name, setup) as engine:
        yield engine


@contextmanager
def _history() -> "Iterator[History]":
    from longctx import paths
    from longctx.history import History

    with History(paths.locate(os.environ).data / "sessions.db") as history:
        yield history


def _resumed(
    chosen: Chosen, sessions: SessionOptions, history: "History | None", inputs: list[str]
) -> "tuple[Session | None, Request | None]":
    """The session that goes on, and its sources where none were named."""
    if not sessions.resumes or history is None:
        return None, None
    if sessions.go_on and sessions.resume is not None:
        raise UsageError("--continue and --resume exclude each other", "--resume ID names the session")
    session = history.find(sessions.resume) if sessions.resume is not None else None
    if inputs or chosen.from_file is not None:
        return session, None
    session = session or history.last()
    if session is None:
        raise UsageError("there is no session to go on with", 'begin one: longctx ask PATH... "the question"')
    return session, _request(session)


def _last(history: "History", corpus: "Corpus") -> "Session":
    session = history.last(corpus.record.id)
    if session is None:
        raise UsageError("there is no session over these sources", "leave out -c to begin one; longctx sessions ls")
    return session


def _request(session: "Session") -> "Request":
    """The sources of a session's corpus; raises StoreError where it is no longer known."""
    from longctx import paths
    from longctx.corpora import CorporaStore
    from longctx.request import request_of

    store = CorporaStore(paths.locate(os.environ).data / "longctx.db")
    try:
        return request_of(store.find(session.corpus))
    except StoreError as error:
        raise StoreError(f"the sources of session {session.id} are no longer known", "name them again") from error
    finally:
        store.close()
