"""One line to type in below a text: what to find, or which line or page to go to. It looks for nothing itself."""

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

MOST_TYPED = 200


class FindBar(Horizontal):
    """Says Typed with each letter, Stepped, Entered, and Closed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="find.close"),
        Binding("down", "forward", "Next", show=False, id="find.next"),
        Binding("up", "backward", "Previous", show=False, id="find.previous"),
    ]
    DEFAULT_CSS = """
    FindBar {
        height: 1;
        display: none;
        background: $panel;
        & > #find-label { width: auto; padding: 0 1; color: $text-accent; }
        & > Input { width: 1fr; }
        & > #find-count { width: auto; padding: 0 1; color: $text-muted; }
    }
    """

    @dataclass
    class Typed(Message):
        """The words to find so far."""

        words: str

    @dataclass
    class Stepped(Message):
        """The next (1) or previous (-1) match."""

        by: int

    @dataclass
    class Entered(Message):
        """Enter. `place` is the number to go to, None while finding."""

        place: int | None

    class Closed(Message):
        """Nobody looks any more."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.goes_to = ""

    def compose(self) -> ComposeResult:
        yield Static(id="find-label", markup=False)
        yield Input(compact=True, max_length=MOST_TYPED)
        yield Static(id="find-count", markup=False)

    @property
    def is_finding(self) -> bool:
        """Whether it is open for words."""
        return self.display and not self.goes_to

    def open_find(self) -> None:
        """Ask for words; those of the last time are selected."""
        self._open("find", "")

    def open_place(self, what: str, most: int) -> None:
        """Ask for the number of a `what`."""
        self._open(f"{what} 1–{most:,}", what)

    def show_count(self, words: str) -> None:
        """`3 of 41`."""
        self.query_one("#find-count", Static).update(Content(words))

    def action_close(self) -> None:
        self.display = False
        self.goes_to = ""
        self.post_message(self.Closed())

    def action_forward(self) -> None:
        self.post_message(self.Stepped(1))

    def action_backward(self) -> None:
        self.post_message(self.Stepped(-1))

    def _open(self, label: str, goes_to: str) -> None:
        field = self.query_one(Input)
        if goes_to or self.goes_to:
            with self.prevent(Input.Changed):
                field.value = ""
        self.goes_to = goes_to
        self.query_one("#find-label", Static).update(Content(label))
        self.show_count("")
        self.display = True
        field.focus()
        field.action_select_all()
        if field.value:
            self.post_message(self.Typed(field.value))

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if not self.goes_to:
            self.post_message(self.Typed(event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        typed = event.value.strip().replace(",", "")
        if not self.goes_to:
            self.post_message(self.Entered(None))
        elif typed.isascii() and typed.isdigit():
            self.post_message(self.Entered(int(typed)))
