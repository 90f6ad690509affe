"""The conversation: questions, answers as they stream, their footnotes and what they took."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from longctx.backend.replies import Answered, Failed, Planned, Prefill, TurnIs
from longctx.citations import Citation


class ConversationPane(Vertical):
    """Says CitationChosen, QuestionAsked (edit and ask again), StopWanted and CopyWanted."""

    def compose(self) -> ComposeResult:
        yield Static("conversation", markup=False)

    def show_turns(self, turns: Sequence[TurnIs]) -> None:
        """Another conversation, or none yet."""

    def begin(self, question: str, instead_of: str | None = None) -> None:
        """A question was asked; turns from `instead_of` on are gone."""

    def show_plan(self, planned: Planned) -> None:
        """What is sent."""

    def show_prefill(self, prefill: Prefill) -> None:
        """How far the engine is with reading."""

    def add_text(self, text: str) -> None:
        """More of the answer."""

    def add_citation(self, citation: Citation) -> None:
        """A citation whose mark comes next."""

    def add_notice(self, message: str) -> None:
        """Something to know."""

    def finish(self, answered: Answered) -> None:
        """The answer as it was kept."""

    def fail(self, failed: Failed) -> None:
        """There is no answer, or no more of it."""

    def step(self, by: int) -> Citation | None:
        """The next or previous citation of the last answer, in order, made the current one."""
        return None

    def last_answer(self, *, with_references: bool) -> str:
        """The last answer as Markdown; empty where there is none."""
        return ""
