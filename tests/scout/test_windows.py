"""Windows of any length against one dense computation in float64, where every token has its position.

Nothing else can tell: transformers has no windows that end early. The reference below shares no code with the model.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from longctx.scout.config import read_config
from longctx.scout.model import Scout
from longctx.scout.weights import load_weights

CHUNK = 32
Tensors = dict[str, torch.Tensor]


def normed(x: torch.Tensor, eps: float) -> torch.Tensor:
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps)


def rotated(x_tnd: torch.Tensor, config: dict[str, Any], positions: torch.Tensor) -> torch.Tensor:
    """By absolute positions; a long wavelength (more than 8,192 tokens) is stretched 16 times where scaling is on."""
    plain = 500_000.0 ** (-torch.arange(0, 16, 2, dtype=torch.float64) / 16)
    is_scaled = config["rope_parameters"]["rope_type"] == "llama3"
    frequencies = torch.where((2 * torch.pi / plain > 8192) & is_scaled, plain / 16, plain)
    angles = (positions[:, None] * frequencies)[:, None]
    even, odd = x_tnd[..., 0::2], x_tnd[..., 1::2]
    turned = (even * angles.cos() - odd * angles.sin(), even * angles.sin() + odd * angles.cos())
    return torch.stack(turned, -1).flatten(-2)


def mlp(x: torch.Tensor, gate: torch.Tensor, up: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    return (torch.nn.functional.silu(x @ gate) * (x @ up)) @ down


def mixed(x_th: torch.Tensor, w: Tensors, top_k: int) -> torch.Tensor:
    """One token and one expert after the other."""
    out = mlp(x_th, *(w[f"shared_expert.{name}_proj.weight"].T for name in ("gate", "up", "down")))
    best = (x_th @ w["router.weight"].T).topk(top_k, -1)
    for token, (scores, chosen) in enumerate(zip(best.values, best.indices.tolist(), strict=True)):
        for score, expert in zip(scores, chosen, strict=True):
            gate, up = w["experts.gate_up_proj"][expert].chunk(2, -1)
            out[token] += mlp(x_th[token] * torch.sigmoid(score), gate, up, w["experts.down_proj"][expert])
    return out


def attended(
    x_th: torch.Tensor, w: Tensors, config: dict[str, Any], positions: torch.Tensor, *, is_rope: bool
) -> torch.Tensor:
    heads, kv_heads = 4, 2
    query, key, value = ((x_th @ w[f"{name}_proj.weight"].T).view(len(x_th), -1, 16) for name in ("q", "k", "v"))
    mask = positions[:, None] >= positions
    if is_rope:
        query, key = rotated(query, config, positions), rotated(key, config, positions)
        mask &= positions[:, None] // CHUNK == positions // CHUNK
        if config["use_qk_norm"]:
            query, key = normed(query, 1e-5), normed(key, 1e-5)
    else:
        steps = torch.floor((positions.double() + 1) / 8)
        query = query * (1 + 0.1 * torch.log(1 + steps))[:, None, None]
    key, value = (x.repeat_interleave(heads // kv_heads, 1) for x in (key, value))
    scores = torch.einsum("tnd,snd->nts", query, key) / 4
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    return torch.einsum("nts,snd->tnd", weights, value).reshape(len(x_th), -1) @ w["o_proj.weight"].T


def reference(folder: Path, ids: Sequence[int], sizes: Sequence[int]) -> torch.Tensor:
    """The logits of all tokens."""
    config = json.loads((folder / "config.json").read_text())
    w = {name.removeprefix("model."): x.double() for name, x in load_file(folder / "model.safetensors").items()}
    positions = torch.tensor([i * CHUNK + j for i, size in enumerate(sizes) for j in range(size)])
    h = w["embed_tokens.weight"][torch.tensor(list(ids))]
    for layer in range(8):
        prefix = f"layers.{layer}."
        here = {name.removeprefix(prefix): x for name, x in w.items() if name.startswith(prefix)}
        attention = {name.removeprefix("self_attn."): x for name, x in here.items() if name.startswith("self_attn.")}
        inner = {name.removeprefix("feed_forward."): x for name, x in here.items() if name.startswith("feed_forward.")}
        x = normed(h, 1e-5) * here["input_layernorm.weight"]
        h = h + attended(x, attention, config, positions, is_rope=layer % 2 == 0)
        x = normed(h, 1e-5) * here["post_attention_layernorm.weight"]
        if "router.weight" in inner:
            h = h + mixed(x, inner, config["num_experts_per_tok"])
        else:
            h = h + mlp(x, *(inner[f"{name}_proj.weight"].T for name in ("gate", "up", "down")))
    return normed(h, 1e-5) * w["norm.weight"] @ w["lm_head.weight"].T


LAYOUTS = [[7], [32, 1], [20, 32, 9, 5], [1, 1, 1, 4], [31, 32, 31], [32, 32, 32, 3], [5, 1, 32, 17, 30]]


@pytest.mark.parametrize("sizes", LAYOUTS, ids=str)
@pytest.mark.parametrize("change", [{}, {"num_experts_per_tok": 2}, {"num_experts_per_tok": 4}], ids=str)
def test_windows_of_any_length_equal_a_dense_computation(
    make_checkpoint: Callable[..., Path], sizes: list[int], change: dict[str, Any]
) -> None:
    folder = make_checkpoint("windows", **change)
    ids = torch.randint(0, 128, (sum(sizes),), generator=torch.Generator().manual_seed(len(sizes))).tolist()
    config = read_config(folder)
    model = Scout(config, load_weights(folder, config, torch.float32, torch.device("cpu")))
    context, fed, expected = model.context(), 0, reference(folder, ids, sizes)
    for index, size in enumerate(sizes):
        if index:
            context.close_window(config.nope_layers)
        for step in (ids[fed : fed + size // 2], ids[fed + size // 2 : fed + size]):
            if step:
                logits = model.logits(model.extend(context, step))
                fed += len(step)
                torch.testing.assert_close(logits.double(), expected[fed - 1], atol=1e-5, rtol=0)
