"""The table of commands: each can be done, by key, by name and by a slash command."""

import inspect

import pytest

from tui.app import LongctxApp
from tui.commands import ALSO, COMMANDS, Command, for_slash, slash_commands, unknown
from tui.keys import OF_APP
from tui.screens.workspace import Workspace


def method(command: Command) -> object:
    owner = LongctxApp if command.action.startswith(OF_APP) else Workspace
    return getattr(owner, "action_" + command.action.removeprefix(OF_APP).partition("(")[0])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.id)
def test_each_command_is_an_action_that_takes_what_its_slash_command_takes(command: Command) -> None:
    parameters = inspect.signature(method(command)).parameters  # type: ignore[arg-type]
    assert not command.takes or "words" in parameters
    assert command.about and command.name


def test_ids_keys_and_slash_commands_are_unambiguous() -> None:
    for of in ("id", "key", "slash", "name"):
        values = [getattr(command, of) for command in COMMANDS if getattr(command, of)]
        assert len(values) == len(set(values)), of


def test_a_slash_command_has_other_names_too() -> None:
    assert all(for_slash(name) is for_slash(same) is not None for name, same in ALSO.items())
    assert for_slash("nothing of the kind") is None


@pytest.mark.parametrize(
    ("typed", "near"), [("sumary", "/summary"), ("EXPORT", "/export"), ("q", "/quit"), ("zzzz", None), ("", None)]
)
def test_an_unknown_command_names_the_nearest(typed: str, near: str | None) -> None:
    said = unknown(typed)
    assert f"/{typed} is not known" in said
    assert ("did you mean" in said) is (near not in (None, "/quit"))
    assert near in (None, "/quit") or near in said


def test_what_completes_behind_a_slash() -> None:
    names = [name for name, _ in slash_commands()]
    for wanted in ("plan", "tokens", "summary", "cite", "export", "resume", "new", "engine", "doctor", "log", "copy"):
        assert f"/{wanted}" in names
    assert {"/theme", "/help", "/quit"} <= set(names)


def test_what_completes_says_what_it_is_about() -> None:
    about = dict(slash_commands())
    assert about["/restart"] == "Start the engine again: after it ended, or to free what it holds"
    assert about["/cite"] == "Show a citation: by the number of its footnote"
    assert not any("…:" in each for each in about.values())
