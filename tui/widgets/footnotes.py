"""The citations of an answer below it, a line each: the current one is marked, each can be opened."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

from longctx.citations import Citation
from tui.cited import footnote, is_doubtful


class Footnotes(Widget, can_focus=True):
    """One line for each citation."""

    DEFAULT_CSS = """
    Footnotes { height: auto; width: 1fr; color: $foreground; margin: 1 0 0 0; }
    Footnotes:focus > .footnotes--current { background: $block-cursor-background; color: $block-cursor-foreground; }
    .footnotes--current { background: $boost; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"footnotes--current"}
    HELP = """
    ## Citations

    Each was looked up in the text that was read: `✓` its quote stands there, `→` it stands in another place, `≈` most
    of it does, `?` it was not found, `!` no such document was read. **Enter** shows it where it stands.
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "up", "Previous", id="footnotes.up", show=False),
        Binding("down,j", "down", "Next", id="footnotes.down", show=False),
        Binding("enter,o", "open", "Show source", id="footnotes.open"),
    ]

    class Opened(Message):
        """A citation is to be shown."""

        def __init__(self, footnotes: "Footnotes", citation: Citation) -> None:
            super().__init__()
            self.footnotes = footnotes
            self.citation = citation

        @property
        def control(self) -> "Footnotes":
            """Where it stands."""
            return self.footnotes

    def __init__(self) -> None:
        super().__init__()
        self._all: list[Citation] = []
        self._shown: list[Citation] = []
        self._lines: list[Content] = []
        self._only_doubtful = False
        self._at: int | None = None
        self.display = False

    @property
    def citations(self) -> Sequence[Citation]:
        """Those shown, in order."""
        return self._shown

    @property
    def current(self) -> Citation | None:
        """The one that is marked."""
        return None if self._at is None else self._shown[self._at]

    def set_citations(self, citations: Sequence[Citation]) -> None:
        """Those of an answer."""
        self._all = list(citations)
        self._choose()

    def show_only_doubtful(self, only: bool) -> None:
        """Leave out those whose quote was found, or show all."""
        self._only_doubtful = only
        self._choose()

    def _choose(self) -> None:
        current = self.current
        self._shown = [each for each in self._all if not self._only_doubtful or is_doubtful(each)]
        self._lines = [footnote(each) for each in self._shown]
        if self._only_doubtful and (left := len(self._all) - len(self._shown)):
            self._lines.append(Content.styled(f"{left} more, whose quotes were found (u shows all)", "$text-muted"))
        self._at = self._shown.index(current) if current in self._shown else None
        self.display = bool(self._lines)
        self.refresh(layout=True)

    def step(self, by: int) -> Citation | None:
        """Mark the next or previous one, or the first; None where there is none."""
        if not self._shown:
            return None
        start = (0 if by > 0 else -1) if self._at is None else self._at + by
        self._mark(start % len(self._shown))
        return self.current

    def choose(self, number: int) -> Citation | None:
        """Mark the one with that number."""
        at = next((i for i, each in enumerate(self._shown) if each.n == number), None)
        if at is None:
            return next((each for each in self._all if each.n == number), None)
        self._mark(at)
        return self.current

    def unmark(self) -> None:
        """None of them is the current one: it stands in another answer."""
        if self._at is not None:
            self._at = None
            self.refresh()

    def _mark(self, at: int) -> None:
        self._at = at
        self.refresh()
        self.scroll_to_region_of(at)

    def scroll_to_region_of(self, at: int) -> None:
        """Bring a line into view."""
        if self.is_attached and isinstance(self.parent, Widget):
            self.screen.scroll_to_widget(self, animate=False) if self.size.height < 2 else self._scroll_line(at)

    def _scroll_line(self, at: int) -> None:
        region = Region(self.virtual_region.x, self.virtual_region.y + at, self.size.width, 1)
        parent = self.parent
        if isinstance(parent, Widget):
            parent.scroll_to_region(region, animate=False)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """A line each."""
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        """A footnote; what does not fit is cut."""
        style = self.get_visual_style("footnotes--current") if y == self._at else self.visual_style
        if y >= len(self._lines):
            return Strip.blank(self.size.width, self.rich_style)
        sign = "▸ " if y == self._at else "  "
        line = Content.assemble(sign, self._lines[y]).truncate(self.size.width, ellipsis=True)
        strips = Visual.to_strips(self, line, self.size.width, 1, style)
        return strips[0].crop_extend(0, self.size.width, style.rich_style)

    def on_click(self, event: events.Click) -> None:
        """Open the one that was clicked."""
        if 0 <= event.y < len(self._shown):
            self._at = event.y
            self.refresh()
            self.action_open()

    def on_focus(self) -> None:
        """One is current wherever keys go to."""
        if self._at is None and self._shown:
            self._mark(0)

    def action_up(self) -> None:
        """Mark the one above; from the first on it is the conversation that scrolls."""
        self._move(-1)

    def action_down(self) -> None:
        """Mark the one below."""
        self._move(1)

    def _move(self, by: int) -> None:
        to = (self._at or 0) + by
        if not 0 <= to < len(self._shown):
            raise SkipAction
        self._mark(to)

    def action_open(self) -> None:
        """Show the current one where it stands."""
        if (citation := self.current) is not None:
            self.post_message(self.Opened(self, citation))
