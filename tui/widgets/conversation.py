"""The conversation: questions, answers as they stream, their footnotes and what they took."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from textual import events, on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ingest.naming import safe_text
from longctx.backend.replies import Answered, Failed, Planned, Prefill, TurnIs
from longctx.citations import Citation
from longctx.counted import counted
from longctx.export import answer_text, footnotes, marked, note_line
from tui.fitting import one_line
from tui.messages import (
    CitationChosen,
    CitationStep,
    CopyWanted,
    LettersTyped,
    QuestionAsked,
    QuestionTakenBack,
    StopWanted,
)
from tui.widgets.answer import AnswerText, Growing
from tui.widgets.footnotes import Footnotes
from tui.widgets.turn import Turn, foot_lines

SHOWN_AT_ONCE = 20  # turns
LINES_AT_ONCE = 600  # of answers, about a tenth of a millisecond each
SHOWN_MOST = 40
EXAMPLES = (
    "What is this collection about, and what are its main parts?",
    "Which decisions or rules are stated, and what reasons are given for them?",
    "Where do these documents contradict each other, or leave something open?",
)
INTRODUCTION = (
    "Ask about everything that was read. Each statement is cited, and each quote is looked up in the text.\n"
    "enter sends · ctrl+j new line · @ names a file · / commands · f1 help"
)


class Examples(OptionList):
    """Questions that fit any collection; one that is chosen goes into the prompt."""

    DEFAULT_CSS = """
    Examples { height: auto; border: none; background: transparent; padding: 0; }
    Examples:focus { border: none; background: transparent; background-tint: transparent; }
    Examples > .option-list--option { padding: 0 1; }
    Examples:blur > .option-list--option-highlighted { background: transparent; color: $foreground; text-style: none; }
    """

    def __init__(self) -> None:
        super().__init__(*(Option(Content(example)) for example in EXAMPLES), markup=False)


class Earlier(Static, can_focus=True):
    """That there are earlier turns; they are shown when it is chosen."""

    DEFAULT_CSS = """
    Earlier { width: 1fr; height: 1; padding: 0 1; margin: 0 0 1 0; color: $text-muted; }
    Earlier:focus { color: $text; text-style: reverse; }
    Earlier:hover { color: $text; text-style: underline; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "show", "Show earlier", id="conversation.earlier"),
    ]

    def __init__(self) -> None:
        super().__init__(markup=False)
        self.display = False

    def tell(self, count: int) -> None:
        """How many there are."""
        self.display = bool(count)
        self.update(Content(f"↑ {counted(count, 'earlier turn')}: show more (enter)"))

    def on_click(self) -> None:
        self.action_show()

    def action_show(self) -> None:
        """Have more of them shown."""
        pane = self.query_ancestor(ConversationPane)
        pane.show_earlier()


class Turns(VerticalScroll, Growing):
    """What can be scrolled."""


class Column(Vertical, Growing):
    """The turns, one below the other."""


