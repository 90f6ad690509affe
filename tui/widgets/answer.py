"""An answer as it comes: one widget that lays out only the blocks that are new and draws only the lines in view."""

from collections.abc import Mapping
from time import thread_time

from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import Reactive
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.timer import Timer
from textual.visual import Visual
from textual.widget import Widget

from longctx.citations import Citation
from tui.answer_lines import AnswerLines
from tui.answer_markdown import AnswerMarkdown

FLUSHED_EVERY_S = 0.125
REST = 3  # times what drawing took, so that it takes a quarter of the time at most
LONGEST_PAUSE_S = 1.0


class Growing(Widget):
    """Laid out once where it grows. Textual lays out twice: again for the size that the layout itself has found."""

    virtual_size = Reactive(Size(0, 0), layout=False, repaint=False)


class AnswerText(Growing):
    """The Markdown of an answer. The marks of `citations`, which may grow, can be clicked; nothing else can."""

    DEFAULT_CSS = """
    AnswerText { height: auto; width: 1fr; color: $foreground; link-style: none; link-color: auto; }
    """

    class MarkClicked(Message):
        """The mark of a citation was clicked."""

        def __init__(self, answer: "AnswerText", number: int) -> None:
            super().__init__()
            self.answer = answer
            self.number = number

        @property
        def control(self) -> "AnswerText":
            """Where it stands."""
            return self.answer

    def __init__(self, citations: Mapping[int, Citation], markdown: str = "") -> None:
        super().__init__()
        self.auto_links = False
        self._citations = citations
        self._waiting = ""
        self._timer: Timer | None = None
        self._pause_s = FLUSHED_EVERY_S
        self._drawn_layout = AnswerLines(0)
        self._measured = self._drawn_layout
        self._strips: dict[int, tuple[Content, Strip]] = {}
        self._begin(markdown)

    @property
    def source(self) -> str:
        """All of the Markdown."""
        return self._markdown.source + self._waiting

    def add(self, text: str) -> None:
        """More of it; drawn with what else comes in an eighth of a second, or in more where drawing is slow."""
        self._waiting += text
        if self._timer is None:
            self._timer = self.set_timer(self._pause_s, self.flush)

    def flush(self) -> None:
        """Draw what came."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._waiting:
            begun_s = thread_time()
            self._draw()
            self.call_after_refresh(self._drawn, begun_s)

    def _draw(self) -> None:
        text, self._waiting = self._waiting, ""
        height = len(self._lines)
        first = self._grow(text)
        if len(self._lines) == height and self._drawn_layout.width:
            self.refresh(Region(0, first, self._drawn_layout.width, height - first))
        else:
            self.refresh(layout=True)

    def _drawn(self, begun_s: float) -> None:
        """It is on the screen."""
        self._pause_s = pause_s(thread_time() - begun_s)

    def set_markdown(self, markdown: str) -> None:
        """The whole of it as it is kept."""
        if markdown != self.source:
            self._waiting = ""
            self._begin(markdown)
        self.settle()

    def settle(self) -> None:
        """Nothing more comes: read what was put off, and draw all of it."""
        self.flush()
        self._lay_out_from(self._markdown.settle())
        self.refresh(layout=True)

    def _begin(self, markdown: str) -> None:
        self._markdown = AnswerMarkdown(self._citations.__contains__)
        self._drawn_layout = self._measured = AnswerLines(self._drawn_layout.width)
        if markdown:
            self._markdown.add(markdown)
            self._markdown.settle()
            self._lay_out_from(0)

    def _grow(self, text: str) -> int:
        """Lay out what more there is; the first line that may be another one now."""
        return self._lay_out_from(self._markdown.add(text))

    def _lay_out_from(self, block: int) -> int:
        """Lay out that block and all behind it; the line that it begins with."""
        layout = self._measured = self._drawn_layout
        del layout.blocks[block:]
        first = sum(map(len, layout.blocks)) + len(layout.blocks) * (not self._markdown.is_plain)
        self._lay_out(layout)
        return first

    def _lay_out(self, layout: AnswerLines) -> None:
        if layout.width:
            layout.grow(self._markdown, {n: citation.status for n, citation in self._citations.items()})

    def _at(self, width: int) -> AnswerLines:
        """It at that width: as it is drawn, or as it was measured last."""
        if self._drawn_layout.width == width:
            return self._drawn_layout
        if self._measured.width != width:
            self._measured = AnswerLines(width)
            self._lay_out(self._measured)
        return self._measured

    @property
    def _lines(self) -> list[Content]:
        """What is drawn: the lines of the width that it has."""
        if self.size.width and self._drawn_layout.width != self.size.width:
            self._drawn_layout = self._at(self.size.width)
        return self._drawn_layout.lines

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """As many lines as it has at that width, which need not be the one that is drawn."""
        return len(self._at(width).lines)

    def render_line(self, y: int) -> Strip:
        """One line, with what is selected of it; most lines are drawn again at each step as they were."""
        if y >= len(self._lines):
            return Strip.blank(self.size.width, self.visual_style.rich_style)
        line = self._selected(self._lines[y], y)
        known, strip = self._strips.get(y, (None, None))
        if strip is None or known is not line or strip.cell_length != self.size.width:
            strip = self._strip(line, y)
            self._strips[y] = line, strip
        return strip

    def _strip(self, line: Content, y: int) -> Strip:
        base = self.visual_style
        strips = Visual.to_strips(self, line, self.size.width, 1, base, apply_selection=False)
        strip = strips[0] if strips else Strip.blank(0)
        return strip.crop_extend(0, self.size.width, base.rich_style).apply_offsets(0, y)

    def notify_style_update(self) -> None:
        """Colours may be others now."""
        self._strips.clear()
        super().notify_style_update()

    def _selected(self, line: Content, y: int) -> Content:
        selection = self.text_selection
        span = selection.get_span(y) if selection else None
        if span is None:
            return line
        style = Style.from_styles(self.screen.get_component_styles("screen--selection"))
        return line.stylize(style, span[0], None if span[1] == -1 else span[1])

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text that is selected, in lines as they are shown."""
        return selection.extract("\n".join(line.plain.rstrip() for line in self._lines)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:  # noqa: ARG002
        """Draw what is selected."""
        self.refresh()

    def action_cite(self, number: int) -> None:
        """A mark was clicked."""
        self.post_message(self.MarkClicked(self, number))


def pause_s(cost_s: float) -> float:
    """How long to gather text before the next of it is drawn, where drawing took so long."""
    return min(max(FLUSHED_EVERY_S, REST * cost_s), LONGEST_PAUSE_S)
