"""Opening a conversation: which session goes on and over which sources, who answers, and what a later one needs.

Every face decides this through here. It reads no source and asks nothing.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ingest.naming import show
from longctx.engines.choice import AUTO, choose
from longctx.engines.choice import Chosen as Picked
from longctx.engines.opening import QUOTES, EngineSetup, check, open_engine
from longctx.errors import StoreError, UsageError
from longctx.paths import Paths

if TYPE_CHECKING:
    from longctx.engines.base import Engine
    from longctx.history import History
    from longctx.request import Request
    from longctx.session import Session

SESSIONS = "sessions.db"
CORPORA = "longctx.db"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which earlier session goes on: the one that `resume` names, or with `goes_on` the last one; else none."""

    resume: str | None = None
    goes_on: bool = False

    @property
    def resumes(self) -> bool:
        """Whether an earlier session goes on."""
        return self.goes_on or self.resume is not None


def session_of(wanted: Wanted, history: "History", *, has_sources: bool) -> "Session | None":
    """The session that goes on, as far as it can be known before its sources are read; see `session_over`.

    Where no sources are named there must be one; raises UsageError or StoreError.
    """
    session = history.find(wanted.resume) if wanted.resume is not None else None
    if session is not None or has_sources or not wanted.resumes:
        return session
    if (last := history.last()) is None:
        raise UsageError("there is no session to go on with", 'begin one: longctx ask PATH... "the question"')
    return last


def session_over(corpus: str, session: "Session | None", wanted: Wanted, history: "History") -> "Session | None":
    """The session that goes on over the corpus with this id; raises UsageError where there is none."""
    if session is None and wanted.resumes:
        session = history.last(corpus)
        if session is None:
            raise UsageError("there is no session over these sources", "leave out -c to begin one; longctx sessions ls")
    if session is not None and session.corpus != corpus:
        raise UsageError(f"session {session.id} is over other sources", "name none, and its own are taken")
    return session


def sources_of(session: "Session", paths: Paths) -> "Request":
    """The sources of a session's corpus; raises StoreError where it is no longer known."""
    from longctx.corpora import CorporaStore
    from longctx.request import request_of

    with closing(CorporaStore(paths.data / CORPORA)) as store:
        try:
            return request_of(store.find(session.corpus))
        except StoreError as error:
            raise StoreError(f"the sources of session {session.id} are no longer known", "name them again") from error


def whole_of(request: "Request", paths: Paths) -> "Request | None":
    """The corpus that a request names a part of; None where it names none, or one that is no longer known."""
    from longctx.corpora import CorporaStore
    from longctx.request import request_of

    if request.part is None:
        return None
    with closing(CorporaStore(paths.data / CORPORA)) as store:
        try:
            return request_of(store.find(request.part.whole))
        except StoreError:
            return None


def pick(engine: str, setup: EngineSetup, history: "History | None", session: "Session | None") -> Picked:
    """The engine that was named or set, else that of the session's last turn, else the best that is there.

    Raises EngineError.
    """
    if engine != AUTO:
        check(engine, setup)
    elif setup.model is None and setup.base_url is None and history is not None and session is not None:
        return as_before(history, session, setup) or choose(engine, setup)
    return choose(engine, setup)


def as_before(history: "History", session: "Session", setup: EngineSetup) -> Picked | None:
    """The engine that a session's last turn was answered by."""
    turns = history.turns(session)
    before = turns[-1].settings if turns else {}
    name, model, base_url = (before.get(key) for key in ("engine", "model", "base_url"))
    if not isinstance(name, str) or not (model or base_url):
        return None
    there = replace(setup, model=model, base_url=base_url)
    if isinstance(port := before.get("found_port"), int):  # nobody named that server: it must still be ours
        there = replace(there, found_port=port, api_key=None)
    where = " ".join(show(str(each)) for each in (model, base_url) if each)
    return Picked(name, there, f"engine: {name} ({where}): this session's; --engine takes another")


def origin(picked: Picked) -> dict[str, object]:
    """What a later question needs to go on with the same engine; no key is in it."""
    setup = picked.setup
    named = {"engine": picked.name, "model": setup.model, "base_url": setup.base_url, "found_port": setup.found_port}
    return {name: value for name, value in named.items() if value is not None}


@contextmanager
def opened(picked: Picked) -> "Iterator[Engine | None]":
    """The engine, open until the block ends; None for the one that only quotes. Raises EngineError."""
    if picked.name == QUOTES:
        yield None
        return
    with open_engine(picked.name, picked.setup) as engine:
        yield engine
