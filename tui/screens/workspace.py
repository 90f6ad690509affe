"""The main screen: corpus, conversation and source side by side, the window below, the prompt at the bottom."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen

from longctx.backend import replies, requests
from longctx.backend.replies import Reply
from tui.link import Link
from tui.messages import (
    CitationChosen,
    CitationStep,
    ExclusionToggled,
    FileChosen,
    PictureWanted,
    QuestionAsked,
    StopWanted,
    SummaryWanted,
)
from tui.widgets.conversation import ConversationPane
from tui.widgets.corpus import CorpusPane
from tui.widgets.prompt import Prompt
from tui.widgets.source import SourcePane
from tui.widgets.window_panel import WindowPanel


class Workspace(Screen[None]):
    """Sends what is wanted to the backend and shows what it tells."""

    def __init__(self, link: Link, opening: requests.Open) -> None:
        super().__init__()
        self._link = link
        self._opening = opening
        self._job: int | None = None

    def compose(self) -> ComposeResult:
        self._corpus = CorpusPane(id="corpus")
        self._conversation = ConversationPane(id="conversation")
        self._source = SourcePane(id="source")
        self._window = WindowPanel(id="window")
        with Horizontal(id="panes"):
            yield self._corpus
            yield self._conversation
            yield self._source
        yield self._window
        yield Prompt(lambda: self._corpus.paths, id="prompt")

    def begin(self) -> None:
        """The backend is there."""
        self._work(self._opening)

    def _work(self, job: requests.Job) -> None:
        self._job = self._link.request(self, job, self._worked)

    def _worked(self, reply: Reply) -> None:
        match reply:
            case replies.ReadingFiles():
                self._corpus.show_reading(reply)
                self._window.show_reading(reply)
            case replies.CorpusOpened():
                self._corpus.show_corpus(reply)
                self._link.request(self, requests.Files(), self._told)
                self._link.request(self, requests.Windows(), self._told)
            case replies.EngineOpened():
                self._window.show_engine(reply)
            case replies.SessionOpened():
                self._conversation.show_turns(reply.turns)
            case replies.Planned():
                self._corpus.show_plan(reply)
                self._conversation.show_plan(reply)
                self._window.show_plan(reply)
            case replies.Evidence():
                self._window.show_evidence(reply)
            case replies.Prefill():
                self._conversation.show_prefill(reply)
                self._window.show_prefill(reply)
            case replies.Delta(text):
                self._conversation.add_text(text)
            case replies.Cited(citation):
                self._conversation.add_citation(citation)
                self._window.show_citation(citation)
            case replies.Notice(message):
                self._conversation.add_notice(message)
            case replies.Answered():
                self._conversation.finish(reply)
                self._window.show_answer(reply.turn.answer)
            case replies.Failed():
                self._job = None
                self._conversation.fail(reply)
            case replies.Done():
                self._job = None

    def _told(self, reply: Reply) -> None:
        match reply:
            case replies.FilesAre():
                self._corpus.add_files(reply)
            case replies.WindowsAre():
                self._window.show_windows(reply)
            case replies.TextPart():
                self._source.add_text(reply)
            case replies.PictureIs():
                self._source.show_picture(reply)
            case replies.Failed():
                self._source.fail(reply)

    @on(QuestionAsked)
    def _asked(self, event: QuestionAsked) -> None:
        self._conversation.begin(event.question, event.instead_of)
        self._work(requests.Ask(question=event.question, instead_of=event.instead_of))

    @on(StopWanted)
    def _stop(self) -> None:
        if self._job is not None:
            self._link.request(self, requests.Stop(self._job), lambda _: None)

    @on(CitationChosen)
    def _show_citation(self, event: CitationChosen) -> None:
        cited = event.citation
        self._source.expect(cited.path, cited)
        if not self._source.holds(cited.path, cited.sha256):
            self._link.request(self, requests.Text(cited.path, cited.sha256), self._told)

    @on(CitationStep)
    def _step(self, event: CitationStep) -> None:
        if cited := self._conversation.step(event.by):
            self.post_message(CitationChosen(cited))

    @on(FileChosen)
    def _show_file(self, event: FileChosen) -> None:
        self._source.expect(event.path)
        self._link.request(self, requests.Text(event.path), self._told)

    @on(PictureWanted)
    def _picture(self, event: PictureWanted) -> None:
        self._link.request(self, requests.Picture(event.path, event.page, event.width, event.height), self._told)

    @on(ExclusionToggled)
    def _exclude(self, event: ExclusionToggled) -> None:
        """Show the effect first."""

    @on(SummaryWanted)
    def _summarise(self, event: SummaryWanted) -> None:
        """Ask how long and in what form first."""
