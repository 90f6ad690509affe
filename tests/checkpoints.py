"""Tiny random checkpoints, written by transformers, that are Llama 4 in everything but size.

All have 64 hidden, 4 heads of 16, 2 KV heads, 8 layers (NoPE: 1, 3, 5, 7), 4 experts of 48, a dense size of 96,
a vocabulary of 128, a chunk of 32 tokens, and temperature tuning in steps of 8 tokens, so that it is felt at once;
weights are drawn with a deviation of 0.08, as the usual 0.02 leaves logits too flat to tell right from wrong.

    scout           experts in every layer, qk-norm, rope scaled as Scout's, float32, fused experts, one file
    maverick        experts in every second layer, no qk-norm, no rope scaling; otherwise like scout
    scout_bf16, scout_fp16          scout in another type
    scout_per_expert                scout's very weights, each expert's matrices a tensor of their own
    scout_sharded                   scout's very weights in several files with an index
    scout_multimodal                scout's very weights under the names of the model with vision, which it has too
    make_checkpoint(name, **text)   another one: any keys of transformers' Llama4TextConfig, and save=, dtype=
    scout_words                     Llama 4's vocabulary and windows of 8,192 tokens, in 4 layers (NoPE: 3), bfloat16,
                                    with a tokenizer and a chat template: what any server can be started on
    needle          the checkpoint that longctx builds to test engines with: real vocabulary and windows, 2 layers

Each is a folder (Path) that lives as long as the session: read only. `reference(folder)` is transformers' own model.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from longctx.needle.folder import needle_folder
from longctx.needle.tokenizer import PAD, write_tokenizer
from longctx.vocabulary import BEGIN_OF_TEXT, END_OF_MESSAGE, END_OF_TEXT, END_OF_TURN, VOCABULARY_TOKENS

if TYPE_CHECKING:  # loaded by the tests that need it only
    import torch

MakeCheckpoint = Callable[..., Path]

SCALED = {
    "rope_type": "llama3",
    "factor": 16.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 1.0,
    "original_max_position_embeddings": 8192,
}
SCOUT: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 64,
    "intermediate_size": 48,
    "intermediate_size_mlp": 96,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_local_experts": 4,
    "num_experts_per_tok": 1,
    "no_rope_layer_interval": 2,
    "attention_chunk_size": 32,
    "attn_temperature_tuning": True,
    "floor_scale": 8,
    "attn_scale": 0.1,
    "use_qk_norm": True,
    "max_position_embeddings": 1 << 20,
    "rope_theta": 500_000.0,
    "rope_scaling": SCALED,
    "initializer_range": 0.08,
    "bos_token_id": 1,
    "eos_token_id": [2, 3],
    "pad_token_id": 0,
}
MAVERICK = {**SCOUT, "interleave_moe_layer_step": 2, "use_qk_norm": False, "rope_scaling": None}
WORDS: dict[str, Any] = {
    "vocab_size": VOCABULARY_TOKENS,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "head_dim": 32,  # vLLM's CPU attention has no 16
    "no_rope_layer_interval": 4,
    "attention_chunk_size": 8192,
    "floor_scale": 8192,
    "rope_parameters": {**SCALED, "rope_theta": 500_000.0},
    "bos_token_id": BEGIN_OF_TEXT,
    "eos_token_id": [END_OF_TEXT, END_OF_MESSAGE, END_OF_TURN],
    "pad_token_id": PAD,
}
VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vision_output_dim": 64,
    "image_size": 28,
    "patch_size": 14,
    "projector_input_dim": 64,
    "projector_output_dim": 64,
}


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> MakeCheckpoint:
    """Write a checkpoint of Scout's kind with some keys changed; the same keys always give the same weights."""
    import torch
    from transformers import Llama4ForCausalLM, Llama4TextConfig

    def make(name: str, *, dtype: str = "float32", save: dict[str, Any] | None = None, **text: Any) -> Path:
        folder = tmp_path_factory.mktemp(name)
        with torch.random.fork_rng():
            torch.manual_seed(4)
            model = Llama4ForCausalLM(Llama4TextConfig(**{**SCOUT, **text})).to(getattr(torch, dtype))
            for parameter_name, parameter in model.named_parameters():
                if "norm" in parameter_name:  # all ones would hide a norm that is left out
                    torch.nn.init.normal_(parameter, 1.0, 0.2)
        model.save_pretrained(folder, **(save or {}))
        return folder

    return make


@pytest.fixture(scope="session")
def scout(make_checkpoint: MakeCheckpoint) -> Path:
    return make_checkpoint("scout")


@pytest.fixture(scope="session")
def maverick(make_checkpoint: MakeCheckpoint) -> Path:
    return make_checkpoint("maverick", **MAVERICK)


@pytest.fixture(scope="session")
def scout_bf16(make_checkpoint: MakeCheckpoint) -> Path:
    return make_checkpoint("scout_bf16", dtype="bfloat16")


@pytest.fixture(scope="session")
def scout_fp16(make_checkpoint: MakeCheckpoint) -> Path:
    return make_checkpoint("scout_fp16", dtype="float16")


@pytest.fixture(scope="session")
def scout_sharded(make_checkpoint: MakeCheckpoint) -> Path:
    return make_checkpoint("scout_sharded", save={"max_shard_size": "400KB"})


@pytest.fixture(scope="session")
def scout_per_expert(scout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("scout_per_expert")
    shutil.copy(scout / "config.json", folder)
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(scout / "model.safetensors").items():
        tensors.update(unfused(name, tensor) if ".experts." in name else {name: tensor})
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def scout_multimodal(scout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from safetensors.torch import load_file
    from transformers import Llama4Config, Llama4ForConditionalGeneration

    folder = tmp_path_factory.mktemp("scout_multimodal")
    text = json.loads((scout / "config.json").read_text())
    model = Llama4ForConditionalGeneration(Llama4Config(text_config=text, vision_config=VISION))
    model.language_model.load_state_dict(load_file(scout / "model.safetensors"))
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def scout_words(make_checkpoint: MakeCheckpoint) -> Path:
    folder = make_checkpoint("scout_words", dtype="bfloat16", **WORDS)
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def needle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return needle_folder(tmp_path_factory.mktemp("needle"))


@pytest.fixture(scope="session")
def reference() -> Callable[[Path], Any]:
    """Transformers' own model of a checkpoint of text, in the type it is stored in, with plain attention."""
    from transformers import Llama4ForCausalLM

    def load(folder: Path) -> Any:
        return Llama4ForCausalLM.from_pretrained(folder, dtype="auto", attn_implementation="eager").eval()

    return load


def unfused(name: str, tensor: "torch.Tensor") -> "dict[str, torch.Tensor]":
    """One fused tensor as each expert's own Linear weights."""
    prefix, kind = name.rsplit(".", 1)
    parts = {"down": tensor} if kind == "down_proj" else dict(zip(("gate", "up"), tensor.chunk(2, dim=-1), strict=True))
    return {
        f"{prefix}.{expert}.{part}_proj.weight": matrix.T.contiguous()
        for part, stacked in parts.items()
        for expert, matrix in enumerate(stacked)
    }
