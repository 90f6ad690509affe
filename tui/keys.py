"""Keys: the bindings of the commands, and the tables that help shows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text
from textual.binding import ActiveBinding, Binding, BindingType

from tui.commands import COMMANDS, Command

OF_APP = "app."
# Left to whatever has the focus first: a form closes, a search ends, a completion goes away.
YIELDING = ("escape",)
NAMES = {
    "escape": "esc",
    "enter": "⏎",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "slash": "/",
    "question_mark": "?",
    "colon": ":",
    "space": "space",
    "pageup": "pgup",
    "pagedown": "pgdn",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table of keys."""

    key: str
    what: str


def bindings(*, of_app: bool) -> list[BindingType]:
    """The bindings of the application's commands, or of the main screen's."""
    return [_binding(each) for each in COMMANDS if each.key and each.action.startswith(OF_APP) == of_app]


def _binding(command: Command) -> Binding:
    return Binding(
        command.key,
        command.action.removeprefix(OF_APP),
        command.short or command.name,
        show=command.footer > 0,
        tooltip=command.about,
        priority=command.key not in YIELDING,
        id=command.id,
    )


def key_name(keys: str) -> str:
    """Keys as people write them: `ctrl+b, f2`."""
    return ", ".join(_one(key) for key in keys.split(","))


def brief_name(key: str) -> str:
    """A key in as few cells as people still read: `^b`, `f2`, `⏎`."""
    return _one(key.split(",")[0]).replace("ctrl+", "^")


def _one(key: str) -> str:
    *modifiers, last = key.strip().split("+")
    last = NAMES.get(last, last)
    if modifiers == [] and len(last) == 1 and last.isupper():
        return last
    return "+".join([*modifiers, last])


def active_rows(active: Mapping[str, ActiveBinding]) -> list[Row]:
    """What the keys do where the cursor is now, the commands last; keys that do the same share a line.

    Only bindings with an id are ours; the others are what every field for text does.
    """
    names = {command.id: command.name for command in COMMANDS}
    keys: dict[tuple[int, str], list[str]] = {}
    said: dict[tuple[int, str], str] = {}
    for key, (node, binding, enabled, _) in active.items():
        if not binding.id or not enabled or not binding.description:
            continue
        what = (id(node), binding.action)
        keys.setdefault(what, []).append(key_name(key))
        said.setdefault(what, names.get(binding.id) or binding.tooltip or binding.description)
    rows = [Row(", ".join(keys[what][:3]), said[what]) for what in keys]
    return sorted(rows, key=lambda row: row.what in names.values())


def command_rows() -> list[Row]:
    """All commands: their key, or their slash command, and what they do."""
    return [Row(_how(each), f"{each.name}: {each.about}") for each in COMMANDS]


def _how(command: Command) -> str:
    typed = f"/{command.slash} {command.takes}".strip() if command.slash else ""
    return "  ".join(part for part in (key_name(command.key) if command.key else "", typed) if part) or "ctrl+p"


def table(rows: Iterable[Row]) -> Table:
    """Rows as two columns."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for row in rows:
        grid.add_row(Text(row.key, "bold"), Text(row.what))
    return grid
