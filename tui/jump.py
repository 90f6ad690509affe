"""Jump mode: a letter over each place on the screen; the letter goes there, anything else leaves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.errors import NoWidget
from textual.geometry import Offset, Region
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

LETTERS = "adefghijklmnoqrtuvxyz"  # those of the panes are their own


class Jump(ModalScreen[Widget | None]):
    """Asks for a letter; the result is the widget that it stands on."""

    DEFAULT_CSS = """
    Jump { background: $background 40%; layers: letters; }
    Jump Static {
        layer: letters; position: absolute; width: auto; height: 1; padding: 0 1;
        background: $accent; color: $background; text-style: bold;
    }
    Jump:ansi Static { background: $foreground; color: $background; text-style: bold reverse; }
    Jump #said { offset: 0 0; background: $panel; color: $text; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,ctrl+o", "leave", "leave", id="jump.leave")]
    HELP = "Each letter stands on a place of the screen: type it to go there. Escape leaves."

    def __init__(self, places: Mapping[str, tuple[Widget, Offset]]) -> None:
        super().__init__()
        self._places = places

    def compose(self) -> ComposeResult:
        for letter, (_, offset) in self._places.items():
            label = Static(Content(letter.upper()))
            label.styles.offset = (offset.x, offset.y)
            yield label

    def on_key(self, event: events.Key) -> None:
        found = self._places.get((event.character or "").lower())
        if found is not None:
            event.stop()
            self.dismiss(found[0])

    def on_click(self) -> None:
        self.dismiss(None)

    def action_leave(self) -> None:
        self.dismiss(None)


def lettered(named: Mapping[str, Widget], others: Sequence[Widget]) -> dict[str, tuple[Widget, Offset]]:
    """A letter for each widget that is seen: those with a letter of their own first, then as many others as fit."""
    places = {letter: (widget, seen.offset) for letter, widget in named.items() if (seen := _seen(widget)).area}
    taken = {offset for _, offset in places.values()}
    letters = _free(named)
    for widget in others:
        seen = _seen(widget)
        if seen.area and seen.offset not in taken and (letter := next(letters, None)):
            places[letter] = (widget, seen.offset)
            taken.add(seen.offset)
    return places


def _seen(widget: Widget) -> Region:
    """What of it is on the screen, and not scrolled out of what it stands in."""
    try:
        return widget.screen.find_widget(widget).visible_region
    except NoWidget:
        return Region()


def _free(named: Mapping[str, Widget]) -> Iterator[str]:
    return (letter for letter in LETTERS if letter not in named)
