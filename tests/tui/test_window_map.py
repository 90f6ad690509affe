"""The map of the windows: where each stands, and moving about in it."""

import time
from typing import Any

import pytest
from textual.pilot import Pilot

from tui.widgets.window_map import WIDTHS, Grid, WindowMap, cells, changed, grid, sign
from tui.window_states import WindowState

OF = {state.sign: state for state in WindowState}


def known(signs: str) -> list[WindowState]:
    return [OF[sign] for sign in signs]


def drawn(pilot: Pilot[Any]) -> list[str]:
    return [pilot.app.query_one(WindowMap).render_line(y).text for y in range(pilot.app.query_one(WindowMap).grid.rows)]


@pytest.mark.parametrize(("width", "columns", "rows"), [(200, 80, 8), (80, 80, 8), (79, 64, 10), (63, 40, 16)])
def test_the_model_s_windows_fill_whole_rows(width: int, columns: int, rows: int) -> None:
    laid = grid(1280, width)
    assert (laid.columns, laid.rows, laid.in_cell) == (columns, rows, 2)
    assert laid.columns * laid.rows * laid.in_cell == 1280


def test_few_windows_have_wide_cells_of_their_own() -> None:
    assert grid(1, 80) == Grid(1, 1, 1, halves=1, wide=4)
    assert grid(30, 80) == Grid(30, 30, 1, halves=1, wide=2)
    assert grid(40, 80) == Grid(40, 40, 1, halves=1, wide=2)
    assert grid(41, 80).halves == 2


