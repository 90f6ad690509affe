"""The conversation: what it shows of a turn in each state, and what each key and click says."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from textual.geometry import Size
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import OptionList

from ingest.document import Kind
from longctx.answer import Mode, citation_json
from longctx.backend.replies import Answered, Failed, Planned, Prefill, SessionOpened, TurnIs
from longctx.backend.requests import Ask, Open
from longctx.citations import Citation, CitationStatus
from tui.messages import CitationChosen, CitationStep, CopyWanted, QuestionAsked, QuestionTakenBack, StopWanted
from tui.widgets.answer import AnswerText, pause_s
from tui.widgets.conversation import SHOWN_AT_ONCE, SHOWN_MOST, ConversationPane, Earlier, with_notes
from tui.widgets.footnotes import Footnotes
from tui.widgets.prompt import Prompt
from tui.widgets.turn import Turn

Picture = Callable[[Pilot[Any]], None]
ANSWER = """## Where the time goes

The prefill path is **memory bound** [^1] since every layer reads the whole KV [^2]. The report puts it at 41 % [^3],
an older one says otherwise [^4], and a third is silent [^5]. `[^1]` is code, and so is this:

```python
for layer in layers:  # [^2]
    read(layer)
```

| stage | share |
|:--|--:|
| attention [^1] | 41 % |
| experts | 38 % |

- read once
  - per window
