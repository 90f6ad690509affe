from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.segment import Segment
from textual.pilot import Pilot
from textual.widgets import Static

import tui.line_index
import tui.row_layout
from ingest.document import Kind, PageKind
from longctx.backend.replies import Failed, PageIs, PictureIs, TextPart
from longctx.citations import Citation, CitationStatus
from tests.tui.conftest import RunWidget
from tui.fitting import end_of
from tui.messages import (
    CitationChosen,
    CitationStep,
    CopyWanted,
    FileChosen,
    OpenOutside,
    PictureWanted,
)
from tui.row_layout import draw
from tui.screens.picture import PictureScreen
from tui.widgets.find_bar import FindBar
from tui.widgets.source import NOTHING_OPEN, SourcePane, reference
from tui.widgets.source_text import SourceText, page_words, runs, skipped

TIDES = "".join(f"line {n} of the tides\n" for n in range(1, 301))
PAGES = tuple(
    PageIs(number=n, label=label, start=(n - 1) * 20, end=n * 20, kind=PageKind.PAGE)
    for n, label in enumerate(("1", "xiv", "3"), 1)
)


def cited(
    text: str, quote: str, path: str = "sea/tides.py", status: CitationStatus = CitationStatus.VERIFIED
) -> Citation:
    start = text.find(quote)
    return Citation(
        n=2,
        status=status,
        path=path,
        page=None,
        lines=None,
        chars=(start, start + len(quote)) if start >= 0 else None,
        quote=quote,
        sha256="aa",
        place=f"{path}:7",
        kind=Kind.CODE,
    )


def parts(
    text: str, path: str = "sea/tides.py", kind: str = "code", size: int = 1 << 18, **fields: Any
) -> list[TextPart]:
    texts = [text[start : start + size] for start in range(0, len(text), size)] or [""]
    first = {"kind": kind, "location": "/data/file", **fields}
    return [
        TextPart(path=path, text=part, is_last=i == len(texts) - 1, **(first if i == 0 else {}))
        for i, part in enumerate(texts)
    ]


async def open_text(
    pilot: Pilot[Any], text: str, citation: Citation | None = None, path: str = "sea/tides.py", **fields: Any
) -> SourceText:
    pane = pilot.app.query_one(SourcePane)
    pane.expect(path, citation)
    for part in parts(text, path, **fields):
        pane.add_text(part)
    shown = pilot.app.query_one(SourceText)
    shown.focus()
    await settled(pilot)
    return shown


async def settled(pilot: Pilot[Any]) -> None:
    """Until nothing goes on between frames any more."""
    shown = pilot.app.query_one(SourceText)
    await pilot.pause()
    for _ in range(50):
        shown._go_on()
        await pilot.pause()
        if not shown._frames._active.is_set():
            return


def visible(shown: SourceText) -> list[str]:
    return [shown.render_line(y).text.rstrip() for y in range(shown.size.height)]


def highlighted(shown: SourceText) -> str:
    """What stands in the cells that have the style of what is cited."""
    background = shown.get_component_rich_style("source--cited", partial=True).bgcolor
    assert background is not None
    found: list[str] = []
    for y in range(shown.rows.total):
        row = shown.rows.at(y)
        assert row is not None
        strip = shown._text_strip(row, y, 200)
        found += (segment.text for segment in strip if segment.style and segment.style.bgcolor == background)
    return "".join(found)


def words(pilot: Pilot[Any], selector: str) -> str:
    static = pilot.app.query_one(selector, Static)
    return str(static.content) if static.display else ""


# --- showing ------------------------------------------------------------------------------------------------------


async def test_nothing_is_open_at_first(run_widget: RunWidget, picture: Callable[..., None]) -> None:
    async with run_widget(SourcePane(), size=(50, 12)) as pilot:
        assert "choose a file" in words(pilot, "#source-empty")
        for key in ("n", "o", "y", "Y", "p", "slash", "colon", "alt+left"):
            await pilot.press(key)
        picture(pilot)


async def test_a_cited_passage_stands_a_third_down_with_its_line_marked(
    run_widget: RunWidget, picture: Callable[..., None]
) -> None:
    async with run_widget(SourcePane(), size=(60, 24)) as pilot:
        shown = await open_text(pilot, TIDES, cited(TIDES, "line 200 of the"))
        lines = visible(shown)
        marked = [line for line in lines if line.startswith("▌")]
        assert marked == ["▌ 200 line 200 of the tides"]
        assert lines.index(marked[0]) == shown.size.height // 3
        assert highlighted(shown) == "line 200 of the"
        assert "✓ verified" in words(pilot, "#source-place")
        assert words(pilot, "#source-banner") == ""
        picture(pilot)


