"""What is shown where a terminal is too small for anything else: one sentence over the whole screen."""

from textwrap import wrap

from textual.content import Content
from textual.geometry import Size
from textual.widgets import Static

WIDTH, HEIGHT = 20, 5


class TooSmall(Static):
    """Covers a screen that keeps its state below."""

    DEFAULT_CSS = """
    TooSmall { layer: _tooltips; dock: top; width: 100%; height: 100%; background: $background; color: $text; }
    """

    def __init__(self, terminal: Size) -> None:
        super().__init__()
        self.fit(terminal)

    def fit(self, terminal: Size) -> None:
        """Say it to a terminal of this size."""
        self.update(Content("\n".join(lines(terminal))))


def is_too_small(terminal: Size) -> bool:
    """Whether nothing useful can be shown."""
    return terminal.width < WIDTH or terminal.height < HEIGHT


def laid_out(terminal: Size) -> Size:
    """The size to lay out for: in a few columns widgets have no column left, which Textual can't draw."""
    return Size(max(terminal.width, WIDTH), max(terminal.height, 1))


def lines(terminal: Size) -> list[str]:
    """As much of the sentence as there is room for."""
    return wrap(f"too small: {WIDTH} by {HEIGHT} at least", max(1, terminal.width))[: max(1, terminal.height)]
