import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longctx import estimate
from longctx.scout.config import RopeScaling, ScoutConfig, TemperatureTuning, read_config
from longctx.scout.errors import CheckpointError

SCALED = {
    "rope_type": "llama3",
    "factor": 16.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 1.0,
    "original_max_position_embeddings": 8192,
}
# As published, but for what is of no matter to the text tower.
SCOUT: dict[str, Any] = {
    "architectures": ["Llama4ForConditionalGeneration"],
    "boi_token_index": 200080,
    "eoi_token_index": 200081,
    "image_token_index": 200092,
    "model_type": "llama4",
    "text_config": {
        "_attn_implementation_autoset": True,
        "attention_bias": False,
        "attention_chunk_size": 8192,
        "attention_dropout": 0.0,
        "bos_token_id": 200000,
        "eos_token_id": [200001, 200007, 200008],
        "for_llm_compressor": False,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": 5120,
        "initializer_range": 0.02,
        "interleave_moe_layer_step": 1,
        "intermediate_size": 8192,
        "intermediate_size_mlp": 16384,
        "max_position_embeddings": 10485760,
        "model_type": "llama4_text",
        "no_rope_layers": [],
        "num_attention_heads": 40,
        "num_experts_per_tok": 1,
        "num_hidden_layers": 48,
        "num_key_value_heads": 8,
        "num_local_experts": 16,
        "output_router_logits": False,
        "pad_token_id": 200018,
        "rms_norm_eps": 1e-05,
        "rope_scaling": SCALED,
        "rope_theta": 500000.0,
        "router_aux_loss_coef": 0.001,
        "router_jitter_noise": 0.0,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_qk_norm": True,
        "attn_temperature_tuning": 4,
        "floor_scale": 8192,
        "attn_scale": 0.1,
        "vocab_size": 202048,
    },
    "torch_dtype": "bfloat16",
    "transformers_version": "4.51.0.dev0",
    "vision_config": {"model_type": "llama4_vision_model", "hidden_act": "gelu", "attention_bias": True},
}
MAVERICK: dict[str, Any] = {
    **SCOUT["text_config"],
    "interleave_moe_layer_step": 2,
    "num_local_experts": 128,
    "max_position_embeddings": 1048576,
    "use_qk_norm": False,
    "rope_scaling": None,
}

