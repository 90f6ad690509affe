"""The text tower against transformers (one, two and many windows, every boundary), and against itself in pieces."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from longctx.scout.config import read_config
from longctx.scout.kv import Context
from longctx.scout.model import Scout
from longctx.scout.weights import load_weights

CHUNK = 32
CPU = torch.device("cpu")
CLOSE = 1e-5  # float32, logits of a deviation near 0.7; the two differ in the order of sums only


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Scout:
    config = read_config(folder)
    return Scout(config, load_weights(folder, config, dtype, CPU))


def some_ids(count: int, seed: int = 0) -> list[int]:
    return torch.randint(0, 128, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def feed(model: Scout, context: Context, ids: Sequence[int], step: int = CHUNK) -> torch.Tensor:
    """The logits after each piece of `ids`, cut every `step` tokens and at the edges of windows."""
    after = []
    while ids:
        take = min(step, CHUNK - context.window.tokens, len(ids))
        after.append(model.logits(model.extend(context, ids[:take])))
        ids = ids[take:]
        if context.window.tokens == CHUNK:
            context.close_window(model.config.nope_layers)
    return torch.stack(after)


def theirs(reference: torch.nn.Module, ids: Sequence[int]) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = reference(torch.tensor([list(ids)])).logits[0]
    return logits


@pytest.mark.parametrize("name", ["scout", "maverick", "scout_per_expert", "scout_sharded", "scout_multimodal"])
def test_token_by_token_equals_transformers(
    request: pytest.FixtureRequest, reference: Callable[[Path], torch.nn.Module], name: str
) -> None:
    same_weights = "maverick" if name == "maverick" else "scout"
    ids = some_ids(5 * CHUNK + 3)
    model = load(request.getfixturevalue(name))
    ours = feed(model, model.context(), ids, step=1)
    expected = theirs(reference(request.getfixturevalue(same_weights)), ids)
    assert expected.std() > 0.5
    torch.testing.assert_close(ours, expected, atol=CLOSE, rtol=0)


@pytest.mark.parametrize("step", [5, 7, 16, 24, 31, 32])
def test_uneven_steps_equal_transformers(scout: Path, reference: Callable[[Path], torch.nn.Module], step: int) -> None:
    ids = some_ids(4 * CHUNK + 9)
    model = load(scout)
    context = model.context()
    expected = theirs(reference(scout), ids)
    done = 0
    while done < len(ids):
        take = min(step, CHUNK - done % CHUNK, len(ids) - done)
        logits = feed(model, context, ids[done : done + take])[-1]
        done += take
        torch.testing.assert_close(logits, expected[done - 1], atol=CLOSE, rtol=0)


@pytest.mark.parametrize("windows", [1, 2, 5])
@pytest.mark.parametrize("beside", [-1, 0, 1])
@pytest.mark.parametrize("shape", ["scout", "maverick"])
def test_each_side_of_a_boundary_equals_transformers(
    request: pytest.FixtureRequest,
    reference: Callable[[Path], torch.nn.Module],
    shape: str,
    windows: int,
    beside: int,
) -> None:
    folder = request.getfixturevalue(shape)
    ids = some_ids(windows * CHUNK + beside, seed=windows)
    model = load(folder)
    ours = feed(model, model.context(), ids)[-1]
    torch.testing.assert_close(ours, theirs(reference(folder), ids)[-1], atol=CLOSE, rtol=0)


@pytest.mark.parametrize(
    "wrong",
    [{"temperature_tuning": None}, {"qk_norm": False}, {"rope_scaling": None}, {"rope_layers": (True,) * 8}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_the_comparison_would_notice_a_wrong_formula(
    scout: Path, reference: Callable[[Path], torch.nn.Module], wrong: dict[str, Any]
) -> None:
    ids = some_ids(3 * CHUNK + 3)
    model = load(scout)
    broken = Scout(replace(model.config, **wrong), model.weights)
    gap = (feed(broken, broken.context(), ids)[-1] - theirs(reference(scout), ids)[-1]).abs().max()
    assert gap > 50 * CLOSE
