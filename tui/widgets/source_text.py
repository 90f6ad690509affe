"""The text of a document, a row at a time: only what is seen is drawn, however long it is.

It refuses to highlight anything but the characters it is told, and to hand a terminal what it would obey.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from rich.cells import cell_len, get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from ingest.naming import safe_text, show
from longctx.backend.replies import PageIs
from tui.line_index import LineIndex
from tui.row_layout import Row, RowLayout, draw, is_plain
from tui.syntax import Syntax, Word, language
from tui.text_search import TextSearch

SLICE_SECONDS = 0.008  # of a frame, for each thing that goes on
FRAMES_PER_SECOND = 30
LEAST_DIGITS = 4
LEAST_WIDTH = 8
MOST_COPIED = 1_000_000
MARK = "▌"
Layer = tuple[int, int, Style]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is known of a text before it has come: its path and kind, its pages, the lines of its file."""

    path: str
    kind: str = ""
    pages: tuple[PageIs, ...] = ()
    first_lines: tuple[tuple[int, int], ...] | None = None


class SourceText(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows of a text that grows. Says Moved when what is found or where one is has changed."""

    ALLOW_SELECT = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", "Up", show=False, id="source.up"),
        Binding("down,j", "scroll_down", "Down", show=False, id="source.down"),
        Binding("left", "scroll_left", "Left", show=False, id="source.left"),
        Binding("right", "scroll_right", "Right", show=False, id="source.right"),
        Binding("pageup,b", "page_up", "Page up", show=False, id="source.page_up"),
        Binding("pagedown,space", "page_down", "Page down", show=False, id="source.page_down"),
        Binding("home,g", "to_top", "Top", show=False, id="source.top"),
        Binding("end,G", "to_end", "End", show=False, id="source.end"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "source--number",
        "source--mark",
        "source--cited",
        "source--ruler",
        "source--match",
        "source--current-match",
        *(f"source--{word}" for word in Word),
    }
    DEFAULT_CSS = """
    SourceText {
        height: 1fr;
        background: $background;
        color: $text;
        overflow-x: auto;
        overflow-y: auto;
        scrollbar-gutter: stable;
        scrollbar-size: 0 1;
        & > .source--number { color: $text-muted; }
        & > .source--mark { color: $accent; text-style: bold; }
        & > .source--cited { background: $accent-muted; color: $foreground; text-style: bold; }
        & > .source--ruler { color: $text-muted; }
        & > .source--match { background: $warning-muted; color: $foreground; text-style: underline; }
        & > .source--current-match { background: $warning; color: $background; text-style: bold; }
        &:ansi {
            & > .source--cited { background: transparent; text-style: bold reverse; }
            & > .source--match { background: transparent; color: $text-warning; text-style: underline; }
            & > .source--current-match { background: transparent; color: $text-warning; text-style: bold reverse; }
        }
        & > .source--comment { color: $text-muted; text-style: italic; }
        & > .source--string { color: $text-success; }
        & > .source--number-word { color: $text-warning; }
        & > .source--keyword { color: $text-accent; }
        & > .source--name { color: $text-primary; }
        & > .source--tag { color: $text-secondary; }
        & > .source--heading { color: $text-accent; text-style: bold; }
        & > .source--strong { text-style: bold; }
        & > .source--emphasis { text-style: italic; }
    }
    """

    class Moved(Message):
        """Another place, or more found."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.cited: tuple[int, int] | None = None
        self.search: TextSearch | None = None
        self.match: int | None = None
        self.wraps = False
        self._seek = 0  # the offset from which the first match is looked for
        self._target: tuple[int, float] | None = None  # what is in sight, how far down, until a person scrolls
        self._anchor = 0
        self._is_placing = False
        self._has_chosen = False  # whether lines wrap
        self.begin(Shape(path=""))

    def on_mount(self) -> None:
        self._frames = self.set_interval(1 / FRAMES_PER_SECOND, self._go_on, pause=True)

    # --- the text -------------------------------------------------------------------------------------------------

    def begin(self, shape: Shape) -> None:
        """Another text: nothing of it has come yet."""
        self.shape = shape
        self.index = LineIndex([page.start for page in shape.pages])
        self.rows = RowLayout(self.index)
        named = language(shape.path, shape.kind) if shape.first_lines is None else None
        self._syntax = Syntax(self.index, named) if named else None
        self.cited = self.search = self.match = self._target = None
        self._anchor = self._widest = 0
        self._has_chosen = False
        self.wraps = shape.kind not in ("", "code", "table", "sheets")
        if self.is_mounted:
            self._lay_out()
            self._place(0)

    def add(self, text: str) -> None:
        """More of the text."""
        last = len(self.index) - 1
        self.index.add(text)
        self.rows.grow()
        if self._syntax is not None:
            self._syntax.forget(last)
        self._resize_virtually()
        self._show_target()
        self.refresh()
        self._wake()

    # --- places ---------------------------------------------------------------------------------------------------

    @property
    def lines(self) -> int:
        """How many lines there are; what follows the last line end is none."""
        return max(1, self.index.lines - (self.index.starts[-1] == self.index.length))

    @property
    def top(self) -> int:
        """The first character that is seen."""
        return self._anchor

    @property
    def page(self) -> PageIs | None:
        """The page a third down the screen, or of what is cited there."""
        row = self.rows.at(round(self.scroll_y) + self._height // 3) or self.rows.at(max(0, self.rows.total - 1))
        return self.page_at(row.start) if row else None

    def page_at(self, offset: int) -> PageIs | None:
        """The page that holds a character."""
        place = bisect_right(self.shape.pages, offset, key=lambda page: page.start) - 1
        return self.shape.pages[max(0, place)] if self.shape.pages else None

    def line_at(self, offset: int) -> int | None:
        """The line of the file that holds a character, None where the file has no lines."""
        firsts = self.shape.first_lines
        if firsts is None:
            return self.index.line_of(self.index.piece_at(offset))
        if not firsts:
            return None
        return firsts[max(0, bisect_right(firsts, offset, key=lambda pair: pair[0]) - 1)][1]

    def is_seen(self, offset: int) -> bool:
        """Whether a character is in sight."""
        return 0 <= self.rows.row_of(offset) - round(self.scroll_y) < self._height

    def show_offset(self, offset: int, *, down: float = 1 / 3) -> None:
        """Bring a character into sight, a third down; as soon as it has come where it has not."""
        self._target = offset, down
        if offset > self.index.length or not self._height:
            return
        if self._runs_out_of_sight(offset):
            self.wraps = True
            self._lay_out()
            return
        row = self._settled_row(offset, int(self._height * down))
        self._resize_virtually()
        self._place(row - int(self._height * down))
        self._show_column(offset, row)
        self.refresh()
        self._wake()

    def show_line(self, line: int) -> None:
        """Go to a line of the file, or the nearest one there is."""
        firsts = self.shape.first_lines
        if firsts:
            place = bisect_right(firsts, line, key=lambda pair: pair[1]) - 1
            self.show_offset(firsts[max(0, place)][0])
        else:
            self.show_offset(self.index.starts[self.index.piece_of_line(line)])

    def show_page(self, number: int) -> None:
        """Go to a page, or the nearest one there is."""
        if self.shape.pages:
            page = min(self.shape.pages, key=lambda page: abs(page.number - number))
            self.show_offset(page.start, down=0)

    def show_cited(self, chars: tuple[int, int] | None) -> None:
        """Highlight these characters, and only these, and go there."""
        self.cited = chars
        if chars is not None:
            self.show_offset(chars[0])
        self.refresh()

    def toggle_wrap(self) -> None:
        """Wrap long lines, or let them run out of sight."""
        self.wraps, self._has_chosen = not self.wraps, True
        self._lay_out()
        if self.cited is not None and self.is_seen(self.cited[0]):
            self._show_column(self.cited[0], self.rows.row_of(self.cited[0]))

    # --- finding --------------------------------------------------------------------------------------------------

    def find(self, words: str) -> None:
        """Mark these words everywhere and go to the first ones from here on; no words end that."""
        if self.search is None:
            self._seek = self._anchor
        self.search = TextSearch(self.index, words) if words else None
        self.match = None
        self.refresh()
        self._wake()
        self.post_message(self.Moved())

    def step(self, by: int) -> None:
        """Go to the next or previous match."""
        if self.search is None or not self.search.places:
            return
        places = self.search.places
        self.match = (self.match + by) % len(places) if self.match is not None else 0
        self._seek = places[self.match]
        self.show_offset(self._seek)
        self.post_message(self.Moved())

    # --- what goes on between frames ------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self.is_mounted:
            self._frames.resume()

    def _go_on(self) -> None:
        """A slice of each thing that takes time, until nothing is left to do."""
        is_busy = [self._go_on_lexing(), self._go_on_searching(), self._go_on_measuring()]
        if not any(is_busy):
            self._frames.pause()

    def _go_on_lexing(self) -> bool:
        if self._syntax is None or not self._height:
            return False
        top = round(self.scroll_y)
        ends = [self.rows.at(y) for y in (top, min(top + self._height, self.rows.total) - 1)]
        if ends[0] is None or ends[1] is None:
            return False
        self._syntax.want(ends[0].piece, ends[1].piece)
        is_busy = self._syntax.go_on(SLICE_SECONDS)
        self.refresh()
        return is_busy

    def _go_on_searching(self) -> bool:
        if self.search is None or (self.search.is_done and self.match is not None):
            return False
        is_busy = self.search.go_on(SLICE_SECONDS)
        if self.match is None and self.search.places and (self.search.places[-1] >= self._seek or not is_busy):
            self.match = self.search.next(self._seek - 1)
            self.show_offset(self.search.places[self.match or 0])
        self.refresh()
        self.post_message(self.Moved())
        return is_busy

    def _go_on_measuring(self) -> bool:
        before = self.rows.total
        is_busy = self.rows.measure(SLICE_SECONDS)
        if self.rows.total != before:
            self._keep_place()
        if self.virtual_size.width < self._virtual_width:
            self._resize_virtually()
        return is_busy

    # --- scrolling ------------------------------------------------------------------------------------------------

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if not self._is_placing:
            row = self.rows.at(round(new_value))
            self._anchor = row.start if row else 0
            self._target = None
            self._resize_virtually()
        self._wake()

    def on_resize(self, _event: events.Resize) -> None:
        if self.wraps and self.rows.width != self._text_width:
            self._lay_out()
        else:
            self._show_target()

    def action_to_top(self) -> None:
        self.scroll_to(0, 0, animate=False, force=True)

    def action_to_end(self) -> None:
        self.scroll_to(y=self.rows.total, animate=False, force=True)

    @property
    def _height(self) -> int:
        return self.scrollable_content_region.height

    @property
    def _digits(self) -> int:
        """How wide line numbers are; 0 where there are none."""
        firsts = self.shape.first_lines
        if firsts is None:
            return max(LEAST_DIGITS, len(str(self.index.lines)))
        return max(LEAST_DIGITS, len(str(firsts[-1][1]))) if firsts else 0

    @property
    def _gutter(self) -> int:
        return 2 + self._digits

    @property
    def _text_width(self) -> int:
        return max(LEAST_WIDTH, self.scrollable_content_region.width - self._gutter)

    @property
    def _virtual_width(self) -> int:
        return 0 if self.wraps else self._gutter + max(self._widest, self.index.longest)

    def _lay_out(self) -> None:
        """Rows anew, with what was on top still there."""
        self.rows = RowLayout(
            self.index, [page.start for page in self.shape.pages], self._text_width if self.wraps else None
        )
        self._keep_place()
        self.refresh()
        self._wake()

    def _show_target(self) -> None:
        if self._target is not None:
            self.show_offset(self._target[0], down=self._target[1])

    def _keep_place(self) -> None:
        """After rows have changed: what was in sight still is."""
        if self._target is not None:
            self._show_target()
            return
        anchor = self._anchor
        self._resize_virtually()
        self._place(self.rows.row_of(anchor))
        self._anchor = anchor

    def _resize_virtually(self) -> None:
        size = Size(self._virtual_width, self.rows.total)
        if size != self.virtual_size:
            self.virtual_size = size

    def _place(self, y: int) -> None:
        self._is_placing = True
        self.scroll_to(y=max(0, y), animate=False, force=True)
        self._is_placing = False
        row = self.rows.at(round(self.scroll_y))
        self._anchor = row.start if row else 0

    def _settled_row(self, offset: int, above: int) -> int:
        """The row of a character, once what is seen above it is no estimate any more."""
        row = self.rows.row_of(offset)
        while self.rows.at(max(0, row - above)) is not None and (exact := self.rows.row_of(offset)) != row:
            row = exact
        return row

    def _runs_out_of_sight(self, offset: int) -> bool:
        """Whether what is cited there has lines that are wider than what is seen, and nobody minds wrapping them."""
        if self.cited is None or self.cited[0] != offset or self.wraps or self._has_chosen:
            return False
        first, last = self.index.piece_at(offset), self.index.piece_at(self.cited[1] - 1)
        last = min(last, first + self._height)
        begin, end = self.index.starts[first], min(self.cited[1], self.index.end(last))
        return any(cell_len(draw(line).shown) > self._text_width for line in self.index.slice(begin, end).split("\n"))

    def _show_column(self, offset: int, y: int) -> None:
        """Scroll sideways where a long line runs out of sight."""
        row = self.rows.at(y)
        if self.wraps or row is None:
            return
        column = cell_len(draw(self.index.slice(row.start, offset)).shown)
        is_seen = self.scroll_x <= column < self.scroll_x + self._text_width
        if not is_seen:
            self._widest = max(self._widest, column + self._text_width // 2)
            self._resize_virtually()
            self.scroll_to(
                x=0 if column < self._text_width else column - self._text_width // 3, animate=False, force=True
            )

    # --- drawing --------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One line of what is seen."""
        width, y = self.scrollable_content_region.width, y + round(self.scroll_y)
        row = self.rows.at(y)
        if row is None:
            return Strip.blank(width, self.rich_style)
        if row.page is not None:
            return Strip([Segment(self._ruler(row.page, width), self._style("ruler"))]).crop(0, width)
        return Strip.join([self._gutter_strip(row), self._text_strip(row, y, width - self._gutter)])

    def _layer(self, name: str) -> Style:
        """The style of a part: what it says of colours and letters, its colour as it is on this background."""
        said = self.get_component_rich_style(f"source--{name}", partial=True)
        if said.color is None:
            return said
        return said + Style(color=self.get_component_rich_style(f"source--{name}").color)

    def _style(self, name: str) -> Style:
        return self.rich_style + self._layer(name)

    def _ruler(self, page: int, width: int) -> str:
        text = f"── {page_words(self.shape.pages[page])} "
        return text + "─" * (width - cell_len(text))

    def _gutter_strip(self, row: Row) -> Strip:
        cited = self.cited
        is_cited = cited is not None and row.start < cited[1] and cited[0] < max(row.end, row.start + 1)
        number = self._number(row) if self._digits else ""
        return Strip(
            [
                Segment(MARK if is_cited else " ", self._style("mark")),
                Segment(f"{number:>{self._digits}} ", self._style("mark" if is_cited else "number")),
            ],
            self._gutter,
        )

    def _number(self, row: Row) -> str:
        """The number of the file's line that begins with a row."""
        if row.start != self.index.starts[row.piece]:
            return ""
        line = self.line_at(row.start)
        if self.shape.first_lines is None:
            return str(line) if self.index.begins_line(row.piece) else ""
        is_same = row.piece > 0 and line == self.line_at(self.index.starts[row.piece - 1])
        return "" if is_same else str(line)

    def _text_strip(self, row: Row, y: int, width: int) -> Strip:
        left = 0 if self.wraps else round(self.scroll_x)
        # Nothing is drawn of a long line that is far beyond what is seen.
        text = self.rows.text(row)[: 2 * (left + width)]
        drawn = draw(text)
        layers = [
            (drawn.places[max(0, start - row.start)], drawn.places[min(len(text), end - row.start)], style)
            for start, end, style in self._layers(row, row.start + len(text))
        ]
        first, pad = skipped(drawn.shown, left)
        segments = list(runs(drawn.shown, first, self.rich_style, [*layers, *self._selected(y, len(drawn.shown))]))
        strip = Strip([Segment(" " * pad, self.rich_style), *segments]) if pad else Strip(segments)
        self._widest = max(self._widest, left + strip.cell_length)
        return strip.crop_extend(0, width, self.rich_style).apply_offsets(first - pad, y)

    def _layers(self, row: Row, end: int) -> Iterable[Layer]:
        """The styles of characters of a row, the ones that win last."""
        words = self._syntax.of(row.piece) if self._syntax is not None else []
        for start, stop, word in words[bisect_right(words, row.start, key=lambda word: word[1]) :]:
            if start >= end:
                break
            yield start, stop, self._layer(word)
        if self.cited is not None and self.cited[0] < end and row.start < self.cited[1]:
            yield *self.cited, self._layer("cited")
        if self.search is not None:
            current = self.search.places[self.match] if self.match is not None else None
            for start, stop in self.search.within(row.start, end):
                yield start, stop, self._layer("current-match" if start == current else "match")

    # --- selecting ------------------------------------------------------------------------------------------------

    def _selected(self, y: int, length: int) -> list[Layer]:
        span = self.text_selection.get_span(y) if self.text_selection is not None else None
        if span is None:
            return []
        style = self.screen.get_component_rich_style("screen--selection")
        return [(span[0], length if span[1] == -1 else span[1], style)]

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What was selected with the mouse, harmless to a terminal that it is pasted into."""
        start, end = self.selected_range(selection)
        return safe_text(self.index.slice(start, min(end, start + MOST_COPIED))), "\n"

    def selected_range(self, selection: Selection) -> tuple[int, int]:
        """The characters between two places on the screen."""
        start = 0 if selection.start is None else self._offset_at(selection.start.y, selection.start.x)
        end = self.index.length if selection.end is None else self._offset_at(selection.end.y, selection.end.x)
        return start, end

    def _offset_at(self, y: int, x: int) -> int:
        row = self.rows.at(y)
        if row is None:
            return self.index.length
        places = draw(self.rows.text(row)).places
        return row.start + sum(1 for place in places[1:] if place <= x) if x > 0 else row.start

    def selection_updated(self, selection: Selection | None) -> None:  # noqa: ARG002
        self.refresh()


def page_words(page: PageIs) -> str:
    """What a ruler says: `p. 17 (printed xiv)`, `slide 3 (Costs)`."""
    is_page = page.kind == "page"
    name = f"{'p.' if is_page else page.kind} {page.number}"
    label = show(page.label)[:60]
    if not label or label == str(page.number):
        return name
    return f"{name} (printed {label})" if is_page else f"{name} ({label})"


def skipped(shown: str, cells: int) -> tuple[int, int]:
    """How many characters lie left of `cells`, and how many cells of the last one of them do not."""
    if cells <= 0:
        return 0, 0
    if is_plain(shown):
        return min(cells, len(shown)), 0
    width = 0
    for i, character in enumerate(shown):
        if width >= cells:
            return i, width - cells
        width += get_character_cell_size(character)
    return len(shown), max(0, width - cells)


def runs(shown: str, first: int, base: Style, layers: Sequence[Layer]) -> Iterable[Segment]:
    """The text from character `first` on, cut wherever its style changes."""
    edges = {place for start, end, _ in layers for place in (start, end) if first < place < len(shown)}
    bounds = [first, *sorted(edges), len(shown)]
    for start, end in pairwise(bounds):
        style = base
        for begin, stop, layer in layers:
            if begin <= start < stop:
                style += layer
        if end > start:
            yield Segment(shown[start:end], style)
