"""Rotations against float64 at absolute positions: near ten million, where float32 is off, and at edges."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from longctx.scout.config import RopeScaling, ScoutConfig, read_config
from longctx.scout.rope import rotate, rotations

CPU = torch.device("cpu")
SCALING = RopeScaling(factor=16.0, low_freq_factor=1.0, high_freq_factor=1.0, original_positions=8192)


@pytest.fixture
def config(scout: Path) -> ScoutConfig:
    return replace(read_config(scout), head_dim=128, chunk=8192, rope_scaling=SCALING)


def frequencies(config: ScoutConfig) -> torch.Tensor:
    """Llama 3's scaling where low == high, said the other way round: by wavelength."""
    plain = config.rope_theta ** (-torch.arange(0, config.head_dim, 2, dtype=torch.float64) / config.head_dim)
    assert config.rope_scaling
    is_long = 2 * math.pi / plain > config.rope_scaling.original_positions
    return torch.where(is_long, plain / config.rope_scaling.factor, plain)


def score(config: ScoutConfig, query: torch.Tensor, key: torch.Tensor, at: tuple[int, int]) -> float:
    """Rotated by absolute positions, all in float64."""
    turned = []
    for vector, position in zip((query, key), at, strict=True):
        pairs = torch.view_as_complex(vector.double().view(-1, 2))
        turned.append(pairs * torch.polar(torch.ones(64, dtype=torch.float64), position * frequencies(config)))
    return float((turned[0] * turned[1].conj()).real.sum())


@pytest.mark.parametrize("chunk_index", [0, 1, 122, 1023, 1024, 1279])
@pytest.mark.parametrize("inside", [(0, 0), (1, 0), (8191, 0), (8191, 8190), (4097, 4095)])
def test_scores_near_ten_million_are_those_of_float64(
    config: ScoutConfig, chunk_index: int, inside: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(chunk_index)
    query, key = (torch.randn(128, generator=generator) for _ in range(2))
    table = rotations(config, CPU)
    ours = (
        rotate(query[None, None], table[inside[0] : inside[0] + 1])[0, 0]
        @ rotate(key[None, None], table[inside[1] : inside[1] + 1])[0, 0]
    )
    start = chunk_index * 8192
    exact = score(config, query, key, (start + inside[0], start + inside[1]))
    assert abs(float(ours) - exact) < 1e-4


def test_29_of_scouts_64_frequencies_are_stretched(config: ScoutConfig) -> None:
    plain = rotations(replace(config, rope_scaling=None), CPU)[1].angle()
    scaled = rotations(config, CPU)[1].angle()
    assert int((scaled < 0.99 * plain).sum()) == 29
    torch.testing.assert_close(scaled.double(), frequencies(config), atol=1e-7, rtol=1e-5)


def test_frequencies_between_two_bounds_are_mixed(config: ScoutConfig) -> None:
    banded = replace(config, rope_scaling=replace(SCALING, factor=8.0, high_freq_factor=4.0))
    ratio = rotations(banded, CPU)[1].angle() / rotations(replace(config, rope_scaling=None), CPU)[1].angle()
    assert ratio.min() == pytest.approx(1 / 8, rel=1e-4)
    assert ratio.max() == pytest.approx(1.0, rel=1e-4)
    assert ((ratio > 0.13) & (ratio < 0.99)).any()
    assert (ratio.diff() <= 1e-6).all()
