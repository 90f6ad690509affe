"""The window panel: gauge, figures and map as the backend tells of them."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from ingest.document import Kind
from longctx.answer import Mode
from longctx.backend.replies import (
    EngineOpened,
    Evidence,
    PieceIs,
    Place,
    Planned,
    Prefill,
    ReadingFiles,
    TextIs,
    WindowIs,
    WindowsAre,
)
from longctx.citations import Citation, CitationStatus
from tui.messages import FileChosen
from tui.themes import THEMES
from tui.widgets.gauge import Gauge, Scale
from tui.widgets.window_map import WindowMap
from tui.widgets.window_panel import WindowPanel, too_few_colors
from tui.window_states import CorpusMap, WindowState, map_of
from tui.window_words import describe, expected, legend

HOSTILE = "src/[/red]\x1b[31m[@click=app.quit]x[/]\u202e\udce4.py"
ANSWER = {
    "tokens": {"prompt": 1_410_000, "cached": 1_310_000, "output": 300},
    "timing": {"ttft_s": 4.12, "prefill_tokens_per_s": 27_123.4, "decode_tokens_per_s": 31.4},
}


class Clock:
    """Says the time it is told."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def windows(count: int = 174, *, cached: int | None = None, stale: Sequence[int] = (), name: str = "") -> WindowsAre:
    """Two texts a window."""
    texts = tuple(
        TextIs(path=name or f"src/file_{n}.py", sha256=f"{n}", tokens=4000, is_stale=n in stale)
        for n in range(2 * count)
    )
    held = tuple(WindowIs(8000 + n % 100, (PieceIs(2 * n), PieceIs(2 * n + 1))) for n in range(count))
    return WindowsAre(windows=held, texts=texts, cached=cached)


def engine(limit: int | None = 2_000_000, name: str = "scout") -> EngineOpened:
    return EngineOpened(name=name, model="m", why="", context_tokens=limit)


def planned(**fields: object) -> Planned:
    given: dict[str, object] = {
        "prompt_tokens": 1_410_000,
        "limit_tokens": 2_000_000,
        "mode": Mode.FULL,
        "read_tokens": 1_380_000,
        "corpus_tokens": 1_380_000,
        "recap_tokens": 3000,
        "conversation_tokens": 2100,
        **fields,
    }
    return Planned(**given)  # type: ignore[arg-type]  # fields by name


def evidence(*texts: int) -> Evidence:
    return Evidence(tuple(Place(f"{n}", 0, 10) for n in texts))


def citation(text: int, chars: tuple[int, int] | None = (0, 9)) -> Citation:
    return Citation(1, CitationStatus.VERIFIED, "a.py", None, None, chars, "q", f"{text}", "a.py", Kind.CODE)


def panel_of(pilot: Pilot[Any]) -> WindowPanel:
    return pilot.app.query_one(WindowPanel)


def text_of(pilot: Pilot[Any], name: str) -> str:
    return str(pilot.app.query_one(f"#{name}", Static).content)


def signs(pilot: Pilot[Any]) -> str:
    return "".join(state.sign for state in pilot.app.query_one(WindowMap).states)


def test_a_window_is_named_with_its_first_files() -> None:
    corpus = map_of(windows(2))
    assert describe(corpus, [WindowState.CITED, WindowState.NEW, WindowState.EMPTY], 0) == (
        "window 1 of 3 · 8,000 tokens · cited · src/file_0.py, src/file_1.py"
    )
    assert describe(corpus, [WindowState.CITED, WindowState.NEW, WindowState.EMPTY], 2) == "window 3 of 3 · empty"


def test_of_many_files_the_first_are_named_and_the_others_counted() -> None:
    texts = tuple(TextIs(path=f"{n}.py", sha256=f"{n}", tokens=9) for n in range(9))
    pieces = (*map(PieceIs, range(9)), PieceIs(0, 5, 9))
    corpus = map_of(WindowsAre(windows=(WindowIs(81, pieces),), texts=texts))
    assert describe(corpus, [WindowState.NEW], 0).endswith("0.py, 1.py, 2.py, 3.py, 4.py and 4 more")


@pytest.mark.parametrize("name", [HOSTILE, "x" * 10_000, "\n\n", "[bold"])
def test_names_of_files_are_one_safe_line(name: str) -> None:
    said = describe(map_of(windows(1, name=name)), [WindowState.NEW], 0)
    assert said.isprintable()
    assert len(said) < 300


def test_what_reading_will_take_is_said_only_where_a_rate_is_known() -> None:
    assert expected(planned(prefill_tokens_per_s=28_200.0)) == ["about 50 s if nothing is cached"]
    assert expected(planned(prefill_tokens_per_s=0.0)) == expected(planned()) == []


