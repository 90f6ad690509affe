"""The log's screen."""

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from longctx.backend.replies import Failed, LogIs
from longctx.backend.requests import Log
from tui.screens.log import LogLines, LogScreen, clean

FILE = "/home/u/.local/state/longctx/logs/[b]ui.log"
LINES = tuple(f"10:00:{n % 60:02d} line {n} [/red] \x1b[31mred\x1b[0m" for n in range(200))


def log(pilot: Pilot[Any]) -> LogLines:
    return pilot.app.screen.query_one(LogLines)


async def settle(pilot: Pilot[Any]) -> None:
    await pilot.pause()
    await pilot.pause()


def subtitle(pilot: Pilot[Any]) -> str:
    return str(pilot.app.screen.query_one("#sheet").border_subtitle)


@pytest.mark.parametrize("text", ["[/red]", "\x1b[2J\x07", "\u202e\udce4\u2028", "a\nb", "x" * 10_000, "", "\t\r\n"])
def test_a_line_is_shown_and_not_obeyed(text: str) -> None:
    assert clean(text).isprintable()
    assert len(clean(text)) <= 20_000


async def test_it_follows_what_comes(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(LogScreen, size=(80, 24)) as pilot:
        listener.tell(Log, LogIs(FILE, LINES))
        await settle(pilot)
        assert log(pilot).scroll_y == log(pilot).max_scroll_y > 0
        pilot.app.screen._look()
        listener.tell(Log, LogIs(FILE, (*LINES, "the last one")))
        await settle(pilot)
        assert log(pilot).scroll_y == log(pilot).max_scroll_y
        assert log(pilot).lines[-1] == "the last one"


async def test_going_up_holds_still_and_the_end_follows_again(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(LogScreen, size=(80, 24)) as pilot:
        listener.tell(Log, LogIs(FILE, LINES))
        await settle(pilot)
        await pilot.press("home")
        await settle(pilot)
        assert not log(pilot).follows
        assert "holds still" in subtitle(pilot)
        pilot.app.screen._look()
        listener.tell(Log, LogIs(FILE, LINES[1:]))
        await settle(pilot)
        assert log(pilot).scroll_y == 0
        await pilot.press("end")
        await settle(pilot)
        assert log(pilot).follows
        assert "follows" in subtitle(pilot)


async def test_f_holds_still_and_follows(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(LogScreen, size=(80, 24)) as pilot:
        listener.tell(Log, LogIs(FILE, LINES))
        await settle(pilot)
        await pilot.press("f")
        pilot.app.screen._look()
        listener.tell(Log, LogIs(FILE, LINES * 2))
        await settle(pilot)
        assert log(pilot).scroll_y < log(pilot).max_scroll_y
        await pilot.press("f")
        await settle(pilot)
        assert log(pilot).scroll_y == log(pilot).max_scroll_y


async def test_a_log_that_begins_anew_is_still_followed(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(LogScreen, size=(80, 24)) as pilot:
        listener.tell(Log, LogIs(FILE, LINES))
        await settle(pilot)
        pilot.app.screen._look()
        listener.tell(Log, LogIs(FILE, LINES[:3]))
        await settle(pilot)
        pilot.app.screen._look()
        listener.tell(Log, LogIs(FILE, LINES[:90]))
        await settle(pilot)
        assert log(pilot).follows
        assert log(pilot).scroll_y == log(pilot).max_scroll_y > 0


async def test_it_asks_again_only_once_it_was_answered(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(LogScreen) as pilot:
        pilot.app.screen._look()
        assert listener.requests == [Log()]
        listener.tell(Log, LogIs(FILE, LINES))
        await pilot.pause()
        pilot.app.screen._look()
        assert listener.requests == [Log(), Log()]


async def test_y_copies_the_path(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(LogScreen) as pilot:
        listener.tell(Log, LogIs(FILE, LINES))
        await pilot.pause()
        await pilot.press("y")
        await pilot.pause()
        assert pilot.app.clipboard == FILE


async def test_an_error_is_said_and_it_goes_on_asking(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(LogScreen) as pilot:
        listener.tell(Log, Failed("no log [/red]", "look"), done=False)
        await pilot.pause()
        assert "no log [/red]" in str(pilot.app.screen.query_one("#log-remark", Static).content)
        pilot.app.screen._look()
        assert len(listener.requests) == 2


async def test_only_what_is_in_view_is_drawn(run_sheet: Any, listener: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = set[int]()
    plain = LogLines.render_line

    def counting(lines: LogLines, y: int) -> Any:
        drawn.add(y)
        return plain(lines, y)

    monkeypatch.setattr(LogLines, "render_line", counting)
    async with run_sheet(LogScreen, size=(80, 24)) as pilot:
        listener.tell(Log, LogIs(FILE, LINES))
        await settle(pilot)
        assert 10 < max(drawn) < 24


async def test_picture(run_sheet: Any, listener: Any, picture: Callable[..., None]) -> None:
    async with run_sheet(LogScreen, size=(80, 24)) as pilot:
        listener.tell(Log, LogIs(FILE, LINES))
        await settle(pilot)
        picture(pilot)


async def test_picture_of_an_empty_one(run_sheet: Any, listener: Any, picture: Callable[..., None]) -> None:
    async with run_sheet(LogScreen, size=(80, 24), theme="longctx-light") as pilot:
        listener.tell(Log, LogIs(FILE, ()))
        await settle(pilot)
        picture(pilot)
