"""Names of keys, and the footer."""

import pytest
from textual.binding import ActiveBinding, Binding
from textual.dom import DOMNode

from tui.commands import COMMANDS
from tui.keys import Row, active_rows, bindings, brief_name, command_rows, key_name
from tui.widgets.key_line import ALWAYS, Shown, fitting, useful


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


def shown(key: str, what: str, rank: int = 2) -> Shown:
    return Shown(key, what, f"do_{key}", rank)


def test_the_footer_shows_whole_keys_only_and_what_is_always_there_first() -> None:
    keys = [shown("n", "next"), shown("f5", "windows", 4), shown("f1", "help", ALWAYS)]
    assert fitting(keys, 500) == keys
    assert [each.key for each in fitting(keys, 18)] == ["n", "f1"]
    assert [each.key for each in fitting(keys, 10)] == ["f1"]
    assert fitting(keys, 3) == []


@pytest.mark.parametrize("room", [10, 40, 70, 71, 99, 100, 142, 143])
def test_the_line_is_filled_at_any_width(room: int) -> None:
    keys = [shown(letter, "something") for letter in "abcdefghijklmno"]
    assert len(fitting(keys, room)) == min(15, room // len("a something  "))


def test_a_smaller_one_takes_what_room_is_left() -> None:
    keys = [shown("a", "something"), shown("b", "something long"), shown("c", "do")]
    assert [each.key for each in fitting(keys, 20)] == ["a", "c"]


def test_what_the_focus_does_comes_first() -> None:
    there = active(Binding("f1", "help", "help", id="app.help"), Binding("enter", "send", "Ask", id="prompt.send"))
    assert [each.what for each in useful(there, {})] == ["ask", "help"]


def test_escape_is_shown_only_where_it_does_something_and_by_that_word() -> None:
    there = active(Binding("escape", "stop", "stop", id="answer.stop"), Binding("f1", "help", "help", id="app.help"))
    assert [each.what for each in useful(there, {"answer.stop": ""})] == ["help"]
    assert [each.what for each in useful(there, {"answer.stop": "close"})] == ["close", "help"]
    covered = active(Binding("escape", "leave", "Stop", show=False, id="prompt.leave"))
    assert [each.what for each in useful(covered, {"answer.stop": "stop"})] == ["stop"], "the prompt hands it on"


def test_next_stands_before_previous() -> None:
    there = active(Binding("p", "back", "Previous citation", id="a"), Binding("n", "on", "Next citation", id="b"))
    assert [each.key for each in useful(there, {})] == ["n", "p"]


def test_what_two_keys_do_by_one_word_is_shown_with_that_of_the_focus() -> None:
    there = active(
        Binding("S", "summarise", "Summary", id="tree.summary"),
        Binding("ctrl+t", "summarise", "summary", id="summary.corpus"),
    )
    assert [each.key for each in useful(there, {})] == ["S"]