def test_a_legend_names_states_with_signs_and_breaks_between_them() -> None:
    known = [WindowState.CITED, WindowState.NEW, WindowState.NEW]
    assert legend(known, has_signs=True, width=80).plain == "C cited 1   ░ new 2"
    assert legend(known, has_signs=False, width=12).plain == "C cited 1\n▒ new 2"
    assert legend(known, has_signs=True, width=80, share=2).plain.endswith("1 of 2 shown, the strongest")


def test_where_no_model_reads_nothing_is_new_or_read() -> None:
    known = [WindowState.PASSAGE, WindowState.NEW]
    assert legend(known, has_signs=True, width=80, is_read=False).plain == "P passage 1   ░ corpus 1"
    assert (
        describe(map_of(windows(2)), known, 1, is_read=False)
        == "window 2 of 2 · 8,001 tokens · src/file_2.py, src/file_3.py"
    )


async def test_it_is_one_line_until_the_map_is_opened(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(80, 24)) as pilot:
        panel = panel_of(pilot)
        panel.show_engine(engine())
        panel.show_windows(windows())
        await pilot.pause()
        assert (panel.size.height, panel.is_open) == (1, False)
        panel.toggle_map()
        await pilot.pause()
        assert panel.is_open
        assert panel.size.height == 1 + 1 + 2 + 1 + 1
        panel.toggle_map()
        await pilot.pause()
        assert panel.size.height == 1


async def test_where_there_is_room_it_has_a_border_and_figures(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(120, 40)) as pilot:
        panel = panel_of(pilot)
        panel.show_engine(engine())
        panel.show_windows(windows())
        panel.show_answer(ANSWER)
        await pilot.pause()
        assert panel.outer_size.height == 4
        assert text_of(pilot, "window-figures") == (
            "cached 1.31M of 1.41M (93%) · first word after 4.1 s · read 27.1K/s · wrote 31/s · windows 174/245"
        )


async def test_prefill_fills_the_map_and_says_how_long(run_widget: Any) -> None:
    clock = Clock()
    async with run_widget(WindowPanel(clock=clock), size=(120, 40)) as pilot:
        panel = panel_of(pilot)
        panel.show_engine(engine())
        panel.show_windows(windows(cached=2))
        panel.toggle_map()
        panel.show_plan(planned(prefill_tokens_per_s=28_200.0))
        assert text_of(pilot, "window-figures") == "sending 1.41M tokens · about 50 s if nothing is cached"
        for n in range(11):
            panel.show_prefill(Prefill(done=400_000 + n * 50_000, total=1_410_000, cached=400_000))
            clock.now_s += 1
        assert text_of(pilot, "window-figures") == (
            "reading 900K of 1.41M · 64% · 28% cached · 50.0K/s · about 10 s left"
        )
        assert signs(pilot) == "●" * 49 + "▓" * 62 + "░" * 63 + "·" * 71
        panel.show_answer(ANSWER)
        assert text_of(pilot, "window-figures").startswith("cached 1.31M of 1.41M")
        assert signs(pilot).count("▓") == 62


async def test_prefill_is_drawn_ten_times_a_second_and_at_its_end(run_widget: Any) -> None:
    clock = Clock()
    async with run_widget(WindowPanel(clock=clock), size=(120, 40)) as pilot:
        panel = panel_of(pilot)
        panel.show_engine(engine())
        panel.show_windows(windows())
        panel.toggle_map()
        panel.show_plan(planned())
        panel.show_prefill(Prefill(done=10_000, total=1_410_000, cached=0))
        clock.now_s = 0.05
        panel.show_prefill(Prefill(done=500_000, total=1_410_000, cached=0))
        assert signs(pilot).count("▓") == 1
        clock.now_s = 0.1
        panel.show_prefill(Prefill(done=510_000, total=1_410_000, cached=0))
        assert signs(pilot).count("▓") == 63
        panel.show_prefill(Prefill(done=1_410_000, total=1_410_000, cached=0))
        assert signs(pilot).count("▓") == 174


async def test_evidence_and_citations_are_marked_until_the_next_question(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(120, 40)) as pilot:
        panel = panel_of(pilot)
        panel.show_engine(engine(100_000))
        panel.show_windows(windows(10, stale=(6,)))
        panel.toggle_map()
        panel.show_plan(planned(limit_tokens=100_000))
        panel.show_evidence(evidence(2, 3, 9))
        panel.show_citation(citation(9))
        panel.show_citation(citation(19, None))
        assert signs(pilot) == "░P░SC░░░░░···"
        panel.show_windows(windows(10, stale=(6,), cached=10))
        assert signs(pilot) == "●P●SC●●●●●···"
        panel.show_plan(planned(limit_tokens=100_000))
        assert signs(pilot) == "●●●S●●●●●●···"


