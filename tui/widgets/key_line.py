"""The footer: the keys that are useful now, as many as fit; a click on one presses it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import ActiveBinding
from textual.content import Content
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

from tui.commands import COMMANDS
from tui.keys import brief_name

NARROW_CELLS = 100
NARROW_KEYS = 3  # and the palette
PALETTE = "palette"
STOP = next(command for command in COMMANDS if command.key == "escape")


@dataclass(frozen=True, slots=True)
class Shown:
    """A key in the footer; those of `rank` 2 only where the screen is wide."""

    key: str
    what: str
    action: str
    rank: int = 1

    @property
    def cells(self) -> int:
        """What it takes with the gap behind it."""
        return Content(brief_name(self.key)).cell_length + Content(self.what).cell_length + 3


class KeyLine(Footer):
    """Like Footer, but it shows whole keys only, those of the focused widget first."""

    DEFAULT_CSS = """
    KeyLine { scrollbar-size: 0 0; padding: 0 1; }
    KeyLine.-compact FooterKey { margin-right: 2; }
    """

    def __init__(self, *, stops: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, compact=True)
        self._stops = stops

    def compose(self) -> ComposeResult:
        if not self._bindings_ready:
            return
        last = Shown(self.app.COMMAND_PALETTE_BINDING, PALETTE, "app.command_palette")
        room = self.app.size.width - last.cells - 2
        for each in [*fitting(useful(self.screen.active_bindings, stops=self._stops), room), last]:
            key = FooterKey(each.key, brief_name(each.key), each.what, each.action)
            yield key.data_bind(compact=Footer.compact)


def useful(active: Mapping[str, ActiveBinding], *, stops: bool) -> list[Shown]:
    """What the keys do that are worth a place: those of the focus first, then the commands in their order."""
    ours = {command.id for command in COMMANDS}
    shown = [each.binding for each in active.values() if each.binding.show and each.enabled]
    there = {binding.id for binding in shown} | ({STOP.id} if stops else set())
    of_focus = [Shown(each.key, each.description.lower(), each.action) for each in shown if each.id not in ours]
    commands = [each for each in COMMANDS if each.footer and each.id in there]
    keys = [Shown(each.key, each.short, each.action, each.footer) for each in commands]
    return list({(each.action, each.what): each for each in (*of_focus, *keys)}.values())


def fitting(keys: Sequence[Shown], room: int) -> list[Shown]:
    """The keys that fit in so many cells, in their order; on a narrow screen some few."""
    chosen: Sequence[Shown] = keys
    if room < NARROW_CELLS:
        always = [each for each in keys if each.rank == 1]
        chosen = [*always[: NARROW_KEYS - 2], *always[-2:]] if len(always) > NARROW_KEYS else always
    fit: list[Shown] = []
    for each in sorted(chosen, key=lambda key: key.rank):
        room -= each.cells
        if room < 0:
            break
        fit.append(each)
    return [each for each in chosen if each in fit]