@pytest.mark.parametrize("windows", [1, 2, 39, 40, 41, 160, 161, 1280, 1281, 3000, 50_000])
@pytest.mark.parametrize("width", [1, 7, 39, 40, 64, 80, 250])
def test_every_window_has_its_place(windows: int, width: int) -> None:
    laid = grid(windows, width)
    assert laid.columns * laid.wide <= max(
        width, max(w for w in WIDTHS if w <= max(width, 40)) if width >= 40 else width
    )
    assert laid.rows <= 16
    assert laid.rows * laid.in_row >= windows
    for window in {0, windows // 2, windows - 1}:
        column, row = laid.cell_of(window)
        first = laid.window_at(column * laid.wide, row)
        assert first is not None
        assert first <= window < first + laid.in_cell


def test_there_is_nothing_behind_the_last_window() -> None:
    laid = grid(1000, 80)
    assert laid.window_at(79, 5) == 958
    assert laid.window_at(79, 6) is None
    assert laid.window_at(80, 0) is None
    assert laid.window_at(-1, 0) is None


def test_two_windows_share_a_cell() -> None:
    rows = cells(known("CP░" + "·" * 98), grid(101, 40))
    assert rows[0][:2] == [(WindowState.CITED, WindowState.PASSAGE), (WindowState.NEW, WindowState.EMPTY)]
    assert rows[-1][-1] == (None, None)


def test_where_many_share_a_half_the_strongest_is_seen() -> None:
    states = known("░" * 2600)
    states[2599] = WindowState.CITED
    laid = grid(2600, 80)
    assert laid.share == 2
    assert [pair for row in cells(states, laid) for pair in row if WindowState.CITED in pair]


@pytest.mark.parametrize(
    ("upper", "lower", "drawn"),
    [
        (WindowState.CITED, WindowState.CITED, "C"),
        (WindowState.CACHED, WindowState.CITED, "c"),
        (WindowState.PASSAGE, WindowState.CITED, "c"),
        (WindowState.PASSAGE, None, "P"),
        (WindowState.CACHED, WindowState.CACHED, "█"),
        (WindowState.CACHED, WindowState.NEW, "▀"),
        (WindowState.EMPTY, None, "·"),
        (None, None, " "),
    ],
)
def test_a_cell_tells_whether_both_of_its_windows_are_so(
    upper: WindowState | None, lower: WindowState | None, drawn: str
) -> None:
    assert sign((upper, lower), 2) == drawn


def test_with_letters_each_window_has_a_cell() -> None:
    laid = grid(1280, 80, has_letters=True)
    assert (laid.columns, laid.rows, laid.in_cell) == (80, 16, 1)
    assert laid.window_at(79, 15) == 1279
    assert grid(1280, 60, has_letters=True).rows == 32


def test_only_what_changed_is_drawn_anew() -> None:
    before, after = ([(state, state) for state in known(signs)] for signs in ("░░░░░░", "░▓░░▓░"))
    assert changed(before, after) == (1, 5)
    assert changed(before, before) is None


async def test_a_change_draws_its_own_cells_alone(run_widget: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with run_widget(WindowMap(), size=(80, 24)) as pilot:
        shown = pilot.app.query_one(WindowMap)
        shown.show_states(known("░" * 1280))
        await pilot.pause()
        drawn = list[Any]()
        monkeypatch.setattr(shown, "refresh", lambda *regions, **_: drawn.extend(regions))
        shown.show_states(known("░" * 1280))
        assert drawn == []
        shown.show_states(known("░" * 162 + "▓▓" + "░" * 1116))
        assert [(region.x, region.y, region.width, region.height) for region in drawn] == [(1, 1, 1, 1)]


async def test_it_takes_the_place_it_needs(run_widget: Any) -> None:
    async with run_widget(WindowMap(), size=(80, 24)) as pilot:
        shown = pilot.app.query_one(WindowMap)
        shown.show_states(known("░" * 1280))
        await pilot.pause()
        assert shown.size == (80, 8)
        shown.fit(70)
        await pilot.pause()
        assert shown.size == (64, 10)


async def test_letters_and_half_blocks(run_widget: Any) -> None:
    async with run_widget(WindowMap(), size=(80, 24)) as pilot:
        shown = pilot.app.query_one(WindowMap)
        shown.show_states(known("CP░░" + "●" * 77))
        pilot.app.set_focus(None)
        await pilot.pause()
        assert drawn(pilot) == ["c▒" + "█" * 39 + " " * 39]
        shown.focus()
        shown.cursor = 70
        await pilot.press("m")
        await pilot.pause()
        assert [row.rstrip() for row in drawn(pilot)] == ["CP░░" + "●" * 76, "●"]
        assert shown.size == (80, 2)
        await pilot.press("m")
        assert "█" in drawn(pilot)[0]


async def test_few_windows_are_always_signs(run_widget: Any) -> None:
    async with run_widget(WindowMap(), size=(80, 24)) as pilot:
        pilot.app.query_one(WindowMap).show_states(known("●▓░·"))
        await pilot.pause()
        assert drawn(pilot) == ["●●● ▓▓▓ ░░░ ··· "]


async def test_keys_move_the_cursor(run_widget: Any) -> None:
    async with run_widget(WindowMap(), size=(80, 24)) as pilot:
        shown = pilot.app.query_one(WindowMap)
        shown.show_states(known("░" * 1280))
        shown.focus()
        await pilot.pause()
        places = []
        for key in ("left", "right", "right", "down", "up", "up", "end", "right", "down", "home"):
            await pilot.press(key)
            places.append(shown.cursor)
        assert places == [0, 1, 2, 162, 2, 2, 1279, 1279, 1279, 0]


async def test_the_cursor_says_which_half_it_is_at(run_widget: Any) -> None:
    async with run_widget(WindowMap(), size=(80, 24)) as pilot:
        shown = pilot.app.query_one(WindowMap)
        shown.show_states(known("░" * 1280))
        shown.focus()
        await pilot.pause()
        assert drawn(pilot)[0].startswith("▲▒")
        await pilot.press("right")
        assert drawn(pilot)[0].startswith("▼▒")


async def test_a_click_goes_there(run_widget: Any) -> None:
    async with run_widget(WindowMap(), size=(80, 24)) as pilot:
        shown = pilot.app.query_one(WindowMap)
        shown.show_states(known("░" * 1280))
        await pilot.pause()
        await pilot.click(WindowMap, offset=(10, 2))
        assert shown.cursor == 2 * 160 + 20


async def test_fewer_windows_take_the_cursor_along(run_widget: Any) -> None:
    async with run_widget(WindowMap(), size=(80, 24)) as pilot:
        shown = pilot.app.query_one(WindowMap)
        shown.show_states(known("░" * 1280))
        shown.cursor = 1279
        shown.show_states(known("░" * 100))
        await pilot.pause()
        assert shown.cursor == 99


async def test_a_full_map_is_drawn_within_milliseconds(run_widget: Any) -> None:
    """Every cell other than the one beside it: the worst case."""
    async with run_widget(WindowMap(), size=(80, 24)) as pilot:
        shown = pilot.app.query_one(WindowMap)
        one, other = (known(signs * 320) for signs in ("C░P▓", "●SP·"))
        shown.show_states(one)
        await pilot.pause()
        drawn(pilot)
        began = time.process_time()
        for n in range(20):
            shown.show_states(other if n % 2 else one)
            drawn(pilot)
        assert (time.process_time() - began) / 20 < 0.01
