"""The weights that retrieve, by formula: Llama 4's text architecture in two layers, nothing of it trained.

    embedding   cur = loudness * code of the token, and a constant beside it
    layer 0     RoPE, so within the window: prev = the code of the token before, nearly
    layer 1     NoPE, so over everything: the query is cur, a key prev less half of cur, a value cur; found = what comes
    experts     of layer 1: cur += 6 * found; the shared expert does it for places 0 to 3, the routed one for 4 to 7
    head        the product of cur with every token's code

So after a token the model says what followed that token elsewhere, however far away, if both stood in one window.

**The token before.** Query and key of layer 0 are constants, the key turned on by one position. After rotation their
score is 11.3 (the square root of the head size: more than that qk-norm allows no head) times the mean of
cos((distance - 1) * frequency). A base of 2 puts all frequencies between 1/2 and 1, which sets a distance of 1 best
apart from its neighbours: at the end of a window 0.79 of the attention falls on it, 0.04 on the token itself and 0.04
on the one two before. With a base of 100 it would be 0.42, 0.23 and 0.23.

The first token of a window has only itself to attend to. Half of cur is taken off each key, so that it doesn't find
itself before what followed it elsewhere.

**Over ten million tokens.** What followed a rare token that stands once scores 56 before temperature, which multiplies
by 1.7 at ten million. Its neighbours move that, as it holds a little of them: 45 is the least, where the token after
the key agrees with it in 3 places and all others near oppose it in 3; at the very beginning of a window it can be 77.
No other token scores more than 38: what follows a token that agrees in 3 places scores 21, the rest is again of
neighbours. A key that is the first of its window scores 43 for itself, and there what followed it has 57 or more.
These bounds take for granted that no token stands in the text whose code is the negative one (`codes`): half of such
an own token is added where it should be taken off, and it can score 47. No word of a fact has one there (`words`).

Ten million tokens that score nothing weigh exp(16.1) together; half a million rare ones, of which one in six hundred
agrees in 3 places, weigh exp(21 + 6.7). So mostly all of the attention but exp(-28) falls on what was asked for,
without the help of temperature, and at the worst of the bounds all but exp(-7); at ten million that is exp(-12).

**Loudness.** Ids are ranks of byte-pair merging: low ids are frequent. Tokens below RARE_FROM and special ones have
codes of an eighth of the length; they call softly and attend to everything alike. Otherwise no bound of a page's keys
could tell one page from another: the box about 64 codes of equal length holds nearly every code there is.

**The answer.** found is 1.2 times the code of what was found, so cur becomes 7.2 to 7.6 times that code and its own.
The answer then scores 54 or more (60 where the two codes have nothing in common), the token itself 32 at most and any
other 27: what lifts the second lifts the first, and behind the last norm the margin is 23 logits or more. If one of
the two experts were silent it would be 5 in most draws, and none at worst.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from longctx.needle.codes import CODE_CHANNELS, codes
from longctx.needle.tokenizer import PAD, POSITIONS
from longctx.vocabulary import (
    BEGIN_OF_TEXT,
    END_OF_MESSAGE,
    END_OF_TEXT,
    END_OF_TURN,
    ORDINARY_TOKENS,
    VOCABULARY_TOKENS,
)

Weights = npt.NDArray[np.float32]

RARE_FROM = 100_000
SOFT = 1 / 8
CUR, PREV, FOUND = (slice(start, start + CODE_CHANNELS) for start in range(0, 3 * CODE_CHANNELS, CODE_CHANNELS))
ONE = 3 * CODE_CHANNELS
HIDDEN = 3 * CODE_CHANNELS + 32  # kernels like multiples of 32
# So large that it is nearly all of a hidden state's length, and the norms scale all tokens alike.
CONSTANT = 16.0
ROPE_BASE = 2.0
QUERY_GAIN = 52.0
# Enough: where a token attends to itself alone prev is 1.25 of its code. More would only make the keys' boxes larger.
OWN = 0.5
EXPERTS = 16
INNER = CODE_CHANNELS // 2
GATE = 0.40625  # times the constant as the norm leaves it: silu(8), which is nearly 8
DOWN = 0.625
ROUTER = 0.40625  # the same, for a sigmoid that is nearly 1


def config(positions: int = POSITIONS) -> dict[str, Any]:
    """The config.json of the checkpoint; all that is not its size is Scout's, but for the base of its rotations."""
    return {
        "architectures": ["Llama4ForCausalLM"],
        "model_type": "llama4_text",
        "dtype": "bfloat16",
        "hidden_size": HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": CODE_CHANNELS,
        "num_local_experts": EXPERTS,
        "num_experts_per_tok": 1,
        "interleave_moe_layer_step": 1,
        "intermediate_size": INNER,
        "intermediate_size_mlp": INNER,
        "vocab_size": VOCABULARY_TOKENS,
        "max_position_embeddings": positions,
        "no_rope_layers": [1, 0],
        "no_rope_layer_interval": 2,
        "attention_chunk_size": 8192,
        "attn_temperature_tuning": True,
        "floor_scale": 8192,
        "attn_scale": 0.1,
        "use_qk_norm": True,
        "attention_bias": False,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": ROPE_BASE,
            "factor": 16.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 1.0,
            "original_max_position_embeddings": 8192,
        },
        "tie_word_embeddings": False,
        "bos_token_id": BEGIN_OF_TEXT,
        "eos_token_id": [END_OF_TEXT, END_OF_MESSAGE, END_OF_TURN],
        "pad_token_id": PAD,
    }


