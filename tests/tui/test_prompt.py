"""The prompt: sending, new lines, the questions before, completion, and what is hostile in what is pasted."""

from collections.abc import Callable
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot

from tui.messages import CommandTyped, EditorWanted, QuestionAsked, StopWanted
from tui.widgets.completions import Completions
from tui.widgets.prompt import Prompt, anew

Picture = Callable[[Pilot[Any]], None]
PATHS = ("src/engine/prefill.py", "src/engine/planner.py", "docs/plan.md", "a [bold].md")
COMMANDS = (("/export", "Write it to a file"), ("/map", "What stands in the context [/red]"))


def prompt() -> Prompt:
    made = Prompt(lambda: PATHS, id="prompt")
    made.commands = COMMANDS
    made.cursor_blink = False
    return made


def of(pilot: Pilot[Any]) -> Prompt:
    return pilot.app.query_one(Prompt)


def said(pilot: Pilot[Any]) -> list[Any]:
    return list(pilot.app.said)  # type: ignore[attr-defined]


def is_open(pilot: Pilot[Any]) -> bool:
    return pilot.app.screen.query_one(Completions).is_open


async def test_enter_asks(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        await pilot.press(*"why?", "enter", "enter")
        (message,) = said(pilot)
        assert isinstance(message, QuestionAsked)
        assert (message.question, message.instead_of) == ("why?", None)
        assert of(pilot).text == ""


@pytest.mark.parametrize("key", ["ctrl+j", "shift+enter"])
async def test_new_lines(run_widget: Any, key: str) -> None:
    async with run_widget(prompt()) as pilot:
        await pilot.press("a", key, "b", "backslash", "enter", "c")
        assert of(pilot).text == "a\nb\nc"
        assert said(pilot) == []


async def test_it_grows_to_eight_rows(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        heights = []
        for count in (1, 3, 8, 20):
            of(pilot).set_text("\n".join("x" * count))
            await pilot.pause()
            heights.append(of(pilot).content_size.height)
        assert heights == [1, 3, 8, 8]


async def test_a_line_with_a_slash_is_a_command(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        await pilot.press(*"/export a.md", "enter")
        of(pilot).set_text("/usr/lib is what?")
        await pilot.press("enter")
        command, question = said(pilot)
        assert isinstance(command, CommandTyped)
        assert (command.name, command.words) == ("export", "a.md")
        assert question.question == "/usr/lib is what?"


async def test_a_command_that_is_typed_whole_is_sent_at_once(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        await pilot.press(*"/map")
        assert is_open(pilot)
        await pilot.press("enter")
        (command,) = said(pilot)
        assert (command.name, command.words) == ("map", "")
        assert not is_open(pilot)


async def test_letters_typed_elsewhere_begin_a_question(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        pilot.app.screen.set_focus(None)
        of(pilot).add_letters("/")
        await pilot.pause()
        assert is_open(pilot)
        await pilot.press(*"map")
        assert of(pilot).text == "/map"


def test_asking_anew_says_what_is_left() -> None:
    assert anew(2) == "asking anew leaves out 2 later turns · esc cancels"
    assert "later" not in anew(0)


async def test_the_questions_before(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        of(pilot).set_history(["one", "two\nrows"])
        await pilot.press(*"draft", "up")
        assert of(pilot).text == "two\nrows"
        await pilot.press("up")
        assert of(pilot).text == "one"
        await pilot.press("up", "down", "down")
        assert of(pilot).text == "two\nrows" or of(pilot).text == "draft"
        await pilot.press("down", "down")
        assert of(pilot).text == "draft"
        await pilot.press("enter", "up")
        assert of(pilot).text == "draft"


async def test_inside_a_text_the_cursor_moves(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        of(pilot).set_history(["one"])
        of(pilot).set_text("a\nb")
        await pilot.press("up")
        assert of(pilot).text == "a\nb"
        assert of(pilot).cursor_location[0] == 0
        await pilot.press("up")
        assert of(pilot).text == "one"


@pytest.mark.parametrize("key", ["tab", "enter"])
async def test_a_path_is_completed(run_widget: Any, key: str) -> None:
    async with run_widget(prompt()) as pilot:
        await pilot.press(*"in @plan")
        assert is_open(pilot)
        await pilot.press("down", key)
        assert of(pilot).text == "in src/engine/planner.py "
        assert not is_open(pilot)
        assert said(pilot) == []


async def test_a_completion_is_clicked(run_widget: Any) -> None:
    async with run_widget(prompt(), size=(80, 24)) as pilot:
        of(pilot).styles.dock = "bottom"
        await pilot.press(*"@plan")
        await pilot.pause()
        await pilot.click(Completions, offset=(3, 1))
        assert of(pilot).text == "docs/plan.md "
        assert of(pilot).has_focus


async def test_escape_closes_the_list_then_stops(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        await pilot.press(*"@p", "escape")
        assert not is_open(pilot)
        assert said(pilot) == []
        await pilot.press("escape")
        assert [type(message) for message in said(pilot)] == [StopWanted]


async def test_nothing_found_is_nothing_shown(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        await pilot.press(*"@zzz")
        assert not is_open(pilot)
        await pilot.press("enter")
        assert said(pilot)[0].question == "@zzz"


async def test_commands_are_completed(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        await pilot.press("slash")
        assert is_open(pilot)
        await pilot.press("m", "tab", "enter")
        assert said(pilot)[0].name == "map"


async def test_tab_leaves_where_nothing_is_completed(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        await pilot.press("x", "tab")
        assert of(pilot).text == "x"


async def test_a_question_that_was_taken_back_is_asked_anew(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        of(pilot).take_back("old question", "t3")
        await pilot.press("!", "enter")
        assert (said(pilot)[0].question, said(pilot)[0].instead_of) == ("old question!", "t3")
        await pilot.press("x", "enter")
        assert said(pilot)[1].instead_of is None


async def test_escape_keeps_the_turn(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        of(pilot).take_back("old question", "t3")
        assert "asking anew" in str(of(pilot).border_subtitle)
        await pilot.press("escape")
        assert of(pilot).text == ""
        assert of(pilot).border_subtitle in (None, "")
        await pilot.press("y", "enter")
        assert said(pilot)[0].instead_of is None


async def test_a_proposal_is_only_a_text(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        of(pilot).take_back("a question?", "")
        await pilot.press("enter")
        assert (said(pilot)[0].question, said(pilot)[0].instead_of) == ("a question?", None)


async def test_the_editor_is_asked_for(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        await pilot.press("a", "ctrl+g")
        (message,) = said(pilot)
        assert isinstance(message, EditorWanted)
        assert message.text == "a"


async def test_what_is_pasted_is_made_visible(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        of(pilot).post_message(events.Paste("a\r\nb\x1b[31m\u202e\ud800\rc"))
        await pilot.pause()
        assert of(pilot).text == "a\nb␛[31m<U+202E>\ufffd\nc"


async def test_hostile_states_and_questions_are_text(run_widget: Any) -> None:
    async with run_widget(prompt()) as pilot:
        for text in ("[/red]", "[@click=app.quit]x[/]", "\x1b[2J", "\ud800", "x" * 10_000, ""):
            of(pilot).show_state(text)
            of(pilot).take_back(text, "t")
            of(pilot).set_history([text])
            await pilot.press("up", "down")
        await pilot.press(*"@bold")
        assert is_open(pilot)


async def test_picture_completion(run_widget: Any, picture: Picture) -> None:
    async with run_widget(prompt()) as pilot:
        of(pilot).styles.dock = "bottom"
        await pilot.press(*"see @p")
        await pilot.pause()
        picture(pilot)


async def test_picture_asking_anew_while_opening(run_widget: Any, picture: Picture) -> None:
    async with run_widget(prompt()) as pilot:
        of(pilot).take_back("one\ntwo\nthree", "t1")
        of(pilot).show_state("opening the engine…")
        await pilot.pause()
        picture(pilot)


def test_every_binding_has_an_id_of_its_own() -> None:
    ids = [binding.id for binding in Prompt.BINDINGS]  # type: ignore[union-attr]
    assert len(set(ids)) == len(ids)
    assert all(ids)
