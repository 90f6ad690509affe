"""The constructed weights retrieve, with the margins that the construction claims, and alike in transformers."""

import random
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cache.memory import MemoryStore
from longctx.engines.base import Sampling, Token
from longctx.engines.scout import ScoutEngine
from longctx.needle.construction import RARE_FROM, ROPE_BASE, tensors
from longctx.scout.config import ScoutConfig, read_config
from longctx.scout.model import Scout
from longctx.scout.weights import Mixture, load_weights
from tests.needle.text import QUESTION, WINDOW, asking, text

DRAW = random.Random(7)
WORDS = DRAW.sample(range(RARE_FROM, 200_000), 40)
# Of four words each: at the very beginning, across nothing, as the last of a window, in the last window.
FACTS = {at: WORDS[4 * n : 4 * n + 4] for n, at in enumerate((0, 5_000, WINDOW - 4, WINDOW, 2 * WINDOW + 4_096))}
CUT = {2 * WINDOW - 1: WORDS[36:40]}
IDS = text(3, FACTS | CUT)


@pytest.fixture(scope="module", params=["dense", "sparse:1024"])
def engine(needle: Path, request: pytest.FixtureRequest) -> ScoutEngine:
    return ScoutEngine.open(needle, store=MemoryStore(1 << 30), attention=request.param)


def answer(engine: ScoutEngine, key: int) -> list[int]:
    events = engine.generate(asking(IDS, key), Sampling(max_tokens=3))
    return [event.id for event in events if isinstance(event, Token)]


@pytest.mark.parametrize("at", FACTS)
def test_a_fact_is_found_wherever_it_stands_in_a_window(engine: ScoutEngine, at: int) -> None:
    assert answer(engine, FACTS[at][0]) == FACTS[at][1:]


def test_a_fact_that_a_windows_edge_cuts_is_not_found(engine: ScoutEngine) -> None:
    key, *rest = CUT[2 * WINDOW - 1]
    assert answer(engine, key)[0] != rest[0]


def test_what_was_never_said_is_not_found(engine: ScoutEngine) -> None:
    assert not set(answer(engine, WORDS[30])) & {token for fact in FACTS.values() for token in fact}


def hidden(model: Scout, ids: "array[int]", tail: list[int]) -> torch.Tensor:
    context = model.context()
    for start in range(0, len(ids), WINDOW):
        model.extend(context, ids[start : start + WINDOW])
        context.close_window(model.config.nope_layers)
    return model.extend(context, tail)


def loaded(folder: Path) -> tuple[ScoutConfig, Scout]:
    config = read_config(folder)
    return config, Scout(config, load_weights(folder, config, torch.float32, torch.device("cpu")))


def margin(model: Scout, right: int) -> float:
    """The logit of `right` above the next best."""
    logits = model.logits(hidden(model, IDS, [*QUESTION, FACTS[5_000][0]]))
    best = logits.topk(2)
    assert int(best.indices[0]) == right
    return float(best.values[0] - best.values[1])


def test_the_margin_is_what_the_construction_says(needle: Path) -> None:
    _, model = loaded(needle)
    assert 23 < margin(model, FACTS[5_000][1]) < 28


@pytest.mark.parametrize("part", ["shared", "routed"])
def test_both_experts_carry_a_part_of_the_answer(needle: Path, part: str) -> None:
    _, model = loaded(needle)
    whole = margin(model, FACTS[5_000][1])
    mixture = model.weights.layers[1].feed_forward
    assert isinstance(mixture, Mixture)
    for mlp in [mixture.shared] if part == "shared" else mixture.experts:
        mlp.down.zero_()
    assert 5 < margin(model, FACTS[5_000][1]) < 0.6 * whole


def test_the_attention_on_the_token_before_is_what_the_construction_says() -> None:
    frequencies = ROPE_BASE ** -(np.arange(64) / 64)
    weights = np.exp(np.cos(np.outer(np.arange(-1, WINDOW - 1), frequencies)).mean(1) * 128**0.5)
    shares = weights / weights.sum()
    assert shares[:3] == pytest.approx([0.04, 0.79, 0.04], abs=0.005)


def test_every_value_but_the_turned_key_is_exact_in_bfloat16() -> None:
    for name, values in tensors():
        kept = torch.from_numpy(values.copy()).bfloat16().float().numpy()
        if name != "layers.0.self_attn.k_proj.weight":
            assert (kept == values).all(), name


@pytest.mark.slow
def test_transformers_computes_the_same(needle: Path, reference: Callable[[Path], Any]) -> None:
    model = reference(needle).float()
    model.set_attn_implementation("sdpa")
    tail, past, theirs = [*QUESTION, FACTS[5_000][0]], None, None
    ids = [*IDS, *tail]
    with torch.inference_mode():
        for start in range(0, len(ids), 2048):
            piece = torch.tensor([ids[start : start + 2048]])
            output = model(input_ids=piece, past_key_values=past, use_cache=True, logits_to_keep=1)
            past, theirs = output.past_key_values, output.logits[0, -1]
    _, ours = loaded(needle)
    torch.testing.assert_close(ours.logits(hidden(ours, IDS, tail)), theirs, atol=2e-3, rtol=0)
