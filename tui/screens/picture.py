"""A page of a PDF as a picture, over everything else; another page or size is asked of whoever opened it.

Coloured quarters of cells show layout and figures at once, and words when it is larger. It refuses to query the
terminal for better ways: the answer would come in between the keys.
"""

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Static

from longctx.backend.replies import PictureIs
from tui.quadrants import CELL_HEIGHT, CELL_WIDTH
from tui.widgets.page_picture import PagePicture

ZOOMS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
MARGIN = Size(2, 3)  # the border, and the line of keys
KEYS = "n p page · + - size · ←↑↓→ move · o viewer · esc closes"
POOR = f"few colours: {KEYS}"
Ask = Callable[[int, int, int], object]
Open = Callable[[int], object]


class PictureScreen(ModalScreen[None]):
    """Shows a page; what `ask(page, width, height)` leads to is told to `show_picture` or `fail`."""

    HELP = """
# Page picture

- **n** / **p** next, previous page · **+** / **-** larger, smaller · arrows move · **esc** closes
- **o** opens the page in your own viewer, which shows more
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Close", id="picture.close"),
        Binding("o", "open_outside", "Open", id="picture.open"),
        Binding("n", "next_page", "Next page", id="picture.next"),
        Binding("p", "previous_page", "Previous page", id="picture.previous"),
        Binding("plus,equals_sign", "larger", "Larger", id="picture.larger"),
        Binding("minus", "smaller", "Smaller", id="picture.smaller"),
    ]
    DEFAULT_CSS = """
    PictureScreen {
        background: $background;
        & > PagePicture {
            border: round $accent;
            border-title-color: $text;
            border-subtitle-color: $text-muted;
        }
        & > #picture-keys { height: 1; padding: 0 1; color: $text-muted; }
    }
    """

    def __init__(self, pages: int, ask: Ask, open_outside: Open) -> None:
        super().__init__()
        self._pages = pages
        self._ask = ask
        self._open_outside = open_outside
        self._picture: PictureIs | None = None
        self._zoom = 0
        self._failure = ""

    @staticmethod
    def room(size: Size) -> tuple[int, int]:
        """How many pixels a screen of so many cells has room for."""
        return max(1, size.width - MARGIN.width) * CELL_WIDTH, max(1, size.height - MARGIN.height) * CELL_HEIGHT

    def compose(self) -> ComposeResult:
        yield PagePicture(id="page-picture")
        yield Static(id="picture-keys", markup=False)

    def on_mount(self) -> None:
        self._show()

    def show_picture(self, picture: PictureIs) -> None:
        """The page that was asked for."""
        is_other = self._picture is None or self._picture.page != picture.page
        self._picture, self._failure = picture, ""
        if self.is_mounted:
            self._show()
            if is_other:
                self.query_one(PagePicture).to_top()

    def fail(self, words: str) -> None:
        """It can't be shown."""
        self._failure = words
        self._show()

    def action_close(self) -> None:
        self.dismiss(None)

    def action_open_outside(self) -> None:
        if self._picture is not None:
            self._open_outside(self._picture.page)

    def action_next_page(self) -> None:
        self._turn(1)

    def action_previous_page(self) -> None:
        self._turn(-1)

    def action_larger(self) -> None:
        self._scale(1)

    def action_smaller(self) -> None:
        self._scale(-1)

    def on_resize(self, _event: events.Resize) -> None:
        self.call_after_refresh(self._show)

    def _turn(self, by: int) -> None:
        if self._picture is not None and 1 <= self._picture.page + by <= self._pages:
            self._ask_for(self._picture.page + by)

    def _scale(self, by: int) -> None:
        if self._picture is not None and 0 <= self._zoom + by < len(ZOOMS):
            self._zoom += by
            self._ask_for(self._picture.page)

    def _ask_for(self, page: int) -> None:
        width, height = self.room(self.app.size)
        # Larger means wider than the screen: a page is read from top to bottom.
        zoom = ZOOMS[self._zoom]
        self._say(f"drawing page {page}…")
        self._ask(page, int(width * zoom), int(height * zoom))

    def _show(self) -> None:
        picture = self._picture
        if picture is None:
            return
        pane = self.query_one(PagePicture)
        pane.show_picture(picture)
        pane.border_title = Content(f"page {picture.page} of {self._pages}")
        pane.border_subtitle = Content(f"{ZOOMS[self._zoom]:.0%}")
        is_poor = self.app.console.color_system != "truecolor" or self.app.native_ansi_color
        self._say(self._failure or (POOR if is_poor else KEYS))

    def _say(self, words: str) -> None:
        self.query_one("#picture-keys", Static).update(Content(words))