async def test_a_quote_that_was_not_found_is_said_and_nothing_is_highlighted(
    run_widget: RunWidget, picture: Callable[..., None]
) -> None:
    async with run_widget(SourcePane(), size=(60, 20)) as pilot:
        citation = cited(TIDES, "the moon is [/red] cheese \x1b[31m", status=CitationStatus.UNVERIFIED)
        shown = await open_text(pilot, TIDES, citation)
        assert highlighted(shown) == ""
        assert "not found in tides.py: nothing is highlighted" in words(pilot, "#source-banner")
        assert "[/red] cheese ␛[31m" in words(pilot, "#source-banner")
        picture(pilot)


async def test_a_text_that_its_file_no_longer_has_is_said_to_be_old(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        await open_text(pilot, TIDES, is_current=False)
        assert "has changed since" in words(pilot, "#source-banner")


async def test_what_arrives_later_is_gone_to_when_it_is_there(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        pane = pilot.app.query_one(SourcePane)
        pane.expect("sea/tides.py", cited(TIDES, "line 290 of"))
        first, *rest = parts(TIDES, size=1000)
        pane.add_text(first)
        await pilot.pause()
        shown = pilot.app.query_one(SourceText)
        assert visible(shown)[0] == "    1 line 1 of the tides"
        assert "reading…" in str(pane.border_subtitle)
        for part in rest:
            pane.add_text(part)
        await settled(pilot)
        assert any(line.startswith("▌ 290") for line in visible(shown))
        assert pane.border_subtitle == "300 lines · code"


async def test_a_text_that_is_shown_need_not_come_again(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        pane = pilot.app.query_one(SourcePane)
        shown = await open_text(pilot, TIDES, cited(TIDES, "line 5 of"))
        assert pane.holds("sea/tides.py", "aa")
        assert not pane.holds("sea/tides.py", "bb")
        pane.expect("sea/tides.py", cited(TIDES, "line 250 of"))
        await settled(pilot)
        assert highlighted(shown) == "line 250 of"
        assert any(line.startswith("▌ 250") for line in visible(shown))


async def test_parts_of_another_document_are_not_mixed_in(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        pane = pilot.app.query_one(SourcePane)
        pane.expect("a")
        pane.add_text(TextPart(path="b", text="other", is_last=True, kind="code"))
        pane.add_text(TextPart(path="a", text="no beginning", is_last=True))
        assert pilot.app.query_one(SourceText).index.length == 0


async def test_a_document_that_can_not_be_had_says_why(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        pane = pilot.app.query_one(SourcePane)
        pane.expect("a")
        pane.fail(Failed("a is gone [/red]", "read again"))
        assert words(pilot, "#source-empty") == "a is gone [/red]: read again"


async def test_pages_have_rulers_and_no_line_numbers(run_widget: RunWidget, picture: Callable[..., None]) -> None:
    async with run_widget(SourcePane(), size=(50, 14)) as pilot:
        text = "Of the ebb tide.  \n\nThe flood comes in. The neap tide ends..\n"
        shown = await open_text(pilot, text, kind="pdf", pages=PAGES, first_lines=(), path="tides.pdf")
        lines = visible(shown)
        assert [line.strip("─ ") for line in lines if "─" in line] == ["p. 1", "p. 2 (printed xiv)", "p. 3"]
        assert lines[1] == "  Of the ebb tide."
        picture(pilot)


async def test_lines_of_an_extracted_text_are_those_of_its_file(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        shown = await open_text(pilot, "one\ntwo\nthree\n", kind="html", first_lines=((0, 7), (8, 30)))
        assert [line.split() for line in visible(shown)[:3]] == [["7", "one"], ["two"], ["30", "three"]]


async def test_small_screens_and_no_text_are_borne(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane(), size=(4, 3)) as pilot:
        await open_text(pilot, TIDES, cited(TIDES, "line 200 of the"))
        await open_text(pilot, "", path="empty")
        await pilot.resize_terminal(80, 24)
        await settled(pilot)
        await open_text(pilot, TIDES, cited(TIDES, "line 200 of the"), path="sea/tides.py")
        assert any("line 200" in line for line in visible(pilot.app.query_one(SourceText)))


async def test_words_of_code_get_their_colours(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        shown = await open_text(pilot, "def tide():\n    return 'sea'\n")
        colors = {
            segment.text: segment.style.color for y in range(2) for segment in shown.render_line(y) if segment.style
        }
        style = shown.get_component_rich_style
        assert colors["def"] == style("source--keyword", partial=True).color
        assert colors["sea"] == style("source--string", partial=True).color


# --- exactly the quoted characters --------------------------------------------------------------------------------

DANGEROUS = st.text(list("ab \n\t漢é\u0301\u202e\x1b\x00\r\ud800👩\u200d\ufe0f[]/@"), min_size=1, max_size=40)


@pytest.mark.parametrize("width", [None, 9])
@given(DANGEROUS, st.data())
@settings(max_examples=60)
def test_exactly_the_quoted_characters_are_highlighted(width: int | None, text: str, data: st.DataObject) -> None:
    """What the widget draws row by row, without the widget: the layers of a row over its drawn text."""
    from rich.style import Style

    from tui.line_index import LineIndex
    from tui.row_layout import RowLayout

    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    index = LineIndex()
    index.add(text)
    layout = RowLayout(index, (), width)
    mark, found, expected = Style(bold=True), [], []
    for y in range(layout.total):
        row = layout.at(y)
        assert row is not None
        shown, drawn = layout.text(row), draw(layout.text(row))
        inside = [max(0, min(len(shown), place - row.start)) for place in (start, end)]
        layer = (drawn.places[inside[0]], drawn.places[inside[1]], mark)
        found += [segment.text for segment in runs(drawn.shown, 0, Style(), [layer]) if segment.style == mark]
        expected += [
            drawn.shown[drawn.places[i] : drawn.places[i + 1]]
            for i in range(len(shown))
            if start <= row.start + i < end
        ]
    assert "".join(found) == "".join(expected)


@pytest.mark.parametrize("kind", ["code", "prose"])
async def test_highlighting_survives_tabs_wide_characters_controls_and_scrolling(
    run_widget: RunWidget, kind: str
) -> None:
    text = "\ta漢字\tb\x1b[31mred\u202eevil\ud800\r\nnext 漢 line\n"
    async with run_widget(SourcePane(), size=(24, 10)) as pilot:
        shown = await open_text(pilot, text, cited(text, "字\tb\x1b[31mred\u202eevil"), kind=kind)
        assert highlighted(shown).replace(" ", "") == "字b␛[31mred<U+202E>evil"
        before = visible(shown)
        assert not any(set(line) & set("\x1b\u202e\ud800") for line in before)


async def test_a_cited_line_that_is_too_wide_is_wrapped_unless_a_person_minds(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane(), size=(40, 12)) as pilot:
        text = "short\n" * 50 + "a long line of code that ends far to the right\nlast\n"
        shown = await open_text(pilot, text, cited(text, "ends far to the right"))
        assert [line for line in visible(shown) if "▌" in line][-1].endswith("the right")
        await pilot.press("w")
        pilot.app.query_one(SourcePane).expect("sea/tides.py", cited(text, "ends far to the right"))
        await settled(pilot)
        assert not shown.wraps


async def test_what_is_cited_is_in_sight_though_what_is_above_was_estimated(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane(), size=(40, 24)) as pilot:
        first = tui.line_index.LONGEST * tui.row_layout.BLOCK  # of the second block
        text = ("seventeen letters in a row, " * first)[: first + 20] + "needle " + "y " * 1000
        shown = await open_text(pilot, "first\n")
        pane = pilot.app.query_one(SourcePane)
        pane.expect("sea/tides.py", cited(text, "needle"))
        for part in parts(text):
            pane.add_text(part)
        assert any("needle" in line for line in visible(shown))
        await settled(pilot)
        assert any("needle" in line for line in visible(shown))


async def test_a_quote_far_to_the_right_is_scrolled_to(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane(), size=(40, 10)) as pilot:
        text = "x" * 3000 + "needle" + "y" * 20000
        shown = await open_text(pilot, text, cited(text, "needle"))
        assert any("needle" in line for line in visible(shown))
        await pilot.press("w")
        await settled(pilot)
        assert highlighted(shown) == "needle"
        assert any("needle" in line for line in visible(shown))


# --- keys ---------------------------------------------------------------------------------------------------------


async def test_moving(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane(), size=(60, 24)) as pilot:
        shown = await open_text(pilot, TIDES)
        tops = {}
        for key in ("j", "down", "k", "pagedown", "space", "b", "pageup", "G", "g", "end", "home"):
            await pilot.press(key)
            await pilot.pause(0.0)
            tops[key] = visible(shown)[0].split()[0]
        page = shown.size.height
        assert (tops["j"], tops["down"], tops["k"]) == ("2", "3", "2")
        assert (tops["pagedown"], tops["space"]) == (str(2 + page), str(2 + 2 * page))
        assert (tops["G"], tops["g"], tops["end"], tops["home"]) == (str(301 - page), "1", str(301 - page), "1")


async def test_citations_are_stepped_through(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        await open_text(pilot, TIDES)
        await pilot.press("n", "N")
        assert [event.by for event in pilot.app.said if isinstance(event, CitationStep)] == [1, -1]


async def test_keys_that_do_nothing_are_not_shown_and_say_why(
    run_widget: RunWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[str] = []
    monkeypatch.setattr(SourcePane, "notify", lambda self, text, **_: words.append(text))
    async with run_widget(SourcePane()) as pilot:
        pilot.app.query_one("#source-empty").focus()
        await pilot.press("p", "o", "y", "Y", "w", "slash", "ctrl+f", "ctrl+g", "alt+left", "alt+right")
        assert words == [NOTHING_OPEN] * 8 + ["nothing was looked at before this", "nothing was looked at after this"]
        shown = {binding.binding.id for binding in pilot.app.screen.active_bindings.values()}
        assert not shown & {"source.find", "source.picture", "source.open", "source.copy_reference", "source.back"}
        words.clear()
        await open_text(pilot, TIDES)
        shown = {binding.binding.id for binding in pilot.app.screen.active_bindings.values()}
        assert {"source.find", "source.open", "source.copy_reference"} <= shown
        assert "source.picture" not in shown
        await pilot.press("p", "Y", "w")
        assert words == [
            "only pages of a PDF can be shown as pictures",
            "no citation is shown and nothing is selected: there is no quote to copy",
        ]


async def test_escape_is_the_screens_while_nothing_is_found(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        await open_text(pilot, TIDES)
        assert "escape" not in pilot.app.screen.active_bindings
        await pilot.press("slash")
        assert "escape" in pilot.app.screen.active_bindings


async def test_finding(run_widget: RunWidget, picture: Callable[..., None]) -> None:
    async with run_widget(SourcePane(), size=(60, 20)) as pilot:
        shown = await open_text(pilot, TIDES)
        await pilot.press("slash", *"line 20")
        await settled(pilot)
        count = pilot.app.query_one("#find-count", Static)
        assert str(count.content) == "1 of 11"
        await pilot.press("f3", "f3", "down", "up")
        await settled(pilot)
        assert str(count.content) == "3 of 11"
        assert shown.search is not None
        assert shown.match is not None
        assert TIDES[shown.search.places[shown.match] :].startswith("line 201 ")
        picture(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert pilot.app.focused is shown
        await pilot.press("n", "N", "enter", "f3", "shift+f3")
        await settled(pilot)
        assert str(count.content) == "4 of 11"
        assert not [event for event in pilot.app.said if isinstance(event, CitationStep)]
        await pilot.press("escape")
        assert shown.search is None
        assert pilot.app.focused is shown
        assert not pilot.app.query_one(FindBar).display


async def test_the_focus_stays_while_another_document_is_read(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        pane = pilot.app.query_one(SourcePane)
        pilot.app.query_one("#source-empty").focus()
        await pilot.pause()
        for path in ("a", "b"):
            pane.expect(path)
            await pilot.pause()
            assert pilot.app.focused is pilot.app.query_one("#source-empty")
            pane.add_text(TextPart(path=path, text="text", is_last=True, kind="code"))
            await pilot.pause()
            assert pilot.app.focused is pilot.app.query_one(SourceText)


async def test_what_is_not_there_is_not_found(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        await open_text(pilot, TIDES)
        await pilot.press("ctrl+f", *"moon")
        await settled(pilot)
        assert str(pilot.app.query_one("#find-count", Static).content) == "not found"
        await pilot.press("enter", "f3")


async def test_going_to_a_line_and_back(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        shown = await open_text(pilot, TIDES)
        await pilot.press("colon", *"150", "enter")
        await settled(pilot)
        assert any("line 150 of" in line for line in visible(shown))
        assert pilot.app.focused is shown
        await pilot.press("alt+left")
        assert pilot.app.said[-1] == FileChosen("sea/tides.py")
        await open_text(pilot, TIDES)
        assert visible(shown)[0].endswith("line 1 of the tides")
        await pilot.press("alt+right")
        await open_text(pilot, TIDES)
        assert any("line 150 of" in line for line in visible(shown))
        await pilot.press("ctrl+g", *"x9999", "enter", "escape")


async def test_going_to_a_page(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane(), size=(40, 8)) as pilot:
        text = "Of the ebb tide. \n\n" * 3
        shown = await open_text(pilot, text, kind="pdf", pages=PAGES, first_lines=(), path="tides.pdf")
        await pilot.press("colon", "2", "enter")
        await settled(pilot)
        assert shown.page is not None
        assert shown.top <= PAGES[1].start + 20


async def test_back_to_another_document_is_asked_of_the_screen(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        first = cited(TIDES, "line 100 of")
        await open_text(pilot, TIDES, first)
        await open_text(pilot, "other\n", path="other.py")
        await pilot.press("alt+left")
        assert pilot.app.said[-1] == CitationChosen(first)
        await pilot.press("alt+left", "alt+left")
        assert len([event for event in pilot.app.said if isinstance(event, CitationChosen)]) == 1


async def test_references_and_quotes_are_copied(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        await open_text(pilot, TIDES)
        await pilot.press("y", "Y")
        assert pilot.app.said == [CopyWanted("sea/tides.py:1", "reference")]
        await open_text(pilot, TIDES + "\x1b[31m", cited(TIDES + "\x1b[31m", "\x1b[31m"))
        await pilot.press("y", "Y")
        assert pilot.app.said[-2:] == [CopyWanted("sea/tides.py:7", "reference"), CopyWanted("␛[31m", "quote")]


async def test_a_selection_is_copied_and_referred_to(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane(), size=(60, 20)) as pilot:
        shown = await open_text(pilot, "\tone 漢字\x1b two\nthree\nfour\n")
        gutter = 6
        await pilot.mouse_down(shown, offset=(gutter + 8, 0))
        await pilot.hover(shown, offset=(gutter + 3, 1))
        await pilot.mouse_up(shown, offset=(gutter + 3, 1))
        await pilot.pause()
        assert pilot.app.screen.get_selected_text() == "漢字␛ two\nthre"
        await pilot.press("y", "Y")
        assert pilot.app.said[-2:] == [
            CopyWanted("sea/tides.py:1-2", "reference"),
            CopyWanted("漢字␛ two\nthre", "quote"),
        ]


async def test_opening_elsewhere(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        await open_text(pilot, TIDES, cited(TIDES, "line 200 of the"))
        await pilot.press("o")
        assert pilot.app.said[-1] == OpenOutside("/data/file", 200, None)
        await pilot.press("g")
        await pilot.press("o")
        assert pilot.app.said[-1] == OpenOutside("/data/file", 1, None)
        before = len(pilot.app.said)
        await open_text(pilot, TIDES, location=None)
        await pilot.press("o")
        assert len(pilot.app.said) == before


async def test_pictures_are_of_pages_only(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane()) as pilot:
        await open_text(pilot, TIDES)
        await pilot.press("p")
        assert not pilot.app.said


async def test_wrapping_keeps_what_is_on_top(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane(), size=(40, 20)) as pilot:
        text = "".join(f"{n} {'tide ' * 20}\n" for n in range(200))
        shown = await open_text(pilot, text)
        shown.show_offset(text.index("\n100 ") + 1, down=0)
        await settled(pilot)
        before = visible(shown)[0].split()[:2]
        await pilot.press("w")
        await settled(pilot)
        assert visible(shown)[0].split()[:2] == before
        await pilot.resize_terminal(60, 20)
        await settled(pilot)
        assert visible(shown)[0].split()[:2] == before
        await pilot.press("w")
        await settled(pilot)
        assert visible(shown)[0].split()[:2] == before


# --- page pictures ------------------------------------------------------------------------------------------------


@pytest.fixture
def truecolor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")


def page_of(event: PictureWanted) -> PictureIs:
    """A page with a black bar in its left quarter."""
    width, height = event.width // 4 * 2, event.height // 4 * 4
    line = b"\0\0\0" * (width // 4) + b"\xff\xff\xff" * (width - width // 4)
    return PictureIs(path=event.path, page=event.page, width=width, height=height, rgb=line * height)


async def open_picture(pilot: Pilot[Any]) -> PictureWanted:
    text = "Of the ebb tide. \n\n" * 3
    await open_text(pilot, text, kind="pdf", pages=PAGES, first_lines=(), path="tides.pdf")
    await pilot.press("p")
    await pilot.pause()
    wanted = pilot.app.said[-1]
    assert isinstance(wanted, PictureWanted)
    return wanted


async def test_a_page_as_a_picture(run_widget: RunWidget, picture: Callable[..., None], truecolor: None) -> None:
    async with run_widget(SourcePane(), size=(60, 20)) as pilot:
        pane = pilot.app.query_one(SourcePane)
        wanted = await open_picture(pilot)
        assert (wanted.path, wanted.width, wanted.height) == ("tides.pdf", 58 * 2, 17 * 4)
        pane.show_picture(page_of(wanted))
        await pilot.pause()
        assert isinstance(pilot.app.screen, PictureScreen)
        picture(pilot)
        await pilot.press("plus")
        larger = pilot.app.said[-1]
        assert isinstance(larger, PictureWanted)
        assert (larger.page, larger.width) == (wanted.page, wanted.width * 1.5)
        pane.show_picture(page_of(larger))
        await pilot.press("minus", "minus", "o")
        assert isinstance(pilot.app.said[-1], OpenOutside)
        await pilot.press("plus", "escape")
        assert not isinstance(pilot.app.screen, PictureScreen)
        pane.show_picture(page_of(larger))
        assert not isinstance(pilot.app.screen, PictureScreen)


async def test_pages_are_turned_up_to_the_last(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane(), size=(60, 20)) as pilot:
        pane = pilot.app.query_one(SourcePane)
        wanted = await open_picture(pilot)
        for _ in range(4):
            pane.show_picture(page_of(wanted))
            await pilot.press("n")
            wanted = pilot.app.said[-1]
        assert wanted.page == 3
        await pilot.press("p")
        assert pilot.app.said[-1].page == 2


async def test_a_page_that_can_not_be_drawn_says_why(run_widget: RunWidget) -> None:
    async with run_widget(SourcePane(), size=(60, 20)) as pilot:
        pane = pilot.app.query_one(SourcePane)
        wanted = await open_picture(pilot)
        pane.show_picture(page_of(wanted))
        await pilot.press("n")
        pane.fail(Failed("page 2 is broken [/red]"))
        assert words_of_screen(pilot) == "page 2 is broken [/red]"


def words_of_screen(pilot: Pilot[Any]) -> str:
    return str(pilot.app.screen.query_one("#picture-keys", Static).content)


# --- pure parts ---------------------------------------------------------------------------------------------------


def test_references() -> None:
    slide = PageIs(number=2, label="", start=0, end=1, kind=PageKind.SLIDE)
    assert reference("a", (3, 3), None) == "a:3"
    assert reference("a", (3, 5), None) == "a:3-5"
    assert reference("a", (None, None), None) == "a"
    assert reference("a", (None, None), PAGES[1]) == "a, p. 2"
    assert reference("a", (None, None), slide) == "a, slide 2"


def test_rulers_say_what_is_printed() -> None:
    sheet = PageIs(number=2, label="Costs [/red]\x1b", start=0, end=1, kind=PageKind.SHEET)
    assert [page_words(page) for page in PAGES[:2]] == ["p. 1", "p. 2 (printed xiv)"]
    assert page_words(sheet) == "sheet 2 (Costs [/red]\\x1b)"


def test_names_keep_their_end() -> None:
    assert [end_of("sea/tides.py", width) for width in (20, 12, 9)] == ["sea/tides.py", "sea/tides.py", "…tides.py"]


def test_scrolling_sideways_skips_cells() -> None:
    assert [skipped("abc", cells) for cells in (0, 2, 9)] == [(0, 0), (2, 0), (3, 0)]
    assert [skipped("漢字x", cells) for cells in (1, 2, 4, 5)] == [(1, 1), (1, 0), (2, 0), (3, 0)]


def test_styles_change_where_layers_begin_and_end() -> None:
    from rich.style import Style

    bold, red = Style(bold=True), Style(color="red")
    assert list(runs("abcdef", 1, Style(), [(0, 3, bold), (2, 9, red)])) == [
        Segment("b", bold),
        Segment("c", bold + red),
        Segment("def", red),
    ]
