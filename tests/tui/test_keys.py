"""Names of keys, and the footer."""

import pytest
from textual.binding import ActiveBinding, Binding
from textual.dom import DOMNode

from tui.commands import COMMANDS
from tui.keys import Row, active_rows, bindings, brief_name, command_rows, key_name
from tui.widgets.key_line import NARROW_KEYS, Shown, fitting, useful


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("ctrl+b", "ctrl+b"),
        ("escape", "esc"),
        ("left_square_bracket", "["),
        ("G", "G"),
        ("down,j", "down, j"),
        ("shift+enter", "shift+⏎"),
        ("f10", "f10"),
    ],
)
def test_keys_are_named_as_people_write_them(key: str, name: str) -> None:
    assert key_name(key) == name


def test_in_the_footer_they_are_brief() -> None:
    assert [brief_name(key) for key in ("ctrl+p", "escape", "j,down")] == ["^p", "esc", "j"]


def test_every_binding_has_an_id_and_a_word() -> None:
    both = [each for of_app in (True, False) for each in bindings(of_app=of_app)]
    assert len(both) == sum(bool(command.key) for command in COMMANDS)
    assert all(isinstance(each, Binding) and each.id and each.description for each in both)


def active(*shown: Binding) -> dict[str, ActiveBinding]:
    node = DOMNode()
    return {each.key: ActiveBinding(node, each, enabled=True, tooltip="") for each in shown}


def test_keys_of_one_action_share_a_line_and_those_of_every_text_field_are_left_out() -> None:
    rows = active_rows(
        active(
            Binding("f6", "engines", "engine", id="engine.pick"),
            Binding("j", "down", "Down", id="a"),
            Binding("down", "down", "Down", id="a"),
            Binding("ctrl+x", "cut", "Cut"),
            Binding("ctrl+c", "help_quit", system=True, id="b"),
        )
    )
    assert rows == [Row("j, down", "Down"), Row("f6", "Change the engine…")]


def test_every_command_is_in_the_table() -> None:
    rows = command_rows()
    assert len(rows) == len(COMMANDS)
    assert Row("ctrl+e  /export [FILE]", "Export this session: Write it to a file: Markdown, HTML or JSON") in rows
    assert all(row.key for row in rows)


def test_the_footer_shows_whole_keys_only() -> None:
    keys = [Shown("f1", "help", "help"), Shown("f2", "files", "files", 2), Shown("f3", "answers", "answers", 2)]
    assert fitting(keys, 500) == keys
    assert fitting(keys, 110) == keys
    assert [each.key for each in fitting(keys, 99)] == ["f1"]
    assert fitting(keys, 3) == []


def test_what_fits_is_not_cut_off() -> None:
    keys = [Shown("ctrl+b", "corpus", letter) for letter in "abcdefghijklmno"]
    assert all(len(fitting(keys, room)) == room // len("^b corpus  ") for room in (110, 120, 121, 142, 143))


def test_a_narrow_footer_has_few_keys_and_help_among_them() -> None:
    commands = [Shown("escape", "stop", "stop"), Shown("f1", "help", "help")]
    many = [*(Shown(letter, "something", letter) for letter in "abcdef"), *commands]
    assert [each.key for each in fitting(many, 70)] == ["a", "escape", "f1"]
    assert len(fitting(many, 70)) == NARROW_KEYS


def test_what_the_focus_does_comes_first() -> None:
    there = active(Binding("f1", "help", "help", id="app.help"), Binding("enter", "send", "Ask", id="prompt.send"))
    assert [each.what for each in useful(there, stops=False)] == ["ask", "help"]
    assert [each.what for each in useful(there, stops=True)] == ["ask", "stop", "help"]
