"""The doctor's screen."""

from collections.abc import Callable
from typing import Any

import pytest
from textual.widgets import Static

from longctx.backend.replies import Checked, Failed, NextSteps
from longctx.backend.requests import Doctor
from longctx.diagnosis import Check, Status
from tui.screens.doctor import DoctorScreen, entry, in_short, report

CHECKS = (
    Check("python", Status.OK, "3.11.7"),
    Check("sqlite", Status.OK, "3.45.1 with FTS5"),
    Check("vllm", Status.MISSING, "not installed, and there is no GPU for it", "pip install 'longctx[vllm]'"),
    Check("memory", Status.NOTE, "15.6 GiB: Llama 4 Scout needs 217 GB of weights, mapped from disk and read anew"),
    Check("model", Status.BAD, "~/models/[/red]\x1b[31m: no config.json", "hf download meta-llama/Llama-4-Scout"),
)
STEPS = NextSteps(("no model yet, three ways to one:", "  1. a server:", "       longctx chat PATH --base-url URL"))


def shown(pilot: Any) -> str:
    return str(pilot.app.screen.query_one("#doctor-report", Static).content)


def test_a_check_is_told_by_sign_and_word_and_its_fix_stands_below() -> None:
    assert entry(CHECKS[2], 200).plain.splitlines() == [
        "○ missing vllm        not installed, and there is no GPU for it",
        "                      → pip install 'longctx[vllm]'",
    ]
    assert [entry(Check("a", status, "b"), 80).plain[:9].strip() for status in Status] == [
        "✓ ok",
        "· note",
        "○ missing",
        "✗ bad",
    ]


def test_long_findings_go_on_below_themselves() -> None:
    shown = entry(CHECKS[3], 60).plain.splitlines()
    assert len(shown) == 3
    assert all(line.startswith(" " * 22) for line in shown[1:])


@pytest.mark.parametrize("text", ["[/red]", "[bold", "[@click=app.quit]x[/]", "\x1b[31m\u202e\udce4", "", "x" * 10_000])
def test_findings_cannot_paint(text: str) -> None:
    plain = report([Check(text, Status.BAD, text, text)], [text])
    assert plain.replace("\n", "").isprintable()


def test_the_report_is_whole_lines() -> None:
    assert report(CHECKS[:1], STEPS.lines).splitlines() == ["✓ ok      python      3.11.7", "", *STEPS.lines]


def test_in_short() -> None:
    assert in_short(CHECKS) == "2 ok · 1 note · 1 missing · 1 bad"
    assert in_short([]) == ""


async def test_checks_are_shown_as_they_come(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(DoctorScreen) as pilot:
        assert shown(pilot) == "… looking"
        listener.tell(Doctor, Checked(CHECKS[0]), done=False)
        await pilot.pause()
        assert shown(pilot).splitlines() == ["✓ ok      python      3.11.7", "… looking"]
        listener.tell(Doctor, Checked(CHECKS[1]), STEPS)
        await pilot.pause()
        assert shown(pilot).splitlines()[-1] == STEPS.lines[-1]
        assert "looking" not in shown(pilot)


async def test_r_looks_again_but_not_while_it_looks(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(DoctorScreen) as pilot:
        await pilot.press("r")
        assert listener.requests == [Doctor()]
        listener.tell(Doctor, *map(Checked, CHECKS), STEPS)
        await pilot.pause()
        await pilot.press("r")
        await pilot.pause()
        assert listener.requests == [Doctor(), Doctor()]
        assert shown(pilot) == "… looking"


async def test_y_copies_the_report(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(DoctorScreen) as pilot:
        listener.tell(Doctor, *map(Checked, CHECKS), STEPS)
        await pilot.pause()
        await pilot.press("y")
        await pilot.pause()
        assert pilot.app.clipboard == report(CHECKS, STEPS.lines)


async def test_escape_closes(run_sheet: Any) -> None:
    async with run_sheet(DoctorScreen) as pilot:
        await pilot.press("escape")
        await pilot.pause()
        assert pilot.app.results == [None]


async def test_what_does_not_fit_is_scrolled_and_the_keys_stay(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(DoctorScreen, size=(80, 24)) as pilot:
        listener.tell(Doctor, *map(Checked, CHECKS * 6), STEPS)
        await pilot.pause()
        assert pilot.app.screen.query_one("#hints").region.bottom < 24
        await pilot.press("end")
        await pilot.pause()
        assert pilot.app.screen.query_one("#doctor-checks").scroll_y > 10


@pytest.mark.parametrize(("size", "theme"), [((80, 24), "longctx-light"), ((120, 40), "longctx-dark")])
async def test_picture(
    run_sheet: Any, listener: Any, picture: Callable[..., None], size: tuple[int, int], theme: str
) -> None:
    async with run_sheet(DoctorScreen, size=size, theme=theme) as pilot:
        listener.tell(Doctor, *map(Checked, CHECKS), STEPS)
        await pilot.pause()
        picture(pilot)


async def test_picture_of_a_failure(run_sheet: Any, listener: Any, picture: Callable[..., None]) -> None:
    async with run_sheet(DoctorScreen, size=(80, 24)) as pilot:
        listener.tell(Doctor, Checked(CHECKS[0]), Failed("the backend [/red] ended", "start it again"), done=False)
        await pilot.pause()
        picture(pilot)
