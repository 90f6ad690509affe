"""Attention that sees its keys tile by tile: a softmax that goes on (online softmax, Milakov and Gimelshein 2018).

Queries stay, tiles of keys and values come one after another, in any order, and may be let go when they were seen.
So neither the scores of a long context nor its keys ever lie in memory as a whole. Queries of the heads that share
a key head are folded into rows, so that one product serves them all.

Legend: k key heads, g query heads for each, t queries, s keys, d head size, r = g * t rows of one tile.
"""

import math
from collections.abc import Iterator
from typing import Protocol

import torch

QUERY_ROWS = 2560
KEY_COLUMNS = 512
KEY_STEP = 64
TILE_SCORES = QUERY_ROWS * KEY_COLUMNS
SAMPLED = 8
LARGEST_WEIGHT = 256.0
FEW_KEYS = 2048


class Attending(Protocol):
    """Some queries, and what they have attended to so far."""

    def see(self, keys_ksd: torch.Tensor, values_ksd: torch.Tensor) -> None:
        """Attend to every one of these keys."""
        ...

    def see_own(self, keys_ktd: torch.Tensor, values_ktd: torch.Tensor) -> None:
        """Attend to the queries' own tokens, each to itself and those before it."""
        ...

    def output(self) -> torch.Tensor:
        """The attended values [t, k * g * d], in the queries' type."""
        ...

    def log_mass(self) -> torch.Tensor:
        """The logarithm of each row's sum of exp(score) so far, [k, g * t]."""
        ...


def attending(queries_tkgd: torch.Tensor, scale: float, keys: int) -> Attending:
    """The way that is fastest where the queries are, for about so many `keys`; `scale` multiplies the scores."""
    in_tiles = queries_tkgd.device.type == "cpu" and queries_tkgd.dtype == torch.bfloat16
    if in_tiles and (len(queries_tkgd) > 1 or keys > FEW_KEYS):
        return TiledAttending(queries_tkgd, scale)
    return FlashAttending(queries_tkgd, scale)


def log_mass_slack(dtype: torch.dtype, keys: int) -> float:
    """No less than what rounding may have added to a `log_mass` over so many keys, for queries of that type.

    A score m powers of two from the peak is off by half an epsilon of m. All keys together weigh something beside the
    peak down to where m is the logarithm of their number; sums and weights are rounded once each besides.
    """
    return torch.finfo(dtype).eps * (2 + math.log2(keys) / 2)


class FlashAttending:
    """Torch's fused kernels tile by tile; their log-sum-exp is what joins two tiles."""

    def __init__(self, queries_tkgd: torch.Tensor, scale: float) -> None:
        self._q_kgtd = queries_tkgd.permute(1, 2, 0, 3)
        self._scale = scale
        self._out_kgtd: torch.Tensor | None = None
        self._lse_kgt: torch.Tensor | None = None

    def see(self, keys_ksd: torch.Tensor, values_ksd: torch.Tensor) -> None:
        kv_heads, group, tokens, _ = self._q_kgtd.shape
        rows = self._q_kgtd.reshape(1, kv_heads, group * tokens, -1)
        out, lse = _flash(rows, keys_ksd[None], values_ksd[None], self._scale, is_causal=False)
        self._join(out.view(self._q_kgtd.shape), lse.view(kv_heads, group, tokens))

    def see_own(self, keys_ktd: torch.Tensor, values_ktd: torch.Tensor) -> None:
        group = self._q_kgtd.shape[1]
        keys, values = (x[:, None].expand(-1, group, -1, -1) for x in (keys_ktd, values_ktd))
        self._join(*_flash(self._q_kgtd, keys, values, self._scale, is_causal=True))

    def output(self) -> torch.Tensor:
        assert self._out_kgtd is not None
        return self._out_kgtd.permute(2, 0, 1, 3).flatten(1).to(self._q_kgtd.dtype)

    def log_mass(self) -> torch.Tensor:
        assert self._lse_kgt is not None
        return self._lse_kgt.flatten(1)

    def _join(self, out_kgtd: torch.Tensor, lse_kgt: torch.Tensor) -> None:
        if self._out_kgtd is None or self._lse_kgt is None:
            self._out_kgtd, self._lse_kgt = out_kgtd, lse_kgt
            return
        lse = torch.logaddexp(self._lse_kgt, lse_kgt)
        wide = self._out_kgtd.to(lse.dtype)
        wide = wide * (self._lse_kgt - lse).exp()[..., None] + out_kgtd * (lse_kgt - lse).exp()[..., None]
        self._out_kgtd, self._lse_kgt = wide, lse


