"""The codes keep what they promise: two tokens agree in at most 3 places of 8."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longctx.needle.codes import CODE_CHANNELS, FIELD, MOST_AGREEMENT, OPPOSITE, PLACES, codes
from longctx.vocabulary import VOCABULARY_TOKENS

ids = st.integers(0, FIELD**4 - 1)


@given(st.sets(ids, min_size=2, max_size=40))
def test_two_codes_agree_in_three_places_at_most(some: set[int]) -> None:
    products = codes(np.array(sorted(some))) @ codes(np.array(sorted(some))).T
    assert (np.diag(products) == PLACES).all()
    assert products[~np.eye(len(some), dtype=bool)].max() <= MOST_AGREEMENT


@pytest.mark.parametrize("token", [0, 1, 31, 32, 99_999, 100_000, 199_999, 202_047])
def test_no_token_of_the_whole_vocabulary_comes_nearer(token: int) -> None:
    every = codes(np.arange(VOCABULARY_TOKENS))
    products = every @ every[token]
    products[token] = 0
    assert products.max() == MOST_AGREEMENT


@given(st.sets(ids.map(lambda token: token & ~OPPOSITE), min_size=2, max_size=40))
def test_two_that_are_not_opposites_oppose_each_other_in_three_places_at_most(some: set[int]) -> None:
    every = np.array(sorted(some))
    assert (codes(every ^ OPPOSITE) == -codes(every)).all()
    assert (codes(every) @ codes(every).T).min() >= -MOST_AGREEMENT


def test_each_place_has_one_signed_channel() -> None:
    places = codes(np.arange(5_000)).reshape(-1, PLACES, CODE_CHANNELS // PLACES)
    assert (np.abs(places).sum(-1) == 1).all()


def test_ids_beyond_the_field_are_refused() -> None:
    with pytest.raises(ValueError, match="codes are there for 0 to"):
        codes(np.array([FIELD**4]))