async def test_a_question_whose_plan_is_never_told_fills_no_map_of_the_one_before(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(120, 40)) as pilot:
        panel = panel_of(pilot)
        panel.show_engine(engine(100_000))
        panel.show_windows(windows(10))
        panel.toggle_map()
        panel.show_plan(planned())
        panel.show_prefill(Prefill(done=80_000, total=80_000, cached=0))
        assert signs(pilot).count("▓") == 9
        panel.begin()
        panel.show_prefill(Prefill(done=4_000, total=8_000, cached=0))
        assert signs(pilot).count("▓") == 0
        assert text_of(pilot, "window-figures").startswith("reading 4.0K of 8.0K")


async def test_another_corpus_begins_anew(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(120, 40)) as pilot:
        panel = panel_of(pilot)
        panel.show_engine(engine(100_000))
        panel.show_windows(windows(10))
        panel.toggle_map()
        panel.show_plan(planned())
        panel.show_prefill(Prefill(done=80_000, total=90_000, cached=0))
        panel.show_answer(ANSWER)
        panel.show_windows(windows(4))
        assert signs(pilot) == "░░░░·········"
        assert text_of(pilot, "window-figures") == "windows 4/13"
        assert pilot.app.query_one(Gauge).filling.used == map_of(windows(4)).tokens


async def test_another_engine_has_read_nothing(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(120, 40)) as pilot:
        panel = panel_of(pilot)
        panel.show_engine(engine(100_000))
        panel.show_windows(windows(3))
        panel.toggle_map()
        panel.show_plan(planned())
        panel.show_prefill(Prefill(done=80_000, total=90_000, cached=0))
        panel.end()
        panel.show_engine(engine(32_768, "openai"))
        assert signs(pilot) == "░░░·"


async def test_focus_shows_evidence_and_says_what_is_read(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(120, 40)) as pilot:
        panel = panel_of(pilot)
        panel.show_engine(engine(50_000))
        panel.show_windows(windows(10))
        panel.toggle_map()
        panel.show_plan(planned(mode=Mode.FOCUS, read_tokens=30_000, prompt_tokens=40_000, limit_tokens=50_000))
        panel.show_evidence(evidence(0, 9))
        panel.show_prefill(Prefill(done=40_000, total=40_000, cached=0))
        await pilot.pause()
        assert signs(pilot) == "P░░░P░░░░░"
        assert panel.border_title == "Window · focus"
        assert "focus: 30.0K of 1.38M read" in pilot.app.query_one(Gauge).render().plain


async def test_where_there_is_one_line_it_says_what_goes_on(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(80, 24)) as pilot:
        panel = panel_of(pilot)
        panel.show_reading(ReadingFiles(doing="reading", done=812, total=1204, path=HOSTILE, tokens=1_200_000))
        told = pilot.app.query_one(Gauge).told
        assert told.startswith("reading 812 of 1,204 files · 1.20M tokens · src/[/red]")
        assert told.isprintable()
        panel.show_windows(windows())
        assert pilot.app.query_one(Gauge).told == ""


async def test_a_run_that_failed_leaves_nothing_going_on(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(80, 24)) as pilot:
        panel = panel_of(pilot)
        panel.show_engine(engine())
        panel.show_windows(windows())
        panel.show_plan(planned())
        panel.show_prefill(Prefill(done=10, total=1_410_000, cached=0))
        assert pilot.app.query_one(Gauge).told.startswith("reading 10 of 1.41M")
        panel.end()
        assert pilot.app.query_one(Gauge).told == ""


async def test_enter_opens_the_map_goes_into_it_and_names_a_file(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(120, 40)) as pilot:
        panel = panel_of(pilot)
        panel.show_engine(engine())
        panel.show_windows(windows())
        pilot.app.query_one(Gauge).focus()
        await pilot.press("enter")
        await pilot.pause()
        assert pilot.app.focused is pilot.app.query_one(WindowMap)
        await pilot.press("right", "right")
        await pilot.pause()
        assert text_of(pilot, "map-detail").startswith("window 3 of 245 · 8,002 tokens · new · src/file_4.py")
        await pilot.press("enter")
        await pilot.pause()
        assert pilot.app.said == [FileChosen("src/file_4.py")]
        await pilot.press("end", "enter")
        await pilot.pause()
        assert len(pilot.app.said) == 1
        await pilot.press("escape")
        await pilot.pause()
        assert not panel.is_open
        assert pilot.app.focused is pilot.app.query_one(Gauge)


