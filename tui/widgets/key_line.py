"""The footer: the keys that are useful now, as many as fit; a click on one presses it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import ActiveBinding
from textual.content import Content
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

from tui.commands import COMMANDS
from tui.keys import brief_name

PALETTE = "palette"
ALWAYS, OF_FOCUS = 1, 2  # ranks; a command has that of its place in the footer
Words = Callable[[], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Shown:
    """A key in the footer; where not all fit, those of the lowest rank are first to have a place."""

    key: str
    what: str
    action: str
    rank: int = OF_FOCUS

    @property
    def cells(self) -> int:
        """What it takes with the gap behind it."""
        return Content(brief_name(self.key)).cell_length + Content(self.what).cell_length + 3


class KeyLine(Footer):
    """Like Footer, but it shows whole keys only, those of the focused widget first.

    `words` gives other words for commands, by their ids; those that are to be left out have an empty one.
    """

    DEFAULT_CSS = """
    KeyLine { scrollbar-size: 0 0; padding: 0 1; }
    KeyLine.-compact FooterKey { margin-right: 2; }
    """

    def __init__(self, words: Words = dict, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, compact=True)
        self._words = words

    def compose(self) -> ComposeResult:
        if not self._bindings_ready:
            return
        last = Shown(self.app.COMMAND_PALETTE_BINDING, PALETTE, "app.command_palette")
        room = self.app.size.width - last.cells - 2
        for each in [*fitting(useful(self.screen.active_bindings, self._words()), room), last]:
            key = FooterKey(each.key, brief_name(each.key), each.what, each.action)
            yield key.data_bind(compact=Footer.compact)


def useful(active: Mapping[str, ActiveBinding], words: Mapping[str, str]) -> list[Shown]:
    """What the keys do that are worth a place: those of the focus first, then the commands in their order."""
    ours = {command.id for command in COMMANDS}
    shown = [each.binding for each in active.values() if each.binding.show and each.enabled]
    of_focus = [Shown(each.key, each.description.lower(), each.action) for each in shown if each.id not in ours]
    of_focus.sort(key=lambda each: each.what.startswith("previous"))  # people go forward first
    first: dict[tuple[str, str], Shown] = {}
    for each in (*of_focus, *_commands({binding.id for binding in shown}, words)):
        first.setdefault((each.action, each.what), each)
    return list(first.values())


def _commands(active: set[str | None], words: Mapping[str, str]) -> Iterator[Shown]:
    for each in COMMANDS:
        word = words.get(each.id, each.short if each.id in active else "")
        if each.footer and word:
            yield Shown(each.key, word, each.action, each.footer if each.footer == ALWAYS else OF_FOCUS + each.footer)


def fitting(keys: Sequence[Shown], room: int) -> list[Shown]:
    """The keys that fit in so many cells, in their order."""
    fit: list[Shown] = []
    for each in sorted(keys, key=lambda key: key.rank):
        if each.cells <= room:
            room -= each.cells
            fit.append(each)
    return [each for each in keys if each in fit]
