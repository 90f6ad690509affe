"""Completion: what is being typed, and which paths it may mean."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.completing import Completing, Typed, command_in, commands_for, typed_at
from tui.path_search import PathSearch

PATHS = ("docs/plan.md", "src/engine/prefill.py", "src/engine/planner.py", "a.py", "README.md", "src/pl/x_an.c")


def best(typed: str) -> list[str]:
    return PathSearch(PATHS).best(typed)


def test_names_that_begin_with_it_come_first() -> None:
    assert best("plan")[:2] == ["docs/plan.md", "src/engine/planner.py"]
    assert best("PLAN")[0] == "docs/plan.md"
    assert best("a.p")[0] == "a.py"


def test_letters_in_this_order_are_found() -> None:
    assert best("sepre") == ["src/engine/prefill.py"]
    assert best("src/pl")[:2] == ["src/pl/x_an.c", "src/engine/planner.py"]
    assert best("zzz") == []


def test_close_letters_come_before_scattered_ones() -> None:
    assert PathSearch(("mod_112_prefill.py", "mod_12_prefill.py")).best("mod12p")[0] == "mod_12_prefill.py"


def test_nothing_typed_gives_the_first_ones() -> None:
    assert best("") == list(PATHS)


@given(st.lists(st.text(max_size=20), max_size=20), st.text(max_size=6))
def test_whatever_is_found_holds_the_letters(paths: list[str], typed: str) -> None:
    for path in PathSearch(paths).best(typed):
        letters = iter("/" + path.lower().replace("\n", " "))
        assert all(letter in letters for letter in typed.lower().replace("\n", " "))


def test_a_key_takes_less_than_30_ms_among_20_000_paths() -> None:
    search = PathSearch([f"src/pkg{i % 37}/mod_{i}_prefill.py" for i in range(20_000)])
    for typed in ("m", "mod12", "smp", "zzz", "mdrfl", "1"):
        begun = time.process_time()
        search.best(typed)
        assert time.process_time() - begun < 0.03, typed


@pytest.mark.parametrize(
    ("before", "row", "typed"),
    [
        ("see @src/a", 0, Typed(Completing.PATH, "src/a", 4)),
        ("@", 3, Typed(Completing.PATH, "", 0)),
        ("(@x", 0, Typed(Completing.PATH, "x", 1)),
        ("me@example", 0, None),
        ("see @a b", 0, None),
        ("/ex", 0, Typed(Completing.COMMAND, "ex", 0)),
        ("/ex", 1, None),
        ("/export f", 0, None),
        ("a /ex", 0, None),
    ],
)
def test_what_is_being_typed(before: str, row: int, typed: Typed | None) -> None:
    assert typed_at(before, row) == typed


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/map", ("map", "")),
        (" /export  a b.md ", ("export", "a b.md")),
        ("/usr/lib is what?", None),
        ("what is /map?", None),
        ("/", None),
        ("/2", None),
    ],
)
def test_a_slash_command(text: str, command: tuple[str, str] | None) -> None:
    assert command_in(text) == command


def test_commands_that_begin_with_it_come_first() -> None:
    commands = (("/export", ""), ("/map", ""), ("/plan", ""))
    assert [name for name, _ in commands_for("p", commands)] == ["/plan", "/export", "/map"]
    assert commands_for("", commands) == list(commands)
