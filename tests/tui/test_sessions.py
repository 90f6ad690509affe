"""The sessions screen: found, looked at, gone on with, renamed, exported, deleted; nothing in a title is obeyed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot
from textual.widgets import Input, Static

from longctx.backend.replies import Exported, Failed, Reply, SessionIs, SessionsAre, TurnIs, TurnsAre
from longctx.backend.requests import Export, Form, Remove, Rename, Sessions, Turns
from tui.screens.sessions import SessionRows, SessionsScreen
from tui.session_lines import TURNS_SHOWN, ago, row_pieces, turns_in_short

NOW = 1_800_000_000.0
HOSTILE = ("[/red]", "[bold", "[@click=app.quit]x[/]", "a\x1b[31mb", "\u202eabc", "\ud800", "x" * 10_000, "")
TITLES = ("Where is the prefill bottleneck?", "Which licences are copyleft?", "What do the reports say about costs?")


def session(n: int, **fields: Any) -> SessionIs:
    plain: dict[str, Any] = {
        "id": f"7f3c{n:04x}", "title": TITLES[n % 3], "corpus": "c", "sources": ("/home/me/kernel", "report.pdf"),
        "turns": 3 * n + 1, "created_s": NOW - 90_000 * (n + 1), "used_s": NOW - 1200 * 8**n,
    }  # fmt: skip
    return SessionIs(**{**plain, **fields})


def turn(question: str, answer: Any, *statuses: Any, ending: str = "stop") -> TurnIs:
    told = {"answer_markdown": answer, "citations": [{"status": status} for status in statuses], "ending": ending}
    return TurnIs(id="t", question=question, answer=told, created_s=NOW - 3600)


TURNS = (
    turn(TITLES[0], "**Above 128K** tokens[^1],\n\n- as said[^2]\n- and\n- so on", "verified", "verified", "near"),
    turn("And on [bold]two GPUs?", "It halves[^1].", "unverified", ending="interrupted"),
)
KEPT = tuple(session(n) for n in range(5))


@pytest.fixture
def run_sessions(run_sheet: Callable[..., Any], listener: Any) -> Callable[..., Any]:
    """Open the screen over these sessions; what it ends with is in `app.results`."""

    @asynccontextmanager
    async def run(*sessions: SessionIs, current: str | None = None, **how: Any) -> AsyncIterator[Pilot[Any]]:
        async with run_sheet(lambda link: SessionsScreen(link, current, now=lambda: NOW), **how) as pilot:
            listener.tell(Sessions, SessionsAre(sessions))
            await pilot.pause()
            yield pilot

    return run


@pytest.fixture
def tell(listener: Any) -> Callable[..., Any]:
    """Answer the last request of a kind, and wait until that is shown."""

    async def tell(pilot: Pilot[Any], kind: type, *replies: Reply, done: bool = True) -> None:
        listener.tell(kind, *replies, done=done)
        await pilot.pause()

    return tell


async def asked(pilot: Pilot[Any], listener: Any, wanted: Any) -> None:
    """Wait until the last request of its kind is this."""
    for _ in range(100):
        known = [each for each in listener.requests if type(each) is type(wanted)]
        if known and known[-1] == wanted:
            await pilot.pause()
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{wanted} was not asked: {listener.requests}")


def titles(pilot: Pilot[Any]) -> list[str]:
    return [each.title for each in pilot.app.screen.query_one(SessionRows).sessions]


def words(pilot: Pilot[Any], part: str) -> str:
    return str(pilot.app.screen.query_one(f"#sessions-{part}", Static).render())


async def test_enter_goes_on_and_escape_leaves(run_sessions) -> None:
    async with run_sessions(*KEPT) as pilot:
        await pilot.press("down", "down", "enter")
        assert pilot.app.results == ["7f3c0002"]
    async with run_sessions(*KEPT) as pilot:
        await pilot.press("escape")
        assert pilot.app.results == [None]


async def test_a_double_click_goes_on(run_sessions) -> None:
    async with run_sessions(*KEPT) as pilot:
        await pilot.click(SessionRows, offset=(5, 2))
        assert not pilot.app.results
        await pilot.click(SessionRows, offset=(5, 2), times=2)
        assert pilot.app.results == ["7f3c0001"]


async def test_search_waits_for_a_pause_and_shows_only_its_own_answer(run_sessions, tell, listener) -> None:
    async with run_sessions(*KEPT) as pilot:
        await pilot.press("slash", *"costs")
        await asked(pilot, listener, Sessions("costs"))
        listener.tell(Sessions, SessionsAre((session(2, found="what [costs] are there"),)), done=False)
        await pilot.pause()
        assert titles(pilot) == [TITLES[2]]
        await pilot.press("x")
        await pilot.pause()
        listener.tell(Sessions, SessionsAre(KEPT))
        await pilot.pause()
        assert titles(pilot) == [TITLES[2]]
        await asked(pilot, listener, Sessions("costsx"))
        await tell(pilot, Sessions, SessionsAre(()))
        assert pilot.app.screen.query_one(SessionRows).note() == "  no session holds these words"
        await pilot.press("escape")
        await asked(pilot, listener, Sessions(""))
        assert isinstance(pilot.app.screen, SessionsScreen)
        assert pilot.app.screen.query_one("#sessions-words", Input).value == ""


async def test_the_turns_of_the_one_under_the_cursor(run_sessions, tell, listener) -> None:
    async with run_sessions(*KEPT) as pilot:
        await asked(pilot, listener, Turns("7f3c0000"))
        await pilot.press("down")
        await tell(pilot, Turns, TurnsAre(TURNS))
        assert "❯" not in words(pilot, "turns")
        await asked(pilot, listener, Turns("7f3c0001"))
        await tell(pilot, Turns, TurnsAre(TURNS))
        assert "❯ Where is the prefill bottleneck?" in words(pilot, "turns")
        assert "1 h ago · ✓ 2 verified · ≈ 1 near" in words(pilot, "turns")


async def test_rename(run_sessions, tell, listener) -> None:
    async with run_sessions(*KEPT) as pilot:
        await pilot.press("r")
        answer = pilot.app.screen.query_one("#sessions-answer", Input)
        assert answer.value == TITLES[0]
        answer.value = "  "
        await pilot.press("enter")
        assert words(pilot, "status") == "a title has at least one letter"
        answer.value = "red"
        await pilot.press("enter")
        await tell(pilot, Rename, SessionsAre((session(0, title="red"),)))
        assert listener.last(Rename) == Rename("7f3c0000", "red")
        assert titles(pilot)[0] == "red"
        assert words(pilot, "status") == "renamed to “red”"
        await pilot.press("r", "escape", "escape")
        assert not isinstance(pilot.app.screen, SessionsScreen)


async def test_export_asks_before_it_replaces(run_sessions, tell, listener, tmp_path: Path) -> None:
    async with run_sessions(*KEPT) as pilot:
        await pilot.press("e")
        answer = pilot.app.screen.query_one("#sessions-answer", Input)
        assert answer.value == "where-is-the-prefill-bottleneck.md"
        answer.value = "a.txt"
        await pilot.press("enter")
        assert words(pilot, "status") == "a.txt: name it .md, .html or .json"
        file = tmp_path / "a.html"
        file.write_text("old")
        answer.value = str(file)
        await pilot.press("enter")
        assert words(pilot, "status") == f"{file} is there already: enter again replaces it"
        await pilot.press("enter")
        assert listener.last(Export) == Export("7f3c0000", str(file), Form.HTML, replaces=True)
        await tell(pilot, Export, Exported(str(file)))
        assert words(pilot, "status") == f"written: {file}"
        await pilot.press("e")
        answer.value = str(tmp_path / "new.json")
        await pilot.press("enter")
        assert listener.last(Export) == Export("7f3c0000", str(tmp_path / "new.json"), Form.JSON)
        await tell(pilot, Export, Failed("the disk is full", "make room"), done=False)
        assert words(pilot, "status") == "the disk is full: make room"


async def test_delete_takes_two_presses_on_the_same_one(run_sessions, tell, listener) -> None:
    async with run_sessions(*KEPT, current="7f3c0002") as pilot:
        await pilot.press("d", "down")
        await pilot.press("d")
        assert words(pilot, "status") == "d again deletes “Which licences are copyleft?” for good"
        assert not any(isinstance(each, Remove) for each in listener.requests)
        await pilot.press("d")
        await tell(pilot, Remove)
        assert listener.last(Remove) == Remove("7f3c0001")
        assert len(titles(pilot)) == 4
        await pilot.press("d", "d")
        assert words(pilot, "status").startswith("this is the conversation that is open")
        assert len([each for each in listener.requests if isinstance(each, Remove)]) == 1


async def test_keys_do_nothing_where_there_is_no_session(run_sessions, listener) -> None:
    async with run_sessions() as pilot:
        before = len(listener.requests)
        await pilot.press("enter", "r", "e", "d", "d", "down", "end")
        assert (pilot.app.results, len(listener.requests)) == ([], before)


async def test_a_backend_that_is_gone_is_said(run_sheet) -> None:
    async with run_sheet(SessionsScreen, backend=None) as pilot:
        assert words(pilot, "status") == "the backend has ended: go back and start it again"


async def test_what_is_hostile_is_only_shown(run_sessions, tell, listener) -> None:
    hostile = [session(n, title=text, sources=(text,), found=text) for n, text in enumerate(HOSTILE)]
    turns = [turn(text, text, text, ending=text) for text in HOSTILE]
    broken = [
        turn("q", None, None),
        TurnIs(id="t", question="q", answer={"citations": 3}, created_s=0, summary_of="\x1b"),
    ]
    async with run_sessions(*hostile, size=(120, 60)) as pilot:
        for _ in HOSTILE:
            await pilot.press("down", "d")
        await pilot.press("r", "escape")
        await asked(pilot, listener, Turns("7f3c0007"))
        await tell(pilot, Turns, TurnsAre((*turns, *broken)))
        screen = pilot.app.export_screenshot(simplify=True)
        assert not {"\x1b", "\u202e", "\ud800"} & set(screen)
        assert "Sessions" in screen


async def test_ten_thousand_sessions_take_no_time(run_sessions) -> None:
    many = tuple(session(n % 5, id=str(n)) for n in range(10_000))
    began = process_time()
    async with run_sessions(*many) as pilot:
        await pilot.press("end", "home")
        assert process_time() - began < 2


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (-5, "now"),
        (59, "now"),
        (60, "1 min ago"),
        (7200, "2 h ago"),
        (86_400, "1 d ago"),
        (9e6, "14 wk ago"),
        (4e7, "1 y ago"),
    ],
)
def test_ago(age: float, said: str) -> None:
    assert ago(NOW - age, NOW) == said


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("width", [30, 60, 120])
def test_a_row_fits(text: str, width: int) -> None:
    pieces = row_pieces(session(1, title=text, found=text, sources=(text,)), width, NOW, is_current=True)
    row = "".join(piece for piece, _ in pieces)
    assert cell_len(row) == width
    assert "\x1b" not in row


def test_only_the_last_turns_are_shown() -> None:
    told = "".join(text for text, _ in turns_in_short([TURNS[0]] * (TURNS_SHOWN + 2), NOW))
    assert told.startswith("\n… 2 earlier turns\n")
    assert told.count("❯") == TURNS_SHOWN
    assert "Above 128K tokens¹,\n• as said²\n• and …" in told


def test_an_answer_begins_without_its_marks() -> None:
    answer = "**What it is**\n\n- `a.py`: does\\_it[^1]\n* [/red]"
    said = "".join(text for text, _ in turns_in_short([turn("why?", answer)], NOW))
    assert "What it is\n• a.py: does_it¹\n• [/red]" in said


def test_an_ending_that_is_no_whole_answer_is_said() -> None:
    told = "".join(text for text, _ in turns_in_short(TURNS[1:], NOW))
    assert "1 h ago · ? 1 unverified · ! stopped" in told


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_picture(run_sessions, tell, listener, picture, size: tuple[int, int]) -> None:
    async with run_sessions(*KEPT, current="7f3c0001", size=size) as pilot:
        await asked(pilot, listener, Turns("7f3c0000"))
        await tell(pilot, Turns, TurnsAre(TURNS))
        await pilot.press("d")
        picture(pilot)


async def test_picture_of_a_search(run_sessions, tell, listener, picture) -> None:
    async with run_sessions(*KEPT, size=(120, 30), theme="longctx-light") as pilot:
        await pilot.press("slash", *"costs")
        await asked(pilot, listener, Sessions("costs"))
        await tell(pilot, Sessions, SessionsAre((session(2, found="what [costs] are there"),)))
        await pilot.pause()
        picture(pilot)


async def test_picture_of_no_session(run_sessions, picture) -> None:
    async with run_sessions(size=(80, 24)) as pilot:
        picture(pilot)


def test_every_key_has_an_id() -> None:
    assert all(each.id for each in SessionsScreen.BINDINGS)
