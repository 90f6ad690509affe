"""What completes what is being typed: a short list over the rest of the screen, led from where the cursor is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.geometry import Offset, Region
from textual.widgets import OptionList
from textual.widgets.option_list import Option

WIDEST = 100


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to take: what is put in, and how it reads."""

    text: str
    shown: Content


class Completions(OptionList, can_focus=False):
    """Choices; the prompt moves the mark and takes one. `take` is called with one that is clicked."""

    DEFAULT_CSS = """
    Completions {
        overlay: screen; display: none; width: auto; max-width: 90%; height: auto; max-height: 10;
        border: round $border; background: $surface; padding: 0; scrollbar-size-vertical: 1;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self, take: Callable[[Choice], None]) -> None:
        super().__init__(markup=False)
        self._take = take
        self._choices: list[Choice] = []

    @property
    def is_open(self) -> bool:
        """Whether there is anything to take."""
        return bool(self.display)

    @property
    def marked(self) -> Choice | None:
        """The choice that enter takes."""
        return None if self.highlighted is None or not self.is_open else self._choices[self.highlighted]

    def show(self, choices: Sequence[Choice], below: Region) -> None:
        """Show choices above that region; close where there are none."""
        self._choices = list(choices)
        self.clear_options()
        self.add_options(Option(choice.shown) for choice in self._choices)
        self.display = bool(self._choices)
        if self._choices:
            self.highlighted = 0
            rows = min(len(self._choices) + 2, 10)
            self.styles.width = min(WIDEST, 4 + max(choice.shown.cell_length for choice in self._choices))
            self.absolute_offset = Offset(below.x, max(0, below.y - rows))

    def close(self) -> None:
        """Take it away."""
        self.display = False

    def move(self, by: int) -> None:
        """Mark the next or previous choice."""
        if self._choices:
            self.highlighted = ((self.highlighted or 0) + by) % len(self._choices)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._take(self._choices[event.option_index])
