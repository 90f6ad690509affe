"""A picture in a pane, row by row as it is scrolled. It refuses to scale: who asks for a picture says how large."""

from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from longctx.backend.replies import PictureIs
from tui.quadrants import CELL_HEIGHT, CELL_WIDTH, row


class PagePicture(ScrollView, can_focus=True, inherit_bindings=False):
    """Scrolled with the arrows; a smaller picture stands in the middle."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", "Up", show=False, id="picture.up"),
        Binding("down,j", "scroll_down", "Down", show=False, id="picture.down"),
        Binding("left,h", "scroll_left", "Left", show=False, id="picture.left"),
        Binding("right,l", "scroll_right", "Right", show=False, id="picture.right"),
        Binding("pageup,b", "page_up", "Page up", show=False, id="picture.page_up"),
        Binding("pagedown,space", "page_down", "Page down", show=False, id="picture.page_down"),
    ]
    DEFAULT_CSS = """
    PagePicture { height: 1fr; background: $background; scrollbar-size: 1 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._picture: PictureIs | None = None
        self._rows: dict[int, list[Segment]] = {}

    def show_picture(self, picture: PictureIs) -> None:
        """Another picture; what was in the middle stays there."""
        across, down = self._middle()
        self._picture, self._rows = picture, {}
        self.virtual_size = Size(picture.width // CELL_WIDTH, picture.height // CELL_HEIGHT)
        room = self.scrollable_content_region.size
        x, y = across * self.virtual_size.width - room.width / 2, down * self.virtual_size.height - room.height / 2
        self.scroll_to(max(0, x), max(0, y), animate=False, force=True)
        self.refresh()

    def to_top(self) -> None:
        """Look at the beginning of the page."""
        self.scroll_to(y=0, animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        room, size = self.scrollable_content_region.size, self.virtual_size
        pad, above = max(0, room.width - size.width) // 2, max(0, room.height - size.height) // 2
        segments = self._row(round(self.scroll_y) + y - above)
        left = round(self.scroll_x)
        strip = Strip(segments).crop(left, left + room.width)
        return Strip([Segment(" " * pad, self.rich_style), *strip]).crop_extend(0, room.width, self.rich_style)

    def _row(self, y: int) -> list[Segment]:
        picture = self._picture
        if picture is None or not 0 <= y < self.virtual_size.height:
            return []
        if y not in self._rows:
            self._rows[y] = row(picture.rgb, picture.width, picture.height, y)
        return self._rows[y]

    def _middle(self) -> tuple[float, float]:
        """What of the picture, across and down, stands in the middle."""
        size, room = self.virtual_size, self.scrollable_content_region.size
        across = (self.scroll_x + room.width / 2) / size.width if size.width > room.width else 0.5
        down = (self.scroll_y + room.height / 2) / size.height if size.height > room.height else 0.0
        return across, down
