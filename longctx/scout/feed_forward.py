"""The feed-forward of a layer: one gated network, or routed experts beside a shared one.

Only the experts that the router chose are computed: the rows of one expert are gathered and go through it together.
The router's weight multiplies an expert's input, not its output: the activation between is not linear.

Legend: t tokens, h hidden, e experts, c experts chosen for each token.
"""

import torch
import torch.nn.functional as F

from longctx.scout.product import product
from longctx.scout.weights import Mixture, Mlp


def feed_forward(x_th: torch.Tensor, weights: Mixture | Mlp, top_k: int) -> torch.Tensor:
    """The layer's feed-forward of `x_th`, without the residual."""
    if isinstance(weights, Mlp):
        return _mlp(x_th, weights)
    return _routed(x_th, weights, top_k).add_(_mlp(x_th, weights.shared))


def _mlp(x_th: torch.Tensor, weights: Mlp) -> torch.Tensor:
    joined = weights.joined
    if joined is None:
        gate, up = product(x_th, weights.gate), product(x_th, weights.up)
    else:
        gate, up = product(x_th, joined).chunk(2, -1)
    return product(F.silu(gate).mul_(up), weights.down)


def _routed(x_th: torch.Tensor, weights: Mixture, top_k: int) -> torch.Tensor:
    """The sum of the chosen experts' outputs for each token."""
    scores_tc, chosen_tc = product(x_th, weights.router).topk(top_k, dim=-1)
    gains_tc = torch.sigmoid(scores_tc.float()).to(x_th.dtype)
    if len(x_th) == 1:
        parts = [
            _mlp(x_th * gain, weights.experts[e]) for gain, e in zip(gains_tc[0], chosen_tc[0].tolist(), strict=True)
        ]
        return torch.stack(parts).sum(0) if top_k > 1 else parts[0]
    order = chosen_tc.flatten().argsort(stable=True)
    rows = order // top_k
    grouped = x_th[rows] * gains_tc.flatten()[order, None]
    counts = torch.bincount(chosen_tc.flatten(), minlength=len(weights.experts)).tolist()
    parts = [
        _mlp(part, mlp) for part, mlp in zip(torch.split(grouped, counts), weights.experts, strict=True) if len(part)
    ]
    return torch.zeros_like(x_th).index_add_(0, rows, torch.cat(parts))
