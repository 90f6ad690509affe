"""Sparse attention: bounds that no score exceeds, all pages equal to dense, and what was skipped never understated."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longctx.scout.config import read_config
from longctx.scout.kv import Context
from longctx.scout.model import Scout
from longctx.scout.softmax import attending
from longctx.scout.sparse import (
    PAGE_TOKENS,
    PageBounds,
    best_pages,
    page_bounds,
    score_bounds,
    skipped_share,
)
from longctx.scout.weights import load_weights

SCALE = 0.25


@settings(deadline=None, max_examples=60)
@given(
    tokens=st.integers(1, 300), rows=st.integers(1, 9), size=st.sampled_from([0.1, 1.0, 30.0]), seed=st.integers(0, 99)
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_no_score_exceeds_its_pages_bound(dtype: torch.dtype, tokens: int, rows: int, size: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    keys = torch.randn(2, tokens, 16, generator=generator).to(dtype)
    queries = (torch.randn(rows, 2, 3, 16, generator=generator) * size).to(dtype)
    bounds = score_bounds(queries, PageBounds.of([page_bounds(keys)], [tokens]), SCALE)
    scores = queries.double().permute(1, 2, 0, 3).reshape(2, -1, 16) @ keys.double().transpose(1, 2) * SCALE
    page_of = torch.arange(tokens) // PAGE_TOKENS
    assert (scores <= bounds.double()[:, :, page_of] + 1e-12).all()


@settings(deadline=None, max_examples=60)
@given(
    tokens=st.lists(st.integers(1, 200), min_size=1, max_size=4),
    count=st.integers(2, 9),
    size=st.sampled_from([0.02, 2.0]),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_said_to_be_skipped_is_never_less_than_what_was(
    dtype: torch.dtype, tokens: list[int], count: int, size: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    parts = [torch.randn(2, tokens_here, 16, generator=generator).to(dtype) for tokens_here in tokens]
    queries = (torch.randn(5, 2, 3, 16, generator=generator) * size).to(dtype)
    pages = PageBounds.of([page_bounds(part) for part in parts], tokens)
    assert int(pages.sizes.sum()) == sum(tokens)
    bounds = score_bounds(queries, pages, SCALE)
    chosen = best_pages(bounds, count)
    assert len(chosen) == min(count, len(pages.sizes))
    assert chosen[0] == 0
    assert chosen[-1] == len(pages.sizes) - 1
    keys = torch.cat(parts, 1)
    is_chosen = torch.isin(torch.repeat_interleave(torch.arange(len(pages.sizes)), pages.sizes), chosen)
    attended = attending(queries, SCALE, 1 << 20)
    attended.see(keys[:, is_chosen], keys[:, is_chosen])
    scores = queries.double().permute(1, 2, 0, 3).reshape(2, -1, 16) @ keys.double().transpose(1, 2) * SCALE
    skipped = float(scores.softmax(-1)[..., ~is_chosen].sum(-1).max())
    slack = 2 * torch.finfo(dtype).eps
    assert skipped <= skipped_share(bounds, pages.sizes, chosen, attended.log_mass(), slack) + 1e-9


def test_a_share_that_is_no_number_is_all_of_it() -> None:
    nothing = torch.full((1, 1, 3), torch.nan)
    assert skipped_share(nothing, torch.tensor([64, 64, 64]), torch.tensor([0, 2]), torch.zeros(1, 1), 0.0) == 1


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Scout:
    config = read_config(folder)
    return Scout(config, load_weights(folder, config, dtype, torch.device("cpu")))


def answer(model: Scout, context: Context, ids: list[int], sizes: list[int]) -> torch.Tensor:
    """Logits after windows of these sizes, the last of which is fed in two uneven steps and one token."""
    after = []
    for size in sizes:
        window, ids = ids[:size], ids[size:]
        after.append(model.logits(model.extend(context, window)))
        context.close_window(model.config.nope_layers)
    rest = [model.logits(model.extend(context, step)) for step in (ids[:5], ids[5:-1], ids[-1:])]
    return torch.stack(after + rest)


@pytest.fixture(scope="session")
def wide(make_checkpoint: Callable[..., Path]) -> Path:
    """A chunk of 160 tokens, so that a window has several pages and a short last one."""
    return make_checkpoint("wide", attention_chunk_size=160)


SIZES = [160, 100, 160, 1, 160]
IDS = torch.randint(0, 128, (sum(SIZES) + 20,), generator=torch.Generator().manual_seed(1)).tolist()
ALL_PAGES = sum(-(-size // PAGE_TOKENS) for size in SIZES)


def test_all_pages_are_the_same_as_dense(wide: Path) -> None:
    model = load(wide)
    context = model.context(sparse_pages=ALL_PAGES)
    context_bytes = answer(model, context, IDS, SIZES)
    torch.testing.assert_close(context_bytes, answer(model, model.context(), IDS, SIZES), atol=2e-5, rtol=0)


def test_chosen_pages_that_are_all_pages_give_dense_attention(wide: Path) -> None:
    """The sparse path itself, which a budget as large as the context never takes."""
    from longctx.scout.attention import _dense, _sparse

    model = load(wide)
    context = model.context(sparse_pages=ALL_PAGES)
    answer(model, context, IDS, SIZES)
    queries = torch.randn(1, 2, 2, 16, generator=torch.Generator().manual_seed(2))
    context.window.tokens -= 1
    with torch.inference_mode():
        some = _sparse(queries, model.config, 1, context)
        every = _dense(queries, model.config, 1, context, context.segments)
    torch.testing.assert_close(some, every, atol=1e-5, rtol=0)
    assert context.skipped == 0


def test_fewer_pages_come_closer_with_each_page_and_say_what_they_skip(wide: Path) -> None:
    model = load(wide)
    dense = answer(model, model.context(), IDS, SIZES)
    gaps, skipped = [], []
    for pages in (2, 6, ALL_PAGES):
        context = model.context(sparse_pages=pages)
        gaps.append(float((answer(model, context, IDS, SIZES)[-1] - dense[-1]).abs().mean()))
        skipped.append(context.skipped)
    assert gaps[0] > gaps[1] > gaps[2]
    assert 1 >= skipped[0] >= skipped[1] > 0 == skipped[2]
