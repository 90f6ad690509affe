"""Help for what has the focus, and the table of all keys."""

from collections.abc import Sequence
from inspect import cleandoc
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Markdown, Static

from tui.keys import Row, table

GENERAL = """
Type a question and press Enter. Citations in the answer open the source where they stand; each was looked up by the
program: ✓ verified, → found elsewhere, ≈ most of it, ? not found, ! no such document.
"""


class Help(ModalScreen[None]):
    """Text and tables of keys; escape closes it."""

    DEFAULT_CSS = """
    Help { align: center middle; background: $background 60%; }
    Help > VerticalScroll {
        width: 90; max-width: 98%; height: auto; max-height: 96%; padding: 0 1;
        border: round $accent; border-title-color: $text; border-subtitle-color: $text-muted; background: $surface;
    }
    Help Markdown { padding: 0; margin: 0 0 1 0; background: transparent; }
    Help .heading { text-style: bold; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,f7,q", "dismiss", "close", id="help.close"),
    ]

    def __init__(self, title: str, text: str, tables: Sequence[tuple[str, Sequence[Row]]]) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._tables = tables

    def compose(self) -> ComposeResult:
        with VerticalScroll() as scroll:
            scroll.border_title = Content(self._title)
            scroll.border_subtitle = Content("esc closes · f7 all keys · ctrl+p all commands")
            if self._text:
                yield Markdown(self._text, open_links=False)
            for heading, rows in self._tables:
                yield Static(Content(heading), classes="heading")
                yield Static(table(rows))


def help_text(focused: Widget | None) -> str:
    """The help of what has the focus, or of the nearest that has any around it."""
    if focused is None:
        return GENERAL
    near = (cleandoc(each.HELP) for each in focused.ancestors_with_self if isinstance(each, Widget) and each.HELP)
    return next(near, GENERAL)
