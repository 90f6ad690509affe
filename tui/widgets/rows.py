"""A list of lines, however many: only those on the screen are drawn.

A row is pieces of text, each with the name of a component class; they go to the terminal as they are, so a subclass
gives nothing that a terminal obeys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

Piece = tuple[str, str]  # text, component class; the empty class is the list's own style


class Rows(ScrollView, can_focus=True):
    """Says Moved and Picked. A subclass has `count`, `pieces` and `note`, and calls `renew` when they change."""

    DEFAULT_CSS = """
    Rows {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        color: $text;
        &> .rows--cursor { color: $block-cursor-blurred-foreground; background: $block-cursor-blurred-background; }
        &:focus > .rows--cursor {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: $block-cursor-text-style;
        }
        &> .rows--muted { color: $text-muted; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--cursor", "rows--muted"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="rows.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="rows.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="rows.page-up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="rows.page-down"),
        Binding("home", "first", "First", show=False, id="rows.first"),
        Binding("end", "last", "Last", show=False, id="rows.last"),
    ]
    ALLOW_SELECT = False

    @dataclass
    class Moved(Message):
        """The cursor stands on another row, or on a row that says something else."""

        rows: "Rows"

    @dataclass
    class Picked(Message):
        """A row was clicked, `times` in a row."""

        rows: "Rows"
        times: int

    cursor: int = 0

    @property
    def count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def pieces(self, index: int, width: int) -> Sequence[Piece]:
        """What a row says in so many cells; nothing that a terminal obeys."""
        raise NotImplementedError

    def note(self) -> str:
        """What to say where there are no rows."""
        return ""

    def renew(self, cursor: int | None = None) -> None:
        """Draw the rows anew: there are others, or they say something else. What is seen stays where it is, unless
        the cursor does not."""
        self.virtual_size = Size(0, self.count)
        wanted = self._nearest(self.cursor if cursor is None else cursor)
        if wanted == self.cursor:
            self.refresh()
            self.post_message(self.Moved(self))
        else:
            self.move_to(wanted)

    def move_to(self, index: int) -> None:
        """Put the cursor on a row, the nearest there is."""
        self.cursor = self._nearest(index)
        self.refresh()
        self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False, force=True, immediate=True)
        self.post_message(self.Moved(self))

    def watch_show_vertical_scrollbar(self, is_shown: bool) -> None:
        """Rows that came just now may be scrolled already; a scrollbar that was not there was not told."""
        if is_shown:
            self.vertical_scrollbar.position = self.scroll_y

    def _nearest(self, index: int) -> int:
        return max(0, min(index, self.count - 1))

    def render_line(self, y: int) -> Strip:
        index, width = y + self.scroll_offset.y, self.scrollable_content_region.width
        base = self.rich_style
        if index >= self.count:
            text = self.note() if not self.count and y == 1 else ""
            pieces: Sequence[Piece] = [(text, "rows--muted")]
        else:
            pieces = self.pieces(index, width)
        if index == self.cursor and self.count:
            cursor = self.get_component_rich_style("rows--cursor")
            segments = [Segment(text, cursor) for text, _ in pieces]
            return Strip(segments).crop_extend(0, width, cursor)
        return Strip([Segment(text, self._style(name, base)) for text, name in pieces]).crop_extend(0, width, base)

    def _style(self, name: str, base: Style) -> Style:
        return self.get_component_rich_style(name) if name else base

    def on_click(self, event: events.Click) -> None:
        within = event.get_content_offset(self)
        index = self.count if within is None else within.y + self.scroll_offset.y
        if index < self.count:
            self.move_to(index)
            self.post_message(self.Picked(self, event.chain))

    def action_move(self, by: int) -> None:
        self.move_to(self.cursor + by)

    def action_page(self, by: int) -> None:
        self.move_to(self.cursor + by * max(1, self.size.height - 1))

    def action_first(self) -> None:
        self.move_to(0)

    def action_last(self) -> None:
        self.move_to(self.count - 1)
