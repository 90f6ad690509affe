from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

import tui.row_layout
from tests.tui.test_line_index import index_of
from tui.row_layout import RowLayout, draw, is_plain, wrap

LINES = st.lists(st.sampled_from(["a ", "tide ", "b" * 11, "漢", "\t", "\n"]), max_size=40).map("".join)
HOSTILE = st.text("a b\t漢é\u0301\u202e\x1b\x00\r\ud800👩\u200d\ufe0f\u200b", max_size=40)


@given(HOSTILE)
def test_each_character_has_its_place_and_none_of_them_is_obeyed(text: str) -> None:
    drawn = draw(text)
    assert len(drawn.places) == len(text) + 1
    assert list(drawn.places) == sorted(drawn.places)
    assert (drawn.places[0], drawn.places[-1]) == (0, len(drawn.shown))
    assert not set(drawn.shown) & set("\x1b\x00\r\t\n\u202e\ud800\u200d\ufe0f")
    for i in range(len(text)):
        if drawn.places[i] < drawn.places[i + 1]:
            assert drawn.character(drawn.places[i]) == i


@given(HOSTILE.filter(lambda text: "\t" not in text))
def test_a_piece_of_a_text_is_drawn_as_in_the_text(text: str) -> None:
    whole = draw(text)
    for i in range(len(text)):
        assert whole.shown[whole.places[i] : whole.places[i + 1]] == draw(text[i]).shown


def test_tabs_end_at_stops() -> None:
    assert draw("\ta\tb").shown == "    a   b"
    assert draw("漢\tb").shown == "漢  b"


@given(HOSTILE | LINES.map(lambda text: text.replace("\n", "")), st.integers(8, 20))
def test_rows_are_no_wider_than_there_is_room(text: str, width: int) -> None:
    starts = wrap(text, width)
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        assert cell_len(draw(text[start:end]).shown.rstrip(" ")) <= width


def test_words_stay_whole_where_they_can() -> None:
    assert wrap("the tide turns at noon", 10) == [0, 9, 18]
    assert wrap("x" * 25, 10) == [0, 10, 20]
    assert wrap("the tïde turns at noon", 10) == [0, 9, 18]
    assert wrap("", 10) == [0]


@pytest.mark.parametrize("width", [None, 8])
@given(LINES, st.lists(st.integers(0, 80), max_size=3))
def test_rows_are_the_text_in_order_and_each_character_is_in_its_row(
    width: int | None, text: str, cuts: Sequence[int]
) -> None:
    layout = RowLayout(index_of(text, cuts), (), width)
    rows = []
    while (row := layout.at(len(rows))) is not None:
        rows.append(row)
    assert layout.total == len(rows)
    assert "".join(text[row.start : row.end] for row in rows) == text
    for offset in range(len(text)):
        row = layout.at(layout.row_of(offset))
        assert row is not None
        assert row.start <= offset < row.end


@given(LINES, st.lists(st.integers(0, 200), max_size=4))
def test_a_layout_that_grew_is_that_of_the_whole(text: str, cuts: Sequence[int]) -> None:
    index = index_of("")
    grown = RowLayout(index, (), 8)
    bounds = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    for start, end in pairwise(bounds):
        index.add(text[start:end])
        grown.grow()
        grown.row_of(start)
    grown.measure(1)
    whole = RowLayout(index_of(text), (), 8)
    whole.measure(1)
    assert grown.total == whole.total
    assert [grown.at(y) for y in range(grown.total)] == [whole.at(y) for y in range(whole.total)]


def test_pages_have_rulers_above_them_even_empty_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tui.row_layout, "BLOCK", 2)
    layout = RowLayout(index_of("one\ntwo\nthree", breaks=[4, 4, 13]), [0, 4, 4, 13])
    rows = [layout.at(y) for y in range(layout.total)]
    assert [row.page for row in rows if row] == [0, None, 1, 2, None, None, 3]
    assert layout.row_of(4) == 4


def test_what_nobody_saw_is_estimated_and_then_measured() -> None:
    layout = RowLayout(index_of("a b c d e f g " * 50 + "\n" + "short\n" * 500), (), 8)
    estimated = layout.total
    assert layout.measure(10) is False
    assert layout.total != estimated
    assert layout.row_of(0) == 0


def test_plain_text_is_recognised() -> None:
    assert [is_plain(text) for text in ("ab c", "a\tb", "é", "", "a\x7f")] == [True, False, False, True, False]
