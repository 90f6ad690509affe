"""Where a question is typed: some rows that grow, the questions before, and completion of paths and commands.

What is pasted is made visible before it becomes text; nothing in it is obeyed.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import TextArea

from ingest.naming import safe_text, show
from longctx.counted import counted
from tui.completing import Completing, command_in, commands_for, typed_at
from tui.fitting import end_of
from tui.messages import CommandTyped, EditorWanted, QuestionAsked, StopWanted
from tui.path_search import PathSearch
from tui.widgets.completions import Choice, Completions

PASTED_MOST = 200_000  # characters
HISTORY_MOST = 500
SHOWN_MOST = 90  # characters of a path in the list
PLACEHOLDER = "ask about everything that was read…  (@ file, / command)"
ANEW = "asking anew from here · esc cancels"


class Prompt(TextArea):
    """Says QuestionAsked, CommandTyped, EditorWanted and StopWanted; `@` completes the paths that `paths` gives.

    `commands` are what completes behind a slash at its beginning: a name with its slash, and what it does.
    """

    DEFAULT_CSS = """
    Prompt {
        height: auto; min-height: 3; max-height: 10; border: round $border-blurred; padding: 0 1;
        background: $background; border-title-color: $text; border-subtitle-color: $text-muted;
        scrollbar-size-vertical: 1;
    }
    Prompt:focus { border: round $accent; background: $background; }
    Prompt .text-area--cursor-line { background: transparent; }
    Prompt .text-area--placeholder { color: $text-muted; }
    """
    HELP = """
    ## Prompt

    **enter** sends, **ctrl+j** (or **shift+enter**, or `\\` and enter) begins a new line. **up** in the first row and
    **down** in the last one walk through the questions before. `@` and some letters of a name find a file; `/` lists
    the commands. **ctrl+g** opens the text in `$EDITOR`. **esc** stops an answer.
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Ask", id="prompt.send"),
        Binding("ctrl+j,shift+enter", "new_line", "New line", id="prompt.newline", show=False),
        Binding("tab", "complete", "Take completion", id="prompt.complete", show=False),
        Binding("escape", "leave", "Stop", id="prompt.leave", show=False),
        Binding("ctrl+g", "editor", "Editor", id="prompt.editor", show=False),
    ]

    def __init__(self, paths: Callable[[], Sequence[str]], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, placeholder=PLACEHOLDER, highlight_cursor_line=False)
        self.commands: Sequence[tuple[str, str]] = ()
        self._paths = paths
        self._search = PathSearch(())
        self._searched: Sequence[str] = ()
        self._asked: list[str] = []
        self._at = 0  # in the questions before; their number is the draft
        self._draft = ""
        self._instead_of: str | None = None
        self._behind = 0  # turns that are left then
        self._completions = Completions(self._take)

    async def on_mount(self) -> None:
        await self.screen.mount(self._completions)

    # --- what others say --------------------------------------------------------------------------------------------

    def take_back(self, question: str, instead_of: str = "", behind: int = 0) -> None:
        """Put a question here, to be changed; with the id of a turn it is asked anew from there.

        So many turns `behind` that one are left then.
        """
        self._instead_of, self._behind = instead_of or None, behind
        self.set_text(question)
        self.border_subtitle = Content(anew(behind)) if instead_of else ""
        self.focus()

    def add_letters(self, letters: str) -> None:
        """Letters that were typed elsewhere; the rest is typed here."""
        self.screen.set_focus(self)
        self.insert(safe_text(letters))

    def set_text(self, text: str) -> None:
        """Another text, as an editor gives it back; the cursor stands at its end."""
        self.text = safe_text(text[:PASTED_MOST])
        self.move_cursor(self.document.end)

    def set_history(self, questions: Sequence[str]) -> None:
        """The questions of this session, oldest first."""
        self._asked = [safe_text(question) for question in questions[-HISTORY_MOST:]]
        self._at, self._draft = len(self._asked), ""

    def show_state(self, state: str) -> None:
        """What keeps an answer from beginning, as `opening…`; empty where nothing does."""
        self.border_title = Content(safe_text(state))
        self.set_class(bool(state), "-held")

    # --- keys -------------------------------------------------------------------------------------------------------

    async def _on_key(self, event: events.Key) -> None:
        """What TextArea would take for text. A binding with priority would overtake the letters typed before it."""
        match event.key:
            case "enter":
                self.action_send()
            case "ctrl+j" | "shift+enter":
                self.action_new_line()
            case "tab" if self._completions.marked is not None:
                self.action_complete()
            case _:
                return
        event.prevent_default()
        event.stop()

    def action_send(self) -> None:
        """Ask, or take the completion; behind a backslash begin a new line."""
        marked = self._completions.marked
        if marked is not None and marked.text == self.text:  # it is whole
            self._completions.close()
        elif marked is not None:
            self.action_complete()
            return
        if self._before().endswith("\\"):
            self.action_delete_left()
            self.action_new_line()
            return
        text = self.text.strip()
        if not text:
            return
        command = command_in(text)
        self.post_message(CommandTyped(*command) if command else QuestionAsked(text, self._instead_of, self._behind))
        self._sent(text)

    def _sent(self, text: str) -> None:
        if not self._asked or self._asked[-1] != text:
            self._asked.append(text)
        self._at, self._draft = len(self._asked), ""
        self._begin()

    def _begin(self) -> None:
        """Nothing is typed, and nothing is asked anew."""
        self._instead_of, self._behind = None, 0
        self.border_subtitle = ""
        self.clear()

    def action_new_line(self) -> None:
        """Begin a new line."""
        self._completions.close()
        self.replace("\n", *self.selection)

    def action_cursor_up(self, select: bool = False) -> None:
        """Move up, in the list or in the text; from the first row to the question before."""
        if self._completions.is_open:
            self._completions.move(-1)
        elif self.cursor_at_first_line and not select:
            self._walk(-1)
        else:
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """Move down, in the list or in the text; from the last row to the question after."""
        if self._completions.is_open:
            self._completions.move(1)
        elif self.cursor_at_last_line and not select:
            self._walk(1)
        else:
            super().action_cursor_down(select)

    def _walk(self, by: int) -> None:
        """Show the question before or after; what was being typed stands behind the last one."""
        to = self._at + by
        if not 0 <= to <= len(self._asked):
            return
        if self._at == len(self._asked):
            self._draft = self.text
        self._at = to
        self.text = self._draft if to == len(self._asked) else self._asked[to]
        self.move_cursor((0, len(self.document.get_line(0))) if by < 0 else self.document.end)
        self._completions.close()

    def action_leave(self) -> None:
        """Close the list, else keep the turn that was to be asked anew, else stop the answer."""
        if self._completions.is_open:
            self._completions.close()
        elif self._instead_of is not None:
            self._begin()
        else:
            self.post_message(StopWanted())

    def action_editor(self) -> None:
        """Go on in the person's editor."""
        self.post_message(EditorWanted(self.text))

    def action_complete(self) -> None:
        """Put in what is marked in the list."""
        choice = self._completions.marked
        if choice is None:
            raise SkipAction
        self._take(choice)

    # --- completion -------------------------------------------------------------------------------------------------

    def _take(self, choice: Choice) -> None:
        row, column = self.cursor_location
        typed = typed_at(self._before(), row)
        self._completions.close()
        if typed is not None:
            self.replace(choice.text + " ", (row, typed.column), (row, column))

    def on_text_area_changed(self) -> None:
        """Complete what is being typed now."""
        typed = typed_at(self._before(), self.cursor_location[0]) if self.has_focus else None
        if typed is None:
            self._completions.close()
        else:
            choices = self._paths_for(typed.letters) if typed.what is Completing.PATH else self._commands(typed.letters)
            self._completions.show(choices, self.region)

    def _paths_for(self, letters: str) -> list[Choice]:
        paths = self._paths()
        if paths is not self._searched:
            self._search, self._searched = PathSearch(paths), paths
        return [Choice(show(path), Content(end_of(show(path), SHOWN_MOST))) for path in self._search.best(letters)]

    def _commands(self, letters: str) -> list[Choice]:
        found = commands_for(letters, self.commands)
        widest = max((len(name) for name, _ in found), default=0)
        return [Choice(name, Content.assemble(name.ljust(widest + 2), (about, "$text-muted"))) for name, about in found]

    def _before(self) -> str:
        """The row before the cursor."""
        row, column = self.cursor_location
        return self.document.get_line(row)[:column]

    def on_blur(self) -> None:
        self._completions.close()

    async def _on_paste(self, event: events.Paste) -> None:
        """Put in what was pasted, its controls made visible."""
        event.prevent_default()
        event.stop()
        text = safe_text(event.text[:PASTED_MOST].replace("\r\n", "\n").replace("\r", "\n"))
        self.replace(text, *self.selection)


def anew(behind: int) -> str:
    """What is said while a question is to be asked anew."""
    return f"asking anew leaves out {counted(behind, 'later turn')} · esc cancels" if behind else ANEW
