"""The map: every local window of the context by its state's sign and colour, two in a cell or each in its own.

Two that are alike are a block or a capital; of two that are not the marked one is a small letter. It draws states and
has a cursor; it does not know what stands in a window. Only rows in which something changed are drawn anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Leave, MouseMove
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.window_states import WindowState

WIDTHS = (80, 64, 40)  # each divides the 640 cells of the model's 1,280 windows
MOST_ROWS = 16
WIDEST = 4

Pair = tuple[WindowState | None, WindowState | None]


@dataclass(frozen=True, slots=True)
class Grid:
    """Where windows stand: `halves` in a cell of so many columns' width, each of them for `share` windows in a row."""

    windows: int
    columns: int
    rows: int
    halves: int = 2
    share: int = 1
    wide: int = 1

    @property
    def in_cell(self) -> int:
        """The windows of a cell."""
        return self.halves * self.share

    @property
    def in_row(self) -> int:
        """The windows of a row."""
        return self.in_cell * self.columns

    def window_at(self, x: int, y: int) -> int | None:
        """The first window of the cell at a place; None where there is none."""
        column = x // self.wide
        window = (y * self.columns + column) * self.in_cell
        is_there = 0 <= column < self.columns and 0 <= y < self.rows and window < self.windows
        return window if is_there else None

    def cell_of(self, window: int) -> tuple[int, int]:
        """The column and the row of a window's cell."""
        row, rest = divmod(window, self.in_row)
        return rest // self.in_cell, row