class TiledAttending:
    """bfloat16 on a CPU: torch's fused kernel multiplies in float32 there, and plain products are three times faster.

    Scores leave a product rounded to bfloat16, so they are made relative to a peak that is near each row's largest
    (the product adds `-peak` before it rounds): what weighs most is rounded least. The peak is that of a sample of the
    first tile, and is raised whenever a weight exceeds LARGEST_WEIGHT.
    """

    def __init__(self, queries_tkgd: torch.Tensor, scale: float) -> None:
        tokens, _, group, _ = queries_tkgd.shape
        self._step = min(tokens, max(1, QUERY_ROWS // group))
        self._tiles = [_Rows(part, scale) for part in torch.split(queries_tkgd, self._step)]

    def see(self, keys_ksd: torch.Tensor, values_ksd: torch.Tensor) -> None:
        for start, stop in self._spans(keys_ksd.shape[1]):
            keys, values = keys_ksd[:, start:stop].contiguous(), values_ksd[:, start:stop].contiguous()
            for tile in self._tiles:
                tile.see(keys, values)

    def see_own(self, keys_ktd: torch.Tensor, values_ktd: torch.Tensor) -> None:
        for index, tile in enumerate(self._tiles):
            start = index * self._step
            keys, values = (x[:, start : start + tile.tokens].contiguous() for x in (keys_ktd, values_ktd))
            tile.see_own(keys, values)
            for later in self._tiles[index + 1 :]:
                later.see(keys, values)

    def output(self) -> torch.Tensor:
        return torch.cat([tile.output() for tile in self._tiles])

    def log_mass(self) -> torch.Tensor:
        kgt = [tile.log_mass() for tile in self._tiles]
        return torch.cat(kgt, -1).flatten(1)

    def _spans(self, keys: int) -> Iterator[tuple[int, int]]:
        """Ranges of so many keys that a tile has some TILE_SCORES scores for each key head.

        What is left of KEY_STEP comes last and alone: a growing context would otherwise bring a new shape with each
        token, and a product of a shape not seen before costs 0.7 ms.
        """
        start, width = 0, max(KEY_COLUMNS, TILE_SCORES // self._tiles[0].rows)
        while start < keys:
            size = min(width, keys - start)
            size -= size % KEY_STEP if size > KEY_STEP else 0
            yield start, start + size
            start += size


class _Rows:
    """One tile of queries with its running sums: `out` and `mass` are relative to exp2(`peak`)."""

    def __init__(self, queries_tkgd: torch.Tensor, scale: float) -> None:
        self.tokens, self._kv_heads, self._group, self._dim = queries_tkgd.shape
        self._q_krd = queries_tkgd.permute(1, 2, 0, 3).reshape(self._kv_heads, -1, self._dim)
        self._scale = scale / math.log(2)
        self._peak_kr1: torch.Tensor | None = None
        self._mass_kr1 = queries_tkgd.new_zeros((), dtype=torch.float32)
        self._out_krd = queries_tkgd.new_zeros((), dtype=torch.float32)

    @property
    def rows(self) -> int:
        return self._group * self.tokens

    def see(self, keys_ksd: torch.Tensor, values_ksd: torch.Tensor, mask_rs: torch.Tensor | None = None) -> None:
        """Attend to a tile; what `mask_rs` says (0 or -inf) is added to the scores."""
        if self._peak_kr1 is None:
            self._peak_kr1 = torch.zeros_like(self._q_krd[..., :1])
            some_rs = None if mask_rs is None else mask_rs[:, ::SAMPLED]
            self._peak_kr1 = self._scores(keys_ksd[:, ::SAMPLED], some_rs).amax(-1, keepdim=True)
        weights_krs = self._scores(keys_ksd, mask_rs).exp2_()
        if _largest(weights_krs) > LARGEST_WEIGHT:
            for head, weights_rs in enumerate(weights_krs):
                self._raise(head, weights_rs, keys_ksd[head], mask_rs)
        self._mass_kr1 = self._mass_kr1 + weights_krs.sum(-1, keepdim=True)
        self._out_krd = self._out_krd + torch.bmm(weights_krs, values_ksd)

    def see_own(self, keys_ktd: torch.Tensor, values_ktd: torch.Tensor) -> None:
        """Attend to these very tokens, causally."""
        above_tt = torch.full((self.tokens, self.tokens), -torch.inf, dtype=keys_ktd.dtype).triu_(1)
        self.see(keys_ktd, values_ktd, above_tt.repeat(self._group, 1))

    def output(self) -> torch.Tensor:
        out_krd = (self._out_krd / self._mass_kr1).to(self._q_krd.dtype)
        return out_krd.view(self._kv_heads, self._group, self.tokens, self._dim).permute(2, 0, 1, 3).flatten(1)

    def log_mass(self) -> torch.Tensor:
        """[k, g, t]"""
        assert self._peak_kr1 is not None
        log_kr1 = self._mass_kr1.log() + self._peak_kr1.float() * math.log(2)
        return log_kr1.view(self._kv_heads, self._group, self.tokens)

    def _scores(self, keys_ksd: torch.Tensor, mask_rs: torch.Tensor | None) -> torch.Tensor:
        """Scores minus the peak, in powers of two (exp2 costs a fifth less than exp), rounded once."""
        assert self._peak_kr1 is not None
        bias = -self._peak_kr1 if mask_rs is None else mask_rs - self._peak_kr1
        return torch.baddbmm(bias, self._q_krd, keys_ksd.transpose(1, 2), alpha=self._scale)

    def _raise(self, head: int, weights_rs: torch.Tensor, keys_sd: torch.Tensor, mask_rs: torch.Tensor | None) -> None:
        """Move the peak up to the largest score of each row with too large a weight; the sums shrink with it.

        Mostly those are few rows: only theirs are computed again, and put into `weights_rs`.
        """
        assert self._peak_kr1 is not None
        rows = (_largest_of_rows(weights_rs) > LARGEST_WEIGHT).nonzero().flatten()
        if not len(rows):
            return
        queries_nd, peak_n1 = self._q_krd[head, rows], self._peak_kr1[head, rows]
        mask_ns = None if mask_rs is None else mask_rs[rows]
        risen_n1 = peak_n1 + self._scores_of(queries_nd, keys_sd, peak_n1, mask_ns).amax(-1, keepdim=True).clamp(min=0)
        weights_rs[rows] = self._scores_of(queries_nd, keys_sd, risen_n1, mask_ns).exp2_()
        shrunk_n1 = (peak_n1.float() - risen_n1.float()).exp2()
        self._peak_kr1[head, rows] = risen_n1
        if self._mass_kr1.dim():
            self._mass_kr1[head, rows] *= shrunk_n1
            self._out_krd[head, rows] *= shrunk_n1

    def _scores_of(
        self, queries_nd: torch.Tensor, keys_sd: torch.Tensor, peak_n1: torch.Tensor, mask_ns: torch.Tensor | None
    ) -> torch.Tensor:
        """The same of some rows of one head."""
        bias = -peak_n1 if mask_ns is None else mask_ns - peak_n1
        return torch.addmm(bias, queries_nd, keys_sd.T, alpha=self._scale)


def _largest(weights_krs: torch.Tensor) -> float:
    """The largest weight of all; positive floats order as their bits do, and integers compare seven times faster."""
    return float(weights_krs.view(torch.int16).max().view(torch.bfloat16))


def _largest_of_rows(weights_rs: torch.Tensor) -> torch.Tensor:
    """The same of each row."""
    return weights_rs.view(torch.int16).amax(-1).view(torch.bfloat16)


def _flash(
    q_bntd: torch.Tensor, k_bnsd: torch.Tensor, v_bnsd: torch.Tensor, scale: float, *, is_causal: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The output and the log-sum-exp of the scores: the public function keeps the latter, so its kernels are called.

    On CUDA the flash kernel takes half precision only; float32 goes through the memory-efficient one.
    """
    aten, given = torch.ops.aten, (q_bntd, k_bnsd, v_bnsd)
    if q_bntd.device.type == "cpu":
        out, lse = aten._scaled_dot_product_flash_attention_for_cpu(*given, is_causal=is_causal, scale=scale)
    elif q_bntd.dtype in (torch.float16, torch.bfloat16):
        out, lse, *_ = aten._scaled_dot_product_flash_attention(*given, is_causal=is_causal, scale=scale)
    else:
        out, lse, *_ = aten._scaled_dot_product_efficient_attention(
            *given, attn_bias=None, compute_log_sumexp=True, is_causal=is_causal, scale=scale
        )
    return out, lse[..., : q_bntd.shape[2]]
