"""The main screen as it stands: its widgets, the job that runs, and where each reply of the backend is shown."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from textual.app import ComposeResult
from textual.notifications import SeverityLevel
from textual.screen import Screen

from ingest.naming import safe_text, show
from longctx.backend import replies, requests
from longctx.backend.replies import Reply
from longctx.citations import Citation
from longctx.events import ROLLED
from tui import status
from tui.cached_files import cached_files
from tui.cited import citations_of
from tui.commands import slash_commands
from tui.link import Link, Told
from tui.widgets.conversation import ConversationPane
from tui.widgets.corpus import CorpusPane
from tui.widgets.key_line import KeyLine
from tui.widgets.panes import CONVERSATION, CORPUS, SOURCE, Panes
from tui.widgets.prompt import Prompt
from tui.widgets.source import SourcePane
from tui.widgets.status_line import StatusLine
from tui.widgets.window_panel import WindowPanel
from tui.window_parts import WindowParts

LONG_PREFILL_S = 5.0
LONG_PREFILL_TOKENS = 200_000  # where no rate is known
ENGINE_FAILED = 5  # exit codes that the command line would have
STOPPED = 130
ENGINE_HINT = "f6 picks an engine; ctrl+p, Start the engine again"
NO_BACKEND = "the backend is not running: ctrl+p, Start the backend again"
NOTHING_OPEN = "nothing is open: /open PATH opens sources, ctrl+r a session"
OPENINGS = requests.Open | requests.Resume
ANSWERS = requests.Ask | requests.Summarise
DOING = {
    requests.Ask: "asking",
    requests.Summarise: "summarising",
    requests.UseEngine: "opening the engine",
    requests.Repack: "ordering anew",
}


class Stage(Screen[None]):
    """The widgets of the main screen, and the job that runs. `Workspace` adds what a person can do."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-medium"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (20, "-tall")]  # noqa: RUF012

    def __init__(self, link: Link, opening: requests.Open) -> None:
        super().__init__()
        self.opening = opening
        self.session: replies.SessionIs | None = None
        self.last_session: replies.SessionIs | None = None  # what can be gone on with, once this program has ended
        self.answer: replies.TurnIs | None = None
        self.last_turn: replies.TurnIs | None = None  # of this conversation, also where it was asked long ago
        self.link = link
        self._job: int | None = None
        self._working: requests.Job | None = None
        self.corpus_is: replies.CorpusOpened | None = None
        self.engine_is: replies.EngineOpened | None = None
        self.planned: replies.Planned | None = None
        self.cited: dict[int, Citation] = {}
        self._files_wanted = 0
        self.text_wanted = 0
        self.engines_typed: dict[str, str] = {}
        self._map_opened = False
        self._asks_when_ready = False

    def compose(self) -> ComposeResult:
        self.header = StatusLine(id="header")
        self.corpus = CorpusPane(id=CORPUS)
        self.conversation = ConversationPane(id=CONVERSATION)
        self.source = SourcePane(id=SOURCE)
        self.panes = Panes({CORPUS: self.corpus, CONVERSATION: self.conversation, SOURCE: self.source}, id="panes")
        self.window = WindowPanel(id="window")
        self.prompt = Prompt(lambda: self.corpus.paths, id="prompt")
        yield self.header
        yield self.panes
        yield self.window
        yield self.prompt
        yield KeyLine(self.key_words, id="keys")

    def on_mount(self) -> None:
        self.prompt.commands = slash_commands()
        self.prompt.focus()

    def key_words(self) -> Mapping[str, str]:
        """Commands whose word in the footer depends on what is going on; empty where they are of no use."""
        return {}

    @property
    def is_answering(self) -> bool:
        """Whether an answer is on its way."""
        return self._job is not None and isinstance(self._working, ANSWERS)

    @property
    def is_preparing(self) -> bool:
        """Whether a job is on its way after which a question can be asked."""
        return self._job is not None and not self.is_answering

    # --- jobs -----------------------------------------------------------------------------------------------------

    def begin(self, opening: requests.Open | None = None) -> None:
        """The backend is there; open what is to be opened."""
        if opening is not None:
            self.opening = opening
        self._job = None
        self.start(self.opening)

    def start(self, job: requests.Job) -> bool:
        """Send a job, unless one is on its way; whether it was sent."""
        if self._job is not None:
            self.say(self.undone)
            return False
        self._job = self.link.request(self, job, self._worked)
        if self._job is None:
            self.say(NO_BACKEND, "error")
            return False
        self._working = job
        self.header.say(doing=self._doing)
        self.prompt.show_state("" if isinstance(job, requests.NewSession) else f"{self._doing}… esc stops it")
        self.refresh_bindings()
        return True

    def ask_when_ready(self) -> None:
        """What stands in the prompt is asked once the job that runs is done; not where it fails or is stopped."""
        if self.is_preparing:
            self._asks_when_ready = True
            self.prompt.show_state(f"{self._doing}… your question is asked then; esc stops it")

    @property
    def undone(self) -> str:
        """Why what needs a corpus, or another job's end, can't be done now."""
        return f"{self._doing} is not done yet: esc stops it" if self._job is not None else NOTHING_OPEN

    @property
    def _doing(self) -> str:
        return DOING.get(type(self._working), "opening")

    def stop(self) -> bool:
        """Stop the job; whether one runs."""
        if self._job is None:
            return False
        self.header.say(doing="stopping")
        self.request(requests.Stop(self._job), lambda _: None)
        return True

    def request(self, query: requests.Query, told: Told) -> None:
        if self.link.request(self, query, told) is None:
            self.say(NO_BACKEND, "error")

    def _worked(self, reply: Reply) -> None:
        match reply:
            case replies.ReadingFiles():
                self.header.say(doing=status.reading_words(reply))
                self.corpus.show_reading(reply)
                self.window.show_reading(reply)
            case replies.CorpusOpened():
                self._opened(reply)
            case replies.EngineOpened():
                self._engine_opened(reply)
            case replies.SessionOpened() if isinstance(self._working, requests.Ask):
                self._asked_in_vain(reply)
            case replies.SessionOpened():
                self._session_opened(reply)
            case replies.Notice(message):
                self.conversation.add_notice(message)
            case replies.Failed():
                self._ended("failed")
                self._failed(reply)
            case replies.Done():
                self._ended("ready")
            case _:
                self._answering(reply)

    def _answering(self, reply: Reply) -> None:
        match reply:
            case replies.Planned():
                self._plan(reply)
            case replies.Evidence():
                self.window.show_evidence(reply)
            case replies.Prefill():
                self.header.say(doing="reading the prompt")
                self.conversation.show_prefill(reply)
                self.window.show_prefill(reply)
            case replies.Delta(text):
                self._close_map()
                self.header.say(doing="answering")
                self.conversation.add_text(text)
            case replies.Cited(citation):
                self.cited[citation.n] = citation
                self.conversation.add_citation(citation)
                self.window.show_citation(citation)
            case replies.Answered():
                self._answered(reply)

    def _opened(self, corpus: replies.CorpusOpened) -> None:
        self.corpus_is = corpus
        self.header.say(corpus=corpus.name, doing="opening the engine")
        self.corpus.show_corpus(corpus)
        self._files_wanted += 1
        self.request(requests.Files(), partial(self._told_files, self._files_wanted))
        self.request(requests.Windows(), WindowParts(self._show_windows).take)

    def _engine_opened(self, engine: replies.EngineOpened) -> None:
        self.engine_is = engine
        self.header.say(engine=status.engine_words(engine))
        self.window.show_engine(engine)
        self.request(requests.Windows(), WindowParts(self._show_windows).take)

    def _session_opened(self, opened: replies.SessionOpened) -> None:
        self._take_session(opened.session)
        self.planned = None
        self._take_turn(opened.turns[-1] if opened.turns else None)
        self.conversation.show_turns(opened.turns)
        self.prompt.set_history([turn.question for turn in opened.turns if not turn.summary_of])

    def _asked_in_vain(self, opened: replies.SessionOpened) -> None:
        """The turns that were to be left out stay; the conversation puts them back once it is told why."""
        self._take_session(opened.session)
        self._take_turn(opened.turns[-1] if opened.turns else None)

    def _take_session(self, session: replies.SessionIs | None) -> None:
        self.session = session
        self.last_session = session or self.last_session
        self.header.say(session=f'"{session.title}"' if session is not None else "")

    def _take_turn(self, turn: replies.TurnIs | None) -> None:
        """The last turn, with the citations that are numbered in it."""
        self.last_turn = turn
        self.cited = citations_of(turn.answer) if turn is not None else {}

    def _plan(self, planned: replies.Planned) -> None:
        self.planned = planned
        self.corpus.show_plan(planned)
        self.conversation.show_plan(planned)
        self.window.show_plan(planned)
        if planned.has_rolled:
            self.conversation.add_notice(ROLLED)
        if prefill_is_long(planned) and not self.window.is_open:
            self._map_opened = True
            self.window.toggle_map()

    def _close_map(self) -> None:
        """Close the map that opened by itself."""
        if self._map_opened and self.window.is_open:
            self.window.toggle_map()
        self._map_opened = False

    def _answered(self, answered: replies.Answered) -> None:
        self.answer = self.last_turn = answered.turn
        self.cited = citations_of(answered.turn.answer) or self.cited
        if answered.session is not None:
            self._take_session(answered.session)
        self.conversation.finish(answered)
        self.window.show_answer(answered.turn.answer)
        self.request(requests.Windows(), WindowParts(self._show_windows).take)

    def _ended(self, doing: str) -> None:
        self._job = None
        self._close_map()
        self.corpus.end_reading()
        self.window.end()
        self.prompt.show_state("" if self.corpus_is is not None else NOTHING_OPEN)
        self.header.say(doing=doing)
        self.refresh_bindings()
        asks, self._asks_when_ready = self._asks_when_ready, False
        if asks and doing == "ready":
            self.prompt.action_send()

    def _failed(self, failed: replies.Failed) -> None:
        """Say what failed where it belongs: in the conversation, or in a word where it was a step aside."""
        if failed.exit_code == STOPPED:
            self.header.say(doing="stopped")
        if failed.exit_code == ENGINE_FAILED:
            failed = hinted(failed, ENGINE_HINT)
        elif isinstance(self._working, OPENINGS) and self.corpus_is is None:
            failed = hinted(failed, NOTHING_OPEN)
        if not isinstance(self._working, ANSWERS | OPENINGS):
            self.say_failed(failed)
        elif isinstance(self._working, OPENINGS) and failed.exit_code == STOPPED and self.corpus_is is not None:
            self.say("the opening was stopped by you")
        else:
            self._fail_answer(failed)

    def _fail_answer(self, failed: replies.Failed) -> None:
        """Say it in the conversation; a question that was asked anew, and got no answer, is back in the prompt."""
        job, left_out = self._working, self.conversation.left_out
        self.conversation.fail(failed)
        if left_out and isinstance(job, requests.Ask) and job.instead_of and not self.prompt.text.strip():
            self.prompt.take_back(job.question, job.instead_of, left_out - 1)

    # --- what is told beside jobs ---------------------------------------------------------------------------------

    def _told_files(self, wanted: int, reply: Reply) -> None:
        if isinstance(reply, replies.FilesAre) and wanted == self._files_wanted:
            self.corpus.add_files(reply)

    def _show_windows(self, windows: replies.WindowsAre) -> None:
        self.window.show_windows(windows)
        self.corpus.show_cached(cached_files(windows))

    def told_text(self, wanted: int, reply: Reply) -> None:
        if wanted != self.text_wanted:
            return
        if isinstance(reply, replies.TextPart):
            self.source.add_text(reply)
        elif isinstance(reply, replies.Failed):
            self.source.fail(reply)

    def told_picture(self, reply: Reply) -> None:
        if isinstance(reply, replies.PictureIs):
            self.source.show_picture(reply)
        elif isinstance(reply, replies.Failed):
            self.source.fail(reply)

    def told_shortly(self, reply: Reply) -> None:
        """Of a small request that is not seen on the screen."""
        match reply:
            case replies.SessionsAre(sessions) if sessions and self.session and sessions[0].id == self.session.id:
                self._take_session(sessions[0])
            case replies.Exported(file):
                self.say(f"written to {show(file)}")
            case replies.Failed():
                self.say_failed(reply)

    def say(self, text: str, severity: SeverityLevel = "information") -> None:
        """A word that goes away by itself."""
        self.notify(safe_text(text), severity=severity, markup=False)

    def say_failed(self, failed: replies.Failed) -> None:
        """What failed, and what to do."""
        self.say(f"{failed.message}: {failed.hint}" if failed.hint else failed.message, "error")


def hinted(failed: replies.Failed, hint: str) -> replies.Failed:
    """The same failure, with one thing more that can be done about it."""
    return replace(failed, hint="; ".join(part for part in (failed.hint, hint) if part))


def prefill_is_long(planned: replies.Planned) -> bool:
    """Whether a person is going to wait for the first word."""
    if planned.prefill_tokens_per_s:
        return planned.prompt_tokens / planned.prefill_tokens_per_s > LONG_PREFILL_S
    return planned.prompt_tokens > LONG_PREFILL_TOKENS
