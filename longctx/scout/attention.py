"""The attention of one layer: local within the window (RoPE) or over the whole sequence (NoPE).

Which keys a query may see follows from absolute positions alone, in prefill and decode alike: all new tokens lie in
one window, so a local layer sees that window's tokens up to the query, and a NoPE layer the closed windows besides:
all of them, or (sparse attention) the pages that can matter most.

Legend: t new tokens, h hidden, n heads, k key heads, g heads for each key head, d head size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from longctx.scout.config import ScoutConfig
from longctx.scout.kv import Context, OpenWindow, Segment
from longctx.scout.norm import unit_rms
from longctx.scout.product import product
from longctx.scout.rope import rotate
from longctx.scout.softmax import Attending, attending, log_mass_slack
from longctx.scout.sparse import PAGE_TOKENS, TILE_ROWS, choose, skipped_share
from longctx.scout.weights import Attention


@dataclass(frozen=True, slots=True)
class Positions:
    """What the positions of the new tokens do to their queries and keys; the same in all layers of a kind.

    `rotations` [t, d / 2] are unit complex numbers, `temperatures` [t, 1, 1] multiply the queries of NoPE layers.
    """

    rotations: torch.Tensor
    temperatures: torch.Tensor | None


def positions(config: ScoutConfig, table: torch.Tensor, context: Context, tokens: int) -> Positions:
    """Of the next `tokens` of `context`; `table` is `rope.rotations` of the model."""
    start = context.window.tokens
    rotations = table[start : start + tokens]
    if config.temperature_tuning is None:
        return Positions(rotations, None)
    first = len(context.segments) * config.chunk + start
    numbers = torch.arange(first + 1, first + tokens + 1, device=table.device)
    steps = torch.log1p((numbers // config.temperature_tuning.floor_scale).double())
    return Positions(rotations, (1 + config.temperature_tuning.attn_scale * steps)[:, None, None].float())


def attention(
    x_th: torch.Tensor, weights: Attention, config: ScoutConfig, layer: int, at: Positions, context: Context
) -> torch.Tensor:
    """Attention of the next tokens, [t, h], without the residual; their keys and values join the open window."""
    heads, kv_heads = config.heads, config.kv_heads
    joined_tnd = product(x_th, weights.joined).view(len(x_th), -1, config.head_dim)
    turned_tnd, values_tkd = joined_tnd[:, :-kv_heads], joined_tnd[:, -kv_heads:]
    if config.rope_layers[layer]:
        turned_tnd = _positioned(turned_tnd, at.rotations, config)
    queries_tnd, keys_tkd = turned_tnd[:, :heads], turned_tnd[:, heads:]
    if at.temperatures is not None and not config.rope_layers[layer]:
        queries_tnd = (queries_tnd * at.temperatures).to(x_th.dtype)
    context.window.write(layer, keys_tkd.transpose(0, 1), values_tkd.transpose(0, 1))
    queries_tkgd = queries_tnd.reshape(len(x_th), kv_heads, -1, config.head_dim)
    return product(_attended(queries_tkgd, config, layer, context), weights.output)


def _attended(queries_tkgd: torch.Tensor, config: ScoutConfig, layer: int, context: Context) -> torch.Tensor:
    if config.rope_layers[layer]:
        return _dense(queries_tkgd, config, layer, context, [])
    if context.sparse_pages and context.sparse_pages * PAGE_TOKENS < context.tokens:
        return _sparse(queries_tkgd, config, layer, context)
    return _dense(queries_tkgd, config, layer, context, context.segments)


def _dense(
    queries_tkgd: torch.Tensor, config: ScoutConfig, layer: int, context: Context, segments: Sequence[Segment]
) -> torch.Tensor:
    """Over all of `segments` and the open window."""
    keys = context.window.tokens + sum(segment.tokens for segment in segments)
    attended = attending(queries_tkgd, config.head_dim**-0.5, keys)
    for segment in segments:
        attended.see(segment.keys(layer), segment.values(layer))
        segment.seen()
    _see_window(attended, len(queries_tkgd), layer, context.window, context.window.tokens)
    return attended.output()


def _sparse(queries_tkgd: torch.Tensor, config: ScoutConfig, layer: int, context: Context) -> torch.Tensor:
    """Over the best pages of the closed windows and all of the open one, for one tile of queries after another."""
    assert context.sparse_pages
    scale, outline = config.head_dim**-0.5, context.outline(layer)
    outputs, done = [], context.window.tokens
    for tile in _tiles(queries_tkgd):
        keys_seen = context.sparse_pages * PAGE_TOKENS + done + len(tile)
        attended = attending(tile, scale, keys_seen)
        _see_window(attended, len(tile), layer, context.window, done)
        choice = choose(tile, outline, context.sparse_pages, scale, attended.log_mass())
        for keys, values in context.some(layer, choice.pages.tolist()):
            attended.see(keys, values)
        slack = log_mass_slack(tile.dtype, keys_seen)
        context.skipped = max(context.skipped, skipped_share(choice.rest_kr, attended.log_mass(), slack))
        outputs.append(attended.output())
        done += len(tile)
    return torch.cat(outputs)


def _tiles(queries_tkgd: torch.Tensor) -> Sequence[torch.Tensor]:
    """As few as have TILE_ROWS rows of a key head at most, cut evenly: none is one token unless the whole is.

    A single token is taken for one of an answer, for which less is looked into.
    """
    tokens, _, group, _ = queries_tkgd.shape
    return torch.tensor_split(queries_tkgd, math.ceil(tokens / max(1, TILE_ROWS // group)))


def _see_window(attended: Attending, new: int, layer: int, window: OpenWindow, done: int) -> None:
    """The open window up to each query; `done` of its tokens stand before the `new` ones."""
    if new == 1:
        attended.see(*window.read(layer, 0, done + 1))
        return
    if done:
        attended.see(*window.read(layer, 0, done))
    attended.see_own(*window.read(layer, done, done + new))


def _positioned(x_tnd: torch.Tensor, rotations_td: torch.Tensor, config: ScoutConfig) -> torch.Tensor:
    """Rotated, then (where the model has it) normed without a weight; cast back once."""
    rotated = rotate(x_tnd, rotations_td)
    return (unit_rms(rotated, config.rms_norm_eps) if config.qk_norm else rotated).to(x_tnd.dtype)