class ConversationPane(Vertical):
    """Says CitationChosen, CitationStep, QuestionAsked (ask again), QuestionTakenBack, StopWanted and CopyWanted.

    Keys mean the current turn: the one that was gone to, clicked, or whose citation is shown; else the last one.
    """

    DEFAULT_CSS = """
    ConversationPane {
        border: round $border-blurred; border-title-color: $text; border-subtitle-color: $text-muted;
        background: $background;
    }
    ConversationPane:focus-within { border: round $accent; }
    ConversationPane #turns {
        height: 1fr; scrollbar-size-vertical: 1; scrollbar-gutter: stable; background: $background;
    }
    ConversationPane #column { height: auto; min-height: 100%; }
    ConversationPane:focus-within Turn.-current { border-left: wide $accent; }
    ConversationPane .introduction { color: $text-muted; margin: 1 1; height: auto; }
    ConversationPane .notice { color: $text-muted; padding: 0 1; height: auto; margin: 0 0 1 0; }
    """
    HELP = """
    ## Conversation

    `¹✓` in an answer is a citation: click it, or step through them with `[` and `]`, to see it where it stands.
    `✓` its quote stands there, `→` it stands in another place, `≈` most of it does, `?` it was not found,
    `!` no such document was read.

    **{** and **}**, or a click, go to another turn: a bar stands beside it, and the keys mean it. **e** takes its
    question back into the prompt, to be changed and asked anew; **r** asks it again. The turns behind it are left out
    then, and the prompt says how many before it is sent. **y** copies the answer, **Y** with its references. **u**
    leaves only citations that are in doubt. **esc** stops an answer; what there is of it is kept. What else is typed
    goes to the prompt.
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket,N", "previous_citation", "Previous citation", id="conversation.previous"),
        Binding("right_square_bracket,n", "next_citation", "Next citation", id="conversation.next"),
        Binding("left_curly_bracket", "previous_turn", "Previous turn", show=False, id="conversation.previous_turn"),
        Binding("right_curly_bracket", "next_turn", "Next turn", id="conversation.next_turn"),
        Binding("e", "edit", "Edit and ask anew", id="conversation.edit"),
        Binding("r", "again", "Ask again", id="conversation.again"),
        Binding("y", "copy", "Copy answer", id="conversation.copy"),
        Binding("Y", "copy_references", "Copy with references", id="conversation.copy_references"),
        Binding("u", "doubtful", "Citations in doubt only", id="conversation.doubtful"),
        Binding("escape", "stop", "Stop", id="conversation.stop", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._scroll = Turns(id="turns")
        self._column = Column(id="column")
        self._earlier_line = Earlier()
        self._earlier: list[TurnIs] = []
        self._turns: list[Turn] = []
        self._chosen: Turn | None = None
        self._asked: Turn | None = None
        self._broken: Turn | None = None  # it has ended, and why may come yet
        self._left_out: list[Turn] = []  # hidden: they are gone once there is an answer in their place
        self._left_out_earlier: list[TurnIs] = []
        self._only_doubtful = False
        self.border_title = "Conversation"

    def compose(self) -> ComposeResult:
        with self._scroll, self._column:
            yield self._earlier_line
            yield from self._empty()

    def _empty(self) -> Iterable[Widget]:
        yield Static(Content(INTRODUCTION), markup=False, classes="introduction")
        yield Examples()

    @property
    def current(self) -> Turn | None:
        """The turn that keys mean: the one that was chosen, else the last one."""
        return self._chosen or (self._turns[-1] if self._turns else None)

    @property
    def is_answering(self) -> bool:
        """Whether an answer is on its way."""
        return self._asked is not None

    @property
    def left_out(self) -> int:
        """How many turns go with the answer that is on its way."""
        return len(self._left_out) + len(self._left_out_earlier)

    def show_turns(self, turns: Sequence[TurnIs]) -> None:
        """Another conversation, or none yet."""
        self._forget_left_out()
        self._asked = self._broken = self._chosen = None
        self._drop_empty()
        self._remove(self._turns)
        self._earlier = list(turns)
        self._mount(self._taken(), at_end=True)
        if not turns:
            self._column.mount(*self._empty())
        self._scroll.anchor()
        self._tell()

    def show_earlier(self) -> None:
        """More of the turns before the first one that is shown."""
        first = self._turns[0] if self._turns else None
        self._scroll.release_anchor()
        self._mount(self._taken(), at_end=False)
        self._tell()
        if first is not None:
            self.call_after_refresh(self._scroll.scroll_to_widget, first, top=True, animate=False)

    def begin(self, question: str, instead_of: str | None = None) -> None:
        """A question was asked; turns from `instead_of` on are gone, unless there is no answer."""
        self._forget_left_out()
        self._drop_empty()
        if instead_of is not None:
            self._leave_out_from(instead_of)
        self._fold()
        self._asked, self._broken, self._chosen = Turn(question), None, None
        self._mount([self._asked], at_end=True)
        self._scroll.anchor()
        self._tell()

    def show_plan(self, planned: Planned) -> None:
        """What is sent."""
        self._current_run().plan(planned)

    def show_prefill(self, prefill: Prefill) -> None:
        """How far the engine is with reading."""
        self._current_run().prefill(prefill)

    def add_text(self, text: str) -> None:
        """More of the answer."""
        self._current_run().add_text(text)

    def add_citation(self, citation: Citation) -> None:
        """A citation whose mark comes next."""
        self._current_run().cite(citation)

    def add_notice(self, message: str) -> None:
        """Something to know: of the answer that is on its way, or of none."""
        if self._asked is not None:
            self._asked.notice(message)
        else:
            self._column.mount(Static(Content(f"· {one_line(message)}"), markup=False, classes="notice"))

    def finish(self, answered: Answered) -> None:
        """The answer as it was kept."""
        self._forget_left_out()
        turn = self._current_run()
        turn.finish(answered.turn)
        self._broken = turn if turn.is_broken else None
        self._asked = None
        self._tell()

    def fail(self, failed: Failed) -> None:
        """There is no answer, or no more of it."""
        self._bring_back()
        turn, self._broken = self._asked or self._broken, None
        if turn is not None:
            turn.fail(failed)
        else:
            self._column.mount(Static(Content("\n").join(foot_lines({}, [], failed)), markup=False, classes="notice"))
        self._asked = None
        self._tell()

    def step(self, by: int) -> Citation | None:
        """The next or previous citation of the current turn, in order, made the current one."""
        turn = self.current
        citation = turn.footnotes.step(by) if turn else None
        if turn is not None and citation is not None:
            self._choose(turn)
        return citation

    def mark(self, citation: Citation) -> int:
        """A citation is shown now: mark it where it stands; how many its turn has, 0 where no turn has it."""
        current = self.current
        for turn in ([current] if current else []) + self._turns[::-1]:
            if turn.cites(citation):
                self._choose(turn)
                turn.footnotes.choose(citation.n)
                return turn.count
        return 0

    @property
    def without_citations(self) -> str:
        """Why there is no next citation."""
        turn = self.current
        if turn is None:
            return "there is no answer yet, so there are no citations"
        return "none of its citations is in doubt: u shows all" if turn.count else "this answer has no citations"

    def last_answer(self, *, with_references: bool) -> str:
        """The current answer as Markdown; empty where there is none."""
        turn = self.current
        if turn is None or not turn.source:
            return ""
        return with_notes(turn.answer, turn.source) if with_references else safe_text(turn.source)

    def _current_run(self) -> Turn:
        """The turn on its way; begun here where nobody said so, as with a summary."""
        if self._asked is None:
            self.begin("")
        assert self._asked is not None
        return self._asked

    def _taken(self) -> list[Turn]:
        """The last of the earlier turns, which are no longer behind the line: as many as cost no time to speak of."""
        count = lines = 0
        for kept in reversed(self._earlier[-SHOWN_AT_ONCE:]):
            text = answer_text(kept.answer)
            lines += text.count("\n") + len(text) // 80
            if count and lines > LINES_AT_ONCE:
                break
            count += 1
        split = len(self._earlier) - count
        taken, self._earlier = self._earlier[split:], self._earlier[:split]
        return [Turn(kept.question, kept) for kept in taken]

    def _mount(self, new: list[Turn], *, at_end: bool) -> None:
        place = len(self._turns) if at_end else 0
        self._turns[place:place] = new
        for turn in new:
            turn.footnotes.show_only_doubtful(self._only_doubtful)
        self._column.mount(*new, after=None if at_end else self._earlier_line)
        self._tell_current()

    def _remove(self, turns: Sequence[Turn]) -> None:
        for turn in list(turns):
            self._turns.remove(turn)
            turn.remove()
        if self._chosen not in self._turns:
            self._chosen = None

    def _choose(self, chosen: Turn) -> None:
        """Keys mean this turn from now on; no other has a citation that is marked."""
        self._chosen = chosen
        for turn in self._turns:
            if turn is not chosen:
                turn.footnotes.unmark()
        self._tell_current()

    def _tell_current(self) -> None:
        """Which turn keys mean, where there is more than one."""
        current = self.current if len(self._turns) > 1 else None
        for turn in self._turns:
            turn.set_class(turn is current, "-current")

    def _choose_around(self, widget: Widget | None) -> None:
        """The turn that a widget stands in."""
        around = set(widget.ancestors_with_self) if widget is not None else set()
        if turn := next((turn for turn in self._turns if turn in around), None):
            self._choose(turn)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self._choose_around(event.widget)

    def on_click(self, event: events.Click) -> None:
        self._choose_around(event.widget)

    def on_key(self, event: events.Key) -> None:
        """Letters that are no command are the beginning of a question."""
        letters = event.character if event.is_printable else None
        if letters and letters.strip() and event.key not in self.screen.active_bindings:
            event.stop()
            event.prevent_default()
            self.post_message(LettersTyped(letters))

    def _leave_out_from(self, turn_id: str) -> None:
        """Hide a turn and all behind it."""
        ids = [turn.turn_id for turn in self._turns]
        earlier = [kept.id for kept in self._earlier]
        if turn_id in ids:
            self._hide_from(ids.index(turn_id))
        elif turn_id in earlier:
            self._hide_from(0)
            split = earlier.index(turn_id)
            self._left_out_earlier, self._earlier = self._earlier[split:], self._earlier[:split]

    def _hide_from(self, split: int) -> None:
        self._left_out, self._turns = self._turns[split:], self._turns[:split]
        focused = self.screen.focused
        if focused is not None and not set(self._left_out).isdisjoint(focused.ancestors):
            self._scroll.focus(scroll_visible=False)
        for turn in self._left_out:
            turn.display = False

    def _bring_back(self) -> None:
        """Show again what was left out for an answer that did not come, above the question that got none."""
        asked = [self._asked] if self._asked is not None else []
        shown = [turn for turn in self._turns if turn not in asked]
        if self._left_out_earlier:  # they stand behind what was shown since
            self._earlier += [turn.kept for turn in shown if turn.kept] + self._left_out_earlier
            self._remove(shown)
            shown = []
        for turn in self._left_out:
            turn.display = True
        self._turns = shown + self._left_out + asked
        self._left_out, self._left_out_earlier = [], []
        self._tell_current()

    def _forget_left_out(self) -> None:
        for turn in self._left_out:
            turn.remove()
        self._left_out, self._left_out_earlier = [], []

    def _fold(self) -> None:
        """Put the first turns behind the line where many are shown: each costs time whenever something moves."""
        over = [turn for turn in self._turns[: max(0, len(self._turns) - SHOWN_MOST)] if turn.kept]
        self._earlier += [turn.kept for turn in over if turn.kept]
        self._remove(over)

    def _drop_empty(self) -> None:
        self._column.query("Examples, .introduction, .notice").remove()

    def _tell(self) -> None:
        self._earlier_line.tell(len(self._earlier))
        count = len(self._earlier) + len(self._turns)
        told = "answering · esc stops" if self._asked else counted(count, "turn") if count else ""
        doubtful = "in doubt only (u)" if self._only_doubtful else ""
        self.border_subtitle = Content(" · ".join(each for each in (told, doubtful) if each))

    @on(AnswerText.MarkClicked)
    def _mark_clicked(self, event: AnswerText.MarkClicked) -> None:
        event.stop()
        turn = event.control.query_ancestor(Turn)
        if citation := turn.footnotes.choose(event.number):
            self.post_message(CitationChosen(citation))

    @on(Footnotes.Opened)
    def _footnote_opened(self, event: Footnotes.Opened) -> None:
        event.stop()
        self.post_message(CitationChosen(event.citation))

    @on(OptionList.OptionSelected)
    def _example_chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(QuestionTakenBack(EXAMPLES[event.option_index], ""))

    def action_previous_citation(self) -> None:
        """Show the citation before the current one."""
        self.post_message(CitationStep(-1))

    def action_next_citation(self) -> None:
        """Show the citation after the current one."""
        self.post_message(CitationStep(1))

    def action_previous_turn(self) -> None:
        """Go to the turn above."""
        self._go(-1)

    def action_next_turn(self) -> None:
        """Go to the turn below; from the last one to its end."""
        self._go(1)

    def _go(self, by: int) -> None:
        turn = self.current
        if turn is None:
            return
        to = self._turns.index(turn) + by
        if to < 0 and self._earlier:
            self.show_earlier()
        elif to >= len(self._turns):
            self._scroll.anchor()
        elif to >= 0:
            self._choose(self._turns[to])
            self._scroll.focus(scroll_visible=False)
            self._scroll.release_anchor()
            self._scroll.scroll_to_widget(self._turns[to], top=True, animate=False)

    def action_edit(self) -> None:
        """Take the question back, to be changed."""
        if turn := self._askable():
            self.post_message(QuestionTakenBack(turn.question, turn.turn_id, self._behind(turn)))

    def action_again(self) -> None:
        """Ask the question again; through the prompt, which says so, where turns behind it would be left."""
        turn = self._askable()
        if turn is not None and (behind := self._behind(turn)):
            self.post_message(QuestionTakenBack(turn.question, turn.turn_id, behind))
        elif turn is not None:
            self.post_message(QuestionAsked(turn.question, turn.turn_id or None))

    def _behind(self, turn: Turn) -> int:
        return len(self._turns) - 1 - self._turns.index(turn)

    def _askable(self) -> Turn | None:
        """The current turn, unless something runs or it was no question."""
        turn = self.current
        return None if self.is_answering or turn is None or (turn.kept and turn.kept.summary_of) else turn

    def action_copy(self) -> None:
        """Copy the answer."""
        if text := self.last_answer(with_references=False):
            self.post_message(CopyWanted(text, "the answer"))

    def action_copy_references(self) -> None:
        """Copy the answer with its footnotes."""
        if text := self.last_answer(with_references=True):
            self.post_message(CopyWanted(text, "the answer with its references"))

    def action_doubtful(self) -> None:
        """Leave only footnotes that are in doubt, or show all."""
        self._only_doubtful = not self._only_doubtful
        for turn in self._turns:
            turn.footnotes.show_only_doubtful(self._only_doubtful)
        self._tell()

    def action_stop(self) -> None:
        """Stop the answer that is on its way."""
        if not self.is_answering:
            raise SkipAction
        self.post_message(StopWanted())


def with_notes(answer: Mapping[str, Any], markdown: str) -> str:
    """An answer as Markdown with its footnotes, safe to put anywhere."""
    notes = {note.n: note for note in footnotes(answer)}
    text = marked(safe_text(markdown).strip("\n"), lambda n: n if n in notes else None)
    return "\n\n".join(part for part in (text, "\n".join(note_line(n, note) for n, note in notes.items())) if part)
