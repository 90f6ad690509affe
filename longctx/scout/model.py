"""Llama 4's text tower: tokens of one window in, hidden states out, KV kept in a context; inference only.

All layers are run on the tokens of one window at a time. Windows follow each other at whole multiples of the chunk,
so a short one costs no tokens: the next begins at the next multiple, where RoPE layers see nothing of what was, and
NoPE layers, which have no positions, see everything.

Legend: t tokens, h hidden, v vocabulary.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from longctx.scout.attention import Positions, attention, positions
from longctx.scout.config import ScoutConfig
from longctx.scout.feed_forward import feed_forward
from longctx.scout.kv import Context, OpenWindow
from longctx.scout.norm import rms_norm
from longctx.scout.product import product
from longctx.scout.rope import rotations
from longctx.scout.weights import Layer, Weights


class Scout:
    """A loaded model. It holds no sequence: every call says which context it goes on with."""

    def __init__(self, config: ScoutConfig, weights: Weights) -> None:
        self.config = config
        self.weights = weights
        self.dtype, self.device = weights.embedding.dtype, weights.embedding.device
        self._rotations = rotations(config, self.device)

    def context(self, sparse_pages: int | None = None) -> Context:
        """An empty sequence; with `sparse_pages` its NoPE layers read only so many pages of what is closed."""
        return Context(OpenWindow(self.config, self.dtype, self.device), sparse_pages=sparse_pages)

    @torch.inference_mode()
    def extend(self, context: Context, ids: Sequence[int]) -> torch.Tensor:
        """The hidden state [h] of the last of `ids`, which all go into the open window of `context`.

        Raises ValueError where they do not fit into what is left of it.
        """
        if not 0 < len(ids) <= self.config.chunk - context.window.tokens:
            raise ValueError(f"{len(ids)} tokens do not fit a window with {context.window.tokens} in it")
        x_th = F.embedding(torch.tensor(ids, device=self.device), self.weights.embedding)
        at = positions(self.config, self._rotations, context, len(ids))
        for index, layer in enumerate(self.weights.layers):
            x_th = self._layer(x_th, layer, index, at, context)
        context.window.tokens += len(ids)
        return x_th[-1]

    @torch.inference_mode()
    def logits(self, hidden_h: torch.Tensor) -> torch.Tensor:
        """What the head says after one hidden state: [v]."""
        normed = rms_norm(hidden_h, self.weights.norm, self.config.rms_norm_eps)
        return product(normed[None], self.weights.head)[0]

    def _layer(self, x_th: torch.Tensor, layer: Layer, index: int, at: Positions, context: Context) -> torch.Tensor:
        normed = rms_norm(x_th, layer.attention_norm, self.config.rms_norm_eps)
        x_th = x_th + attention(normed, layer.attention, self.config, index, at, context)
        normed = rms_norm(x_th, layer.feed_forward_norm, self.config.rms_norm_eps)
        return x_th + feed_forward(normed, layer.feed_forward, self.config.top_k)
