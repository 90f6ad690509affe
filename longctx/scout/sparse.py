"""Sparse attention of NoPE layers: of a long context only the pages that can matter most are read.

For each page of 64 tokens the largest and smallest value of every key channel are kept. They give an upper bound on
any query's score with any key of the page (Quest, arXiv 2406.10774), and NoPE keys carry no position that would blur
it. Groups of pages have such boxes too: those of all groups are looked at, those of pages only in the best groups.
Pages are chosen for a tile of queries together, for all heads alike, so that one page is one read: those that promise
the largest share of some row's attention, the first and the last always among them. What the others can have weighed
at most is bounded by the same figures and reported.

Legend: k key heads, g query heads for each, t queries, s keys, d head size, p boxes (of pages or groups), r = g * t
rows of a head, n rows of a part of all heads' rows.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

PAGE_TOKENS = 64
GROUP_PAGES = 8
LOOKED_INTO = 16  # of so many groups one, at least: its pages cost no more than half of what the groups did
LOOKS = 3 << 18  # rows times groups: fewer rows look into more groups, where that costs little
FAR = 20.0
TILE_ROWS = 640
PART_SCORES = 1 << 20  # in float32 they stay in a shared cache; smaller parts cost more joins of threads than they save


def page_bounds(keys_ksd: torch.Tensor) -> torch.Tensor:
    """[k, p, 2 * d]: of each page and channel the largest value, then the smallest; the last page may be short."""
    paged = _cut(keys_ksd, PAGE_TOKENS)
    return torch.cat([paged.amax(2), paged.amin(2)], -1)


def group_bounds(edges_kpe: torch.Tensor) -> torch.Tensor:
    """The same of groups of pages, from those of one window's pages; the last group may be short."""
    high, low = _cut(edges_kpe, GROUP_PAGES).chunk(2, -1)
    return torch.cat([high.amax(2), low.amin(2)], -1)


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes around keys: `edges` [k, p, 2 * d], `log_tokens` [p] the logarithm of the keys in each.

    No edges of a head are longer than `longest` [k].
    """

    edges: torch.Tensor
    log_tokens: torch.Tensor
    longest: torch.Tensor

    def __len__(self) -> int:
        return len(self.log_tokens)

    def some(self, numbers: torch.Tensor) -> "Boxes":
        """Those with these numbers."""
        heads, _, width = self.edges.shape
        edges_kpe = self.edges.new_empty(heads, len(numbers), width)
        for own_pe, picked_pe in zip(self.edges, edges_kpe, strict=True):  # 30 times as fast as all heads at once
            torch.index_select(own_pe, 0, numbers, out=picked_pe)
        return Boxes(edges_kpe, self.log_tokens[numbers], self.longest)


class Outline:
    """The boxes of one layer's closed windows, of pages and of groups; a group never spans two windows."""

    def __init__(self) -> None:
        self._pages, self._groups = _GrowingBoxes(PAGE_TOKENS), _GrowingBoxes(PAGE_TOKENS * GROUP_PAGES)
        self._spans_p2 = _Growing(0)
        self._ends: list[tuple[int, int]] = []

    @property
    def windows(self) -> int:
        return len(self._ends)

    @property
    def pages(self) -> Boxes:
        """As they are now: what is added later is not among them."""
        return self._pages.boxes

    @property
    def groups(self) -> Boxes:
        """As they are now."""
        return self._groups.boxes

    def add(self, edges_kpe: torch.Tensor, tokens: int) -> None:
        """One more window of so many tokens, with these `page_bounds`."""
        first, count = (self._ends[-1][0] if self._ends else 0), edges_kpe.shape[1]
        spans = [(at, min(at + GROUP_PAGES, first + count)) for at in range(first, first + count, GROUP_PAGES)]
        self._spans_p2.add(torch.tensor(spans, device=edges_kpe.device))
        self._pages.add(edges_kpe, tokens)
        self._groups.add(group_bounds(edges_kpe), tokens)
        self._ends.append((first + count, self._spans_p2.count))

    def cut(self, windows: int) -> None:
        """Keep the first `windows` only."""
        del self._ends[windows:]
        pages, groups = self._ends[-1] if self._ends else (0, 0)
        self._pages.cut(pages)
        self._groups.cut(groups)
        self._spans_p2.cut(groups)

    def pages_in(self, groups: torch.Tensor) -> torch.Tensor:
        """The numbers of the pages in these groups, in order."""
        spans_p2 = self._spans_p2.filled[groups]
        pages = spans_p2[:, :1] + torch.arange(GROUP_PAGES, device=groups.device)
        return pages[pages < spans_p2[:, 1:]]