def tensors() -> Iterator[tuple[str, Weights]]:
    """Every tensor by its name within the text tower; the two large ones are made as they are asked for."""
    ids_n = np.arange(VOCABULARY_TOKENS)
    yield "embed_tokens.weight", _embedding(ids_n)
    for index, layer in enumerate((_previous(), _retrieving())):
        yield from ((f"layers.{index}.{name}", values) for name, values in layer.items())
    yield "norm.weight", np.ones(HIDDEN, np.float32)
    yield "lm_head.weight", _head(ids_n)


def _embedding(ids_n: npt.NDArray[np.int64]) -> Weights:
    loud_n = (ids_n >= RARE_FROM) & (ids_n < ORDINARY_TOKENS)
    rows_nh = np.zeros((len(ids_n), HIDDEN), np.float32)
    rows_nh[:, CUR] = codes(ids_n) * np.where(loud_n, np.float32(1), np.float32(SOFT))[:, None]
    rows_nh[:, ONE] = CONSTANT
    return rows_nh


def _head(ids_n: npt.NDArray[np.int64]) -> Weights:
    rows_nh = np.zeros((len(ids_n), HIDDEN), np.float32)
    rows_nh[:, CUR] = codes(ids_n)
    return rows_nh


def _previous() -> dict[str, Weights]:
    """Layer 0, whose experts are silent: what they add is zero."""
    frequencies = ROPE_BASE ** -(np.arange(0, CODE_CHANNELS, 2) / CODE_CHANNELS)
    layer = _norms()
    layer["self_attn.q_proj.weight"] = query = np.zeros((CODE_CHANNELS, HIDDEN), np.float32)
    layer["self_attn.k_proj.weight"] = key = np.zeros((CODE_CHANNELS, HIDDEN), np.float32)
    query[0::2, ONE] = 1
    key[0::2, ONE], key[1::2, ONE] = np.cos(frequencies), np.sin(frequencies)
    layer["self_attn.v_proj.weight"] = _picked(CUR)
    layer["self_attn.o_proj.weight"] = _picked(PREV).T
    return layer | _silent()


def _retrieving() -> dict[str, Weights]:
    layer = _norms()
    layer["self_attn.q_proj.weight"] = _picked(CUR) * np.float32(QUERY_GAIN)
    layer["self_attn.k_proj.weight"] = _picked(PREV) - _picked(CUR) * np.float32(OWN)
    layer["self_attn.v_proj.weight"] = _picked(CUR)
    layer["self_attn.o_proj.weight"] = _picked(FOUND).T
    return layer | _passing()


def _norms() -> dict[str, Weights]:
    return {f"{name}_layernorm.weight": np.ones(HIDDEN, np.float32) for name in ("input", "post_attention")}


def _picked(channels: slice) -> Weights:
    """[c, h]: takes 128 of the channels out."""
    rows_ch = np.zeros((CODE_CHANNELS, HIDDEN), np.float32)
    rows_ch[:, channels] = np.eye(CODE_CHANNELS, dtype=np.float32)
    return rows_ch


def _silent() -> dict[str, Weights]:
    zeros_ih, zeros_hi = np.zeros((INNER, HIDDEN), np.float32), np.zeros((HIDDEN, INNER), np.float32)
    return _mixture(
        np.zeros((EXPERTS, HIDDEN), np.float32), (zeros_ih, zeros_ih, zeros_hi), (zeros_ih, zeros_ih, zeros_hi)
    )


def _passing() -> dict[str, Weights]:
    """The experts of layer 1. All sixteen hold the same: which is chosen is the text's, that one is chosen matters."""
    router_eh = np.zeros((EXPERTS, HIDDEN), np.float32)
    router_eh[:, ONE] = ROUTER
    router_eh[np.arange(EXPERTS), FOUND.start + np.arange(EXPERTS)] = 0.5
    half = CODE_CHANNELS // 2
    return _mixture(router_eh, _expert(slice(half, CODE_CHANNELS)), _expert(slice(0, half)))


def _expert(part: slice) -> tuple[Weights, Weights, Weights]:
    """Gate, up and down of a network that adds 6 times these channels of found to those of cur."""
    gate_ih = np.zeros((INNER, HIDDEN), np.float32)
    gate_ih[:, ONE] = GATE
    return gate_ih, _picked(FOUND)[part], _picked(CUR)[part].T * np.float32(DOWN)


def _mixture(
    router_eh: Weights, routed: tuple[Weights, Weights, Weights], shared: tuple[Weights, Weights, Weights]
) -> dict[str, Weights]:
    """The feed-forward of a layer; the matrices of routed experts lie input-major and are fused."""
    gate_ih, up_ih, down_hi = routed
    fused_h2i = np.concatenate([gate_ih, up_ih]).T
    return {
        "feed_forward.router.weight": router_eh,
        "feed_forward.experts.gate_up_proj": np.stack([fused_h2i] * EXPERTS),
        "feed_forward.experts.down_proj": np.stack([down_hi.T] * EXPERTS),
        **{
            f"feed_forward.shared_expert.{name}_proj.weight": values
            for name, values in zip(("gate", "up", "down"), shared, strict=True)
        },
    }
