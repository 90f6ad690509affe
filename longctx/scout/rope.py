"""Rotary positions of Llama 4: adjacent pairs, Llama 3's frequency scaling, angles by position within the chunk.

Local attention never looks across a chunk, and a score depends on the difference of two positions only, so
rotating by `position mod chunk` is the same as rotating by the position. It is better: an absolute angle in float32
is off by 0.03 rad at one million tokens and by 0.19 rad at ten million.

Legend: t tokens, n heads, d head size.
"""

import math

import torch

from longctx.scout.config import RopeScaling, ScoutConfig


def rotations(config: ScoutConfig, device: torch.device) -> torch.Tensor:
    """The unit complex numbers [chunk, d / 2] that positions 0 to chunk - 1 rotate by; made in float64.

    Without a layer that rotates there is no chunk to speak of, and no table: [0, d / 2].
    """
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float64) / config.head_dim
    frequencies = torch.tensor(
        [_scaled(1.0 / config.rope_theta**exponent, config.rope_scaling) for exponent in exponents.tolist()],
        dtype=torch.float64,
    )
    positions = config.chunk if any(config.rope_layers) else 0
    angles_td = torch.outer(torch.arange(positions, dtype=torch.float64), frequencies)
    return torch.polar(torch.ones_like(angles_td), angles_td).to(torch.complex64).to(device)


def rotate(x_tnd: torch.Tensor, rotations_td: torch.Tensor) -> torch.Tensor:
    """`x_tnd` with each adjacent pair rotated; float32, whatever came in."""
    pairs = torch.view_as_complex(x_tnd.float().view(*x_tnd.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotations_td[:, None]).flatten(-2)


def _scaled(frequency: float, scaling: RopeScaling | None) -> float:
    """Llama 3's rule: long wavelengths are stretched by `factor`, short ones kept, those between are mixed.

    Scout has low == high == 1: no band between, so nothing is ever divided by their difference.
    """
    if scaling is None:
        return frequency
    turns = scaling.original_positions * frequency / (2 * math.pi)
    if turns < scaling.low_freq_factor:
        return frequency / scaling.factor
    if turns >= scaling.high_freq_factor:
        return frequency
    kept = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    return kept * frequency + (1 - kept) * frequency / scaling.factor