def grid(windows: int, width: int, *, has_letters: bool = False) -> Grid:
    """The grid for so many windows in so many columns of the screen. Few windows have whole cells, wide ones; with
    letters all have whole ones."""
    if windows <= width // 2:
        return Grid(windows, windows, 1, halves=1, wide=min(WIDEST, width // windows))
    columns = next((each for each in WIDTHS if each <= width), max(1, width))
    share = -(-windows // (2 * columns * MOST_ROWS))
    halves = 1 if has_letters else 2
    return Grid(windows, columns, -(-windows // (halves * share * columns)), halves=halves, share=share)


def cells(states: Sequence[WindowState], of: Grid) -> list[list[Pair]]:
    """The rows of the map: each cell as its upper and lower half; None is no window. The strongest of a share wins."""
    halves: list[WindowState | None] = [max(states[n : n + of.share]) for n in range(0, len(states), of.share)]
    halves += [None] * (of.rows * of.columns * of.halves - len(halves))
    if of.halves == 1:
        pairs: list[Pair] = [(state, state) for state in halves]
    else:
        pairs = list(zip(halves[::2], halves[1::2], strict=True))
    return [pairs[row * of.columns : (row + 1) * of.columns] for row in range(of.rows)]


def changed(before: Sequence[Pair], after: Sequence[Pair]) -> tuple[int, int] | None:
    """The first cell of a row that is other than it was, and the one behind the last; None where all are the same."""
    differing = [n for n, (was, now) in enumerate(zip(before, after, strict=True)) if was != now]
    return (differing[0], differing[-1] + 1) if differing else None


def sign(pair: Pair, halves: int) -> str:
    """What is drawn for a cell: of two windows that are not alike a small letter for a marked one, else halves."""
    upper, lower = pair
    if upper is None:
        return " "
    if halves == 1:
        return upper.sign
    if lower is None or upper is lower:
        return upper.block
    stronger = max(upper, lower)
    return stronger.block.lower() if stronger.is_letter else "▀"


class WindowMap(Widget, can_focus=True):
    """Says `Pointed` when the cursor or the mouse is at another window, `Chosen` when one is to be opened."""

    HELP = """
## The window map

A window is 8,192 tokens, as far as the model's local attention reaches. They fill from left to right, two in a cell,
while the engine reads.

`C` cited, `P` a passage in it bears on the question, `S` stale (some of it stands in no file any more), `█` cached,
`▓` prefilled, `▒` new (not read yet), `·` empty. A small letter: only one of the two in the cell. `▀`: the two differ.

- **arrows, home, end** move the cursor, **enter** opens the first file of the window
- **m** gives each window a cell of its own, and back; there `●` is cached and `░` new · **l** the gauge's scale
"""
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "window-map--cursor",
        *(f"window-map--{state.word}" for state in WindowState),
    }
    DEFAULT_CSS = """
    WindowMap {
        & > .window-map--cursor { color: $background; background: $accent; text-style: bold; }
        & > .window-map--empty { color: $panel; }
        & > .window-map--new { color: $secondary; }
        & > .window-map--prefilled { color: $primary; }
        & > .window-map--cached { color: $success; }
        & > .window-map--stale { color: $error; }
        & > .window-map--passage { color: $warning; }
        & > .window-map--cited { color: $foreground; }
        &.-letters > .window-map--empty { color: $text-muted; }
        &.-letters > .window-map--new { color: $text; }
        &.-letters > .window-map--prefilled { color: $text-primary; }
        &.-letters > .window-map--cached { color: $text-success; }
        &.-letters > .window-map--stale { color: $text-error; }
        &.-letters > .window-map--passage { color: $text-warning; }
        &.-letters > .window-map--cited { color: $text; text-style: bold reverse; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Window before", id="map.left", show=False),
        Binding("right", "move(1)", "Next window", id="map.right", show=False),
        Binding("up", "move_rows(-1)", "Row above", id="map.up", show=False),
        Binding("down", "move_rows(1)", "Row below", id="map.down", show=False),
        Binding("home", "first", "First window", id="map.first", show=False),
        Binding("end", "last", "Last window", id="map.last", show=False),
        Binding("enter", "choose", "Open file", id="map.choose"),
        Binding("m", "letters", "Letters", id="map.letters"),
    ]

    cursor: reactive[int] = reactive(0)
    has_letters: reactive[bool] = reactive(default=False, init=False)

    @dataclass
    class Pointed(Message):
        """The cursor or the mouse is at a window."""

        window: int

    @dataclass
    class Chosen(Message):
        """What stands in a window is to be shown."""

        window: int

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._room = WIDTHS[0]
        self._styles: dict[Pair, Style] = {}
        self._states, self._grid, self._rows = self._laid((WindowState.EMPTY,))

    @property
    def states(self) -> Sequence[WindowState]:
        """What is shown."""
        return self._states

    @property
    def grid(self) -> Grid:
        """Where windows stand now."""
        return self._grid

    @property
    def shows_signs(self) -> bool:
        """Whether each window has a cell of its own."""
        return self._grid.halves == 1

    def show_states(self, states: Sequence[WindowState]) -> None:
        """The states of all windows, in order; there is one at least."""
        if len(states) != len(self._states):
            self._states, self._grid, self._rows = self._laid(states)
            self.cursor = min(self.cursor, len(states) - 1)
            self._take_place()
            return
        before = self._rows
        self._states, self._rows = states, cells(states, self._grid)
        for y, (was, now) in enumerate(zip(before, self._rows, strict=True)):
            if span := changed(was, now):
                self._redraw(*span, y)

    def fit(self, width: int) -> None:
        """Take as much of a width as there are windows for."""
        if width != self._room:
            self._room = width
            self._states, self._grid, self._rows = self._laid(self._states)
            self._take_place()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()

    def render_line(self, y: int) -> Strip:
        if y >= len(self._rows):
            return Strip.blank(self.size.width, self.rich_style)
        runs, column = list[Segment](), 0
        at = self._grid.cell_of(self.cursor) if self.has_focus else None
        for pair, alike in groupby(self._rows[y]):
            count = len(list(alike))
            if at is not None and at[1] == y and column <= at[0] < column + count:
                before = at[0] - column
                runs += [*self._run(pair, before), self._at_cursor(pair), *self._run(pair, count - before - 1)]
            else:
                runs += self._run(pair, count)
            column += count
        return Strip(runs).adjust_cell_length(self.size.width, self.rich_style)

    def watch_cursor(self, before: int, now: int) -> None:
        for window in (before, now):
            column, row = self._grid.cell_of(window)
            self._redraw(column, column + 1, row)
        self.post_message(self.Pointed(now))

    def watch_has_letters(self) -> None:
        self._states, self._grid, self._rows = self._laid(self._states)
        self._take_place()

    def on_mount(self) -> None:
        self._take_place()

    def on_focus(self) -> None:
        self.refresh()
        self.post_message(self.Pointed(self.cursor))

    def on_blur(self) -> None:
        self.refresh()

    def on_mouse_move(self, event: MouseMove) -> None:
        if (window := self._grid.window_at(event.x, event.y)) is not None:
            self.post_message(self.Pointed(window))

    def on_leave(self, _event: Leave) -> None:
        self.post_message(self.Pointed(self.cursor))

    def on_click(self, event: Click) -> None:
        if (window := self._grid.window_at(event.x, event.y)) is None:
            return
        self.cursor = window
        if event.chain == 2:
            self.action_choose()

    def action_move(self, by: int) -> None:
        self.cursor = min(max(0, self.cursor + by), len(self._states) - 1)

    def action_move_rows(self, by: int) -> None:
        if 0 <= (window := self.cursor + by * self._grid.in_row) < len(self._states):
            self.cursor = window

    def action_first(self) -> None:
        self.cursor = 0

    def action_last(self) -> None:
        self.cursor = len(self._states) - 1

    def action_choose(self) -> None:
        self.post_message(self.Chosen(self.cursor))

    def action_letters(self) -> None:
        self.has_letters = not self.has_letters

    def _laid(self, states: Sequence[WindowState]) -> tuple[Sequence[WindowState], Grid, list[list[Pair]]]:
        laid = grid(len(states), self._room, has_letters=self.has_letters)
        return states, laid, cells(states, laid)

    def _take_place(self) -> None:
        self.styles.width, self.styles.height = self._grid.columns * self._grid.wide, self._grid.rows
        self.set_class(self.shows_signs, "-letters")
        self._styles.clear()
        self.refresh()

    def _redraw(self, begin: int, end: int, row: int) -> None:
        wide = self._grid.wide
        self.refresh(Region(begin * wide, row, (end - begin) * wide, 1))

    def _run(self, pair: Pair, count: int) -> list[Segment]:
        """Cells that are alike; wide ones with a gap between them."""
        return [Segment(self._cell(pair) * count, self._style(pair))] if count else []

    def _cell(self, pair: Pair) -> str:
        wide, drawn = self._grid.wide, sign(pair, self._grid.halves)
        return f"{drawn * (wide - 1)} " if wide > 1 else drawn

    def _at_cursor(self, pair: Pair) -> Segment:
        """The cell at the cursor: its sign, or which of its halves it is."""
        style = self.get_component_rich_style("window-map--cursor")
        if self.shows_signs:
            return Segment(self._cell(pair), style)
        is_lower = self.cursor // self._grid.share % 2 == 1
        return Segment("▼" if is_lower else "▲", style)

    def _style(self, pair: Pair) -> Style:
        if (style := self._styles.get(pair)) is None:
            style = self._styles[pair] = self._made(pair)
        return style

    def _made(self, pair: Pair) -> Style:
        upper, lower = pair
        if upper is None:
            return self.rich_style
        if self.shows_signs:
            return self._of(upper)
        weaker, stronger = sorted((upper, upper if lower is None else lower))
        if stronger.is_letter:
            return self._marked(weaker if weaker.is_letter else stronger)
        ground = self.rich_style.bgcolor if weaker is stronger else self._of(lower or weaker).color
        return Style(color=self._of(upper).color, bgcolor=ground)

    def _marked(self, state: WindowState) -> Style:
        """A letter on the colour of a state."""
        ground = self.get_component_styles(f"window-map--{state.word}").color
        return Style(color=ground.get_contrast_text(1.0).rich_color, bgcolor=ground.rich_color, bold=True)

    def _of(self, state: WindowState) -> Style:
        return self.get_component_rich_style(f"window-map--{state.word}")