async def test_the_mouse_names_windows_and_opens_files(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(120, 40)) as pilot:
        panel = panel_of(pilot)
        panel.show_engine(engine())
        panel.show_windows(windows())
        panel.toggle_map()
        await pilot.pause()
        await pilot.hover(WindowMap, offset=(10, 0))
        await pilot.pause()
        assert text_of(pilot, "map-detail").startswith("window 21 of 245")
        await pilot.hover(Gauge)
        await pilot.pause()
        assert text_of(pilot, "map-detail").startswith("window 1 of 245")
        await pilot.click(WindowMap, offset=(10, 0), times=2)
        await pilot.pause()
        assert pilot.app.said == [FileChosen("src/file_40.py")]


async def test_a_click_on_the_gauge_opens_the_map(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(80, 24)) as pilot:
        await pilot.click(Gauge)
        await pilot.pause()
        assert panel_of(pilot).is_open


async def test_l_changes_the_scale(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(120, 40)) as pilot:
        panel_of(pilot).show_engine(engine())
        pilot.app.query_one(Gauge).focus()
        await pilot.press("l")
        assert pilot.app.query_one(Gauge).scale is Scale.MODEL
        assert "linear to the model's limit" in str(panel_of(pilot).border_subtitle)


@pytest.mark.parametrize(
    ("name", "system", "are_few"),
    [
        ("longctx-dark", "truecolor", False),
        ("longctx-light", None, False),
        ("longctx-dark", "standard", True),
        ("longctx-colour-blind", "truecolor", True),
    ],
)
def test_sixteen_colours_are_too_few(name: str, system: str | None, are_few: bool) -> None:
    theme = next(theme for theme in THEMES if theme.name == name)
    assert too_few_colors(theme, system) is are_few


async def test_letters_where_colours_may_not_be_told_apart(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(120, 40)) as pilot:
        shown = pilot.app.query_one(WindowMap)
        assert not shown.has_letters
        pilot.app.theme = "ansi-dark"
        await pilot.pause()
        assert shown.has_letters
        pilot.app.theme = "textual-light"
        await pilot.pause()
        assert not shown.has_letters


async def test_the_legend_has_the_signs_of_the_map(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(120, 40)) as pilot:
        panel_of(pilot).show_windows(windows(cached=174))
        panel_of(pilot).toggle_map()
        await pilot.pause()
        assert "█ cached 174" in text_of(pilot, "map-legend")
        pilot.app.theme = "ansi-dark"
        await pilot.pause()
        assert "● cached 174" in text_of(pilot, "map-legend")
        pilot.app.query_one(WindowMap).focus()
        await pilot.press("m")
        assert "█ cached 174" in text_of(pilot, "map-legend")


async def test_with_quotes_nothing_is_said_of_windows(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(130, 40)) as pilot:
        panel_of(pilot).show_engine(engine(None, "evidence"))
        panel_of(pilot).show_windows(windows())
        await pilot.pause()
        assert text_of(pilot, "window-figures") == ""
        assert "1.39M tokens: searched" in pilot.app.query_one(Gauge).render().plain, "as the corpus pane has it"


