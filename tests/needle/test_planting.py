"""Where facts stand, and which are asked for."""

from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longctx.errors import CorpusError
from longctx.needle.fact import FACT_TOKENS
from longctx.needle.grid import Grid, cut_edges
from longctx.needle.planting import plant
from longctx.needle.words import absent_words

WINDOW = 8192


@given(windows=st.integers(1, 1279), depths=st.integers(2, 101))
def test_lengths_double_and_all_that_is_asked_lies_within_its_length(windows: int, depths: int) -> None:
    grid = Grid(windows, depths)
    assert grid.lengths[-1] == windows and 1 <= len(grid.lengths) <= 8
    assert all(2 * a <= b <= 2 * a + 1 for a, b in pairwise(grid.lengths))
    for length in grid.lengths:
        rows = [grid.window(row, length) for row in range(depths)]
        assert rows == sorted(rows) and rows[0] == 0 and rows[-1] == length - 1
        assert set(grid.asked(length)) == set(rows)
        shown = [window for row in range(depths) if (window := grid.shown(row, length)) is not None]
        assert shown == list(grid.asked(length)), "each fact is one square"
        assert all(0 <= edge < length - 1 for edge in cut_edges(length))
        assert set(cut_edges(length)) <= set(grid.edges)
        assert bool(cut_edges(length)) == (length > 1)


def test_depths_are_even() -> None:
    assert [Grid(8, 5).window(row, 8) for row in range(5)] == [0, 1, 3, 5, 7]
    assert [Grid(8, 5).share(row) for row in range(5)] == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize("seed", range(4))
def test_every_fact_stands_once_inside_its_window_and_the_cut_ones_over_the_edge(seed: int) -> None:
    text = array("I", [5]) * (40 * WINDOW)
    planted = plant(text, range(39), seed)
    assert len(planted.ids) == len(text) and set(text) == {5}, "planted in a copy, in place of what was there"
    assert len(planted.inside) == 40 and set(planted.cut) == set(range(39))
    for window, placed in enumerate(planted.inside):
        assert placed.at // WINDOW == (placed.at + FACT_TOKENS - 1) // WINDOW == window
    for edge, placed in planted.cut.items():
        assert placed.at == (edge + 1) * WINDOW - 1
    for placed in (*planted.inside, *planted.cut.values()):
        assert tuple(planted.ids[placed.at : placed.at + FACT_TOKENS]) == placed.fact.ids
    others = sum(token != 5 for token in planted.ids)
    assert others == 79 * FACT_TOKENS == len({token for token in planted.ids if token != 5}), "none lies over another"
    places = {placed.at % WINDOW for placed in planted.inside}
    assert len(places) > 30, "they do not all stand at the same place"


def test_a_text_that_leaves_too_few_words_is_refused() -> None:
    words = absent_words([])
    text = array("I", (words * 3)[: 5 * WINDOW])
    with pytest.raises(CorpusError, match="it leaves 0"):
        plant(text, [0], 0)


def test_a_prompt_is_whole_windows_of_the_beginning_and_the_question() -> None:
    planted = plant(array("I", [9]) * (3 * WINDOW), [0, 1], 0)
    prompt = planted.prompt(2, array("I", [1, 2]))
    assert prompt.starts == (0, WINDOW, 2 * WINDOW)
    assert prompt.ids[: 2 * WINDOW] == planted.ids[: 2 * WINDOW] and list(prompt.ids[2 * WINDOW :]) == [1, 2]
