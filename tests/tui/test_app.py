"""The application around its screens: backend, palette, themes, leaving."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.color import Color
from textual.pilot import Pilot
from textual.widgets import Markdown, OptionList, Static

from longctx.analysis import Asking
from longctx.backend.replies import CorpusOpened, EngineOpened, SessionIs, SessionOpened, SessionsAre
from longctx.backend.requests import Ask, Open, Sessions, Stop
from longctx.request import Request
from longctx.settings import Settings
from tui.app import LongctxApp, is_unnamed, resumed
from tui.commands import COMMANDS
from tui.link import BackendDied
from tui.messages import QuestionAsked
from tui.screens.dialogs import Confirm
from tui.screens.help import Help
from tui.screens.start import Start, placeholder, problem, session_line, sources_line, sources_of
from tui.screens.workspace import Workspace
from tui.themes import DARK, LIGHT, THEMES, remembered

SESSION = SessionIs(
    id="7f3c0001", title="the [/red] bottleneck", corpus="c", sources=("/src",), turns=2, created_s=0, used_s=0
)
HOSTILE = "a[/red]\x1b[31m\u202e[@click=app.quit]x[/]\udcff" + "n" * 10_000


def opened(name: str = "kernel") -> tuple[CorpusOpened, EngineOpened, SessionOpened]:
    corpus = CorpusOpened(
        id="c", name=name, folder="/src", sources=("/src",), files=2, skipped=0, tokens=1000, stale=0, changed=0
    )
    engine = EngineOpened(name="scripted", model=name, why="named", context_tokens=100_000)
    return corpus, engine, SessionOpened(SESSION, ())


def template() -> Open:
    return Open(request=Request(()), settings=Settings(), asking=Asking())


async def settle(pilot: Pilot[Any]) -> None:
    for _ in range(4):
        await pilot.pause()


async def test_nothing_named_shows_what_was_open_lately(run_app: Any, listener: Any) -> None:
    hostile = replace(SESSION, id="1", title=HOSTILE, sources=(HOSTILE, ""))
    async with run_app(opening=template(), size=(80, 24)) as pilot:
        await settle(pilot)
        assert isinstance(pilot.app.screen, Start)
        listener.tell(Sessions, SessionsAre((SESSION, hostile)))
        await settle(pilot)
        recent = pilot.app.screen.query_one(OptionList)
        assert recent.option_count == 4
        assert "[/red]" in str(recent.get_option_at_index(1).prompt)
        recent.focus()
        await pilot.press("enter")
        await settle(pilot)
        assert listener.last(Open) == resumed(template(), "7f3c0001")
        assert isinstance(pilot.app.screen, Workspace)
    assert listener.is_closed


async def test_a_path_is_typed_on_the_first_screen(run_app: Any, listener: Any, tmp_path: Path) -> None:
    async with run_app(opening=template(), size=(60, 14)) as pilot:
        await settle(pilot)
        field = pilot.app.screen.query_one("#path")
        field.value = str(tmp_path / "not there")
        await pilot.press("enter")
        assert "no such file" in str(pilot.app.screen.query_one("#wrong", Static).render())
        field.value = str(tmp_path)
        await pilot.press("enter")
        await settle(pilot)
        assert listener.last(Open).request.inputs == (str(tmp_path),)


def test_what_counts_as_named() -> None:
    assert is_unnamed(template())
    assert not is_unnamed(Open(request=Request(("a",)), settings=Settings(), asking=Asking()))
    assert not is_unnamed(Open(request=None, settings=Settings(), asking=Asking(), resume="7"))
    assert not is_unnamed(Open(request=Request((), listed=b"a"), settings=Settings(), asking=Asking()))


def test_addresses_and_globs_are_left_to_the_backend() -> None:
    assert not any(map(problem, ("https://example.org/a.git", "git@example.org:a", "docs/*.md")))
    assert problem("\0") and problem("no such folder")


def test_sources_are_named_once_and_pipes_never() -> None:
    each = (("/a",), ("/b", "-"), ("/a",), (), ("/c",))
    assert sources_of([replace(SESSION, sources=sources) for sources in each]) == [("/a",), ("/c",)]


@pytest.mark.parametrize("width", [30, 48, 50, 76])
def test_what_was_open_lately_stands_in_columns(width: int) -> None:
    often = replace(SESSION, title="Why " * 40, turns=1_200, sources=("/home/me/kernel", "/x/docs/"), used_s=0)
    lines = [session_line(each, width, 3 * 3600.0).plain for each in (SESSION, often)]
    assert [len(line) for line in lines] == [width, width]
    assert all(line.startswith("go on  ") and line.endswith(" 3 h ago") for line in lines)
    assert len({line.index("turns") for line in lines}) == 1
    assert ("  kernel" in lines[1]) is (width >= 50)
    assert sources_line(("/x/[/red]\x1b",), width).plain.startswith("open   /x/[/red]\\x1b")


async def test_a_folder_that_was_removed_is_said(
    run_app: Any, listener: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = replace(template(), request=None)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert placeholder("") == "folder, file or git URL"
    async with run_app(size=(60, 14)) as pilot:
        chosen: list[Open] = []
        pilot.app.push_screen(Start(pilot.app.link, opening), chosen.append)
        await settle(pilot)
        await pilot.press("enter")
        assert "not there any more" in str(pilot.app.screen.query_one("#wrong", Static).render())
        assert not chosen
        pilot.app.screen.query_one("#path").value = str(tmp_path)
        await pilot.press("enter")
        await settle(pilot)
        assert chosen[0].request.inputs == (str(tmp_path),)


async def test_help_keys_and_palette(run_app: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        names = [each.title for each in pilot.app.get_system_commands(pilot.app.screen)]
        assert names == [command.name for command in COMMANDS]
        await pilot.press("f1")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Help)
        assert "Prompt" in pilot.app.screen.query_one(Markdown).source
        await pilot.press("escape")
        await pilot.press("f7")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Help)
        assert not pilot.app.screen.query(Markdown)
        await pilot.press("escape")
        await pilot.press("ctrl+p")
        await settle(pilot)
        assert type(pilot.app.screen).__name__ == "CommandPalette"


async def test_a_theme_is_taken_and_remembered(run_app: Any, tmp_path: Path) -> None:
    async with run_app(size=(80, 24)) as pilot:
        assert pilot.app.theme == DARK
        pilot.app._memory = tmp_path / "tui.json"
        pilot.app.action_pick_theme(LIGHT)
        await settle(pilot)
        assert pilot.app.theme == LIGHT
        assert remembered(tmp_path / "tui.json") == LIGHT
        pilot.app.action_pick_theme("no such theme")
        assert pilot.app.theme == LIGHT
        pilot.app.action_pick_theme()
        await settle(pilot)
        assert type(pilot.app.screen).__name__ == "CommandPalette"


def app_with(theme: str | None = None) -> LongctxApp:
    async def start(_tell: object, _died: object) -> Any:
        raise OSError(11, "too many processes")

    return LongctxApp(template(), start, theme=theme)


@pytest.mark.parametrize(("wanted", "taken"), [(LIGHT, LIGHT), ("[/red]", DARK)])
async def test_the_theme_to_begin_with(wanted: str, taken: str) -> None:
    app = app_with(wanted)
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause()
        assert app.theme == taken
        expected = next(each for each in THEMES if each.name == taken)
        assert app.screen.styles.background.rgb == Color.parse(str(expected.background)).rgb


def test_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert app_with().no_color


async def test_quitting_asks_while_an_answer_is_on_its_way(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        listener.tell(Open, *opened())
        await settle(pilot)
        pilot.app.workspace.post_message(QuestionAsked("why?"))
        await settle(pilot)
        await pilot.press("ctrl+q")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("enter")
        await settle(pilot)
        assert listener.last(Stop) == Stop(listener.requests.index(listener.last(Ask)) + 1)
        listener.tell(Ask)
        await settle(pilot)
        await pilot.app.workers.wait_for_complete()
    assert pilot.app.return_value.session == SESSION


async def test_ctrl_c_copies_or_stops_and_twice_quits(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        listener.tell(Open, *opened())
        await settle(pilot)
        pilot.app.workspace.prompt.text = "some words"
        pilot.app.workspace.prompt.select_all()
        await pilot.press("ctrl+c")
        assert pilot.app.clipboard == "some words"
        pilot.app.workspace.prompt.text = ""
        pilot.app.workspace.post_message(QuestionAsked("why?"))
        await settle(pilot)
        await pilot.press("ctrl+c")
        await settle(pilot)
        assert isinstance(listener.last(Stop), Stop)
        assert pilot.app.return_value is None
        await pilot.press("ctrl+c")
        await settle(pilot)
    assert pilot.app.return_value.session == SESSION


async def test_a_dead_backend_is_started_again_with_the_session(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        listener.tell(Open, *opened())
        await settle(pilot)
        pilot.app.workspace.post_message(QuestionAsked("why?"))
        await settle(pilot)
        pilot.app.post_message(BackendDied(f"killed by SIGSEGV; its log: {HOSTILE}"))
        await settle(pilot)
        assert isinstance(pilot.app.screen, Confirm)
        assert not pilot.app.workspace.is_answering
        await pilot.press("enter")
        await settle(pilot)
        assert listener.last(Open) == Open(request=None, settings=Settings(), asking=Asking(), resume=SESSION.id)


async def test_a_dead_backend_may_stay_dead_and_be_started_later(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        listener.tell(Open, *opened())
        await settle(pilot)
        pilot.app.post_message(BackendDied("exit code 1"))
        await settle(pilot)
        await pilot.press("escape")
        await settle(pilot)
        before = len(listener.requests)
        pilot.app.workspace.post_message(QuestionAsked("why?"))
        await settle(pilot)
        assert len(listener.requests) == before
        assert pilot.app.workspace.prompt.text == "why?"
        await pilot.app.action_restart()
        assert listener.last(Open).resume == SESSION.id


async def test_a_backend_that_can_not_start_is_said() -> None:
    app = app_with()
    async with app.run_test() as pilot:
        await settle(pilot)
        assert isinstance(app.screen, Confirm)
        assert "too many processes" in str(app.screen.query_one("#form Static", Static).render())


async def test_hostile_names_repaint_nothing(run_app: Any, listener: Any) -> None:
    async with run_app(size=(90, 24)) as pilot:
        corpus, engine, _ = opened(HOSTILE)
        hostile = SessionIs(id="1", title=HOSTILE, corpus="c", sources=(), turns=1, created_s=0, used_s=0)
        listener.tell(Open, corpus, engine, SessionOpened(hostile, ()))
        await settle(pilot)
        line = pilot.app.workspace.header.render().plain
        assert len(line) <= 90
        assert "\x1b" not in line and "\u202e" not in line
        assert "[/red]" in line
        assert pilot.app.is_running


class Broken(Static):
    """Can't be drawn; what its frames hold is private."""

    def render(self) -> str:
        private = "sec" + "ret"
        raise ZeroDivisionError(f"{len(private)} [/red]\x1b[31m")


async def test_what_broke_is_written_down_without_values(run_app: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        async with run_app(size=(40, 12)) as pilot:
            await pilot.app.screen.mount(Broken())
            await settle(pilot)
    said = capfd.readouterr().err
    assert "in render" in said and "ZeroDivisionError: 6 [/red]" in said
    assert "secret" not in said and "\x1b" not in said
    assert "╭" not in said and pilot.app.return_code == 1


async def test_an_end_that_a_thread_asks_for_is_a_failure(run_app: Any, capfd: pytest.CaptureFixture[str]) -> None:
    async with run_app(size=(10, 12)) as pilot:
        pilot.app.panic("the input ended: " + "why " * 20)
    assert pilot.app.return_code == 1
    assert "the input ended: why why why why" in capfd.readouterr().err
