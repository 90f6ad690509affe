"""What is being typed where completion helps: a path behind `@`, a command behind a slash. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

COMMAND = re.compile(r"/([a-z][a-z-]*)(?:\s+(.*))?", re.DOTALL)


class Completing(StrEnum):
    """What is completed."""

    PATH = "path"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Typed:
    """What is typed until the cursor, and at which column of its row it begins (the `@` or slash included)."""

    what: Completing
    letters: str
    column: int


def typed_at(before: str, row: int) -> Typed | None:
    """What is to be completed behind `before`, the part of that row before the cursor; None where nothing is."""
    if row == 0 and (command := re.fullmatch(r"/([a-z-]*)", before)):
        return Typed(Completing.COMMAND, command[1], 0)
    path = re.search(r"(?:^|(?<=[\s(\"']))@(\S*)$", before)
    return Typed(Completing.PATH, path[1], path.start()) if path else None


def command_in(text: str) -> tuple[str, str] | None:
    """The name and the words of a slash command; None where it is none, as in `/usr/lib is what?`."""
    match = COMMAND.fullmatch(text.strip())
    return (match[1], (match[2] or "").strip()) if match else None


def commands_for(letters: str, commands: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The commands that begin with these letters, then those that hold them."""
    begin = [each for each in commands if each[0].removeprefix("/").startswith(letters)]
    return begin + [each for each in commands if letters in each[0] and each not in begin]