@dataclass(frozen=True, slots=True)
class Choice:
    """The numbers of the chosen pages, in order, and the most that all others can have weighed for each row.

    `rest_kr` is no less than the logarithm of their sum of exp(score).
    """

    pages: torch.Tensor
    rest_kr: torch.Tensor


def choose(queries_tkgd: torch.Tensor, outline: Outline, count: int, scale: float, seen_kr: torch.Tensor) -> Choice:
    """The best `count` pages; `seen_kr` is the logarithm of what each row has attended to already.

    Where not many more groups are there than are to be looked into, all their pages are looked at.
    """
    rows_krd = queries_tkgd.permute(1, 2, 0, 3).flatten(1, 2)
    pages, groups = outline.pages, outline.groups
    looked_into = max(count, len(groups) // LOOKED_INTO)
    if len(queries_tkgd) > 1:  # a single token is one of an answer: many follow, each with the same cost
        looked_into = max(looked_into, LOOKS // seen_kr.numel())
    if len(groups) <= 2 * looked_into:
        flat = _shares(rows_krd, pages, scale, seen_kr)
        chosen = flat.best(count)
        return Choice(chosen, flat.rest(chosen))
    coarse = _shares(rows_krd, groups, scale, seen_kr)
    best = coarse.best(looked_into)
    rest_kr, inside = coarse.rest(best), outline.pages_in(best)
    fine = _shares(rows_krd, pages.some(inside), scale, torch.logaddexp(seen_kr.float(), rest_kr))
    chosen = fine.best(count)
    return Choice(inside[chosen], torch.logaddexp(rest_kr, fine.rest(chosen)))


def skipped_share(rest_kr: torch.Tensor, log_mass_kr: torch.Tensor, slack: float) -> float:
    """The most of any row's attention, of 1, that the pages not chosen can have had.

    `log_mass_kr` is what was seen; rounding may have made it larger than it was by `slack`.
    """
    share = float(torch.sigmoid(rest_kr - log_mass_kr.float() + slack).max())
    return share if share <= 1 else 1.0


@dataclass(frozen=True, slots=True)
class _Shares:
    """The largest share of a row's attention that each box could have, for all anyone knows.

    `parts` [n, p] are the shares, part by part of all heads' rows. `whole_kr` is the logarithm of what they are shares
    of, and with `slack_kr` it is large enough whatever was rounded. `rank_p` says how much a box promises some row.
    """

    parts: list[torch.Tensor]
    rank_p: torch.Tensor
    whole_kr: torch.Tensor
    slack_kr: torch.Tensor

    def best(self, count: int) -> torch.Tensor:
        """The numbers of `count` boxes in order, the first and the last among them: those that promise most."""
        rank_p = self.rank_p.clone()
        rank_p[0] = rank_p[-1] = math.inf
        return rank_p.topk(min(count, len(rank_p))).indices.sort().values

    def rest(self, chosen: torch.Tensor) -> torch.Tensor:
        """[k, r]: no less than the logarithm of what all boxes but the `chosen` weigh."""
        boxes = self.parts[0].shape[1]
        if len(chosen) == boxes:
            return torch.full_like(self.whole_kr, -torch.inf)
        left_p = torch.ones(boxes, device=chosen.device).index_fill_(0, chosen, 0)
        left_kr = torch.cat([part_np.float() @ left_p for part_np in self.parts]).view(self.whole_kr.shape)
        too_small_to_count = 2 * boxes * torch.finfo(torch.float32).tiny
        return (left_kr + too_small_to_count).log() + self.whole_kr + self.slack_kr


def _shares(rows_krd: torch.Tensor, boxes: Boxes, scale: float, beside_kr: torch.Tensor) -> _Shares:
    """Of the sum of what all boxes could weigh, and of exp(`beside_kr`).

    No score in a box exceeds the sum over the channels of max(q * high, q * low), which is q's positive part times
    `high` plus its negative part times `low`; so a box weighs at most exp of that for each of its tokens.

    Rounding: a product may be off by an epsilon of its type, and the sum it is by 2 * d of float32's times the length
    of q times that of the edges (Cauchy and Schwarz); a share by an epsilon; sums over boxes by one of float32's for
    each. As no score of a row is larger than its largest, and no edges are longer than the longest, one slack for each
    row is enough for all. float16 could overflow and is multiplied in float32; so is bfloat16 on a GPU, where it may be
    summed in bfloat16 too.
    """
    in_half = rows_krd.dtype == torch.bfloat16 and not rows_krd.is_cuda
    dtype = torch.bfloat16 if in_half else torch.float32
    parts = list(_products(rows_krd.to(dtype), boxes.edges.to(dtype)))
    beside = torch.split(beside_kr.float().flatten(), [len(part_np) for part_np in parts])
    made = [_to_shares(part_np, boxes.log_tokens, scale, x_n) for part_np, x_n in zip(parts, beside, strict=True)]
    whole, largest, ranks = zip(*made, strict=True)
    whole_kr, largest_kr = (torch.cat(x).view(beside_kr.shape) for x in (whole, largest))
    lengths_kr = rows_krd.float().norm(dim=-1) * boxes.longest[:, None] * scale
    own, wide = torch.finfo(dtype).eps, torch.finfo(torch.float32).eps
    sums_kr = boxes.edges.shape[2] * lengths_kr + 2 * len(boxes) + 4 * (largest_kr + whole_kr.abs())
    return _Shares(parts, torch.stack(ranks).amax(0), whole_kr, own * (largest_kr + 2) + wide * sums_kr)


def _products(rows_krd: torch.Tensor, edges_kpe: torch.Tensor) -> Iterator[torch.Tensor]:
    """[n, p]: the bounds of all scores, before they are scaled.

    On a CPU head by head (a product of many heads copies edges that lie in a larger buffer; it takes 25 times as long
    for a single row) and in parts that are worked on in the cache.
    """
    signed_kre = torch.cat([rows_krd.clamp(min=0), rows_krd.clamp(max=0)], -1)
    if signed_kre.is_cuda:
        yield torch.bmm(signed_kre, edges_kpe.transpose(1, 2)).flatten(0, 1)
        return
    for signed_re, edges_pe in zip(signed_kre, edges_kpe, strict=True):
        yield from torch.split(signed_re @ edges_pe.T, max(1, PART_SCORES // len(edges_pe)))


def _to_shares(
    part_np: torch.Tensor, log_tokens_p: torch.Tensor, scale: float, beside_n: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Turns products into shares, in place.

    Gives the logarithm of the whole and the size of the largest score, [n], and how much each box promises, [p].
    """
    bounds_np = torch.add(log_tokens_p, part_np, alpha=scale)
    shares_np, peak_n = bounds_np.softmax(-1), bounds_np.amax(-1)
    size_n = torch.maximum(peak_n, -bounds_np.amin(-1)) + log_tokens_p.max()
    sum_n = peak_n - shares_np.amax(-1).log()
    whole_n = torch.logaddexp(sum_n, beside_n)
    part_np.copy_(shares_np.mul_((sum_n - whole_n).exp()[:, None]))
    return whole_n, size_n, _promises(bounds_np, peak_n, sum_n - whole_n)


def _promises(bounds_np: torch.Tensor, peak_n: torch.Tensor, log_part_n: torch.Tensor) -> torch.Tensor:
    """[p]: the largest share of a row, where a row with a wide range of bounds is calmed; `bounds_np` is used up.

    A box around many keys can promise far more than one of them holds, and by shares alone such boxes take everything:
    what a row really needs would come behind all that is worth little to rows to which all is alike. Bounds are divided
    so that an average box has no less than 1 / (FAR * p) of the best one's weight; a narrow range is left as it is,
    one that rounding makes negative too (a mean of equal numbers may exceed them).
    """
    reach = math.log(FAR * bounds_np.shape[1])
    calm_n1 = (reach / (peak_n - bounds_np.mean(-1)).clamp(min=reach))[:, None]
    shares_np = bounds_np.mul_(calm_n1).softmax(-1)
    return _largest(shares_np.mul_((log_part_n[:, None] * calm_n1).exp()))


def _largest(x_np: torch.Tensor) -> torch.Tensor:
    """Of each column, [p]; positive floats order as their bits do, and integers compare faster."""
    return x_np.view(torch.int32).amax(0).view(torch.float32)


class _Growing:
    """A tensor that is added to at the end of one dimension; its buffer grows by a part, so each adding costs the same.

    By as much again on a CPU, where room that was never written takes no memory; by an eighth on a GPU, where it does.
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self._dim = dim
        self._room: torch.Tensor | None = None

    @property
    def filled(self) -> torch.Tensor:
        """What is there, as a view."""
        assert self._room is not None
        return self._room.narrow(self._dim, 0, self.count)

    def add(self, x: torch.Tensor) -> None:
        """Put `x` behind, which has the same shape in all other dimensions."""
        start, self.count = self.count, self.count + x.shape[self._dim]
        if self._room is None or self._room.shape[self._dim] < self.count:
            shape = list(x.shape)
            shape[self._dim] = self.count + (self.count // 8 if x.is_cuda else self.count)
            room = x.new_empty(shape)
            if self._room is not None:
                room.narrow(self._dim, 0, start).copy_(self._room.narrow(self._dim, 0, start))
            self._room = room
        self._room.narrow(self._dim, start, self.count - start).copy_(x)

    def cut(self, count: int) -> None:
        """Keep the first `count` only."""
        self.count = count


class _GrowingBoxes:
    """Boxes of `width` tokens each, but for the last of a window."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._edges_kpe, self._log_tokens_p = _Growing(1), _Growing(0)
        self._longest_k: torch.Tensor | None = None

    @property
    def boxes(self) -> Boxes:
        assert self._longest_k is not None
        return Boxes(self._edges_kpe.filled, self._log_tokens_p.filled, self._longest_k)

    def add(self, edges_kpe: torch.Tensor, tokens: int) -> None:
        """Those of one more window of so many tokens."""
        longest_k = edges_kpe.float().norm(dim=-1).amax(-1)
        self._longest_k = longest_k if self._longest_k is None else torch.maximum(self._longest_k, longest_k)
        # Not Tensor.log: it wakes all threads for a few numbers, and waits milliseconds for them on a busy machine.
        logs = [math.log(min(self._width, tokens - start)) for start in range(0, tokens, self._width)]
        self._log_tokens_p.add(torch.tensor(logs, dtype=torch.float32, device=edges_kpe.device))
        self._edges_kpe.add(edges_kpe)

    def cut(self, count: int) -> None:
        """Keep the first `count` only."""
        self._edges_kpe.cut(count)
        self._log_tokens_p.cut(count)


def _cut(x_ksd: torch.Tensor, size: int) -> torch.Tensor:
    """[k, n, size, d]: pieces of so many rows; the last one is filled up with the last row."""
    count = x_ksd.shape[1]
    if count % size:
        rows = torch.arange(-(-count // size) * size, device=x_ksd.device).clamp_(max=count - 1)
        x_ksd = x_ksd[:, rows]
    return x_ksd.reshape(len(x_ksd), -1, size, x_ksd.shape[2])
