"""The jobs of the backend, one after another: what is open, and what each job makes of it.

Whatever fails or is stopped leaves what was open before as it was, or says what is open now.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, assert_never

from ingest.interruption import undisturbed
from longctx import opening
from longctx.backend.corpus_reading import corpus_opened, read
from longctx.backend.desk import Desk, Shown
from longctx.backend.exclusion import leaving_out
from longctx.backend.kept import session_is, turn_is
from longctx.backend.replies import Answered, Notice, Reply, SessionIs, SessionOpened
from longctx.backend.requests import (
    Ask,
    Exclude,
    Job,
    NewSession,
    Open,
    Repack,
    Reread,
    Resume,
    Summarise,
    UseEngine,
)
from longctx.backend.seat import Seat
from longctx.backend.telling import Answering
from longctx.corpora import known_sources
from longctx.corpus import Corpus
from longctx.dialogue import Dialogue
from longctx.errors import UsageError
from longctx.events import AnswerEvents, follow
from longctx.history import History
from longctx.opening import Wanted
from longctx.paths import Paths
from longctx.request import Request
from longctx.session import Session
from longctx.setup import engine_setup
from longctx.store_faults import explained
from longctx.summary_form import Scope, Summary

Tell = Callable[[Reply], None]
WHOLE_UNKNOWN = (
    "what this corpus leaves out can't be taken back: the whole is not known any more; open its sources anew"
)


@dataclass(slots=True)
class _Room:
    """What is open: how it was asked for, the corpus (`whole` without what is `excluded`), and the conversation.

    Where the whole of a part is not known any more, `whole` is that part: what it leaves out stays `excluded`.
    `used` is the engine that a person has chosen since, `title` what the first session is going to be called.
    """

    asked: Open
    whole: Request
    excluded: tuple[str, ...]
    corpus: Corpus
    dialogue: Dialogue
    used: UseEngine | None = None
    title: str = ""


class Jobs:
    """Does jobs. All of it belongs to one thread; close it, or use it in a `with`."""

    def __init__(self, paths: Paths, desk: Desk) -> None:
        self._paths = paths
        self._desk = desk
        self._history = History(paths.data / opening.SESSIONS)
        self._room: _Room | None = None
        self._seat: Seat | None = None
        self._generation = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all that is open."""
        if self._seat is not None:
            self._seat.close()
        if self._room is not None:
            self._room.corpus.close()
        self._history.close()
        self._room = self._seat = None

    def do(self, job: Job, tell: Tell) -> None:
        """Do a job, telling what comes of it; raises LongctxError, and KeyboardInterrupt where it is stopped."""
        with explained():
            match job:
                case Open():
                    self._open(job, tell)
                case Reread():
                    self._reread(tell)
                case Exclude(paths):
                    self._exclude(paths, tell)
                case Repack():
                    self._repack(tell)
                case UseEngine():
                    self._use_engine(job, tell)
                case NewSession():
                    self._go_on(None, tell)
                case Resume(session):
                    self._resume(session, tell)
                case Ask():
                    self._ask(job, tell)
                case Summarise():
                    self._summarise(job, tell)
                case _:
                    assert_never(job)

    # --- opening ----------------------------------------------------------------------------------------------------

    def _open(self, job: Open, tell: Tell) -> None:
        wanted = Wanted(job.resume, job.goes_on)
        session = opening.session_of(wanted, self._history, has_sources=job.request is not None)
        if job.request is not None:
            request = job.request
        elif session is not None:
            request = opening.sources_of(session, self._paths)
        else:
            raise UsageError("nothing to read", "name a folder, a file, a glob or a git URL")
        self._move(job, request, wanted, session, tell, used=self._room.used if self._room else None)

    def _resume(self, name: str, tell: Tell) -> None:
        (room, _), session = self._here, self._history.find(name)
        if session.corpus == room.corpus.record.id:
            self._go_on(session, tell)
            return
        request = opening.sources_of(session, self._paths)
        asked = replace(room.asked, request=None, resume=session.id, goes_on=False, title="")
        self._move(asked, request, Wanted(session.id), session, tell, used=room.used)

    def _move(
        self,
        job: Open,
        request: Request,
        wanted: Wanted,
        session: Session | None,
        tell: Tell,
        *,
        used: UseEngine | None = None,
    ) -> None:
        """Open another corpus in the place of the one that is open, then the engine that goes with it: the one that
        was `used`, or the one that is asked for."""
        corpus, changed = self._read(request, tell)
        try:
            session = opening.session_over(corpus.record.id, session, wanted, self._history)
            if session is not None and job.title:
                session = self._history.rename(session.id, job.title)
            room = self._room_of(job, request, corpus, session, used)
        except BaseException:
            corpus.close()
            raise
        setup = engine_setup(job.settings, stored=job.is_cached)
        self._seat = seat = self._seat or Seat(setup)
        name = used.name if used else job.settings.engine
        setup = seat.setup_of(used, setup) if used else setup
        try:
            self._settle(room, changed, tell)
            if room.whole.part:
                tell(Notice(WHOLE_UNKNOWN))
            seat.take(lambda: opening.pick(name, setup, self._history, session), tell)
        finally:
            with undisturbed():
                self._tell_seat(tell)
                self._tell_session(tell)

    def _room_of(
        self, job: Open, request: Request, corpus: Corpus, session: Session | None, used: UseEngine | None
    ) -> _Room:
        """What is open then: a part of a corpus together with what it leaves out of it."""
        title = "" if session else job.title
        dialogue = self._dialogue(job, corpus, session, title)
        whole = opening.whole_of(request, self._paths) or request
        excluded = _excluded(whole, request.part.left_out if request.part else ())
        return _Room(job, whole, excluded, corpus, dialogue, used, title)

    def _read(self, request: Request, tell: Tell) -> tuple[Corpus, int]:
        """A corpus, up to date; and how many files had changed."""
        corpus = Corpus(request, self._paths)
        try:
            return corpus, read(corpus, tell)
        except BaseException:
            corpus.close()
            raise

    def _settle(self, room: _Room, changed: int, tell: Tell) -> None:
        """From now on this is open."""
        with undisturbed():
            if self._room is not None and self._room.corpus is not room.corpus:
                self._room.corpus.close()
            self._room = room
            self._generation += 1
            self._show()
            tell(corpus_opened(room.corpus, changed=changed, excluded=room.excluded))

    def _tell_seat(self, tell: Tell) -> None:
        """Whoever sits there now answers."""
        room, seat = self._room, self._seat
        if room is None or seat is None:
            return
        room.dialogue.use(seat.engine, opening.origin(seat.picked))
        self._show()
        tell(seat.opened)

    # --- the corpus that is open ------------------------------------------------------------------------------------

    def _reread(self, tell: Tell) -> None:
        room, _ = self._here
        self._settle(room, read(room.corpus, tell), tell)

    def _exclude(self, paths: tuple[str, ...], tell: Tell) -> None:
        room, _ = self._here
        corpus, changed = self._read(leaving_out(room.whole, paths), tell)
        dialogue = self._dialogue(room.asked, corpus, None, room.title)
        excluded = _excluded(room.whole, paths)
        if len(excluded) > len(set(paths)):
            tell(Notice(WHOLE_UNKNOWN))
        try:
            self._settle(replace(room, excluded=excluded, corpus=corpus, dialogue=dialogue), changed, tell)
        finally:
            with undisturbed():
                self._tell_session(tell)

    def _repack(self, tell: Tell) -> None:
        room, _ = self._here
        changed = read(room.corpus, tell)
        room.corpus.repack()
        self._settle(room, changed, tell)

    def _use_engine(self, job: UseEngine, tell: Tell) -> None:
        room, seat = self._here
        setup = seat.setup_of(job, engine_setup(room.asked.settings, stored=room.asked.is_cached))
        try:
            seat.take(lambda: opening.pick(job.name, setup, self._history, None), tell, anew=True)
            if seat.picked.name == job.name:
                room.used = job
        finally:
            with undisturbed():
                self._tell_seat(tell)

    # --- the conversation -------------------------------------------------------------------------------------------

    def _go_on(self, session: Session | None, tell: Tell) -> None:
        """Go on with a session over the corpus that is open, or begin a new one."""
        room, _ = self._here
        with undisturbed():
            room.dialogue = self._dialogue(room.asked, room.corpus, session, "" if session else room.title)
            self._show()
            self._tell_session(tell)

    def _ask(self, job: Ask, tell: Tell) -> None:
        room, _ = self._here
        if job.instead_of is None:
            self._follow(room.dialogue.ask(job.question), tell)
            return
        before = room.dialogue.turns
        try:
            with room.dialogue.instead_of(job.instead_of):
                self._follow(room.dialogue.ask(job.question), tell)
        finally:
            with undisturbed():
                if room.dialogue.turns == before:  # a face has taken them away by now
                    self._tell_session(tell)

    def _summarise(self, job: Summarise, tell: Tell) -> None:
        room, _ = self._here
        summary = Summary(scope=Scope(job.paths), length=job.length, style=job.style)
        self._follow(room.dialogue.summarise(summary), tell)

    def _follow(self, events: AnswerEvents, tell: Tell) -> None:
        """Tell of an answer; one that became a turn is told as a whole, whatever interrupts the telling."""
        room, _ = self._here
        answering, before = Answering(tell, self._answered), len(room.dialogue.turns)
        try:
            follow(events, answering.tell)
        finally:
            with undisturbed():
                answering.flush()
                if len(room.dialogue.turns) > before and not answering.is_ended:
                    tell(self._answered())
                if room.dialogue.session is not None:
                    room.title = ""
                self._show()

    def _answered(self) -> Answered:
        """What was answered last, as it is kept."""
        room, _ = self._here
        return Answered(turn_is(room.dialogue.turns[-1]), self._session_is(room))

    def _dialogue(self, asked: Open, corpus: Corpus, session: Session | None, title: str) -> Dialogue:
        history = self._history if asked.is_kept or session is not None else None
        seat = self._seat
        return Dialogue(
            corpus,
            seat.engine if seat else None,
            asked.asking,
            history=history,
            session=session,
            kept=asked.is_kept,
            title=title,
            opened_from=opening.origin(seat.picked) if seat else None,
        )

    def _tell_session(self, tell: Tell) -> None:
        if (room := self._room) is None:
            return
        tell(SessionOpened(self._session_is(room), tuple(map(turn_is, room.dialogue.turns))))

    def _session_is(self, room: _Room) -> SessionIs | None:
        session = room.dialogue.session
        return None if session is None else session_is(session, known_sources(self._paths.data / opening.CORPORA))

    @property
    def _here(self) -> tuple[_Room, Seat]:
        """What is open and who answers; raises UsageError where nothing is."""
        if self._room is None or self._seat is None:
            raise UsageError("no corpus is open", "open a folder, a file or a session first")
        return self._room, self._seat

    def _show(self) -> None:
        """Let the other threads see what is open."""
        room, seat = self._here
        shown = Shown(
            generation=self._generation,
            whole=room.whole,
            request=room.corpus.request,
            excluded=room.excluded,
            engine=seat.picked.name,
            setup=seat.picked.setup,
            identity=seat.identity,
            limits=seat.limits,
            session=room.dialogue.session,
            log=self._desk.log,
        )
        self._desk.show(shown)


def _excluded(whole: Request, paths: Iterable[str]) -> tuple[str, ...]:
    """What is left out where these paths are, with what the whole itself leaves out."""
    return tuple(sorted({*paths, *(whole.part.left_out if whole.part else ())}))
