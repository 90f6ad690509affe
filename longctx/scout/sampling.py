"""The next token from logits: the likeliest, or one drawn at random; repeatable, and the same on every device.

The draw is made in float64 on the CPU by one uniform number a token, whatever device the logits are on. No penalties,
no top-k: what a caller may set is temperature and top-p.
"""

import math

import torch

from longctx.scout.errors import NumericTrouble


def choose(
    logits_v: torch.Tensor,
    *,
    temperature: float = 0.0,
    top_p: float = 1.0,
    generator: torch.Generator | None = None,
) -> int:
    """The next id: at temperature 0 the likeliest (the lowest id of equals), else drawn from the nucleus of `top_p`.

    Advances `generator`, which must be on the CPU. Raises NumericTrouble where a logit is not finite.
    """
    if not (0 <= temperature < math.inf and 0 < top_p <= 1):
        raise ValueError(f"temperature {temperature} or top_p {top_p} is out of range")
    if not bool(torch.isfinite(logits_v).all()):
        raise NumericTrouble("the model gave a logit that is not a finite number; try another dtype, or the weights")
    if temperature == 0:
        return _likeliest(logits_v)
    return _drawn(_probabilities(logits_v, temperature), top_p, generator)


def seeded(seed: int | None) -> torch.Generator:
    """A generator on the CPU; without a seed it starts from the operating system's randomness."""
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator


def _likeliest(logits_v: torch.Tensor) -> int:
    # argmax promises nothing about equals; the first of them does not depend on device or threads.
    return int(torch.nonzero(logits_v == logits_v.max())[0])


def _probabilities(logits_v: torch.Tensor, temperature: float) -> torch.Tensor:
    """float64 [vocab] on the CPU; the best logit is taken off first, so that no temperature overflows."""
    scores_v = logits_v.detach().to("cpu", torch.float64)
    return torch.softmax((scores_v - scores_v.max()) / temperature, dim=0)


def _drawn(probs_v: torch.Tensor, top_p: float, generator: torch.Generator | None) -> int:
    """One id by inverse of the cumulative probability; ids without probability are never drawn."""
    ids_k = _candidates(probs_v, top_p)
    reached_k = probs_v[ids_k].cumsum(0)
    target = min(top_p, float(reached_k[-1]))  # a sum of float64s may end just below 1
    kept = int((reached_k < target).sum())  # the position of the id that reaches the target; it is kept too
    drawn = float(torch.rand((), dtype=torch.float64, generator=generator)) * float(reached_k[kept])
    return int(ids_k[min(int((reached_k <= drawn).sum()), kept)])


def _candidates(probs_v: torch.Tensor, top_p: float) -> torch.Tensor:
    """Ids among which the nucleus lies, likeliest first (lowest first of equals); all ids where top_p is 1.

    Ids below (1 - top_p) / vocab have less than 1 - top_p together, so the others reach top_p without them: only
    those are sorted. Half of that bound leaves room for rounding.
    """
    if top_p == 1:
        return torch.arange(len(probs_v))
    ids_k = torch.nonzero(probs_v >= (1 - top_p) / (2 * len(probs_v))).flatten()
    return ids_k[probs_v[ids_k].sort(descending=True, stable=True).indices]
