"""The log: the last lines that engine and backend have written, as they come."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Static

from ingest.naming import safe_text, show
from longctx.backend.replies import Done, Failed, LogIs, Reply
from longctx.backend.requests import Log
from tui.link import Link
from tui.screens.sheet import Sheet, failure

EVERY_S = 1.0
LONGEST = 2000  # characters of a line that are shown
TAB = 8


class LogLines(ScrollView, can_focus=True):
    """Lines, of which only those in view are drawn. While it follows, the last one is in view."""

    DEFAULT_CSS = """
    LogLines { height: 1fr; background: $surface; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; }
    """

    follows: reactive[bool] = reactive(default=True)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.lines: Sequence[str] = ()

    def show_lines(self, told: Sequence[str]) -> None:
        """Other lines than before, or the same ones."""
        shown = [clean(line) for line in told]
        if shown == self.lines:
            return
        self.lines = shown
        self.virtual_size = Size(max(map(cell_len, shown), default=0), len(shown))
        self.refresh()
        self._follow()

    def render_line(self, y: int) -> Strip:
        x, top = self.scroll_offset
        width, style = self.scrollable_content_region.width, self.rich_style
        text = self.lines[top + y] if top + y < len(self.lines) else ""
        return Strip([Segment(text, style)]).crop_extend(x, x + width, style)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value >= self.max_scroll_y:
            self.follows = True
        elif new_value < old_value:
            self.follows = False

    def watch_follows(self) -> None:
        self._follow()

    def _follow(self) -> None:
        if self.follows:
            self.scroll_end(animate=False, force=True)


class LogScreen(Sheet[None]):
    """Asks for the last lines once a second while it is open."""

    DEFAULT_CSS = """
    LogScreen {
        & > #sheet { width: 96%; height: 94%; }
        #log-remark { height: auto; display: none; }
        #log-remark.-shown { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "follow", id="log.follow"),
        Binding("y", "copy_path", "copy path", id="log.copy"),
    ]
    KEYS = (("f", "f", "follows, or not"), ("y", "y", "copies the file's path"))
    NAME = "Log"
    HELP = """
## The log

What engine and backend have written, the last lines of it. **f** follows what comes, or holds still; going up holds
still too, going to the **end** follows again. **y** copies the file's path.
"""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._file = ""
        self._is_asking = False

    def parts(self) -> ComposeResult:
        yield LogLines(id="log-lines")
        yield Static(id="log-remark", markup=False)

    def on_mount(self) -> None:
        self._lines = self.query_one(LogLines)
        self._lines.focus()
        self.watch(self._lines, "follows", self._name_it)
        self._look()
        self.set_interval(EVERY_S, self._look)

    def action_follow(self) -> None:
        self._lines.follows = not self._lines.follows

    def action_copy_path(self) -> None:
        if self._file:
            self.copy(self._file, show(self._file))

    def _look(self) -> None:
        if not self._is_asking:
            self._is_asking = True
            self.ask(Log(), self._told)

    def _told(self, reply: Reply) -> None:
        remark = self.query_one("#log-remark", Static)
        match reply:
            case LogIs(file, told):
                self._file = file
                self._lines.show_lines(told)
                remark.set_class(not told, "-shown")
                remark.update("nothing was written yet")
                self._name_it()
            case Failed():
                self._is_asking = False
                remark.add_class("-shown")
                remark.update(failure(reply))
            case Done():
                self._is_asking = False

    def _name_it(self) -> None:
        how = "follows" if self._lines.follows else "holds still: f follows"
        self.remark(" · ".join([show(self._file), f"{len(self._lines.lines):,} lines", how] if self._file else ["…"]))


def clean(line: str) -> str:
    """A line that a terminal shows and does not obey, no longer than anybody reads."""
    return safe_text(line[:LONGEST]).replace("\n", "␊").expandtabs(TAB)
