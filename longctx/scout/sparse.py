"""Sparse attention of NoPE layers: of a long context only the pages that can matter most are read.

For each page of 64 tokens the largest and smallest value of every key channel are kept. They give an upper bound on
any query's score with any key of the page (Quest, arXiv 2406.10774), exact arithmetic apart, and NoPE keys carry no
position that would blur it. Pages are chosen for a tile of queries together, for all heads alike, so that one page is
one read: those whose bound comes closest to some query's best, the first and the last always among them. What the
others can have weighed at most is bounded by the same figures and reported.

Legend: k key heads, g query heads for each, t queries, s keys, d head size, p pages, r = g * t rows.
"""

import math
from collections.abc import Sequence

import torch

PAGE_TOKENS = 64
TILE_ROWS = 640


def page_bounds(keys_ksd: torch.Tensor) -> torch.Tensor:
    """[k, p, 2 * d]: of each page and channel the largest value, then the smallest; the last page may be short."""
    pages = torch.split(keys_ksd, PAGE_TOKENS, dim=1)
    return torch.stack([torch.cat([page.amax(1), page.amin(1)], -1) for page in pages], 1)


def page_sizes(tokens: Sequence[int], device: torch.device) -> torch.Tensor:
    """The tokens in each page of segments with so many `tokens`, [p]."""
    sizes = [min(PAGE_TOKENS, count - start) for count in tokens for start in range(0, count, PAGE_TOKENS)]
    return torch.tensor(sizes, device=device)


def score_bounds(queries_tkgd: torch.Tensor, bounds_kpe: torch.Tensor, scale: float) -> torch.Tensor:
    """[k, r, p] in float32: no scaled score of a row with a key of the page is larger.

    max(q * high, q * low) is q's positive part times `high` plus its negative part times `low`. What rounding can take
    from it is added: of the sum, at most its length times float32's epsilon of |q| * |bound| (Cauchy and Schwarz), and
    of the result one rounding to the queries' type.
    """
    kv_heads, dim = queries_tkgd.shape[1], queries_tkgd.shape[3]
    rows_krd = queries_tkgd.permute(1, 2, 0, 3).reshape(kv_heads, -1, dim)
    signed_kre = torch.cat([rows_krd.clamp(min=0), rows_krd.clamp(max=0)], -1)
    bounds_krp = torch.bmm(signed_kre, bounds_kpe.transpose(1, 2)).float()
    bounds_krp += bounds_krp.abs() * torch.finfo(queries_tkgd.dtype).eps
    lengths_kr1, lengths_k1p = rows_krd.float().norm(dim=-1)[..., None], bounds_kpe.float().norm(dim=-1)[:, None]
    bounds_krp += lengths_kr1 * (lengths_k1p * (2 * dim * torch.finfo(torch.float32).eps))
    return bounds_krp * scale


def best_pages(bounds_krp: torch.Tensor, count: int) -> torch.Tensor:
    """The ids of `count` pages in order, the first and the last page among them: those nearest some row's best."""
    rank_p = (bounds_krp - bounds_krp.amax(-1, keepdim=True)).amax((0, 1))
    rank_p[0] = rank_p[-1] = math.inf
    return rank_p.topk(min(count, len(rank_p))).indices.sort().values


def skipped_share(
    bounds_krp: torch.Tensor, sizes_p: torch.Tensor, chosen: torch.Tensor, log_mass_kr: torch.Tensor
) -> float:
    """The most of any row's attention, of 1, that the pages not chosen can have had; `log_mass_kr` is that seen."""
    room_krp = bounds_krp + sizes_p.log()
    room_krp[..., chosen] = -torch.inf
    excess_kr = room_krp.logsumexp(-1) - log_mass_kr.float()
    return float(torch.sigmoid(excess_kr).max())
