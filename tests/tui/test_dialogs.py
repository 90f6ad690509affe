"""Dialogs: what they show, and that escape changes nothing."""

from typing import Any

import pytest
from textual.app import App
from textual.widgets import Input, Static

from longctx.backend.replies import EffectIs, Failed
from longctx.backend.requests import Effect
from tui import themes
from tui.keys import command_rows
from tui.link import Link, Replied
from tui.screens.dialogs import Ask, Confirm, Exclusion, SummaryForm, scope_words
from tui.screens.help import Help

HOSTILE = "a[/red]\x1b[31m\u202e[@click=app.quit]x[/]\udcff" + "n" * 10_000
EFFECT = EffectIs(
    tokens_before=1_420_000,
    tokens_after=1_019_000,
    windows_before=174,
    windows_after=125,
    windows_kept=61,
    cached_lost=113,
)


class Room(App[None]):
    """Where a dialog is shown; `results` is what it ended with."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[Any] = []
        self.link = Link()
        for theme in themes.THEMES:
            self.register_theme(theme)

    def on_load(self) -> None:
        self.theme = themes.DARK

    def ask(self, dialog: Any) -> None:
        self.push_screen(dialog, self.results.append)

    def on_replied(self, event: Replied) -> None:
        self.link.deliver(event)


async def test_exclusion(listener: Any, picture: Any) -> None:
    app = Room()
    app.link.backend = listener
    listener.app = app
    async with app.run_test(size=(80, 20)) as pilot:
        app.ask(Exclusion(app.link, ("docs/",), "docs/", is_excluded=True))
        await pilot.pause()
        assert "counting" in str(app.screen.query_one("#effect", Static).render())
        listener.tell(Effect, EFFECT)
        await pilot.pause()
        await pilot.pause()
        picture(pilot)
        await pilot.press("enter")
        assert app.results == [True]


async def test_an_effect_that_is_not_known_is_said(listener: Any) -> None:
    app = Room()
    async with app.run_test(size=(80, 20)) as pilot:
        app.ask(Exclusion(app.link, (HOSTILE,), HOSTILE, is_excluded=False))
        await pilot.pause()
        assert "not running" in str(app.screen.query_one("#effect", Static).render())
        await pilot.press("escape")
        app.link.backend, listener.app = listener, app
        app.ask(Exclusion(app.link, (HOSTILE,), HOSTILE, is_excluded=False))
        await pilot.pause()
        listener.tell(Effect, Failed(HOSTILE, "hint"), done=False)
        await pilot.pause()
        await pilot.pause()
        await pilot.press("enter")
        assert app.results == [None], "what can't be counted is not done"


async def test_summary(picture: Any) -> None:
    app = Room()
    async with app.run_test(size=(80, 20)) as pilot:
        app.ask(SummaryForm(("docs/", "src/engine/prefill.py"), quotes_only=True))
        await pilot.pause()
        await pilot.press("right")
        await pilot.pause()
        picture(pilot)
        await pilot.press("escape")
        assert app.results == [None]


async def test_one_line_is_asked(picture: Any) -> None:
    app = Room()
    async with app.run_test(size=(80, 20)) as pilot:
        app.ask(Ask("Export this session", "writes", "a.exe", about="A file.", check=lambda name: "no " + name))
        await pilot.pause()
        picture(pilot)
        await pilot.press("enter")
        assert app.results == []
        app.screen.query_one(Input).value = "   "
        await pilot.press("enter")
        assert app.results == []
        await pilot.press("escape")
        assert app.results == [None]


async def test_a_hostile_title_is_offered_in_visible_form() -> None:
    app = Room()
    async with app.run_test(size=(80, 20)) as pilot:
        app.ask(Ask("Rename this session", "renames", HOSTILE))
        await pilot.pause()
        await pilot.press("enter")
        (title,) = app.results
        assert "\x1b" not in title and "\u202e" not in title and title.startswith("a[/red]")


async def test_what_was_typed_once_is_offered_as_it_is() -> None:
    app = Room()
    async with app.run_test(size=(80, 20)) as pilot:
        app.ask(Ask("Rename this session", "renames", r"C:\notes\a \d+", check=lambda _: ""))
        await pilot.pause()
        await pilot.press("enter")
        assert app.results == [r"C:\notes\a \d+"]


async def test_no_word_of_a_dialog_reaches_the_terminal_as_it_is() -> None:
    app = Room()
    async with app.run_test(size=(80, 20)) as pilot:
        app.ask(Ask("t\x1b[31m\u202e", "d\x1b[31m", "a", about="a\x1b[31m\u202e", check=lambda _: "w\x1b[31m"))
        await pilot.pause()
        seen = [str(each.render()) for each in app.screen.query(Static)]
        seen.append(str(app.screen.query_one("#form").border_title))
        assert sum("␛[31m" in each for each in seen) == 4
        assert not any("\x1b" in each or "\u202e" in each for each in seen)


async def test_a_dead_backend(picture: Any) -> None:
    app = Room()
    async with app.run_test(size=(80, 20)) as pilot:
        app.ask(Confirm("The backend ended", "killed by SIGSEGV\x1b[2J; its log: /x/[/red].log", "starts it again"))
        await pilot.pause()
        picture(pilot)
        await pilot.click("KeyHint")
        await pilot.pause()
        assert app.results == [True]


async def test_a_long_text_stays_on_the_screen() -> None:
    app = Room()
    async with app.run_test(size=(40, 12)) as pilot:
        app.ask(Confirm(HOSTILE, HOSTILE, "go on"))
        await pilot.pause()
        assert app.screen.region.contains_region(app.screen.query_one("#form").region)
        await pilot.press("escape")
        assert app.results == [None]


async def test_the_table_of_keys(picture: Any) -> None:
    app = Room()
    async with app.run_test(size=(100, 50)) as pilot:
        app.push_screen(Help("Keys", "", [("Commands", command_rows())]))
        await pilot.pause()
        picture(pilot)


@pytest.mark.parametrize(
    ("paths", "said"),
    [((), "the whole corpus"), (("a", "b/"), "a, b/"), (tuple("abcde"), "a, b, c and 2 more"), (("\x1b",), r"\x1b")],
)
def test_what_is_summarised_in_words(paths: tuple[str, ...], said: str) -> None:
    assert scope_words(paths) == said
