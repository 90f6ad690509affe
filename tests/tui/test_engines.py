"""The engine picker."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from longctx.backend.replies import EngineIs, EngineOpened, EnginesAre, Failed, ServerIs
from longctx.backend.requests import Engines, UseEngine
from tui.screens.engines import EnginesScreen, Needs, choices, filled, line, wrong_with

HOSTILE = "[/red]evil\x1b[31m[@click=app.quit]x[/]\u202e\udce4"
FOUND = EnginesAre(
    (
        EngineIs("evidence", "quotes that search finds; needs no model"),
        EngineIs("openai", "any OpenAI-compatible server, at --base-url or found on 127.0.0.1"),
        EngineIs("scout", "Llama 4 in this process, from a folder of weights", needs_model=True),
        EngineIs("scripted", "says what a TOML file tells it to", needs_model=True),
        EngineIs(
            "vllm", "vLLM in this process", "vllm is not installed", "pip install 'longctx[vllm]'", needs_model=True
        ),
    ),
    (
        ServerIs("http://127.0.0.1:11434/v1", ("qwen3:8b", HOSTILE)),
        ServerIs("http://127.0.0.1:1234/v1", (), "its socket belongs to another user"),
    ),
)
NONE_FOUND = EnginesAre(FOUND.engines, ())
NAMES = [engine.name for engine in FOUND.engines]
IN_USE = EngineOpened(
    name="openai", model="qwen3:8b", why="", context_tokens=32_768, base_url="http://127.0.0.1:11434/v1"
)


def status(pilot: Pilot[Any]) -> str:
    return str(pilot.app.screen.query_one("#engines-status", Static).content)


async def choose(pilot: Pilot[Any], name: str) -> None:
    pilot.app.screen.query_one(OptionList).highlighted = NAMES.index(name)
    await pilot.press("enter")
    await pilot.pause()


async def type_in(pilot: Pilot[Any], text: str) -> None:
    pilot.app.screen.query_one(Input).value = text
    await pilot.press("enter")
    await pilot.pause()


def test_each_model_of_a_server_is_a_choice() -> None:
    found = choices(FOUND, None)
    assert [choice.use for choice in found[5:7]] == [
        UseEngine(name="openai", model="qwen3:8b", base_url="http://127.0.0.1:11434/v1"),
        UseEngine(name="openai", model=HOSTILE, base_url="http://127.0.0.1:11434/v1"),
    ]
    assert found[7].missing == "its socket belongs to another user"


def test_the_engine_in_use_is_marked_once() -> None:
    assert [n for n, choice in enumerate(choices(FOUND, IN_USE)) if choice.is_current] == [5]
    elsewhere = EngineOpened(name="openai", model="m", why="", context_tokens=None, base_url="http://h/v1")
    assert [n for n, choice in enumerate(choices(FOUND, elsewhere)) if choice.is_current] == [1]
    assert not any(choice.is_current for choice in choices(FOUND, None))


def test_engines_are_told_as_they_are_chosen_here() -> None:
    told = [choice.about for choice in choices(FOUND, None)[:5]]
    assert not [about for about in told if "--" in about or "this process" in about]
    version = EnginesAre(
        (EngineIs("scout", "Llama 4 in this process; torch 2.9", needs_model=True), EngineIs("x", "a y")), ()
    )
    assert [choice.about for choice in choices(version, None)] == [
        "Llama 4 Scout on this machine, from a folder of weights; torch 2.9",
        "a y",
    ]


def test_what_is_lacking_stands_below_in_words() -> None:
    vllm = choices(FOUND, None)[4]
    assert line(vllm, 80).plain.splitlines() == [
        "✗ vllm       vLLM on this machine, from a folder of weights",
        "             missing: vllm is not installed",
        "             → pip install 'longctx[vllm]'",
    ]


def test_long_lines_go_on_below_what_they_are_about() -> None:
    shown = line(choices(FOUND, None)[1], 50).plain.splitlines()
    assert len(shown) == 2
    assert shown[1].startswith(" " * 13)


@pytest.mark.parametrize("text", [HOSTILE, "x" * 10_000, "", "a\nb\tc\r"])
def test_names_nobody_has_vetted_are_one_safe_line(text: str) -> None:
    told = EnginesAre((EngineIs(text, text, text, text),), (ServerIs(text, (text,), ""), ServerIs(text, (), text)))
    for choice in choices(told, None):
        assert line(choice, 10_000).plain.replace("\n", "").isprintable()
        assert len(choice.about) < 1000


def test_a_folder_or_file_must_be_there(tmp_path: Path) -> None:
    script = tmp_path / "says.toml"
    script.write_text("")
    by_name = dict(zip(NAMES, choices(FOUND, None), strict=False))
    assert wrong_with(by_name["scout"], str(tmp_path)) == ""
    assert wrong_with(by_name["scout"], str(script)).endswith("no such folder")
    assert wrong_with(by_name["scout"], "") == "nothing: no such folder"
    assert wrong_with(by_name["scripted"], str(script)) == ""
    assert wrong_with(by_name["scripted"], str(tmp_path)).endswith("no such file")
    assert filled(by_name["scout"], f" {tmp_path} ") == UseEngine(name="scout", model=str(tmp_path))


def test_vllm_takes_names_of_models_too(tmp_path: Path) -> None:
    vllm = choices(FOUND, None)[4]
    assert wrong_with(vllm, "meta-llama/Llama-4-Scout") == ""
    assert wrong_with(vllm, str(tmp_path / "no")).endswith("no such folder")
    assert filled(vllm, "meta-llama/Llama-4-Scout").model == "meta-llama/Llama-4-Scout"


def test_a_server_is_an_address_and_perhaps_a_model() -> None:
    openai = choices(FOUND, None)[1]
    assert openai.needs is Needs.SERVER
    assert wrong_with(openai, "/etc/passwd").startswith("/etc/passwd: not the address of a server")
    assert wrong_with(openai, "http://h/v1 a b") == "an address and one model, no more"
    assert filled(openai, "http://h/v1") == UseEngine(name="openai", base_url="http://h/v1")
    assert filled(openai, " http://h/v1  m ") == UseEngine(name="openai", base_url="http://h/v1", model="m")


async def test_enter_uses_an_engine_that_needs_nothing(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(EnginesScreen) as pilot:
        listener.tell(Engines, FOUND)
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert pilot.app.results == [UseEngine(name="evidence")]


async def test_the_cursor_begins_at_the_engine_in_use(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(lambda link: EnginesScreen(link, IN_USE)) as pilot:
        listener.tell(Engines, FOUND)
        await pilot.pause()
        await pilot.press("down", "enter")
        await pilot.pause()
        assert pilot.app.results[0].model == HOSTILE


async def test_one_that_lacks_something_is_not_chosen_but_explained(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(EnginesScreen) as pilot:
        listener.tell(Engines, FOUND)
        await pilot.pause()
        await choose(pilot, "vllm")
        assert "pip install 'longctx[vllm]'" in status(pilot)
        assert pilot.app.results == []


async def test_a_folder_is_asked_for_checked_and_remembered(run_sheet: Any, listener: Any, tmp_path: Path) -> None:
    typed: dict[str, str] = {}
    async with run_sheet(lambda link: EnginesScreen(link, None, typed)) as pilot:
        listener.tell(Engines, FOUND)
        await pilot.pause()
        await choose(pilot, "scout")
        await type_in(pilot, "/no/[/red]such")
        assert "/no/[/red]such: no such folder" in status(pilot)
        await type_in(pilot, str(tmp_path))
        assert pilot.app.results == [UseEngine(name="scout", model=str(tmp_path))]
    async with run_sheet(lambda link: EnginesScreen(link, None, typed)) as pilot:
        listener.tell(Engines, FOUND)
        await pilot.pause()
        await choose(pilot, "scout")
        assert pilot.app.screen.query_one(Input).value == str(tmp_path)


async def test_the_model_in_use_is_proposed(run_sheet: Any, listener: Any) -> None:
    current = EngineOpened(name="scout", model="/models/scout", why="", context_tokens=None)
    async with run_sheet(lambda link: EnginesScreen(link, current)) as pilot:
        listener.tell(Engines, FOUND)
        await pilot.pause()
        await choose(pilot, "scout")
        assert pilot.app.screen.query_one(Input).value == "/models/scout"


async def test_escape_leaves_the_field_first_and_then_the_screen(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(EnginesScreen) as pilot:
        listener.tell(Engines, FOUND)
        await pilot.pause()
        await choose(pilot, "openai")
        await pilot.press("escape")
        await pilot.pause()
        assert pilot.app.results == []
        assert not pilot.app.screen.query_one("#engines-field").has_class("-shown")
        await pilot.press("escape")
        await pilot.pause()
        assert pilot.app.results == [None]


async def test_r_looks_again(run_sheet: Any, listener: Any) -> None:
    async with run_sheet(EnginesScreen) as pilot:
        listener.tell(Engines, NONE_FOUND)
        await pilot.pause()
        assert "no server found" in status(pilot)
        await pilot.press("r")
        assert listener.requests == [Engines(), Engines()]
        listener.tell(Engines, FOUND)
        await pilot.pause()
        assert pilot.app.screen.query_one(OptionList).option_count == 8


async def test_a_long_list_leaves_the_keys_in_view(run_sheet: Any, listener: Any) -> None:
    many = EnginesAre(FOUND.engines, (ServerIs("http://127.0.0.1:1/v1", tuple(f"m{n}" for n in range(60))),))
    async with run_sheet(EnginesScreen, size=(80, 24)) as pilot:
        listener.tell(Engines, many)
        await pilot.pause()
        assert pilot.app.screen.query_one("#hints").region.bottom < 24
        await pilot.press("end")
        await pilot.pause()
        assert pilot.app.screen.query_one(OptionList).scroll_y > 40


async def test_without_a_backend_that_is_said(run_sheet: Any) -> None:
    async with run_sheet(EnginesScreen, backend=None) as pilot:
        assert "the backend has ended" in status(pilot)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_picture(run_sheet: Any, listener: Any, picture: Callable[..., None], size: tuple[int, int]) -> None:
    async with run_sheet(lambda link: EnginesScreen(link, IN_USE), size=size) as pilot:
        listener.tell(Engines, FOUND)
        await pilot.pause()
        picture(pilot)


async def test_picture_of_a_field(run_sheet: Any, listener: Any, picture: Callable[..., None]) -> None:
    async with run_sheet(EnginesScreen, size=(80, 24), theme="longctx-light") as pilot:
        listener.tell(Engines, NONE_FOUND)
        await pilot.pause()
        await choose(pilot, "scout")
        await type_in(pilot, "/no/such")
        await pilot.pause()
        picture(pilot)


async def test_picture_while_looking(run_sheet: Any, picture: Callable[..., None]) -> None:
    async with run_sheet(EnginesScreen, size=(80, 24)) as pilot:
        picture(pilot)


async def test_picture_of_an_error(run_sheet: Any, listener: Any, picture: Callable[..., None]) -> None:
    async with run_sheet(EnginesScreen, size=(80, 24)) as pilot:
        listener.tell(Engines, Failed("the backend [/red] ended", "start it again", 5), done=False)
        await pilot.pause()
        picture(pilot)