- [a link](https://example.org) leads nowhere"""


def citation(n: int, status: CitationStatus, **fields: Any) -> Citation:
    known: dict[str, Any] = {
        "path": f"src/{status}.py",
        "page": None,
        "lines": (41, 88),
        "chars": (1, 5),
        "quote": "for layer in layers: read(layer)",
        "sha256": "ab",
        "place": f"src/{status}.py:41-88",
        "kind": Kind.CODE,
    }
    return Citation(n=n, status=status, **{**known, **fields})


CITATIONS = [citation(n, status) for n, status in enumerate(CitationStatus, start=1)]


def turn(
    number: int = 1,
    *,
    markdown: str = ANSWER,
    question: str = "Where is the bottleneck?",
    citations: list[Citation] = CITATIONS,
    summary_of: str = "",
    **fields: Any,
) -> TurnIs:
    answer: dict[str, Any] = {
        "answer_markdown": markdown,
        "citations": [citation_json(each) for each in citations],
        "ending": "stop",
        "tokens": {"prompt": 1_420_118, "output": 212, "cached": 1_310_000},
        "timing": {"ttft_s": 4.1, "decode_tokens_per_s": 31.2},
        "coverage": {"sentences": 6, "cited": 5, "verified": 1},
        **fields,
    }
    return TurnIs(id=f"t{number}", question=question, answer=answer, created_s=0, summary_of=summary_of)


def planned(rate: float | None = 27_000) -> Planned:
    return Planned(
        prompt_tokens=1_420_118,
        limit_tokens=None,
        mode=Mode.FULL,
        read_tokens=0,
        corpus_tokens=0,
        recap_tokens=0,
        conversation_tokens=0,
        prefill_tokens_per_s=rate,
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time as turns see it, to be set."""
    now = [100.0]
    monkeypatch.setattr("tui.widgets.turn.monotonic", lambda: now[0])
    return now


def pane(pilot: Pilot[Any]) -> ConversationPane:
    return pilot.app.query_one(ConversationPane)


def lines(pilot: Pilot[Any]) -> str:
    """What the screen shows."""
    _, height = pilot.app.size
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips[:height])


def said(pilot: Pilot[Any]) -> list[Any]:
    return list(pilot.app.said)  # type: ignore[attr-defined]


async def settled(pilot: Pilot[Any]) -> None:
    """Until what was added is drawn."""
    await pilot.pause()
    for answer in pilot.app.query(AnswerText):
        answer.flush()
    await pilot.pause()


async def until(happened: Callable[[], bool]) -> None:
    """Wait for it, not for ever."""
    for _ in range(200):
        if happened():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


# --- pictures -----------------------------------------------------------------------------------------------------


async def test_picture_empty(run_widget: Any, picture: Picture) -> None:
    async with run_widget(ConversationPane()) as pilot:
        picture(pilot)


async def test_picture_waiting(run_widget: Any, picture: Picture, clock: list[float]) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).begin("Where is the bottleneck?\nAnd in the second part?")
        clock[0] += 12
        pane(pilot).show_plan(planned())
        await pilot.pause()
        picture(pilot)


async def test_picture_reading(run_widget: Any, picture: Picture, clock: list[float]) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).begin("Where is the bottleneck?")
        clock[0] += 12
        pane(pilot).show_prefill(Prefill(done=412_000, total=1_420_118, cached=100_000))
        pane(pilot).show_plan(planned())
        await pilot.pause()
        picture(pilot)


async def test_picture_streaming(run_widget: Any, picture: Picture) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).begin("Where is the bottleneck?")
        for each in CITATIONS[:3]:
            pane(pilot).add_citation(each)
        pane(pilot).add_text(ANSWER[:210])
        await settled(pilot)
        picture(pilot)


async def test_picture_answered(run_widget: Any, picture: Picture) -> None:
    async with run_widget(ConversationPane(), size=(100, 48)) as pilot:
        pane(pilot).show_turns([turn()])
        pane(pilot).step(1)
        pane(pilot).step(1)
        await settled(pilot)
        picture(pilot)


async def test_picture_in_doubt_only(run_widget: Any, picture: Picture) -> None:
    async with run_widget(ConversationPane(), size=(80, 30)) as pilot:
        pane(pilot).show_turns([turn(markdown="Read [^1] it [^4].")])
        pane(pilot).query_one("#turns").focus()
        await pilot.press("u")
        picture(pilot)


async def test_picture_failed(run_widget: Any, picture: Picture) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).begin("Where?")
        pane(pilot).fail(
            Failed("the engine ended: out of memory at 1.2M tokens", "start it again (f6)\nor ask less", 5)
        )
        await pilot.pause()
        picture(pilot)


async def test_picture_stopped_without_cache_information(run_widget: Any, picture: Picture) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).begin("Where?")
        pane(pilot).add_text("The prefill path")
        pane(pilot).add_notice("cached tokens: not reported")
        kept = turn(
            markdown="The prefill path", citations=[], ending="interrupted", tokens={"prompt": 2000, "output": 4}
        )
        pane(pilot).finish(Answered(kept, None))
        await pilot.pause()
        picture(pilot)


async def test_picture_no_cache_information_and_focus(run_widget: Any, picture: Picture) -> None:
    reading = {"mode": "focus", "read_tokens": 118_000, "corpus_tokens": 3_200_000, "unread": ["a.md", "b.md"]}
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).show_turns([turn(markdown="So [^1].", tokens={"prompt": 120_000, "output": 9}, reading=reading)])
        await pilot.pause()
        picture(pilot)


async def test_picture_summary(run_widget: Any, picture: Picture) -> None:
    async with run_widget(ConversationPane(), size=(80, 40)) as pilot:
        model = turn(1, markdown="- first [^1]\n- second", summary_of="docs/")
        extract = turn(2, markdown="> words [^2]", summary_of="the corpus", engine={"kind": "evidence"}, tokens={})
        pane(pilot).show_turns([model, extract])
        await pilot.pause()
        picture(pilot)


async def test_picture_an_earlier_turn(run_widget: Any, picture: Picture) -> None:
    async with run_widget(ConversationPane(), size=(80, 30)) as pilot:
        pane(pilot).show_turns(
            [turn(1, question="first?", markdown="one [^1]"), turn(2, question="second?", markdown="two [^2]")]
        )
        pane(pilot).query_one("#turns").focus()
        await pilot.press("left_curly_bracket")
        pane(pilot).step(1)
        await pilot.pause()
        picture(pilot)


# --- an answer on its way -----------------------------------------------------------------------------------------


async def test_what_streams_is_what_is_kept(run_widget: Any) -> None:
    async with run_widget(ConversationPane(), size=(80, 60)) as pilot:
        pane(pilot).begin("Where is the bottleneck?")
        for each in CITATIONS:
            pane(pilot).add_citation(each)
        for start in range(0, len(ANSWER), 7):
            pane(pilot).add_text(ANSWER[start : start + 7])
            if start % 5 == 0:
                await settled(pilot)
        await settled(pilot)
        streamed = [line.plain for line in pilot.app.query_one(AnswerText)._lines]
        pane(pilot).show_turns([turn()])
        await pilot.pause()
        assert [line.plain for line in pilot.app.query_one(AnswerText)._lines] == streamed


async def test_an_answer_that_grows_is_laid_out_once_each_time(
    run_widget: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts = []
    refresh_layout = Screen._refresh_layout

    def counted(self: Screen[Any], *given: Any, **named: Any) -> None:
        layouts.append(1)
        refresh_layout(self, *given, **named)

    monkeypatch.setattr(Screen, "_refresh_layout", counted)
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).begin("q")
        pane(pilot).add_text("line\n\n" * 20)
        await settled(pilot)
        await pilot.pause()
        answer = pilot.app.query_one(AnswerText)
        layouts.clear()
        answer.add("more\n\nand more\n\n")
        answer.flush()
        await until(lambda: "and more" in lines(pilot))
        await pilot.pause()
        assert len(layouts) == 1
        assert pane(pilot).query_one("#turns").is_vertical_scroll_end


async def test_measuring_does_not_change_what_is_drawn(run_widget: Any) -> None:
    text = "A warning is raised at once but lowered late, by the surge or by the level itself, and only once both fell."
    async with run_widget(AnswerText({}, text)) as pilot:
        answer = pilot.app.query_one(AnswerText)

        def drawn() -> list[str]:
            return [strip.text.rstrip() for strip in answer.render_lines(answer.size.region)]

        before = drawn()
        whole, narrow = Size(80, 24), Size(35, 24)
        assert answer.get_content_height(narrow, whole, 35) > len(before)
        answer.refresh()
        assert drawn() == before
        answer.get_content_height(whole, whole, answer.size.width)
        assert drawn() == before
        assert " ".join(before) == text
        answer.get_content_height(narrow, whole, 35)
        answer.add(" More.")
        answer.flush()
        await pilot.pause()
        assert " ".join(drawn()) == text + " More."


@pytest.mark.parametrize("width", [60, 41, 100])
async def test_another_width_draws_all_of_it(run_widget: Any, width: int) -> None:
    async with run_widget(ConversationPane(), size=(80, 60)) as pilot:
        pane(pilot).begin("q")
        pane(pilot).add_text(ANSWER[:210])
        await settled(pilot)
        await pilot.resize_terminal(width, 60)
        await pilot.pause()
        answer = pilot.app.query_one(AnswerText)
        drawn = [strip.text.rstrip() for strip in answer.render_lines(answer.size.region)]
        assert " ".join(" ".join(drawn).split()).endswith("and a third is silent [^5]. [^1]")


async def test_lines_take_other_colours_with_the_theme(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).show_turns([turn()])
        await pilot.pause()
        answer = pilot.app.query_one(AnswerText)
        dark = answer.render_line(0)
        assert answer.render_line(0) is dark
        pilot.app.theme = "textual-light"
        await pilot.pause()
        await pilot.pause()
        light = answer.render_line(0)
        assert light.text == dark.text
        assert light != dark


@pytest.mark.parametrize(("cost_s", "pause"), [(0.0, 0.125), (0.02, 0.125), (0.1, 0.3), (30, 1.0)])
def test_text_is_gathered_for_longer_where_drawing_is_slow(cost_s: float, pause: float) -> None:
    assert pause_s(cost_s) == pytest.approx(pause)


async def test_pieces_are_drawn_together(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).begin("q")
        await pilot.pause()
        answer = pilot.app.query_one(AnswerText)
        for word in ("one ", "two ", "three"):
            pane(pilot).add_text(word)
        assert answer._lines == []
        assert answer.source == "one two three"
        await until(lambda: bool(answer._lines))
        await pilot.pause()
        assert answer._lines[0].plain == "one two three"
        assert "one two three" in lines(pilot)


async def test_nothing_ticks_once_the_answer_has_begun(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).begin("q")
        await pilot.pause()
        running = pilot.app.query_one(Turn)
        assert "looking up" in lines(pilot)
        assert running._timer is not None
        pane(pilot).add_text("It")
        await settled(pilot)
        assert "looking up" not in lines(pilot)
        assert running._timer is None


async def test_a_mark_is_live_as_soon_as_its_citation_is_there(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).begin("q")
        pane(pilot).add_text("It is so [^7] and ")
        await settled(pilot)
        assert "so [^7]" in lines(pilot)
        pane(pilot).add_citation(CITATIONS[0])
        pane(pilot).add_text("so [^1].")
        await settled(pilot)
        assert "so ¹✓." in lines(pilot)
        assert "src/verified.py:41-88 verified" in lines(pilot)


async def test_the_tail_is_followed_until_one_scrolls_up(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).begin("q")
        pane(pilot).add_text("word\n\n" * 40)
        await settled(pilot)
        scroll = pane(pilot).query_one("#turns")
        assert scroll.scroll_y == scroll.max_scroll_y > 0
        scroll.focus()
        await pilot.press("home")
        await pilot.pause()
        pane(pilot).add_text("more\n\n" * 40)
        await settled(pilot)
        assert scroll.scroll_y == 0


async def test_a_short_conversation_begins_at_the_top(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).begin("Where?")
        await pilot.pause()
        assert "❯ Where?" in lines(pilot).splitlines()[1]


async def test_what_comes_without_a_question_is_a_turn_of_its_own(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).add_text("- first")
        pane(pilot).finish(Answered(turn(markdown="- first", summary_of="docs/"), None))
        await pilot.pause()
        assert "≡ Summary of docs/" in lines(pilot)
        assert len(pilot.app.query(Turn)) == 1


async def test_an_answer_that_broke_keeps_its_reason_and_its_text(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).begin("q")
        pane(pilot).add_text("The prefill")
        pane(pilot).finish(Answered(turn(markdown="The prefill", citations=[], ending="failed", error="gone"), None))
        pane(pilot).fail(Failed("the engine is gone", "start it again"))
        await pilot.pause()
        shown = lines(pilot)
        assert "The prefill" in shown
        assert "✗ the engine is gone" in shown
        assert len(pilot.app.query(Turn)) == 1


async def test_what_a_person_stopped_has_not_failed(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).begin("q")
        pane(pilot).fail(Failed("stopped", exit_code=130))
        pane(pilot).begin("q")
        pane(pilot).finish(Answered(turn(markdown="The", citations=[], ending="interrupted"), None))
        pane(pilot).fail(Failed("stopped", exit_code=130))
        await pilot.pause()
        shown = lines(pilot)
        assert shown.count("stopped") == 2
        assert "✗" not in shown


async def test_a_failure_without_a_question_is_said(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).fail(Failed("no corpus [/red]", "open one"))
        pane(pilot).add_notice("[bold a notice \x1b[2J")
        await pilot.pause()
        assert "✗ no corpus [/red]" in lines(pilot)
        assert "· [bold a notice ␛[2J" in lines(pilot)


# --- turns --------------------------------------------------------------------------------------------------------


async def test_a_thousand_turns_open_at_once(run_widget: Any) -> None:
    turns = [turn(i, markdown=f"answer {i} [^1]") for i in range(1000)]
    async with run_widget(ConversationPane()) as pilot:
        begun = time.process_time()
        pane(pilot).show_turns(turns)
        await pilot.pause()
        assert time.process_time() - begun < 1
        assert len(pilot.app.query(Turn)) == SHOWN_AT_ONCE
        assert "answer 999" in lines(pilot)
        pilot.app.query_one(Earlier).focus()
        await pilot.press("enter")
        await pilot.pause()
        assert [each.turn_id for each in pilot.app.query(Turn)] == [f"t{i}" for i in range(960, 1000)]
        assert "↑ 960 earlier turns" in str(pilot.app.query_one(Earlier).render())


async def test_long_answers_are_opened_in_parts(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).show_turns([turn(i, markdown="word\n" * 500) for i in range(30)])
        await pilot.pause()
        assert len(pilot.app.query(Turn)) == 1


async def test_many_new_turns_fold_the_first_ones(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        for i in range(SHOWN_MOST + 5):
            pane(pilot).begin(f"q{i}")
            pane(pilot).finish(Answered(turn(i, markdown="a", citations=[]), None))
        await pilot.pause()
        assert len(pilot.app.query(Turn)) == SHOWN_MOST + 1
        assert "turns" in str(pane(pilot).border_subtitle)


@pytest.mark.parametrize(("instead_of", "left"), [("t1", ["t0"]), ("t0", []), ("none", ["t0", "t1", "t2"])])
async def test_what_is_asked_anew_takes_the_place_of_what_followed(
    run_widget: Any, instead_of: str, left: list[str]
) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).show_turns([turn(i) for i in range(3)])
        pane(pilot).begin("anew", instead_of)
        await pilot.pause()
        assert [each.turn_id for each in pilot.app.query(Turn) if each.display] == [*left, ""]
        pane(pilot).finish(Answered(turn(9), None))
        await pilot.pause()
        assert [each.turn_id for each in pilot.app.query(Turn)] == [*left, "t9"]


@pytest.mark.parametrize("instead_of", ["t2", "t5", "t25"])
@pytest.mark.parametrize("looks_back", [False, True])
async def test_without_an_answer_all_turns_are_as_before(run_widget: Any, instead_of: str, looks_back: bool) -> None:
    async with run_widget(ConversationPane()) as pilot:
        kept = [turn(n, markdown="a") for n in range(30)]
        pane(pilot).show_turns(kept)
        await settled(pilot)
        pane(pilot).begin("anew", instead_of)
        if looks_back:
            pane(pilot).show_earlier()
        await settled(pilot)
        pane(pilot).fail(Failed("no room"))
        for _ in range(3):
            pane(pilot).show_earlier()
            await settled(pilot)
        shown = sorted((each for each in pilot.app.query(Turn) if each.display), key=lambda each: each.virtual_region.y)
        assert [each.turn_id for each in shown] == [*(each.id for each in kept), ""]
        assert "31 turns" in str(pane(pilot).border_subtitle)


async def test_a_turn_behind_the_line_can_be_asked_anew(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).show_turns([turn(i, markdown="a") for i in range(50)])
        pane(pilot).begin("anew", "t3")
        await pilot.pause()
        assert [each.turn_id for each in pilot.app.query(Turn) if each.display] == [""]
        assert "3 earlier" in str(pilot.app.query_one(Earlier).render())


# --- what it says -------------------------------------------------------------------------------------------------


@pytest.fixture
async def answered(run_widget: Any) -> Any:
    """A pane with two turns, its scroll focused."""

    async def run(do: Callable[[Pilot[Any]], Any]) -> list[Any]:
        async with run_widget(ConversationPane(), size=(100, 60)) as pilot:
            pane(pilot).show_turns(
                [turn(1, question="first?"), turn(2, question="second?", markdown="So [^1] be [^4].")]
            )
            pane(pilot).query_one("#turns").focus()
            await pilot.pause()
            await do(pilot)
            await pilot.pause()
            return said(pilot)

    return run


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("]", CitationStep(1)),
        ("n", CitationStep(1)),
        ("[", CitationStep(-1)),
        ("N", CitationStep(-1)),
        ("e", QuestionTakenBack("second?", "t2")),
        ("r", QuestionAsked("second?", "t2")),
        ("y", CopyWanted("So [^1] be [^4].", "the answer")),
    ],
)
async def test_keys(answered: Any, key: str, expected: Any) -> None:
    names = {"[": "left_square_bracket", "]": "right_square_bracket"}
    (message,) = await answered(lambda pilot: pilot.press(names.get(key, key)))
    assert type(message) is type(expected)
    assert vars_of(message) == vars_of(expected)


def vars_of(message: Any) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__dataclass_fields__}


async def test_copying_with_references(answered: Any) -> None:
    (message,) = await answered(lambda pilot: pilot.press("Y"))
    text, *notes = message.text.split("\n")
    assert text == "So [^1] be [^4]."
    assert notes[1].startswith("[^1]: src/verified.py:41-88 (verified)")


def test_references_hold_no_marks_of_others() -> None:
    assert with_notes({}, "So [^1] [x](y) \x1b") == "So &#91;^1] &#91;x](y) ␛"


async def test_keys_mean_the_turn_that_has_the_focus(answered: Any) -> None:
    async def edit_first(pilot: Pilot[Any]) -> None:
        pilot.app.query(Footnotes).first().focus()
        await pilot.press("e")

    assert vars_of((await answered(edit_first))[0]) == {"question": "first?", "turn": "t1", "behind": 1}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["e"], QuestionTakenBack("first?", "t1", 1)),
        (["r"], QuestionTakenBack("first?", "t1", 1)),  # it would leave the second without a word
        (["y"], CopyWanted("one [^1]", "the answer")),
        (["right_curly_bracket", "r"], QuestionAsked("second?", "t2")),
    ],
)
@pytest.mark.parametrize("way", ["key", "click"])
async def test_keys_mean_the_turn_that_was_gone_to(run_widget: Any, way: str, keys: list[str], expected: Any) -> None:
    async with run_widget(ConversationPane(), size=(100, 40)) as pilot:
        pane(pilot).show_turns(
            [turn(1, question="first?", markdown="one [^1]"), turn(2, question="second?", markdown="two")]
        )
        pane(pilot).query_one("#turns").focus()
        await pilot.pause()
        if way == "key":
            await pilot.press("left_curly_bracket")
        else:
            await pilot.click(pilot.app.query(AnswerText).first(), offset=(1, 0))
        await pilot.press(*keys)
        await pilot.pause()
        (message,) = said(pilot)
        assert type(message) is type(expected)
        assert vars_of(message) == vars_of(expected)


async def test_one_citation_is_marked_and_the_next_one_is_of_its_turn(run_widget: Any) -> None:
    first = [citation(n, CitationStatus.VERIFIED, place=f"first.py:{n}") for n in (1, 2, 3)]
    async with run_widget(ConversationPane(), size=(100, 40)) as pilot:
        pane(pilot).show_turns([turn(1, markdown="a [^2]", citations=first), turn(2, markdown="b [^1]")])
        await pilot.pause()
        pane(pilot).step(1)
        await pilot.pause()
        assert lines(pilot).count("▸") == 1
        assert pane(pilot).mark(first[1]) == 3
        await pilot.pause()
        assert lines(pilot).count("▸") == 1
        stepped = [pane(pilot).step(by) for by in (1, 1, -1)]
        assert [each.place for each in stepped if each] == ["first.py:3", "first.py:1", "first.py:3"]
        assert pane(pilot).mark(citation(9, CitationStatus.NEAR)) == 0
        pane(pilot).begin("third?")
        assert pane(pilot).current is pilot.app.query(Turn).last()


async def test_where_there_is_no_next_citation_the_reason_is_said(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        assert "no answer yet" in pane(pilot).without_citations
        pane(pilot).show_turns([turn(markdown="x", citations=[])])
        assert pane(pilot).without_citations == "this answer has no citations"
        pane(pilot).show_turns([turn(markdown="x", citations=CITATIONS[:1])])
        await pilot.pause()
        pane(pilot).action_doubtful()
        assert pane(pilot).step(1) is None
        assert "u shows all" in pane(pilot).without_citations


async def test_letters_that_are_no_command_go_to_the_prompt(answered: Any) -> None:
    messages = await answered(lambda pilot: pilot.press("w", "slash", "space", "j", "tab", "down", "W"))
    assert [message.letters for message in messages] == ["w", "/", "j", "W"]


async def test_escape_stops_only_what_runs(answered: Any) -> None:
    assert await answered(lambda pilot: pilot.press("escape")) == []

    async def stop(pilot: Pilot[Any]) -> None:
        pane(pilot).begin("q")
        await pilot.press("escape", "e", "r")

    assert [type(message) for message in await answered(stop)] == [StopWanted]


async def test_stepping_goes_round(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        assert pane(pilot).step(1) is None
        pane(pilot).show_turns([turn(markdown="x")])
        await pilot.pause()
        steps = [pane(pilot).step(by) for by in (1, 1, -1, -1, 1)]
        assert [each.n for each in steps if each] == [1, 2, 1, 5, 1]


async def test_clicking_a_mark_shows_its_citation(answered: Any) -> None:
    async def click(pilot: Pilot[Any]) -> None:
        answer = pilot.app.query(AnswerText).last()
        column = answer._lines[0].plain.index("⁴?")
        await pilot.click(answer, offset=(column, 0))
        await pilot.click(answer, offset=(0, 0))

    (message,) = await answered(click)
    assert isinstance(message, CitationChosen)
    assert message.citation == CITATIONS[3]


async def test_clicking_a_footnote_shows_its_citation(answered: Any) -> None:
    (message,) = await answered(lambda pilot: pilot.click(pilot.app.query(Footnotes).last(), offset=(5, 2)))
    assert message.citation == CITATIONS[2]


async def test_footnotes_left_out_are_said_to_be_found_not_where(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).show_turns([turn(markdown="x", citations=CITATIONS[1:])])  # the first of them is relocated
        pane(pilot).action_doubtful()
        await pilot.pause()
        assert "1 more, whose quotes were found (u shows all)" in lines(pilot)


async def test_keys_in_footnotes(answered: Any) -> None:
    async def walk(pilot: Pilot[Any]) -> None:
        pilot.app.query(Footnotes).last().focus()
        await pilot.press("down", "down", "up", "enter")

    (message,) = await answered(walk)
    assert message.citation == CITATIONS[1]


async def test_only_citations_in_doubt(answered: Any) -> None:
    shown: list[str] = []

    async def toggle(pilot: Pilot[Any]) -> None:
        for _ in range(2):
            await pilot.press("u")
            await pilot.pause()
            shown.append(" ".join(str(each.n) for each in pilot.app.query(Footnotes).last().citations))

    await answered(toggle)
    assert shown == ["3 4 5", "1 2 3 4 5"]


async def test_an_example_goes_into_the_prompt(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pilot.app.query_one(OptionList).focus()
        await pilot.press("down", "enter")
        await pilot.pause()
        (message,) = said(pilot)
        assert message.turn == ""
        assert message.question.endswith("?")


async def test_a_summary_is_not_asked_again(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).show_turns([turn(summary_of="docs/")])
        pane(pilot).query_one("#turns").focus()
        await pilot.press("e", "r")
        assert said(pilot) == []


# --- on the main screen -------------------------------------------------------------------------------------------


async def test_the_citations_of_an_earlier_turn_are_counted_and_stepped_through(run_app: Any, listener: Any) -> None:
    first = [citation(n, CitationStatus.VERIFIED, place=f"first.py:{n}") for n in (1, 2, 3)]
    turns = (turn(1, question="first?", markdown="one [^2]", citations=first), turn(2, markdown="two [^1]"))
    async with run_app(size=(160, 50)) as pilot:
        listener.tell(Open, SessionOpened(None, turns))
        await until(lambda: len(pilot.app.screen.query(AnswerText)) == 2)
        await pilot.pause()
        answer = pilot.app.screen.query(AnswerText).first()
        await pilot.click(answer, offset=(4, 0))
        await until(lambda: "first.py:2  2/3" in lines(pilot))
        pilot.app.screen.query_one("#source-empty").focus()
        await pilot.press("n")
        await until(lambda: "first.py:3  3/3" in lines(pilot))
        await pilot.press("n")
        await until(lambda: "first.py:1  1/3" in lines(pilot))
        assert lines(pilot).count("▸") == 1
        pilot.app.screen.query_one("#turns").focus()
        await pilot.press("r")
        await until(lambda: "asking anew leaves out 1 later turn" in lines(pilot))
        assert pilot.app.screen.query_one(Prompt).text == "first?"
        assert not [request for request in listener.requests if isinstance(request, Ask)]


async def test_a_question_can_be_begun_in_the_conversation(run_app: Any) -> None:
    async with run_app(size=(80, 24)) as pilot:
        pilot.app.screen.query_one("#turns").focus()
        await pilot.press("w")
        await until(lambda: isinstance(pilot.app.focused, Prompt))
        await pilot.press("h", "y")
        assert pilot.app.screen.query_one(Prompt).text == "why"


# --- hostile ------------------------------------------------------------------------------------------------------

HOSTILE = (
    "[/red]",
    "[bold",
    "[@click=app.quit]x[/]",
    "\x1b[31m\x07",
    "\u202eabc",
    "\ud800",
    "x" * 10_000,
    "",
    "\x00\r",
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_texts_are_only_text(run_widget: Any, text: str) -> None:
    hostile = turn(
        markdown=f"{text} [^1]\n\n| {text} | b |\n|--|--|\n| {text} | [^1] |\n\n```{text}\n{text}\n```\n# {text}",
        question=text,
        citations=[citation(1, CitationStatus.VERIFIED, path=text, place=text, quote=text)],
        summary_of="",
        warnings=[text],
        error=text,
        ending="failed",
    )
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).show_turns([hostile, turn(2, summary_of=text or "x")])
        pane(pilot).begin(text)
        pane(pilot).add_notice(text)
        pane(pilot).add_citation(citation(1, CitationStatus.NEAR, place=text, quote=text))
        pane(pilot).add_text(text)
        await settled(pilot)
        pane(pilot).fail(Failed(text, text))
        pane(pilot).step(1)
        await pilot.pause()
        shown = lines(pilot)
        assert not {"\x1b", "\x07", "\u202e", "\ud800", "\x00"} & set(shown)
        assert pilot.app.is_running


async def test_what_is_selected_is_what_is_shown(run_widget: Any) -> None:
    async with run_widget(ConversationPane()) as pilot:
        pane(pilot).show_turns([turn(markdown="one two three [^1]")])
        await pilot.pause()
        answer = pilot.app.query_one(AnswerText)
        await pilot.mouse_down(answer, offset=(4, 0))
        await pilot.hover(answer, offset=(7, 0))
        await pilot.mouse_up(answer, offset=(7, 0))
        await pilot.pause()
        assert pilot.app.screen.get_selected_text() in ("two", "two ")


def test_every_binding_has_an_id_of_its_own() -> None:
    found = [binding for widget in (ConversationPane, Footnotes, Earlier) for binding in bindings(widget)]
    assert len(found) == len(set(found))
    assert all(found)


def bindings(widget: Any) -> Iterator[str]:
    yield from (binding.id for binding in widget.BINDINGS)
