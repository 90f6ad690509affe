"""Write a random Llama 4 checkpoint of any size, as Hugging Face has it: transformers, vLLM and this program read it.

    python -m benchmarks.checkpoint FOLDER [--preset bench] [--layers N] [--dtype float32] [--seed N]

Weights are drawn so that activations keep their size through the layers and attention has something to choose
between; the same arguments always give the same bytes. Tensors are drawn and written one expert at a time.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import BinaryIO

import torch

from longctx.scout.config import read_config
from longctx.scout.names import saved_name, shapes

STORED = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
# With queries of twice the size, attention over thousands of random keys is not merely their mean.
QUERY_GAIN = 2.0
# Logits of unit size over a large vocabulary would leave the likeliest token to rounding.
HEAD_GAIN = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes that make one checkpoint; the defaults are the benchmark's, about 0.3B parameters in all."""

    hidden: int = 640
    layers: int = 8
    heads: int = 10
    kv_heads: int = 2
    head_dim: int = 64
    experts: int = 16
    expert_intermediate: int = 1024
    dense_intermediate: int = 2048
    vocab: int = 16384
    nope_interval: int = 4
    chunk: int = 8192
    max_positions: int = 10_485_760
    dtype: str = "bfloat16"


PRESETS: Mapping[str, Shape] = {
    "bench": Shape(),
    "scout": Shape(
        hidden=5120,
        layers=48,
        heads=40,
        kv_heads=8,
        head_dim=128,
        expert_intermediate=8192,
        dense_intermediate=16384,
        vocab=202_048,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="bench")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--dtype", choices=sorted(STORED))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    changes = {name: getattr(options, name) for name in ("layers", "dtype") if getattr(options, name) is not None}
    make(options.folder, replace(PRESETS[options.preset], **changes), seed=options.seed)
    config = read_config(options.folder)
    size = (options.folder / "model.safetensors").stat().st_size
    print(f"{options.folder}: {config.parameters / 1e9:.3f}B parameters, {size / 1e9:.2f} GB")


def make(folder: Path, shape: Shape, *, seed: int = 0) -> Path:
    """Write config.json, generation_config.json and model.safetensors into `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", _config(shape))
    _write_json(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "do_sample": False})
    sizes = {saved_name(name): size for name, size in shapes(read_config(folder), fused=True).items()}
    with (folder / "model.safetensors").open("wb") as file:
        _write_tensors(file, sizes, shape.dtype, seed)
    return folder


def _config(shape: Shape) -> dict[str, object]:
    return {
        "architectures": ["Llama4ForCausalLM"],
        "model_type": "llama4_text",
        "dtype": shape.dtype,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "num_local_experts": shape.experts,
        "num_experts_per_tok": 1,
        "interleave_moe_layer_step": 1,
        "intermediate_size": shape.expert_intermediate,
        "intermediate_size_mlp": shape.dense_intermediate,
        "vocab_size": shape.vocab,
        "max_position_embeddings": shape.max_positions,
        "no_rope_layers": [int((index + 1) % shape.nope_interval != 0) for index in range(shape.layers)],
        "no_rope_layer_interval": shape.nope_interval,
        "attention_chunk_size": shape.chunk,
        "attn_temperature_tuning": True,
        "floor_scale": 8192,
        "attn_scale": 0.1,
        "use_qk_norm": True,
        "attention_bias": False,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500_000.0,
            "factor": 16.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 1.0,
            "original_max_position_embeddings": 8192,
        },
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


def _write_tensors(file: BinaryIO, sizes: Mapping[str, tuple[int, ...]], dtype: str, seed: int) -> None:
    """One safetensors file: its header, then every tensor in the order of their names."""
    torch_dtype: torch.dtype = getattr(torch, dtype)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in sorted(sizes):
        start, end = end, end + prod(sizes[name]) * torch_dtype.itemsize
        header[name] = {"dtype": STORED[dtype], "shape": sizes[name], "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)
    file.write(len(text).to_bytes(8, "little") + text)
    generator = torch.Generator().manual_seed(seed)
    for name in sorted(sizes):
        for part in _draw(name, sizes[name], generator):
            file.write(part.to(torch_dtype).contiguous().view(torch.uint8).numpy().data)


def _draw(name: str, size: tuple[int, ...], generator: torch.Generator) -> Iterator[torch.Tensor]:
    """A tensor's values in pieces: fused experts one by one, anything else at once."""
    if name.endswith(("layernorm.weight", ".norm.weight")):
        yield 1 + 0.1 * torch.randn(size, generator=generator)
        return
    fused = len(size) == 3
    for _ in range(size[0] if fused else 1):
        values = torch.randn(size[1:] if fused else size, generator=generator)
        yield values.mul_(_deviation(name, size))


def _deviation(name: str, size: tuple[int, ...]) -> float:
    """One over the root of the inputs, so that outputs are as large as inputs; fused experts lie input-major."""
    gains = {"embed_tokens.weight": size[-1] ** 0.5, "q_proj.weight": QUERY_GAIN, "lm_head.weight": HEAD_GAIN}
    gain = next((gain for end, gain in gains.items() if name.endswith(end)), 1.0)
    return float(gain / size[1] ** 0.5)


if __name__ == "__main__":
    main()
