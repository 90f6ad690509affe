import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tui.text_search
from tests.tui.test_line_index import index_of
from tui.text_search import TextSearch


def search(text: str, words: str, cuts: list[int] | None = None) -> TextSearch:
    found = TextSearch(index_of(text, cuts or []), words)
    while found.go_on(0):
        pass
    return found


@given(
    st.text("ab", min_size=10, max_size=40),
    st.text("ab", min_size=1, max_size=4),
    st.lists(st.integers(0, 40), max_size=5),
)
def test_a_match_is_found_once_wherever_the_text_is_cut(text: str, words: str, cuts: list[int]) -> None:
    assert search(text, words, cuts).places == [match.start() for match in re.finditer(words, text)]


def test_small_letters_match_capitals_and_capitals_only_themselves() -> None:
    assert search("Tide tide TIDE", "tide").places == [0, 5, 10]
    assert search("Tide tide TIDE", "Tide").places == [0]
    assert search("İi", "i").places == [0, 1]


def test_words_are_no_pattern() -> None:
    assert search("a.b a+b (", "a+b").places == [4]
    assert search("a.b a+b (", "(").places == [8]


def test_steps_go_round() -> None:
    found = search("x..x..x", "x")
    assert [found.next(offset) for offset in (-1, 0, 3, 6)] == [0, 1, 2, 0]
    assert [found.previous(offset) for offset in (0, 3, 7)] == [2, 0, 2]
    assert (search("a", "b").next(0), search("a", "b").previous(0)) == (None, None)


def test_places_in_a_range_and_into_it() -> None:
    found = search("abab..ab", "ab")
    assert found.within(1, 3) == [(0, 2), (2, 4)]
    assert found.within(4, 6) == []


def test_it_looks_on_as_the_text_grows_and_stops_when_there_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tui.text_search, "MOST", 3)
    index = index_of("x x")
    found = TextSearch(index, "x")
    assert found.go_on(1) is False
    index.add(" x x x")
    assert not found.is_done
    found.go_on(1)
    assert (found.places, found.is_full, found.is_done) == ([0, 2, 4], True, True)
