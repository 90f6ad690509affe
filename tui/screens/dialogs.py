"""Small forms that come before something is done: keyboard first, enter does it, escape leaves everything as it was."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Static

from ingest.naming import safe_text, show
from longctx.backend.replies import EffectIs, Failed, Reply
from longctx.backend.requests import Effect, Length, Style, Summarise
from tui.exclusion import effect_words
from tui.link import Link

Result = TypeVar("Result")
Option = TypeVar("Option", bound=StrEnum)


class KeyHint(Static):
    """A key and what it does here; a click is the key."""

    DEFAULT_CSS = """
    KeyHint { width: auto; margin-right: 3; color: $text-muted; }
    KeyHint:hover { color: $text; text-style: underline; }
    """

    def __init__(self, key: str, name: str, what: str) -> None:
        super().__init__(Content.assemble((name, "bold $text-accent"), f" {safe_text(what)}"))
        self._key = key

    def on_click(self) -> None:
        self.app.simulate_key(self._key)


class Dialog(ModalScreen[Result | None], Generic[Result]):
    """A form in the middle of the screen. `title` is what is about to be done, `doing` what enter does: `renames`."""

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > #form {
        width: 66; max-width: 96%; height: auto; max-height: 96%; padding: 0 1;
        border: round $accent; border-title-color: $text; background: $surface; overflow-y: auto;
    }
    Dialog #hints { height: 1; margin-top: 1; }
    Dialog Input { margin-top: 1; padding: 0 1; background: $panel; }
    Dialog #form > .last { margin-top: 1; }
    Dialog .wrong { color: $text-error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "accept", "do it", id="dialog.accept"),
        Binding("escape", "leave", "leave", id="dialog.leave"),
    ]
    HELP = "Enter does what the dialog says, escape leaves everything as it is."

    def __init__(self, title: str, doing: str) -> None:
        super().__init__()
        self._title = title
        self._doing = doing

    def compose(self) -> ComposeResult:
        with Vertical(id="form") as form:
            form.border_title = Content(safe_text(self._title))
            yield from self.fields()
            with Horizontal(id="hints"):
                yield KeyHint("enter", "enter", self._doing)
                yield KeyHint("escape", "esc", "leaves it as it is")

    def fields(self) -> ComposeResult:
        """What is asked."""
        yield from ()

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_accept(self) -> None:
        """Enter was pressed."""
        self.dismiss(None)


class Confirm(Dialog[bool]):
    """Something that is better asked first; `text` may be hostile."""

    def __init__(self, title: str, text: str, doing: str) -> None:
        super().__init__(title, doing)
        self._text = text

    def fields(self) -> ComposeResult:
        yield Static(Content(safe_text(self._text)))

    def action_accept(self) -> None:
        self.dismiss(result=True)


class Ask(Dialog[str]):
    """One line of text; `check` says what is wrong with it, empty where nothing is."""

    def __init__(
        self, title: str, doing: str, value: str = "", *, about: str = "", check: Callable[[str], str] = lambda _: ""
    ) -> None:
        super().__init__(title, doing)
        self._value = value
        self._about = about
        self._check = check

    def fields(self) -> ComposeResult:
        if self._about:
            yield Static(Content(safe_text(self._about)))
        yield Input(value=" ".join(safe_text(self._value).split()), select_on_focus=False, compact=True)
        yield Static(classes="wrong")

    def on_mount(self) -> None:
        self._told(self._value)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._told(event.value)

    def _told(self, value: str) -> None:
        said = self._check(value) if value.strip() else ""
        wrong = self.query_one(".wrong", Static)
        wrong.update(Content(safe_text(said)))
        wrong.display = bool(said)

    @on(Input.Submitted)
    def action_accept(self) -> None:
        value = self.query_one(Input).value.strip()
        if value and not self._check(value):
            self.dismiss(value)


class Exclusion(Dialog[bool]):
    """What leaving out would change, counted by the backend, before it is done."""

    def __init__(self, link: Link, paths: tuple[str, ...], what: str, *, is_excluded: bool) -> None:
        verb, doing = ("Leave out", "leaves it out") if is_excluded else ("Bring back", "brings it back")
        super().__init__(f"{verb} {show(what)}"[:60], doing)
        self._link = link
        self._paths = paths
        self._is_known = False

    def fields(self) -> ComposeResult:
        yield Static("counting what it changes…", id="effect")

    def on_mount(self) -> None:
        if self._link.request(self, Effect(self._paths), self._told) is None:
            self._say("the backend is not running", "ctrl+p, Start the backend again")

    def _told(self, reply: Reply) -> None:
        if isinstance(reply, EffectIs):
            self._is_known = True
            self.query_one("#effect", Static).update(Content("\n".join(effect_words(reply))))
        elif isinstance(reply, Failed):
            self._say(reply.message, reply.hint)

    def _say(self, message: str, hint: str) -> None:
        self.query_one("#effect", Static).update(Content(safe_text(f"{message}: {hint}" if hint else message)))

    def action_accept(self) -> None:
        if self._is_known:
            self.dismiss(result=True)


class Choice(Widget, Generic[Option], can_focus=True):
    """One of a few words; left and right change it."""

    DEFAULT_CSS = """
    Choice { height: 1; width: 1fr; }
    Choice:focus { background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "previous", id="choice.previous"),
        Binding("right,space", "move(1)", "next", id="choice.next"),
    ]
    ALLOW_SELECT = False
    at: reactive[int] = reactive(0)

    def __init__(self, name: str, options: Sequence[Option], value: Option) -> None:
        super().__init__()
        self._label = name
        self._options = options
        self.set_reactive(Choice.at, options.index(value))

    @property
    def value(self) -> Option:
        """The one that is chosen."""
        return self._options[self.at]

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def action_move(self, by: int) -> None:
        self.at = (self.at + by) % len(self._options)

    def render(self) -> Content:
        parts = [Content.assemble(("▸ " if self.has_focus else "  "), (self._label.ljust(8), "$text-muted"))]
        for place, option in enumerate(self._options):
            chosen = place == self.at
            parts.append(Content.assemble(("◉ " if chosen else "○ ") + option, "   ").stylize("bold" if chosen else ""))
        return Content("").join(parts)


class SummaryForm(Dialog[Summarise]):
    """How long, and in what form."""

    HELP = "Up and down change the line, left and right what is chosen in it; enter begins, escape leaves."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "next line", show=False, id="summary.down"),
        Binding("up", "app.focus_previous", "previous line", show=False, id="summary.up"),
    ]

    def __init__(self, paths: tuple[str, ...], *, quotes_only: bool) -> None:
        super().__init__("Summary", "summarises")
        self._paths = paths
        self._quotes_only = quotes_only

    def fields(self) -> ComposeResult:
        yield Static(Content(f"of {scope_words(self._paths)}\n"))
        yield Choice("length", tuple(Length), Length.MEDIUM)
        yield Choice("form", tuple(Style), Style.BULLETS)
        if self._quotes_only:
            said = "The evidence engine writes nothing: it quotes what is most central, no model is asked."
            yield Static(said, classes="last")

    def action_accept(self) -> None:
        length, style = self.query(Choice)
        self.dismiss(Summarise(paths=self._paths, length=Length(length.value), style=Style(style.value)))


def scope_words(paths: Sequence[str]) -> str:
    """What is summarised, in words."""
    if not paths:
        return "the whole corpus"
    more = f" and {len(paths) - 3:,} more" if len(paths) > 3 else ""
    return ", ".join(show(path)[:200] for path in paths[:3]) + more
