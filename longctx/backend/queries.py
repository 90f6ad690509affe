"""What is answered at once, also while a job runs: by what is stored, and by looking around.

One Queries belongs to one thread. It has its own connections to the stores, reads what the job has put there, and
never brings a corpus up to date.
"""

from collections.abc import Iterator

from longctx.backend import kept
from longctx.backend.corpus_queries import CorpusQueries
from longctx.backend.desk import Desk
from longctx.backend.replies import Reply, SessionsAre, TurnsAre
from longctx.backend.requests import (
    Doctor,
    Effect,
    Engines,
    Export,
    Files,
    Log,
    Picture,
    Query,
    Remove,
    Rename,
    Sessions,
    Stop,
    Text,
    Turns,
    Windows,
)
from longctx.corpora import known_sources
from longctx.errors import CorpusError, UsageError
from longctx.history import History
from longctx.paths import Paths
from longctx.store_faults import explained


class Queries:
    """Answers queries; opens what it needs at the first that needs it, anew when the corpus became another one."""

    def __init__(self, paths: Paths, desk: Desk) -> None:
        self._paths = paths
        self._desk = desk
        self._history = History(paths.data / "sessions.db")
        self._opened: CorpusQueries | None = None

    def answer(self, request: Query) -> Iterator[Reply]:
        """The replies to a query but the last, which is Done or Failed; raises LongctxError."""
        with explained():
            yield from self._replies(request)

    def close(self) -> None:
        """Close what is open."""
        self._history.close()
        self._forget()

    def _replies(self, request: Query) -> Iterator[Reply]:
        match request:
            case Files() | Windows() | Effect() | Text() | Picture():
                yield from self._corpus().replies(request)
            case Sessions() | Turns() | Rename() | Remove() | Export():
                yield from self._kept(request)
            case Engines():
                from longctx.backend.surroundings import engines_are

                yield engines_are()
            case Doctor():
                from longctx.backend.surroundings import checked

                yield from checked(self._desk.shown, self._paths)
            case Log():
                from longctx.backend.surroundings import log_is

                yield log_is(self._desk.shown, self._desk.log, self._paths, request.lines)
            case Stop():
                raise AssertionError("Stop is for whoever does the jobs")

    def _kept(self, request: Sessions | Turns | Rename | Remove | Export) -> Iterator[Reply]:
        history, sources = self._history, known_sources(self._paths.data / "longctx.db")
        match request:
            case Sessions():
                found = kept.sessions_with(history, request.words)
                yield SessionsAre(tuple(kept.session_is(session, sources, place) for session, place in found))
            case Turns():
                yield TurnsAre(tuple(map(kept.turn_is, history.turns(history.session(request.session)))))
            case Rename():
                yield SessionsAre((kept.session_is(history.rename(request.session, request.title), sources),))
            case Remove():
                self._remove(request.session)
            case Export():
                yield kept.export(history, sources, request, self._desk.folder)

    def _remove(self, session: str) -> None:
        shown = self._desk.shown
        if shown is not None and shown.session is not None and shown.session.id == session:
            raise UsageError("that conversation is going on", "begin a new one, then remove it")
        self._history.remove(self._history.session(session).id)

    def _corpus(self) -> CorpusQueries:
        """The corpus that is open now."""
        shown = self._desk.shown
        if shown is None:
            raise CorpusError("no corpus is open yet", "wait until it is read, or open one")
        if self._opened is None or self._opened.shown.generation != shown.generation:
            self._forget()
            self._opened = CorpusQueries(shown, self._paths)
        self._opened.shown = shown
        return self._opened

    def _forget(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None
