"""A sheet over the main screen: it shows what the backend tells of itself, and goes away with escape."""

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize
from textual.screen import ModalScreen

from ingest.naming import safe_text
from longctx.backend.replies import Failed
from longctx.backend.requests import AnyRequest
from tui.link import Link, Told
from tui.screens.dialogs import KeyHint

Result = TypeVar("Result")

NO_BACKEND = Failed("nobody is there to ask: the backend has ended", "escape, then start it again", 5)
HIGHEST = 94  # per cent of the screen
LEAST = 16  # columns of a text beside what it belongs to


class Sheet(ModalScreen[Result | None], Generic[Result]):
    """A title, what `parts` composes, and the keys that are of use here."""

    DEFAULT_CSS = """
    Sheet { align: center middle; background: $background 60%; }
    Sheet > #sheet {
        width: 104; max-width: 96%; height: auto; max-height: 94%; padding: 0 1;
        border: round $accent; border-title-color: $text; border-subtitle-color: $text-muted; background: $surface;
    }
    Sheet #hints { height: 1; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "close", id="sheet.leave")]
    KEYS: Sequence[tuple[str, str, str]] = ()  # the key, as it is written, what it does
    NAME = ""
    GROWS = ""  # what is as high as its content, but scrolls before the keys are out of view
    BESIDES = 4  # the rows that all else takes: border and keys at the least

    def __init__(self, link: Link) -> None:
        super().__init__()
        self.link = link

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = Content(self.NAME)
            yield from self.parts()
            with Horizontal(id="hints"):
                for key, written, what in (*self.KEYS, ("escape", "esc", "closes")):
                    yield KeyHint(key, written, what)

    def parts(self) -> ComposeResult:
        """What it shows."""
        yield from ()

    @on(Resize)
    def _keep_keys(self, event: Resize) -> None:
        if self.GROWS:
            self.query_one(self.GROWS).styles.max_height = max(1, event.size.height * HIGHEST // 100 - self.BESIDES)

    def ask(self, request: AnyRequest, told: Told) -> None:
        """Send a request; where nobody is there to answer that is told instead."""
        if self.link.request(self, request, told) is None:
            told(NO_BACKEND)

    def remark(self, text: str) -> None:
        """Say something in the lower border."""
        self.query_one("#sheet").border_subtitle = Content(text)

    def copy(self, text: str, what: str) -> None:
        """Put a text on the clipboard, and say so."""
        self.app.copy_to_clipboard(text.encode("utf-8", "replace").decode())
        self.notify(f"copied: {what}", markup=False)

    def action_leave(self) -> None:
        self.dismiss(None)


def hanging(head: Content, body: Content, width: int) -> Content:
    """`body` behind `head`, its further lines below its first."""
    room = max(LEAST, width - head.cell_length)
    return head + Content(f"\n{'':<{head.cell_length}}").join(body.wrap(room))


def failure(failed: Failed) -> Content:
    """What failed and what to do, in a line each."""
    hint = [f"\n→ {safe_text(failed.hint)}"] if failed.hint else []
    return Content.assemble(("✗ ", "$text-error"), safe_text(failed.message), *hint)
