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
from dataclasses import dataclass
from typing import Self

import torch

PAGE_TOKENS = 64
TILE_ROWS = 640


def page_bounds(keys_ksd: torch.Tensor) -> torch.Tensor:
    """[k, p, 2 * d]: of each page and channel the largest value, then the smallest; the last page may be short."""
    pages = torch.split(keys_ksd, PAGE_TOKENS, dim=1)
    return torch.stack([torch.cat([page.amax(1), page.amin(1)], -1) for page in pages], 1)


@dataclass(frozen=True, slots=True)
class PageBounds:
    """The bounds of many pages: `edges` [k, p, 2 * d], their `lengths` [k, 1, p] and the tokens in each page, [p]."""

    edges: torch.Tensor
    lengths: torch.Tensor
    sizes: torch.Tensor

    @classmethod
    def of(cls, edges: Sequence[torch.Tensor], tokens: Sequence[int]) -> Self:
        """Of segments with these `page_bounds` and so many tokens."""
        joined = torch.cat(list(edges), 1)
        sizes = [min(PAGE_TOKENS, count - start) for count in tokens for start in range(0, count, PAGE_TOKENS)]
        return cls(joined, joined.float().norm(dim=-1)[:, None], torch.tensor(sizes, device=joined.device))

    def followed_by(self, other: Self) -> Self:
        """These pages and then those of `other`."""
        return type(self)(
            torch.cat((self.edges, other.edges), 1),
            torch.cat((self.lengths, other.lengths), 2),
            torch.cat((self.sizes, other.sizes)),
        )


def score_bounds(queries_tkgd: torch.Tensor, pages: PageBounds, scale: float) -> torch.Tensor:
    """[k, r, p] in float32: no scaled score of a row with a key of the page is larger.

    max(q * high, q * low) is q's positive part times `high` plus its negative part times `low`. What rounding can take
    from it is added: of the sum, at most its length times float32's epsilon of |q| * |bound| (Cauchy and Schwarz), and
    of the result one rounding to the queries' type. float16 could overflow and is multiplied in float32.
    """
    kv_heads, dim = queries_tkgd.shape[1], queries_tkgd.shape[3]
    rows_krd = queries_tkgd.permute(1, 2, 0, 3).reshape(kv_heads, -1, dim)
    dtype = torch.float32 if rows_krd.dtype == torch.float16 else rows_krd.dtype
    signed_kre = torch.cat([rows_krd.clamp(min=0), rows_krd.clamp(max=0)], -1).to(dtype)
    bounds_krp = torch.bmm(signed_kre, pages.edges.to(dtype).transpose(1, 2)).float()
    bounds_krp += bounds_krp.abs() * torch.finfo(dtype).eps
    lengths_kr1 = rows_krd.float().norm(dim=-1)[..., None]
    bounds_krp += lengths_kr1 * (pages.lengths * (2 * dim * torch.finfo(torch.float32).eps))
    return bounds_krp * scale


def best_pages(bounds_krp: torch.Tensor, count: int) -> torch.Tensor:
    """The ids of `count` pages in order, the first and the last page among them: those nearest some row's best."""
    rank_p = (bounds_krp - bounds_krp.amax(-1, keepdim=True)).amax((0, 1))
    rank_p[0] = rank_p[-1] = math.inf
    return rank_p.topk(min(count, len(rank_p))).indices.sort().values


def skipped_share(
    bounds_krp: torch.Tensor, sizes_p: torch.Tensor, chosen: torch.Tensor, log_mass_kr: torch.Tensor, slack: float
) -> float:
    """The most of any row's attention, of 1, that the pages not chosen can have had.

    `log_mass_kr` is what was seen; rounding may have made it larger than it was by `slack`.
    """
    room_krp = bounds_krp + sizes_p.log()
    room_krp[..., chosen] = -torch.inf
    excess_kr = room_krp.logsumexp(-1) - log_mass_kr.float() + slack
    share = float(torch.sigmoid(excess_kr).max())
    return share if share <= 1 else 1.0
