"""The numbers that the construction's docstring gives, computed anew from its constants, with no engine."""

import numpy as np
import numpy.typing as npt
import pytest

from longctx.needle.codes import CODE_CHANNELS, MOST_AGREEMENT, OPPOSITE, PLACES, codes
from longctx.needle.construction import (
    CONSTANT,
    DOWN,
    GATE,
    HIDDEN,
    OWN,
    QUERY_GAIN,
    RARE_FROM,
    ROPE_BASE,
)
from longctx.vocabulary import ORDINARY_TOKENS

WINDOW = 8192
MOST = MOST_AGREEMENT
BARE = CONSTANT**2 + PLACES  # of a rare token before layer 0: the square of a hidden state's length
SCORES_D = np.cos(np.outer(np.arange(-1, WINDOW - 1), ROPE_BASE ** -(np.arange(64) / 64))).mean(1) * CODE_CHANNELS**0.5
GAIN = (HIDDEN / BARE) ** 0.5  # of a code, by the norm
LEAST_PREV, MOST_PREV = 0.0, PLACES * (GAIN * 0.91) ** 2  # of a question's key: frequent words before it, or a key


def shares(place: int) -> npt.NDArray[np.float64]:
    """Layer 0's attention at a place of a window, by distance."""
    weights = np.exp(SCORES_D[: place + 1])
    return np.asarray(weights / weights.sum())


def score(place: int, products: list[float], asked_prev: float) -> float:
    """Of the token at `place` for a key whose products with it and the tokens before it are `products`."""
    part = shares(place)
    prev = PLACES * (GAIN * part[1 : len(products)].max(initial=part[0] if place == 0 else 0)) ** 2
    lengths = ((BARE + prev) / HIDDEN * (BARE + asked_prev) / HIDDEN) ** 0.5
    held = GAIN * sum(share * product for share, product in zip(part, products, strict=False))
    return float(QUERY_GAIN / CODE_CHANNELS**0.5 * (held - OWN * products[0]) / lengths)


def test_what_followed_a_key_scores_from_45_to_77() -> None:
    assert score(WINDOW - 1, [0, PLACES, 0], 0) == pytest.approx(56.6, abs=0.1)
    assert score(WINDOW - 1, [MOST, PLACES, -MOST], MOST_PREV) == pytest.approx(45.0, abs=0.1)
    assert score(1, [-MOST, PLACES], LEAST_PREV) == pytest.approx(76.9, abs=0.1)


def test_nothing_else_scores_above_38_but_a_key_that_begins_its_window() -> None:
    others = [score(place, [-MOST, MOST, PLACES], LEAST_PREV) for place in (2, 3, 100, WINDOW - 1)]
    assert max(others) == pytest.approx(37.0, abs=0.1)
    assert score(0, [PLACES], LEAST_PREV) == pytest.approx(42.7, abs=0.1)
    assert score(1, [MOST, PLACES], MOST_PREV) > 57, "what follows that key"
    assert score(WINDOW - 1, [0, MOST, 0], LEAST_PREV) == pytest.approx(21.2, abs=0.2)


def test_an_opposite_would_score_as_high_as_what_is_asked_for() -> None:
    assert score(WINDOW - 1, [-PLACES, MOST], LEAST_PREV) == pytest.approx(46.8, abs=0.3)


def test_real_tokens_stay_within_these_bounds() -> None:
    draw = np.random.default_rng(5)
    words = np.array([token for token in range(RARE_FROM, ORDINARY_TOKENS) if not token & OPPOSITE])
    size = 300
    by_place = np.zeros((size, size))
    for place in range(size):
        by_place[place, : place + 1] = shares(place)[::-1]
    for _ in range(40):
        ids = draw.choice(words, size, replace=False)
        at = int(draw.integers(1, size - 1))
        codes_nc = codes(ids).astype(np.float64)
        prevs_nc = GAIN * by_place @ codes_nc
        lengths_n = ((BARE + (prevs_nc**2).sum(1)) / HIDDEN) ** 0.5 * (BARE / HIDDEN) ** 0.5
        scores_n = (prevs_nc - OWN * codes_nc) @ codes_nc[at] * QUERY_GAIN / CODE_CHANNELS**0.5 / lengths_n
        assert 44 < scores_n[at + 1] < 78
        assert np.delete(scores_n, at + 1).max() < 38


def answering(prev: float, asked_prev: float) -> tuple[float, float]:
    """What the experts add of the code that was found, and the squared length of all that is not cur."""
    found = (HIDDEN / (BARE + prev)) ** 0.5
    rest = CONSTANT**2 + asked_prev + PLACES * found**2
    length = ((rest + PLACES) / HIDDEN) ** 0.5
    gate = GATE * CONSTANT / length
    return float(gate / (1 + np.exp(-gate)) * found / length * DOWN), float(rest)


@pytest.mark.parametrize("prev", [6.5, MOST_PREV])
@pytest.mark.parametrize("asked_prev", [LEAST_PREV, MOST_PREV])
@pytest.mark.parametrize("product", range(-MOST, MOST + 1))
def test_the_answer_is_23_logits_above_all_else(prev: float, asked_prev: float, product: int) -> None:
    """`product` is of the codes of the key and of the answer."""
    added, rest = answering(prev, asked_prev)
    assert 7.2 < added < 7.65
    right = added * PLACES + product
    own, other = PLACES + added * product, MOST * added + MOST
    assert right > 54 and own < 32 and other < 27
    length = ((rest + PLACES * (1 + added**2) + 2 * added * product) / HIDDEN) ** 0.5
    assert 23 < (right - max(own, other)) / length < 28


def test_with_one_expert_there_may_be_no_margin() -> None:
    added, _ = answering(7.9, LEAST_PREV)
    worst = added * PLACES / 2 - (PLACES + added * MOST)  # both signs thrice: the product of all eight places is 0
    assert -1 < worst < 0 < added - 2 * MOST