async def test_without_colours_there_are_letters(run_widget: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with run_widget(WindowPanel(), size=(120, 40)) as pilot:
        assert pilot.app.query_one(WindowMap).has_letters


async def test_an_empty_corpus_and_no_engine_are_no_error(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(120, 40)) as pilot:
        panel = panel_of(pilot)
        panel.toggle_map()
        panel.show_windows(WindowsAre(windows=(), texts=()))
        panel.show_evidence(evidence(1))
        panel.show_citation(citation(1))
        panel.show_prefill(Prefill(done=5, total=0, cached=9))
        panel.show_answer({})
        await pilot.pause()
        assert signs(pilot) == "·"
        assert "nothing read yet" in pilot.app.query_one(Gauge).render().plain


async def test_a_report_of_prefill_takes_a_few_milliseconds(run_widget: Any) -> None:
    clock = Clock()
    async with run_widget(WindowPanel(clock=clock), size=(120, 40)) as pilot:
        panel = panel_of(pilot)
        panel.show_engine(engine(10_485_760))
        panel.show_windows(windows(1280))
        panel.toggle_map()
        panel.show_plan(planned(limit_tokens=10_485_760))
        panel.show_evidence(evidence(*range(0, 2000, 50)))
        await pilot.pause()
        began = time.process_time()
        for n in range(50):
            clock.now_s += 1
            panel.show_prefill(Prefill(done=n * 200_000, total=10_400_000, cached=0))
        assert (time.process_time() - began) / 50 < 0.015


async def test_on_a_small_screen_the_map_scrolls_and_leaves_room(run_widget: Any) -> None:
    async with run_widget(WindowPanel(), size=(40, 12)) as pilot:
        panel = panel_of(pilot)
        panel.show_engine(engine(10_485_760))
        panel.show_windows(windows(1280))
        panel.toggle_map()
        await pilot.pause()
        assert panel.outer_size.height == 8
        assert panel.max_scroll_y > 5


# --- pictures -----------------------------------------------------------------------------------------------------


def answered(panel: WindowPanel, clock: Clock) -> None:
    panel.show_engine(engine())
    panel.show_windows(windows())
    panel.show_plan(planned())
    panel.show_answer(ANSWER)


def too_large(panel: WindowPanel, clock: Clock) -> None:
    panel.show_engine(engine(1_000_000))
    panel.show_windows(windows())


def unknown(panel: WindowPanel, clock: Clock) -> None:
    panel.show_engine(engine(None, "openai"))
    panel.show_windows(windows())
    panel.show_answer({"tokens": {"prompt": 1_400_000}, "timing": {"ttft_s": 9.0}})


def quotes(panel: WindowPanel, clock: Clock) -> None:
    panel.show_engine(engine(None, "evidence"))
    panel.show_windows(windows())


def files_read(panel: WindowPanel, clock: Clock) -> None:
    panel.show_reading(ReadingFiles(doing="reading", done=812, total=1204, path=HOSTILE, tokens=1_200_000))


def focused(panel: WindowPanel, clock: Clock) -> None:
    panel.show_engine(engine(1_000_000))
    panel.show_windows(windows())
    panel.show_plan(planned(mode=Mode.FOCUS, read_tokens=118_000, prompt_tokens=130_000, limit_tokens=1_000_000))
    panel.show_evidence(evidence(50, 90, 91, 200, 240))
    panel.toggle_map()


def few(panel: WindowPanel, clock: Clock) -> None:
    panel.show_engine(engine(65_536))
    panel.show_windows(windows(5, cached=2, stale=(2,)))
    panel.toggle_map()


def prefilled(panel: WindowPanel, clock: Clock) -> None:
    panel.show_engine(engine(10_485_760))
    panel.show_windows(windows(900, cached=60, stale=range(1000, 1010)))
    panel.toggle_map()
    panel.show_plan(planned(prompt_tokens=7_300_000, limit_tokens=10_485_760, corpus_tokens=7_200_000))
    panel.show_evidence(evidence(*range(3, 1700, 97)))
    for n in range(11):
        panel.show_prefill(Prefill(done=1_600_000 + n * 240_000, total=7_300_000, cached=1_600_000))
        clock.now_s += 8 + n
    for text in (60, 400, 401, 1300):
        panel.show_citation(citation(text))
    panel.query_one(WindowMap).focus()
    panel.query_one(WindowMap).cursor = 202


def lettered(panel: WindowPanel, clock: Clock) -> None:
    prefilled(panel, clock)
    panel.query_one(WindowMap).has_letters = True


@pytest.mark.parametrize(
    ("state", "size", "theme"),
    [
        (answered, (120, 6), "textual-dark"),
        (answered, (80, 3), "textual-light"),
        (too_large, (120, 6), "textual-dark"),
        (unknown, (120, 6), "textual-dark"),
        (quotes, (80, 3), "textual-dark"),
        (files_read, (80, 3), "textual-dark"),
        (focused, (120, 12), "textual-dark"),
        (few, (80, 10), "textual-dark"),
        (prefilled, (120, 20), "textual-dark"),
        (prefilled, (80, 20), "textual-light"),
        (prefilled, (160, 20), "ansi-dark"),
        (lettered, (120, 20), "textual-light"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or (str(value) if isinstance(value, str) else f"{value[0]}"),
)
async def test_picture(
    run_widget: Any,
    picture: Callable[[Pilot[Any]], None],
    state: Callable[[WindowPanel, Clock], None],
    size: tuple[int, int],
    theme: str,
) -> None:
    clock = Clock()
    async with run_widget(WindowPanel(clock=clock), size=size) as pilot:
        pilot.app.theme = theme
        pilot.app.set_focus(None)
        await pilot.pause()
        state(panel_of(pilot), clock)
        await pilot.pause()
        await pilot.pause()
        picture(pilot)


def test_nothing_is_known_of_no_corpus() -> None:
    assert describe(CorpusMap(), [WindowState.EMPTY], 0) == "window 1 of 1 · empty"
