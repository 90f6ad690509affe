"""Tiles against one dense softmax in float64: any cut, any order, scores of any size."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longctx.scout import softmax
from longctx.scout.softmax import Attending, FlashAttending, TiledAttending, attending, log_mass_slack

KV_HEADS, GROUP, DIM = 2, 3, 16
SCALE = DIM**-0.5


def random_parts(tokens: int, keys: int, size: float, dtype: torch.dtype, seed: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(tokens, KV_HEADS, GROUP, DIM, generator=generator) * size
    own = [torch.randn(KV_HEADS, keys, DIM, generator=generator) for _ in range(2)]
    return queries.to(dtype), own[0].to(dtype), own[1].to(dtype)


def dense(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Output and log-sum-exp in float64; the last keys are the queries' own."""
    q_kgtd = queries.double().permute(1, 2, 0, 3)
    scores = q_kgtd @ keys.double()[:, None].transpose(-1, -2) * SCALE
    tokens, count = scores.shape[-2:]
    scores[..., count - tokens :].masked_fill_(torch.ones(tokens, tokens).triu(1).bool(), -torch.inf)
    out = (scores.softmax(-1) @ values.double()[:, None]).permute(2, 0, 1, 3).flatten(1)
    return out, scores.logsumexp(-1).flatten(1)


def seen(attended: Attending, keys: torch.Tensor, values: torch.Tensor, tokens: int, cuts: list[int]) -> Attending:
    before = keys.shape[1] - tokens
    edges = sorted({0, before, *(cut for cut in cuts if cut < before)})
    for start, stop in pairwise(edges):
        attended.see(keys[:, start:stop], values[:, start:stop])
    attended.see_own(keys[:, before:], values[:, before:])
    return attended


@settings(deadline=None, max_examples=40)
@given(
    tokens=st.integers(1, 70),
    before=st.integers(0, 300),
    cuts=st.lists(st.integers(1, 299), max_size=4),
    size=st.sampled_from([0.1, 1.0, 6.0]),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_tiles_equal_one_dense_softmax(
    dtype: torch.dtype, tokens: int, before: int, cuts: list[int], size: float, seed: int
) -> None:
    queries, keys, values = random_parts(tokens, before + tokens, size, dtype, seed)
    expected, log_mass = dense(queries, keys, values)
    attended = seen(attending(queries, SCALE, 1 << 20), keys, values, tokens, cuts)
    limit = {torch.float64: 1e-12, torch.float32: 2e-5, torch.float16: 0.005, torch.bfloat16: 0.03}[dtype]
    torch.testing.assert_close(attended.output().double(), expected, atol=limit, rtol=limit)
    torch.testing.assert_close(attended.log_mass().double(), log_mass, atol=limit, rtol=limit)


@pytest.mark.parametrize("size", [1.0, 8.0])
def test_bfloat16_tiles_are_nearly_as_good_as_the_fused_kernel(size: float) -> None:
    queries, keys, values = random_parts(300, 2000, size, torch.bfloat16, seed=1)
    expected, _ = dense(queries, keys, values)
    errors = {}
    for kind in (TiledAttending, FlashAttending):
        out = seen(kind(queries, SCALE), keys, values, 300, [700, 1500]).output()
        errors[kind] = float((out.double() - expected).square().mean().sqrt())
    assert errors[TiledAttending] < 2.5 * errors[FlashAttending]


def test_a_score_far_above_the_first_tile_neither_overflows_nor_is_lost() -> None:
    """One key in the last tile answers the query with a score hundreds above all others."""
    queries, keys, values = random_parts(4, 600, 1.0, torch.bfloat16, seed=2)
    keys[:, 500] = queries[0, :, 0] * 200
    expected, _ = dense(queries, keys, values)
    attended = seen(attending(queries, SCALE, 1 << 20), keys, values, 4, [100, 200, 300])
    torch.testing.assert_close(attended.output().double(), expected, atol=0.03, rtol=0.03)


@pytest.mark.parametrize("below", [4.0273, 8.0273, 12.0312, 16.0547])
@pytest.mark.parametrize("keys", [1, 100, 1 << 18])
def test_a_mass_is_said_too_large_by_no_more_than_its_slack(keys: int, below: float) -> None:
    """All keys but one lie so many powers of two below the peak, where a score rounds upward by nearly half a step."""
    queries = torch.zeros(2, 1, 1, DIM, dtype=torch.bfloat16)
    queries[..., 0] = queries[..., 1] = 1
    scores = -below * math.log(2) / SCALE
    keys_ksd = torch.zeros(1, keys + 1, DIM, dtype=torch.bfloat16)
    keys_ksd[0, 1:, 0] = scores
    keys_ksd[0, 1:, 1] = scores - keys_ksd[0, 1:, 0].float()
    exact = (keys_ksd[0].double().sum(-1) * SCALE).logsumexp(-1)
    attended = TiledAttending(queries, SCALE)
    attended.see(keys_ksd, keys_ksd)
    excess = float((attended.log_mass().double() - exact).max())
    assert excess <= log_mass_slack(torch.bfloat16, keys + 1)
    if (keys, below) == (1 << 18, 16.0547):
        assert excess > 0.03


@pytest.mark.parametrize("rows", [3, 64, 1280])
def test_the_size_of_tiles_changes_little(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(softmax, "QUERY_ROWS", rows)
    monkeypatch.setattr(softmax, "KEY_COLUMNS", 50)
    monkeypatch.setattr(softmax, "TILE_SCORES", 50 * rows)
    queries, keys, values = random_parts(90, 400, 2.0, torch.bfloat16, seed=3)
    expected, _ = dense(queries, keys, values)
    out = seen(TiledAttending(queries, SCALE), keys, values, 90, [128]).output()
    torch.testing.assert_close(out.double(), expected, atol=0.03, rtol=0.03)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tiles_on_a_gpu_equal_one_dense_softmax(dtype: torch.dtype) -> None:
    queries, keys, values = random_parts(200, 900, 1.0, dtype, seed=4)
    expected, _ = dense(queries, keys, values)
    on_gpu = [x.cuda() for x in (queries, keys, values)]
    out = seen(attending(on_gpu[0], SCALE, 900), on_gpu[1], on_gpu[2], 200, [128, 500]).output()
    torch.testing.assert_close(out.cpu().double(), expected, atol=0.03, rtol=0.03)
