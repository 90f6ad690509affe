"""Jump mode: a letter for each place, no letter twice."""

from typing import Any

from textual.app import App, ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.geometry import Offset
from textual.widgets import Input

from longctx.backend.requests import Open
from tui.jump import Jump, lettered


class Fields(App[None]):
    """Thirty fields and a named one."""

    CSS = "Input { width: 6; } #hidden { display: none; }"

    def compose(self) -> ComposeResult:
        yield Input(id="named")
        yield Input(id="hidden")
        with Horizontal():
            yield from (Input() for _ in range(12))


async def test_named_places_keep_their_letters_and_hidden_ones_have_none() -> None:
    async with Fields().run_test() as pilot:
        named = pilot.app.query_one("#named")
        hidden = pilot.app.query_one("#hidden")
        places = lettered({"c": named, "h": hidden}, list(pilot.app.query(Input)))
        assert places["c"] == (named, Offset(0, 0))
        assert hidden not in [widget for widget, _ in places.values()]
        assert len({widget for widget, _ in places.values()}) == len(places) == 13
        assert len({offset for _, offset in places.values()}) == len(places)


class Scrolled(App[None]):
    """Four fields of three rows, of which one and a half are in view."""

    CSS = "VerticalScroll { height: 5; } Input { height: 3; }"

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield from (Input() for _ in range(4))


async def test_what_is_scrolled_out_of_view_has_no_letter() -> None:
    async with Scrolled().run_test() as pilot:
        fields = list(pilot.app.query(Input))
        pilot.app.query_one(VerticalScroll).scroll_to(y=4, animate=False)
        await pilot.pause()
        places = lettered({"c": fields[0]}, fields)
        assert [(fields.index(widget), offset.y) for widget, offset in places.values()] == [(1, 0), (2, 2)]


async def test_a_letter_goes_there_and_escape_leaves(run_app: Any, listener: Any) -> None:
    async with run_app(size=(120, 30)) as pilot:
        screen = pilot.app.workspace
        assert isinstance(listener.requests[0], Open)
        await pilot.press("ctrl+o")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Jump)
        await pilot.press("1")
        assert isinstance(pilot.app.screen, Jump), "no place has that one"
        await pilot.press("c")
        await pilot.pause()
        assert screen.panes.around(screen.focused) == "corpus"
        for key in ("escape", "ctrl+o"):
            await pilot.press("ctrl+o")
            await pilot.pause()
            await pilot.press(key)
            await pilot.pause()
            assert pilot.app.screen is screen
        await pilot.press("ctrl+o")
        await pilot.pause()
        await pilot.press("p")
        await pilot.pause()
        assert screen.focused is screen.prompt
