from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tui.line_index
from tui.line_index import LineIndex

TEXTS = st.lists(st.sampled_from(["a", "a" * 7, "b" * 11, "漢", "\n", "\r\n"]), max_size=9).map("".join)
CUTS = st.lists(st.integers(0, 60), max_size=4)


def index_of(text: str, cuts: Sequence[int] = (), breaks: Sequence[int] = ()) -> LineIndex:
    """The index of a text that arrives cut at these places, which count round."""
    index = LineIndex(breaks)
    bounds = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    for start, end in pairwise(bounds):
        index.add(text[start:end])
    return index


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tui.line_index, "LONGEST", 8)


@given(TEXTS, CUTS, st.lists(st.integers(1, 60), max_size=3))
def test_pieces_are_the_same_however_a_text_arrives(text: str, cuts: list[int], breaks: list[int]) -> None:
    whole, parts = index_of(text, breaks=breaks), index_of(text, cuts, breaks)
    assert list(parts.starts) == list(whole.starts)
    assert [parts.begins_line(i) for i in range(len(parts))] == [whole.begins_line(i) for i in range(len(whole))]


@given(TEXTS, CUTS, st.lists(st.integers(1, 60), max_size=3))
def test_pieces_cover_a_text_and_know_their_lines(text: str, cuts: list[int], breaks: list[int]) -> None:
    index = index_of(text, cuts, breaks)
    assert "".join(index.slice(index.starts[i], index.end(i)) for i in range(len(index))) == text
    assert index.lines == text.count("\n") + 1
    for i, start in enumerate(index.starts):
        assert index.line_of(i) == text.count("\n", 0, start) + 1
        assert index.begins_line(i) == (start == 0 or text[start - 1] == "\n")
        assert index.end(i) - start <= 10  # LONGEST and a line end
    for offset in range(len(text)):
        piece = index.piece_at(offset)
        assert index.starts[piece] <= offset < index.end(piece)


@given(TEXTS, CUTS, st.integers(0, 60), st.integers(0, 60))
def test_a_slice_is_that_of_the_text(text: str, cuts: list[int], start: int, end: int) -> None:
    assert index_of(text, cuts).slice(start, end) == text[start:end]


def test_a_line_has_a_first_piece_and_one_beyond_the_end_is_the_last() -> None:
    index = index_of("one\n" + "x" * 30 + "\nthree\n")
    assert [index.starts[index.piece_of_line(line)] for line in (0, 1, 2, 3, 4, 99)] == [0, 0, 4, 35, 41, 41]


def test_a_break_begins_a_piece_but_no_line() -> None:
    index = index_of("abcdef", breaks=[3])
    assert list(index.starts) == [0, 3]
    assert not index.begins_line(1)