Read = Callable[[dict[str, Any]], ScoutConfig]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a config.json and read it."""

    def read_(said: dict[str, Any]) -> ScoutConfig:
        (tmp_path / "config.json").write_text(json.dumps(said))
        return read_config(tmp_path)

    return read_


def text(**changes: Any) -> dict[str, Any]:
    """Scout as a model of text alone, with some keys changed."""
    return {**SCOUT["text_config"], **changes}


def without(*names: str, **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in text(**changes).items() if name not in names}


def test_scout_as_published(read: Read) -> None:
    config = read(SCOUT)
    assert config == ScoutConfig(
        layers=48,
        hidden=5120,
        heads=40,
        kv_heads=8,
        head_dim=128,
        experts=16,
        top_k=1,
        expert_intermediate=8192,
        dense_intermediate=16384,
        rope_layers=(True, True, True, False) * 12,
        moe_layers=(True,) * 48,
        vocab=202048,
        tied_embeddings=False,
        rms_norm_eps=1e-5,
        rope_theta=500000.0,
        rope_scaling=RopeScaling(factor=16.0, low_freq_factor=1.0, high_freq_factor=1.0, original_positions=8192),
        max_positions=10485760,
        chunk=8192,
        temperature_tuning=TemperatureTuning(floor_scale=8192, attn_scale=0.1),
        qk_norm=True,
        bos_id=200000,
        eos_ids=(200001, 200007, 200008),
        dtype="bfloat16",
    )


def test_maverick_has_experts_in_every_second_layer(read: Read) -> None:
    config = read(MAVERICK)
    assert config.moe_layers == (False, True) * 24
    assert config.experts == 128
    assert (config.qk_norm, config.rope_scaling) == (False, None)


@pytest.mark.parametrize(("name", "said"), [("scout", SCOUT), ("maverick", MAVERICK)])
def test_sizes_are_those_that_plan_counts_with(name: str, said: dict[str, Any], read: Read) -> None:
    config, shape = read(said), estimate.MODELS[name]
    norms = (2 * config.layers + 1) * config.hidden
    assert config.parameters - norms == shape.text_parameters
    assert config.active_parameters - norms == shape.active_parameters
    assert len(config.nope_layers) == shape.global_layers
    assert len(config.local_layers) == shape.local_layers
    assert config.kv_bytes_per_token(2) == estimate.kv_bytes_per_token(shape, estimate.Dtype.BF16) == 49_152
    for tokens in (100, 8192, 1_000_000):
        assert config.local_kv_bytes(tokens, 2) == estimate.local_kv_bytes(shape, tokens, estimate.Dtype.BF16)


def test_parameters_are_those_of_the_weights(scout: Path, maverick: Path) -> None:
    from safetensors.torch import load_file

    for folder in (scout, maverick):
        tensors = load_file(folder / "model.safetensors")
        config = read_config(folder)
        assert config.parameters == sum(tensor.numel() for tensor in tensors.values())
        assert config.weight_bytes(4) == sum(tensor.nbytes for tensor in tensors.values())


def test_what_transformers_writes_today_is_read(
    scout: Path, maverick: Path, scout_multimodal: Path, scout_fp16: Path
) -> None:
    config = read_config(scout)
    assert config.nope_layers == (1, 3, 5, 7)
    assert config.local_layers == (0, 2, 4, 6)
    assert (config.chunk, config.eos_ids, config.bos_id, config.dtype) == (32, (2, 3), 1, "float32")
    assert config.rope_scaling == RopeScaling(
        factor=16.0, low_freq_factor=1.0, high_freq_factor=1.0, original_positions=8192
    )
    assert read_config(maverick).moe_layers == (False, True) * 4
    assert read_config(scout_multimodal) == config
    assert read_config(scout_fp16).dtype == "float16"


def test_old_and_new_ways_to_write_rope_are_one(read: Read) -> None:
    old = text(rope_theta=10_000.0)
    new = without("rope_theta", "rope_scaling", rope_parameters={**SCALED, "rope_theta": 10_000.0})
    typed = {**{k: v for k, v in SCALED.items() if k != "rope_type"}, "type": "llama3"}
    assert read(old) == read(new) == read(text(rope_theta=10_000.0, rope_scaling=typed))
    both = text(rope_theta=10_000.0, rope_parameters={**SCALED, "rope_theta": 10_000.0})
    assert read(both) == read(old)
    assert read(text(rope_scaling={"rope_type": "default"})).rope_scaling is None


def test_what_is_absent_has_the_default_of_transformers(read: Read) -> None:
    from transformers import Llama4TextConfig

    theirs, ours = Llama4TextConfig(), read({"model_type": "llama4_text"})
    assert ours.rope_layers == tuple(value == 1 for value in theirs.no_rope_layers)
    assert ours.moe_layers == (True,) * 48
    assert ours.rope_theta == theirs.rope_parameters["rope_theta"]
    assert ours.temperature_tuning == TemperatureTuning(floor_scale=theirs.floor_scale, attn_scale=theirs.attn_scale)
    pairs = {
        "layers": "num_hidden_layers",
        "hidden": "hidden_size",
        "heads": "num_attention_heads",
        "kv_heads": "num_key_value_heads",
        "head_dim": "head_dim",
        "experts": "num_local_experts",
        "top_k": "num_experts_per_tok",
        "expert_intermediate": "intermediate_size",
        "dense_intermediate": "intermediate_size_mlp",
        "vocab": "vocab_size",
        "rms_norm_eps": "rms_norm_eps",
        "max_positions": "max_position_embeddings",
        "chunk": "attention_chunk_size",
        "qk_norm": "use_qk_norm",
        "bos_id": "bos_token_id",
        "tied_embeddings": "tie_word_embeddings",
    }
    assert {a: getattr(ours, a) for a in pairs} == {a: getattr(theirs, b) for a, b in pairs.items()}


@pytest.mark.parametrize(
    ("said", "field", "value"),
    [
        (text(no_rope_layers=[0, 1] * 24), "nope_layers", tuple(range(0, 48, 2))),
        (text(no_rope_layers=[False, True] * 24), "nope_layers", tuple(range(0, 48, 2))),
        (without("no_rope_layers", no_rope_layer_interval=24), "nope_layers", (23, 47)),
        (text(no_rope_layers=None, no_rope_layer_interval=16), "nope_layers", (15, 31, 47)),
        (text(moe_layers=[0, 47], interleave_moe_layer_step=0), "moe_layers", (True, *[False] * 46, True)),
        (text(moe_layers=[]), "moe_layers", (False,) * 48),
        (text(head_dim=None), "head_dim", 128),
        (text(head_dim=None, hidden_size=2560), "head_dim", 64),
        (text(num_key_value_heads=None), "kv_heads", 40),
        (text(attn_temperature_tuning=False), "temperature_tuning", None),
        (text(attn_temperature_tuning=0), "temperature_tuning", None),
        (text(eos_token_id=7), "eos_ids", (7,)),
        (text(eos_token_id=None), "eos_ids", ()),
        (text(bos_token_id=None), "bos_id", None),
        (text(dtype="torch.float16"), "dtype", "float16"),
        (without("torch_dtype"), "dtype", "bfloat16"),
        (text(no_rope_layers=[0] * 48, attention_chunk_size=None), "chunk", 10485760),
        (text(tie_word_embeddings=True), "tied_embeddings", True),
        (text(sliding_window=None, new_switch=False, new_scale=0, new_list=[]), "layers", 48),
        (text(_something="private"), "layers", 48),
        (text(top_k=50, temperature=0.6, max_length=20), "layers", 48),
    ],
)
def test_other_ways_to_say_it(said: dict[str, Any], field: str, value: object, read: Read) -> None:
    assert getattr(read(said), field) == value


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (text(model_type="llama"), ["'model_type'", '"llama"', "llama4_text"]),
        ({"model_type": "llama4"}, ["'text_config'", "null"]),
        ({}, ["'model_type'", "null"]),
        (text(new_gate="sigmoid"), ["new_gate", "sigmoid", "not known"]),
        (text(sliding_window=4096), ["sliding_window", "4096"]),
        (text(hidden_size=0), ["'hidden_size'", "0"]),
        (text(hidden_size=-5), ["'hidden_size'", "-5"]),
        (text(hidden_size="5120"), ["'hidden_size'", '"5120"']),
        (text(hidden_size=5120.5), ["'hidden_size'"]),
        (text(hidden_size=True), ["'hidden_size'", "true"]),
        (text(num_hidden_layers=10**9), ["'num_hidden_layers'", "1024"]),
        (text(num_local_experts=4097), ["'num_local_experts'", "4096"]),
        (text(num_key_value_heads=7), ["'num_key_value_heads'", "7", "40"]),
        (text(head_dim=127), ["'head_dim'", "127"]),
        (text(num_experts_per_tok=17), ["'num_experts_per_tok'", "17", "16"]),
        (text(num_experts_per_tok=0), ["'num_experts_per_tok'"]),
        (text(no_rope_layers=[1, 0]), ["'no_rope_layers'", "48 layers", "not 2"]),
        (text(no_rope_layers=[2] * 48), ["'no_rope_layers'"]),
        (text(no_rope_layers="all"), ["'no_rope_layers'"]),
        (text(no_rope_layer_interval=0), ["'no_rope_layer_interval'"]),
        (text(layer_types=["full_attention"] * 48), ["'layer_types'", "'no_rope_layers'"]),
        (text(layer_types=["sliding_attention"] * 48), ["'layer_types'"]),
        (text(moe_layers=[48]), ["'moe_layers'", "48"]),
        (text(moe_layers=[3, 3]), ["'moe_layers'", "once"]),
        (text(interleave_moe_layer_step=0), ["'interleave_moe_layer_step'"]),
        (text(attention_chunk_size=None), ["'attention_chunk_size'", "RoPE"]),
        (text(attention_chunk_size=0), ["'attention_chunk_size'"]),
        (text(attention_bias=True), ["'attention_bias'"]),
        (text(hidden_act="gelu"), ["'hidden_act'", '"gelu"', '"silu"']),
        (text(attn_temperature_tuning="yes"), ["'attn_temperature_tuning'"]),
        (text(attn_scale=0), ["'attn_scale'"]),
        (text(attn_scale=float("nan")), ["'attn_scale'", "NaN"]),
        (text(rms_norm_eps=float("inf")), ["'rms_norm_eps'"]),
        (text(rope_scaling={**SCALED, "rope_type": "yarn"}), ["'rope_type'", '"yarn"', '"llama3"']),
        (text(rope_scaling={**SCALED, "low_freq_factor": 2.0}), ["'high_freq_factor'", "2.0"]),
        (text(rope_scaling={"rope_type": "llama3"}), ["'factor'", "null"]),
        (text(rope_scaling={**SCALED, "attention_factor": 2.0}), ["attention_factor"]),
        (text(rope_scaling={**SCALED, "partial_rotary_factor": 0.5}), ["'partial_rotary_factor'"]),
        (text(rope_scaling="llama3"), ["'rope_scaling'"]),
        (text(rope_parameters={**SCALED, "factor": 8.0}), ["'rope_scaling'", "16.0", "8.0"]),
        (text(rope_parameters={**SCALED, "rope_theta": 1.0}), ["'rope_theta'", "500000.0", "1.0"]),
        (text(rope_theta=-1), ["'rope_theta'"]),
        (text(use_qk_norm="yes"), ["'use_qk_norm'"]),
        (text(dtype="int8"), ["'dtype'", "int8", "bfloat16"]),
        (text(eos_token_id=[1, "2"]), ["'eos_token_id'"]),
        (text(eos_token_id="</s>"), ["'eos_token_id'"]),
        (text(quantization_config={"quant_method": "fp8"}), ["fp8", "bf16 checkpoint"]),
        ({**SCOUT, "quantization_config": {"quant_method": "compressed-tensors"}}, ["compressed-tensors"]),
        ({**SCOUT, "text_config": text(quantization_config={"quant_method": "bitsandbytes"})}, ["bitsandbytes"]),
        ({**SCOUT, "tie_word_embeddings": True}, ["'tie_word_embeddings'"]),
    ],
)
def test_a_value_that_can_not_be_is_named(said: dict[str, Any], names: list[str], read: Read, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        read(said)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'config.json'}: ")
    assert all(name in message for name in names), message
    assert "\n" not in message


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"\xff\xfe{}", b"[" * 200_000, b'{"a": 1, "a": 2}', b'{"n": ' + b"9" * 5000 + b"}"]
)
def test_a_file_that_is_not_a_configuration_is_refused(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"config\.json: not (a )?JSON"):
        read_config(tmp_path)


def test_a_file_that_is_absent_no_file_or_huge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not found"):
        read_config(tmp_path)
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(CheckpointError, match="not a file"):
        read_config(tmp_path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_bytes(b" " * (5 << 20))
    with pytest.raises(CheckpointError, match="larger than 4 MiB"):
        read_config(tmp_path)


def test_a_message_stays_short_and_on_its_line(read: Read) -> None:
    with pytest.raises(CheckpointError) as caught:
        read(text(hidden_act="x\n\x1b[31m" * 10_000))
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(name=st.sampled_from([*SCOUT["text_config"], "rope_parameters", "moe_layers", "layer_types"]), value=json_values)
def test_whatever_stands_there_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: object
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "config.json").write_text(json.dumps(text(**{name: value})))
    try:
        config = read_config(folder)
    except CheckpointError as error:
        assert "\n" not in str(error)
    else:
        assert len(config.rope_layers) == len(config.moe_layers) == config.layers


def test_reading_a_configuration_loads_no_torch() -> None:
    program = "import sys, longctx.scout.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
