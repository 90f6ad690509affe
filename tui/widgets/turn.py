"""A question, its answer, the citations below it, and what it took; on its way or as it was kept."""

from collections.abc import Mapping
from time import monotonic
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from ingest.naming import safe_text
from longctx.backend.replies import Failed, Planned, Prefill, TurnIs
from longctx.citations import Citation
from longctx.errors import ExitCode
from longctx.export import answer_text
from tui.cited import citations_of
from tui.fitting import one_line
from tui.turn_facts import Weight, facts, is_extracted
from tui.waiting import waiting
from tui.widgets.answer import AnswerText, Growing
from tui.widgets.footnotes import Footnotes

TICK_S = 0.25
QUESTION_MOST = 4_000  # characters
NOTICES_MOST = 20


class Turn(Vertical, Growing):
    """Says nothing but what its answer and its footnotes say."""

    DEFAULT_CSS = """
    Turn { height: auto; width: 1fr; padding: 0 1 0 0; margin: 0 0 1 0; border-left: blank; }
    Turn Static { width: 1fr; height: auto; }
    Turn .question { margin: 0 0 1 0; }
    Turn .progress { color: $text-muted; }
    Turn .foot { color: $text-muted; margin: 1 0 0 0; }
    """

    def __init__(self, question: str, kept: TurnIs | None = None) -> None:
        super().__init__()
        self.question = question
        self.kept = kept
        self.is_answering = kept is None
        self._citations: dict[int, Citation] = citations_of(kept.answer) if kept else {}
        self._planned: Planned | None = None
        self._prefill: Prefill | None = None
        self._begun_s = monotonic()
        self._timer: Timer | None = None
        self._notices: list[str] = []
        self._failed: Failed | None = None
        self._heading = Static(markup=False, classes="question")
        self._progress = Static(markup=False, classes="progress")
        self._answer = AnswerText(self._citations, answer_text(kept.answer) if kept else "")
        self.footnotes = Footnotes()
        self._foot = Static(markup=False, classes="foot")

    def compose(self) -> ComposeResult:
        yield from (self._heading, self._answer, self._progress, self.footnotes, self._foot)

    def on_mount(self) -> None:
        self.footnotes.set_citations(list(self._citations.values()))
        self._show()
        if self.is_answering and not self._answer.source:
            self._timer = self.set_interval(TICK_S, self._tick)
            self._tick()

    @property
    def turn_id(self) -> str:
        """Its id in the session; empty while it is on its way or where there is no answer."""
        return self.kept.id if self.kept else ""

    @property
    def count(self) -> int:
        """How many citations it has."""
        return len(self._citations)

    def cites(self, citation: Citation) -> bool:
        """Whether that is one of its citations."""
        return self._citations.get(citation.n) == citation

    @property
    def is_broken(self) -> bool:
        """Whether its answer is not whole."""
        return self.kept is not None and self.answer.get("ending") in ("failed", "interrupted")

    @property
    def source(self) -> str:
        """The answer's Markdown as far as it is there."""
        return self._answer.source

    @property
    def answer(self) -> Mapping[str, Any]:
        """The answer's JSON form, empty before there is one."""
        return self.kept.answer if self.kept else {}

    def plan(self, planned: Planned) -> None:
        """What is sent."""
        self._planned = planned
        self._tick()

    def prefill(self, prefill: Prefill) -> None:
        """How far the engine is; shown with the next tick."""
        self._prefill = prefill

    def add_text(self, text: str) -> None:
        """More of the answer."""
        if self._timer is not None:
            self._stop_ticking()
            self._answer.display = True
        self._answer.add(text)

    def cite(self, citation: Citation) -> None:
        """A citation whose mark comes next."""
        self._citations[citation.n] = citation
        self.footnotes.set_citations(list(self._citations.values()))

    def notice(self, message: str) -> None:
        """Something to know of it."""
        self._notices = [*self._notices, one_line(message)][-NOTICES_MOST:]
        self._show()

    def finish(self, turn: TurnIs) -> None:
        """The answer as it was kept."""
        self.kept, self.is_answering = turn, False
        self.question = turn.question or self.question
        self._stop_ticking()
        self._citations.clear()
        self._citations.update(citations_of(turn.answer))
        self.footnotes.set_citations(list(self._citations.values()))
        self._answer.set_markdown(answer_text(turn.answer))
        self._show()

    def fail(self, failed: Failed) -> None:
        """There is no answer, or no more of it."""
        self.is_answering, self._failed = False, failed
        self._stop_ticking()
        self._answer.settle()
        self._show()

    def _tick(self) -> None:
        self._progress.update(Content(waiting(self._planned, self._prefill, monotonic() - self._begun_s)))

    def _stop_ticking(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._progress.display = False

    def _show(self) -> None:
        self._heading.update(heading(self.question, self.kept))
        foot = Content("\n").join(foot_lines(self.answer, self._notices, self._failed))
        self._foot.update(foot)
        self._foot.display = bool(foot)
        self._progress.display = self.is_answering and not self._answer.source
        self._answer.display = bool(self._answer.source)


def heading(question: str, kept: TurnIs | None = None) -> Content:
    """The question, or what was summarised."""
    if kept is not None and kept.summary_of:
        how = "Extracts of" if is_extracted(kept.answer) else "Summary of"
        return Content.assemble(("≡ ", "$text-accent"), (f"{how} {one_line(kept.summary_of)}", "bold"))
    text = safe_text(question[: QUESTION_MOST + 1]).strip()
    shown = text if len(question) <= QUESTION_MOST else text[:QUESTION_MOST] + "…"
    return Content.assemble(("❯ ", "$text-accent bold"), (shown.replace("\n", "\n  "), "bold"))


def foot_lines(answer: Mapping[str, Any], notices: list[str], failed: Failed | None) -> list[Content]:
    """What is to be known of a turn, warnings with a sign."""
    known = facts(answer) if answer else []
    said = {fact.text for fact in known}
    lines: list[Content] = []
    if failed is not None and failed.exit_code == ExitCode.INTERRUPTED:
        lines += [] if known else [Content.styled("! stopped by you", "$text-warning")]
    elif failed is not None:
        lines.append(Content.styled(f"✗ {one_line(failed.message)}", "$text-error"))
        lines += [Content(f"  {one_line(hint)}") for hint in failed.hint.splitlines() if hint.strip()]
    for fact in known:
        warned = fact.weight is Weight.WARNING
        lines.append(Content.styled(f"! {fact.text}", "$text-warning") if warned else Content(fact.text))
    return lines + [Content(f"· {notice}") for notice in notices if notice not in said]
