"""Root-mean-square norms: computed in float32, cast back, and only then weighted."""

import torch
import torch.nn.functional as F


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """`x` [..., hidden] normed over its last axis, times `weight` [hidden]; in `x`'s type."""
    return unit_rms(x, eps).to(x.dtype) * weight


def unit_rms(x: torch.Tensor, eps: float) -> torch.Tensor:
    """`x` scaled to a root mean square of one over its last axis; float32, whatever came in."""
    return F.rms_norm(x.float(), x.shape[-1:], eps=eps)
