"""The next token: ties, nuclei against a plain reference, seeds, and logits that are no numbers."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longctx.scout.errors import NumericTrouble, ScoutError
from longctx.scout.sampling import choose, seeded

LOGITS = st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=40)


def nucleus(logits: list[float], temperature: float, top_p: float) -> list[int]:
    """The ids that may be drawn, in plain Python."""
    best = max(logits)
    weights = [math.exp((each - best) / temperature) for each in logits]
    kept, reached = [], 0.0
    for token in sorted(range(len(logits)), key=lambda i: (-weights[i], i)):
        if reached >= top_p * sum(weights) and kept:
            break
        kept.append(token)
        reached += weights[token]
    return kept


def drawn(logits: list[float], count: int, *, temperature: float = 1.0, top_p: float = 1.0, seed: int = 0) -> list[int]:
    generator, tensor = seeded(seed), torch.tensor(logits)
    return [choose(tensor, temperature=temperature, top_p=top_p, generator=generator) for _ in range(count)]


@given(LOGITS)
def test_at_temperature_0_the_lowest_of_the_likeliest_is_taken(logits: list[float]) -> None:
    assert choose(torch.tensor(logits)) == logits.index(max(logits))


def test_equal_logits_give_the_lowest_id_in_every_dtype() -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        logits = torch.full((202_048,), -1.0, dtype=dtype)
        logits[[77, 5_000, 200_001]] = 3.0
        assert choose(logits) == 77


@settings(max_examples=60)
@given(LOGITS, st.floats(0.05, 0.95), st.floats(0.2, 3.0), st.integers(0, 2**63 - 1))
def test_only_the_nucleus_is_drawn_from(logits: list[float], top_p: float, temperature: float, seed: int) -> None:
    allowed = nucleus(logits, temperature, top_p + 1e-9)  # a sum that is a hair from top_p may go either way
    assert set(drawn(logits, 8, temperature=temperature, top_p=top_p, seed=seed)) <= set(allowed)


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    logits = [math.log(p) for p in (0.1, 0.4, 0.2, 0.3)]
    assert set(drawn(logits, 200, top_p=0.39)) == {1}
    assert set(drawn(logits, 200, top_p=0.41)) == {1, 3}
    assert set(drawn(logits, 200, top_p=0.71)) == {1, 3, 2}
    assert set(drawn(logits, 400, top_p=1.0)) == {0, 1, 2, 3}


def test_logits_that_differ_by_little_keep_their_order() -> None:
    assert set(drawn([0.0, 1.5, 2.0**-24], 100, top_p=0.75)) == {1, 2}


def test_a_tiny_top_p_is_greedy() -> None:
    torch.manual_seed(3)
    logits = torch.randn(5_000)
    assert choose(logits, temperature=1.0, top_p=1e-9, generator=seeded(1)) == int(logits.argmax())


def test_ids_are_drawn_as_often_as_their_probability_says() -> None:
    probabilities = (0.5, 0.25, 0.15, 0.1)
    found = Counter(drawn([math.log(p) for p in probabilities], 4_000, seed=11))
    for token, probability in enumerate(probabilities):
        assert abs(found[token] / 4_000 - probability) < 0.03


def test_the_temperature_flattens_and_sharpens() -> None:
    logits = [1.0, 0.0]
    hot, cold = (Counter(drawn(logits, 2_000, temperature=t, seed=5))[0] for t in (10.0, 0.2))
    assert hot < 1_200 < 1_950 < cold


def test_the_same_seed_gives_the_same_tokens_and_another_seed_others() -> None:
    logits = [0.0] * 1_000
    assert drawn(logits, 20, seed=42) == drawn(logits, 20, seed=42) != drawn(logits, 20, seed=43)


def test_without_a_seed_runs_differ() -> None:
    logits = torch.zeros(100_000)
    runs = [[choose(logits, temperature=1.0, generator=seeded(None)) for _ in range(4)] for _ in range(2)]
    assert runs[0] != runs[1]


def test_other_draws_in_the_process_change_nothing() -> None:
    generator = seeded(9)
    first = choose(torch.zeros(500), temperature=1.0, generator=generator)
    torch.rand(100)
    second = choose(torch.zeros(500), temperature=1.0, generator=generator)
    assert [first, second] == drawn([0.0] * 500, 2, seed=9)


@pytest.mark.parametrize("temperature", [1e-30, 1e-3, 1e30])
def test_extreme_temperatures_are_no_trouble(temperature: float) -> None:
    token = choose(torch.tensor([3e38, -3e38, 0.0]), temperature=temperature, top_p=0.9, generator=seeded(0))
    assert token in range(3)


def test_an_id_without_probability_is_never_drawn() -> None:
    assert set(drawn([-1e4, 0.0, -1e4, 0.0, -1e4], 300)) == {1, 3}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_logits_that_are_no_numbers_are_an_error(bad: float, temperature: float) -> None:
    with pytest.raises(NumericTrouble, match="not a finite number") as caught:
        choose(torch.tensor([0.0, bad, 1.0]), temperature=temperature, generator=seeded(0))
    assert isinstance(caught.value, ScoutError)


@pytest.mark.parametrize(("temperature", "top_p"), [(-0.1, 1.0), (math.nan, 1.0), (1.0, 0.0), (1.0, 1.1)])
def test_values_out_of_range_are_refused(temperature: float, top_p: float) -> None:
    with pytest.raises(ValueError, match="out of range"):
        choose(torch.zeros(3), temperature=temperature, top_p=top_p)
