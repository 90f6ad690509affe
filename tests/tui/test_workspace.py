"""The main screen: how it folds, what its keys do, what it asks of the backend."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets._toast import Toast, ToastRack

from ingest.document import Kind
from longctx.answer import Mode, citation_json
from longctx.backend.replies import (
    Answered,
    Cited,
    CorpusOpened,
    Delta,
    EffectIs,
    EngineOpened,
    Exported,
    Failed,
    FileIs,
    FilesAre,
    PieceIs,
    Planned,
    Sending,
    SessionIs,
    SessionOpened,
    SessionsAre,
    TextIs,
    TextPart,
    TurnIs,
    WindowIs,
    WindowsAre,
)
from longctx.backend.requests import (
    Ask,
    Effect,
    Exclude,
    Export,
    Files,
    Form,
    Length,
    NewSession,
    Open,
    Picture,
    Rename,
    Repack,
    Reread,
    Resume,
    Stop,
    Style,
    Summarise,
    Text,
    UseEngine,
    Windows,
)
from longctx.citations import Citation, CitationStatus
from tui.cached_files import cached_files
from tui.exclusion import changed, effect_words, holder
from tui.export_file import form_of, problem, proposed_name
from tui.link import Replied
from tui.messages import (
    CitationChosen,
    CommandTyped,
    ExclusionToggled,
    FileChosen,
    PictureWanted,
    QuestionAsked,
    QuestionTakenBack,
)
from tui.screens.dialogs import Ask as AskForm
from tui.screens.dialogs import Confirm
from tui.screens.stage import prefill_is_long
from tui.status import Status, first_line, plan_lines, token_lines
from tui.widgets.turn import Turn

SIZES = [(40, 12), (80, 24), (120, 40), (160, 50), (250, 70)]
SESSION = SessionIs(id="7f3c0001", title="bottleneck", corpus="c", sources=("/src",), turns=1, created_s=0, used_s=0)
CORPUS = CorpusOpened(
    id="c", name="kernel", folder="/src", sources=("/src",), files=2, skipped=1, tokens=50_000, stale=0, changed=0
)
ENGINE = EngineOpened(name="openai", model="qwen", why="found", context_tokens=100_000, base_url="http://x/v1")
PLANNED = Planned(
    prompt_tokens=60_000,
    limit_tokens=100_000,
    mode=Mode.FULL,
    read_tokens=50_000,
    corpus_tokens=50_000,
    recap_tokens=2_000,
    conversation_tokens=3_000,
)
CITED = Citation(1, CitationStatus.VERIFIED, "a.py", None, (3, 3), (10, 20), "some words", "sha", "a.py:3", Kind.CODE)
LOST = Failed("no room", "free some", 5)
TURN = TurnIs(id="t1", question="why?", answer={"answer_markdown": "So.", "citations": []}, created_s=0)


def number(listener: Any, kind: type) -> int:
    """That of the last request of a kind."""
    return 1 + max(place for place, request in enumerate(listener.requests) if isinstance(request, kind))


async def settle(pilot: Pilot[Any]) -> None:
    for _ in range(4):
        await pilot.pause()


async def ready(pilot: Pilot[Any], listener: Any, corpus: CorpusOpened = CORPUS) -> Any:
    """The main screen over an open corpus."""
    listener.tell(Open, corpus, ENGINE, SessionOpened(SESSION, ()))
    await settle(pilot)
    listener.tell(
        Files, FilesAre((FileIs(path="a.py", tokens=9, sending=Sending.SENT, status="read", position=0),), is_last=True)
    )
    await settle(pilot)
    return pilot.app.workspace


async def resumed(pilot: Pilot[Any], listener: Any, *turns: TurnIs) -> Any:
    """The main screen, in the midst of a conversation."""
    screen = await ready(pilot, listener)
    screen.start(Resume(SESSION.id))
    listener.tell(Resume, SessionOpened(SESSION, turns))
    await settle(pilot)
    return screen


def shown_questions(screen: Any) -> list[str]:
    """Those of the turns that can be seen, from the top."""
    turns = sorted((turn for turn in screen.query(Turn) if turn.display), key=lambda turn: turn.virtual_region.y)
    return [turn.question for turn in turns]


def seen(screen: Any) -> list[str]:
    """Which panes have room on the screen."""
    return [name for name in ("corpus", "conversation", "source") if screen.query_one(f"#{name}").region.area]


# --- folding --------------------------------------------------------------------------------------------------------


async def test_nothing_is_cut_off_at_any_size(run_app: Any, listener: Any) -> None:
    async with run_app(size=SIZES[0]) as pilot:
        screen = await ready(pilot, listener)
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await settle(pilot)
            for widget in (screen.panes, screen.window, screen.prompt, screen.query_one("#keys")):
                assert screen.region.contains_region(widget.region), (size, widget)
            assert screen.panes.region.height >= 5
            assert screen.query_one("#keys").region.height == 1
            panes = ["corpus", "conversation", "source"]
            assert seen(screen) == (panes[1:2] if size[0] < 120 else panes[:2] if size[0] < 160 else panes)


async def test_a_narrow_screen_shows_one_pane_at_a_time(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = await ready(pilot, listener)
        for key, pane in (("f2", "corpus"), ("f4", "source"), ("f3", "conversation")):
            await pilot.press(key)
            await settle(pilot)
            assert seen(screen) == [pane]
            assert screen.query_one(f"#tab-{pane}").has_class("-on")
        await pilot.click("#tab-corpus")
        await settle(pilot)
        assert seen(screen) == ["corpus"]
        screen.post_message(CitationChosen(CITED))
        await settle(pilot)
        assert seen(screen) == ["source"]
        await pilot.press("escape")
        await settle(pilot)
        assert seen(screen) == ["conversation"]
        assert screen.focused is screen.prompt


async def test_the_source_comes_when_something_is_shown(run_app: Any, listener: Any) -> None:
    async with run_app(size=(120, 30)) as pilot:
        screen = await ready(pilot, listener)
        assert seen(screen) == ["corpus", "conversation"]
        screen.post_message(CitationChosen(CITED))
        await settle(pilot)
        assert seen(screen) == ["corpus", "conversation", "source"]
        assert listener.last(Text) == Text("a.py", "sha")


async def test_the_corpus_is_hidden_and_panes_are_zoomed(run_app: Any, listener: Any) -> None:
    async with run_app(size=(120, 30)) as pilot:
        screen = await ready(pilot, listener)
        await pilot.press("ctrl+b")
        await settle(pilot)
        assert seen(screen) == ["conversation"]
        await pilot.press("f2")
        await settle(pilot)
        assert seen(screen) == ["corpus", "conversation"]
        assert screen.panes.around(screen.focused) == "corpus"
        await pilot.press("f10")
        await settle(pilot)
        assert seen(screen) == ["corpus"]
        await pilot.press("f10")
        await settle(pilot)
        assert seen(screen) == ["corpus", "conversation"]


async def test_the_source_is_closed_by_its_key_and_where_it_takes_room_by_escape(run_app: Any, listener: Any) -> None:
    async with run_app(size=(120, 30)) as pilot:
        screen = await ready(pilot, listener)
        for key in ("f4", "escape"):
            await pilot.press("f4")
            await settle(pilot)
            assert seen(screen) == ["corpus", "conversation", "source"]
            assert screen.key_words()["answer.stop"] == "close"
            await pilot.press(key)
            await settle(pilot)
            assert seen(screen) == ["corpus", "conversation"]
            assert screen.focused is screen.prompt
            assert screen.key_words()["answer.stop"] == ""
        await pilot.resize_terminal(160, 40)
        await pilot.press("f4")
        await settle(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert "source" in seen(screen) and screen.focused is screen.prompt
        await pilot.press("f4", "f4")
        await settle(pilot)
        assert seen(screen) == ["corpus", "conversation"]
        screen.post_message(CitationChosen(CITED))
        await settle(pilot)
        assert "source" in seen(screen)
        await pilot.resize_terminal(80, 24)
        await pilot.press("f4")
        await settle(pilot)
        assert screen.key_words()["answer.stop"] == "back"
        await pilot.press("f4")
        await settle(pilot)
        assert seen(screen) == ["conversation"] and screen.focused is screen.prompt


async def test_back_in_the_source_does_not_close_it(run_app: Any, listener: Any) -> None:
    async with run_app(size=(120, 30)) as pilot:
        screen = await ready(pilot, listener)
        await pilot.press("f4")
        await settle(pilot)
        screen.post_message(FileChosen("a.py"))
        await settle(pilot)
        assert "source" in seen(screen)


async def test_words_that_go_away_are_not_over_the_prompt(run_app: Any, listener: Any) -> None:
    for size in ((80, 24), (160, 50)):
        async with run_app(size=size, notifications=True) as pilot:
            screen = await ready(pilot, listener)
            screen.say("copied " + "a word " * 30)
            await settle(pilot)
            (toast,) = screen.get_child_by_type(ToastRack).query(Toast)
            assert toast.region.area
            assert not toast.region.overlaps(screen.prompt.region)
            assert not toast.region.overlaps(screen.header.region)


# --- jobs -----------------------------------------------------------------------------------------------------------


async def test_that_a_conversation_goes_on_in_a_new_window_is_said(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = await ready(pilot, listener)
        screen.post_message(QuestionAsked("why?"))
        await settle(pilot)
        listener.tell(Ask, replace(PLANNED, has_rolled=True), done=False)
        await settle(pilot)
        assert "outgrown" in pilot.app.export_screenshot(simplify=True)


async def test_a_question_goes_to_the_backend_and_is_answered(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = await ready(pilot, listener)
        screen.post_message(QuestionAsked("why?"))
        await settle(pilot)
        assert listener.last(Ask) == Ask(question="why?")
        assert screen.header.status.doing == "asking"
        screen.post_message(QuestionAsked("second?"))
        await settle(pilot)
        assert listener.last(Ask) == Ask(question="why?")
        assert screen.prompt.text == "second?"
        listener.tell(Ask, PLANNED, Delta("So."), Answered(TURN, SESSION))
        await settle(pilot)
        assert screen.answer == TURN
        assert screen.header.status.doing == "ready"
        assert not screen.is_answering
        screen.post_message(QuestionTakenBack("why?", "t1"))
        await settle(pilot)
        assert screen.prompt.text == "why?"
        await pilot.press("enter")
        await settle(pilot)
        assert listener.last(Ask) == Ask(question="why?", instead_of="t1")
        await pilot.press("escape")
        await settle(pilot)
        assert listener.last(Stop) == Stop(number(listener, Ask))
        listener.tell(Ask, Failed("stopped", exit_code=130), done=False)
        await settle(pilot)
        assert screen.header.status.doing == "stopped"


@pytest.mark.parametrize(("failed", "said"), [(Failed("stopped", exit_code=130), "stopped by you"), (LOST, "no room")])
async def test_a_question_asked_anew_in_vain_is_back_in_the_prompt(
    run_app: Any, listener: Any, failed: Failed, said: str
) -> None:
    turns = tuple(replace(TURN, id=f"t{n}", question=f"question {n}?") for n in (1, 2, 3))
    async with run_app(size=(120, 60)) as pilot:
        screen = await resumed(pilot, listener, *turns)
        screen.prompt.text = "not kept?"
        await pilot.press("enter")
        await settle(pilot)
        listener.tell(Ask, Failed("no engine"), done=False)
        await settle(pilot)
        screen.post_message(QuestionTakenBack("question 2?", "t2", 2))
        await settle(pilot)
        screen.prompt.text = "edited with care?"
        await pilot.press("enter")
        await settle(pilot)
        assert shown_questions(screen) == ["question 1?", "edited with care?"]
        listener.tell(Ask, SessionOpened(SESSION, turns), failed, done=False)
        await settle(pilot)
        kept = [turn.question for turn in turns]
        assert shown_questions(screen) == [*kept, "not kept?", "edited with care?"]
        assert said in str(screen.query(Turn).last().query_one(".foot").render())
        assert screen.conversation.current.question == "edited with care?"
        assert screen.prompt.text == "edited with care?"
        assert "2 later turns" in str(screen.prompt.border_subtitle)
        await pilot.press("enter")
        await settle(pilot)
        assert listener.last(Ask) == Ask(question="edited with care?", instead_of="t2")
        listener.tell(Ask, Answered(replace(TURN, id="t4", question="edited with care?"), SESSION))
        await settle(pilot)
        assert shown_questions(screen) == ["question 1?", "edited with care?"]
        assert len(screen.query(Turn)) == 2
        await pilot.press("up", "up")
        assert screen.prompt.text == "not kept?"


async def test_what_is_typed_meanwhile_stays_in_the_prompt(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = await resumed(pilot, listener, TURN)
        screen.post_message(QuestionAsked("anew?", "t1"))
        await settle(pilot)
        screen.prompt.text = "typed since"
        listener.tell(Ask, SessionOpened(SESSION, (TURN,)), LOST, done=False)
        await settle(pilot)
        assert screen.prompt.text == "typed since"
        assert not screen.prompt.border_subtitle


async def test_a_job_that_runs_does_not_take_the_word_about_later_turns_away(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = await ready(pilot, listener)
        screen.action_reread()
        screen.post_message(QuestionTakenBack("why?", "t1", 4))
        await settle(pilot)
        for _ in range(2):
            await pilot.press("enter")
            await settle(pilot)
            assert "4 later turns" in str(screen.prompt.border_subtitle)


async def test_a_stopped_opening_is_not_said_under_an_answer(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = await resumed(pilot, listener, TURN)
        screen.start(Resume("other"))
        listener.tell(Resume, Failed("stopped", exit_code=130), done=False)
        await settle(pilot)
        assert not screen.conversation.query(".notice")
        assert screen.header.status.doing == "stopped"


async def test_an_engine_that_failed_says_what_to_do_and_starts_again(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = await ready(pilot, listener)
        told: list[Failed] = []
        screen.conversation.fail = told.append
        screen.post_message(QuestionAsked("why?"))
        await settle(pilot)
        listener.tell(Ask, Failed("the engine died", "see its log", 5), done=False)
        await settle(pilot)
        assert "f6" in told[0].hint and "see its log" in told[0].hint
        screen.action_engine_again()
        assert listener.last(UseEngine) == UseEngine(name="openai", model="qwen", base_url="http://x/v1")


async def test_a_long_prefill_opens_the_map_until_the_answer_begins(run_app: Any, listener: Any) -> None:
    slow = replace(PLANNED, prefill_tokens_per_s=100.0)
    async with run_app(size=(120, 30)) as pilot:
        screen = await ready(pilot, listener)
        screen.post_message(QuestionAsked("why?"))
        await settle(pilot)
        listener.tell(Ask, slow, done=False)
        await settle(pilot)
        assert screen.window.is_open
        listener.tell(Ask, Delta("So"))
        await settle(pilot)
        assert not screen.window.is_open
        await pilot.press("f5")
        screen.post_message(QuestionAsked("and why that?"))
        await settle(pilot)
        listener.tell(Ask, slow, Delta("So"))
        await settle(pilot)
        assert screen.window.is_open, "a person opened it"
        await pilot.press("f5")
        assert not screen.window.is_open


def test_which_prefill_is_long() -> None:
    assert not prefill_is_long(PLANNED)
    assert prefill_is_long(replace(PLANNED, prompt_tokens=200_001))
    assert prefill_is_long(replace(PLANNED, prefill_tokens_per_s=11_999.0))
    assert not prefill_is_long(replace(PLANNED, prompt_tokens=10**6, prefill_tokens_per_s=250_000.0))


async def test_what_came_too_late_is_not_shown(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = await ready(pilot, listener)
        files: list[FilesAre] = []
        screen.corpus.add_files = files.append
        for _ in range(2):
            late = number(listener, Files)
            screen.action_reread()
            listener.tell(Reread, replace(CORPUS, name="newer"))
            await settle(pilot)
        pilot.app.post_message(Replied(late, FilesAre((), is_last=False)))
        listener.tell(Files, FilesAre((), is_last=True))
        texts: list[TextPart] = []
        screen.source.add_text = texts.append
        screen.post_message(FileChosen("a.py"))
        await settle(pilot)
        late = number(listener, Text)
        screen.post_message(FileChosen("b.py"))
        await settle(pilot)
        pilot.app.post_message(Replied(late, TextPart(path="a.py", text="old", is_last=True)))
        listener.tell(Text, TextPart(path="b.py", text="new", is_last=True))
        await settle(pilot)
        assert files == [FilesAre((), is_last=True)]
        assert [part.text for part in texts] == ["new"]


# --- commands -------------------------------------------------------------------------------------------------------


async def test_keys_work_while_the_cursor_is_in_the_prompt(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = await ready(pilot, listener)
        await pilot.press("ctrl+n")
        assert listener.last(NewSession) == NewSession()
        listener.tell(NewSession, SessionOpened(None, ()))
        for key in ("ctrl+r", "ctrl+t", "f8", "f9", "f6", "f1", "f7", "ctrl+o"):
            screen.prompt.focus()
            await settle(pilot)
            await pilot.press(key)
            await settle(pilot)
            assert pilot.app.screen is not screen, key
            await pilot.press("escape")
            await settle(pilot)
            assert pilot.app.screen is screen, key
        assert screen.prompt.text == ""


async def test_slash_commands(run_app: Any, listener: Any) -> None:
    wanted: list[tuple[str, str, Any]] = [
        ("new", "", NewSession()),
        ("resume", "abcd", Resume("abcd")),
        ("rename", "A [/red] title", Rename("7f3c0001", "A [/red] title")),
        ("reread", "", Reread()),
        ("file", "a.py", Text("a.py")),
    ]
    async with run_app(size=(80, 24)) as pilot:
        screen = await ready(pilot, listener)
        for name, words, request in wanted:
            screen.post_message(CommandTyped(f"/{name}", words))
            await settle(pilot)
            assert listener.last(type(request)) == request
            listener.tell(type(request))
            await settle(pilot)
        screen.post_message(CommandTyped("sumary[/red]\x1b", "x"))
        await settle(pilot)
        said = [each.message for each in pilot.app._notifications]
        assert said and "is not known" in said[-1] and "\x1b" not in said[-1]
        screen.post_message(CommandTyped("rename", "a better one"))
        await settle(pilot)
        listener.tell(Rename, SessionsAre((replace(SESSION, title="a better one"),)))
        await settle(pilot)
        assert screen.header.status.session == '"a better one"'


async def test_cite_plan_and_tokens(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = await ready(pilot, listener)
        told: list[str] = []
        screen.conversation.add_notice = told.append
        screen.post_message(CommandTyped("plan", ""))
        screen.post_message(CommandTyped("tokens", ""))
        await settle(pilot)
        assert told[0] == "corpus: 2 files, 50,000 tokens; 1 left out"
        assert told[1].startswith("openai qwen: 100,000 tokens fit; all of it fits, 50,000 are free")
        assert told[2] == "no question was asked yet"
        screen.post_message(QuestionAsked("why?"))
        await settle(pilot)
        listener.tell(Ask, Cited(CITED), Delta("So [^1]."), Answered(TURN, SESSION))
        await settle(pilot)
        for words in ("", "9", "²", "x", "1" * 5_000):
            screen.post_message(CommandTyped("cite", words))
        await settle(pilot)
        assert not any(isinstance(each, Text) for each in listener.requests)
        screen.post_message(CommandTyped("cite", "1"))
        await settle(pilot)
        assert listener.last(Text) == Text("a.py", "sha")


RESUMED = TurnIs(
    id="t9",
    question="why?",
    answer={
        "answer_markdown": "So [^1].",
        "citations": [citation_json(replace(CITED, n=n)) for n in (1, 2, 3)],
        "tokens": {"prompt": 43_210, "output": 96},
    },
    created_s=0,
)


async def test_what_was_answered_before_is_known_after_a_resumption(run_app: Any, listener: Any) -> None:
    async with run_app(size=(120, 30)) as pilot:
        screen = await ready(pilot, listener)
        listener.tell(Open, SessionOpened(SESSION, (RESUMED,)))
        screen.post_message(CommandTyped("resume", "7f3c"))
        await settle(pilot)
        listener.tell(Resume, SessionOpened(SESSION, (RESUMED,)))
        await settle(pilot)
        told: list[str] = []
        screen.conversation.add_notice = told.append
        screen.post_message(CommandTyped("tokens", ""))
        screen.post_message(CommandTyped("cite", "2"))
        await settle(pilot)
        assert "43,210 prompt tokens" in told[0]
        assert str(screen.source.query_one("#source-place").render()).endswith("2/3")
        assert screen.answer is None, "it was not asked while this program ran"
        screen.post_message(CommandTyped("new", ""))
        await settle(pilot)
        listener.tell(NewSession, SessionOpened(None, ()))
        await settle(pilot)
        assert not screen.cited
        assert pilot.app.ended().session == SESSION, "that can still be gone on with"


async def test_a_page_that_can_not_be_drawn_is_said_in_the_source(run_app: Any, listener: Any) -> None:
    async with run_app(size=(120, 30)) as pilot:
        screen = await ready(pilot, listener)
        failures: list[Failed] = []
        screen.source.fail = failures.append
        screen.post_message(PictureWanted("a.pdf", 3, 100, 100))
        await settle(pilot)
        listener.tell(Picture, Failed("page 3 can't be drawn"), done=False)
        await settle(pilot)
        assert failures == [Failed("page 3 can't be drawn")]


async def test_after_an_opening_that_failed_the_next_step_is_said(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = pilot.app.workspace
        told: list[Failed] = []
        screen.conversation.fail = told.append
        await settle(pilot)
        await pilot.press("ctrl+t")
        await settle(pilot)
        assert pilot.app.screen is screen, "there is nothing to summarise yet"
        listener.tell(Open, Failed("stopped", exit_code=130), done=False)
        await settle(pilot)
        assert "/open PATH" in told[0].hint
        assert "/open PATH" in str(screen.prompt.border_title)
        await pilot.press("ctrl+t")
        await settle(pilot)
        assert pilot.app.screen is screen
        said = [each.message for each in pilot.app._notifications]
        assert "not done yet" in said[0] and "/open PATH" in said[1]
        assert screen.key_words() == {"answer.stop": "", "window.map": "", "summary.corpus": "", "session.export": ""}
        screen.post_message(CommandTyped("open", "/src"))
        await settle(pilot)
        await ready(pilot, listener)
        assert str(screen.prompt.border_title) == ""
        assert screen.key_words() == {"answer.stop": ""}


async def test_escape_stops_is_said_only_while_something_runs(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = await ready(pilot, listener)
        footer = screen.query_one("#keys")

        def words() -> list[str]:
            return [str(each.description) for each in footer.query("FooterKey")]

        assert "stop" not in words() and {"help", "palette"} <= set(words())
        screen.post_message(QuestionAsked("why?"))
        await settle(pilot)
        assert "stop" in words()
        listener.tell(Ask, Answered(TURN, SESSION))
        await settle(pilot)
        assert "stop" not in words()
        assert sum(each.region.width for each in footer.query("FooterKey")) > 55, "the line is filled"


async def test_a_file_is_found_by_its_name(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = await ready(pilot, listener)
        screen.post_message(CommandTyped("file", "zz"))
        await settle(pilot)
        assert seen(screen) == ["corpus"]
        assert screen.focused is screen.query_one("#corpus-filter")
        assert screen.focused.value == "zz"


async def test_leaving_out_shows_its_effect_first(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = await ready(pilot, listener, replace(CORPUS, excluded=("src/", "docs/a.md")))
        screen.post_message(ExclusionToggled("src/a.py", excluded=False))
        await settle(pilot)
        assert pilot.app.screen is screen, "it stands in a folder that is left out"
        screen.post_message(ExclusionToggled("docs/", excluded=True))
        await settle(pilot)
        await pilot.press("escape")
        screen.post_message(ExclusionToggled("docs/", excluded=True))
        await settle(pilot)
        assert listener.last(Effect) == Effect(("src/", "docs/"))
        await pilot.press("enter")
        await settle(pilot)
        assert not any(isinstance(each, Exclude) for each in listener.requests)
        effect = EffectIs(tokens_before=100, tokens_after=60, windows_before=3, windows_after=2, windows_kept=1)
        listener.tell(Effect, effect)
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert listener.last(Exclude) == Exclude(("src/", "docs/"))


async def test_summary_and_repack_by_keys_alone(run_app: Any, listener: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        screen = await ready(pilot, listener)
        for key in ("escape", "enter"):
            screen.action_repack()
            await settle(pilot)
            assert not any(isinstance(each, Repack) for each in listener.requests)
            await pilot.press(key)
            await settle(pilot)
        listener.tell(Repack)
        await pilot.press("ctrl+t")
        await settle(pilot)
        await pilot.press("right", "down", "left", "enter")
        await settle(pilot)
        assert listener.last(Summarise) == Summarise(length=Length.LONG, style=Style.OUTLINE)


async def test_export_asks_before_it_replaces(
    run_app: Any, listener: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bottleneck.md").write_text("mine")
    async with run_app(size=(80, 24)) as pilot:
        screen = await ready(pilot, listener)
        await pilot.press("ctrl+e")
        await settle(pilot)
        assert isinstance(pilot.app.screen, AskForm)
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("enter")
        await settle(pilot)
        wanted = Export("7f3c0001", str(tmp_path / "bottleneck.md"), Form.MARKDOWN, replaces=True)
        assert listener.last(Export) == wanted
        listener.tell(Export, Exported(wanted.file))
        screen.post_message(CommandTyped("export", str(tmp_path / "a.html")))
        await settle(pilot)
        assert listener.last(Export) == Export("7f3c0001", str(tmp_path / "a.html"), Form.HTML)


# --- what needs no screen -------------------------------------------------------------------------------------------


def test_the_first_line_fits_any_width() -> None:
    status = Status(corpus="kernel", session='"wide 漢字 title"', engine="scout", doing="ready")
    for width in (*range(12, 90), 200):
        line = first_line(status, width)
        assert line.cell_length == width
    assert first_line(status, 100).plain.startswith('longctx  kernel ▸ "wide')
    assert first_line(status, 100).plain.endswith("scout · ready")


def test_the_plan_in_words() -> None:
    assert list(plan_lines(None, None, None)) == ["nothing is read yet"]
    lines = list(plan_lines(replace(CORPUS, tokens=200_000, stale=2_000), ENGINE, PLANNED))
    assert "2.0K of them out of date" in lines[0]
    assert "reads what bears on it" in lines[1]
    assert lines[2] == "the last question: 60,000 of 100,000 tokens, full"
    assert "no model" in list(plan_lines(CORPUS, replace(ENGINE, name="evidence"), None))[1]


def test_the_tokens_in_words() -> None:
    answer = {"tokens": {"prompt": 43_210, "cached": 40_000, "output": 96}}
    lines = list(token_lines(PLANNED, answer, SESSION))
    assert lines[0].endswith("corpus 50,000 + conversation 3,000 + passages 2,000 + rest 5,000")
    assert lines[1] == "the last answer: 43,210 prompt tokens, 40,000 of them cached; 96 tokens of answer"
    assert "1 turn;" in lines[2]
    assert list(token_lines(None, None, None)) == ["no question was asked yet"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"engine": {"kind": "evidence"}}, "no model read anything"),
        ({"tokens": {"prompt": 9}}, "cache: not reported; 0 tokens"),
        ({"tokens": "x\x1b"}, "did not count"),
        ({"tokens": {"prompt": "9"}}, "did not count"),
    ],
)
def test_what_an_answer_took_where_little_is_known(answer: dict[str, Any], said: str) -> None:
    (line,) = token_lines(None, answer, None)
    assert said in line


def test_what_is_left_out_after_a_change() -> None:
    assert changed(("a", "docs/b"), "docs/", leave_out=True) == ("a", "docs/")
    assert changed(("a", "docs/"), "docs/", leave_out=False) == ("a",)
    assert changed((), "a", leave_out=True) == ("a",)
    assert changed(("docs",), "docs/", leave_out=True) == ("docs", "docs/")
    assert holder(("docs/",), "docs/x/y") == "docs/"
    assert holder(("docs/",), "docs/") is None
    assert holder(("doc",), "docs/") is None


def test_the_effect_in_words() -> None:
    effect = EffectIs(
        tokens_before=1000, tokens_after=400, windows_before=10, windows_after=4, windows_kept=2, cached_lost=7
    )
    text = "\n".join(effect_words(effect))
    assert "1,000 → 400 (-600)" in text
    assert "7 stored windows" in text
    assert "nothing stored is lost" in "\n".join(effect_words(replace(effect, cached_lost=0)))
    assert "not known" in "\n".join(effect_words(replace(effect, cached_lost=None)))


def test_a_file_is_cached_when_all_of_it_is() -> None:
    windows = WindowsAre(
        windows=(WindowIs(9, (PieceIs(0), PieceIs(1, 0, 5))), WindowIs(9, (PieceIs(1, 5), PieceIs(2)))),
        texts=tuple(TextIs(path=path, sha256=path, tokens=9, is_stale=path == "d") for path in "abcd"),
        cached=1,
    )
    assert cached_files(windows) == {"a"}
    assert cached_files(replace(windows, cached=2)) == {"a", "b", "c"}
    assert cached_files(replace(windows, cached=None)) is None


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Where is the bottleneck?", "where-is-the-bottleneck.md"),
        ("../../etc/passwd", "etc-passwd.md"),
        ("漢字 title", "漢字-title.md"),
        ("\x1b[31m\u202e\udcff", "31m.md"),
        ("", "session.md"),
        ("x" * 300, "x" * 60 + ".md"),
    ],
)
def test_a_proposed_file_name_is_harmless(title: str, name: str) -> None:
    assert proposed_name(title) == name


def test_the_form_is_that_of_the_ending(tmp_path: Path) -> None:
    assert [form_of(name) for name in ("a", "a.md", "b.HTML", "c.json", "d.exe")] == [
        Form.MARKDOWN,
        Form.MARKDOWN,
        Form.HTML,
        Form.JSON,
        None,
    ]
    assert problem(str(tmp_path / "a.md")) == ""
    assert "folder" in problem(str(tmp_path)) and "folder" in problem(str(tmp_path / "no" / "a.md"))
    assert problem("a.exe") and problem("\0/a.md")
    assert isinstance(Windows(), Windows)
