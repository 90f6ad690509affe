"""What a Llama 4 checkpoint's config.json says of its text tower, checked; reads JSON, loads no weights and no torch.

A value that is contradictory, or that this program doesn't implement, is refused by name. So is a key that it doesn't
know, as it may change the arithmetic, unless its value turns it off (null, false, 0, empty). What is absent has the
default that transformers gives it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from longctx.scout.errors import CheckpointError
from longctx.scout.keys import Json, Keys, read_json, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class RopeScaling:
    """Llama 3's scaling of rotary frequencies; wavelengths are in tokens."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_positions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureTuning:
    """q of NoPE layers at position p is scaled by 1 + attn_scale * ln(1 + floor((p + 1) / floor_scale))."""

    floor_scale: int
    attn_scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoutConfig:
    """The shape of a text tower; `rope_layers` and `moe_layers` say for each layer whether it is one."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    experts: int
    top_k: int
    expert_intermediate: int
    dense_intermediate: int
    rope_layers: tuple[bool, ...]
    moe_layers: tuple[bool, ...]
    vocab: int
    tied_embeddings: bool
    rms_norm_eps: float
    rope_theta: float
    rope_scaling: RopeScaling | None
    max_positions: int
    chunk: int
    temperature_tuning: TemperatureTuning | None
    qk_norm: bool
    bos_id: int | None
    eos_ids: tuple[int, ...]
    dtype: str

    @property
    def nope_layers(self) -> tuple[int, ...]:
        """The indices of the layers that attend to everything before."""
        return tuple(index for index, rope in enumerate(self.rope_layers) if not rope)

    @property
    def local_layers(self) -> tuple[int, ...]:
        """The indices of the layers that attend to their own chunk only."""
        return tuple(index for index, rope in enumerate(self.rope_layers) if rope)

    @property
    def parameters(self) -> int:
        """All weights of the text tower; a head that is tied to the embedding counts once."""
        return self._layer_parameters(self.experts) + self._outer_parameters

    @property
    def active_parameters(self) -> int:
        """The weights that take part in one token, with the embedding and the head counted whole."""
        return self._layer_parameters(self.top_k) + self._outer_parameters

    def weight_bytes(self, bytes_per_value: float = 2) -> float:
        """All weights of the text tower in memory."""
        return self.parameters * bytes_per_value

    def kv_bytes_per_token(self, bytes_per_value: float = 2) -> float:
        """Keys and values of one token in the NoPE layers, which keep them for the whole prompt."""
        return len(self.nope_layers) * self._kv_values * bytes_per_value

    def local_kv_bytes(self, tokens: int, bytes_per_value: float = 2) -> float:
        """Keys and values of the RoPE layers: a chunk's at most, however long the prompt."""
        return len(self.local_layers) * min(tokens, self.chunk) * self._kv_values * bytes_per_value

    @property
    def _kv_values(self) -> int:
        return 2 * self.kv_heads * self.head_dim

    @property
    def _outer_parameters(self) -> int:
        return (1 if self.tied_embeddings else 2) * self.vocab * self.hidden + self.hidden

    def _layer_parameters(self, routed: int) -> int:
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        mixture = (routed + 1) * 3 * self.hidden * self.expert_intermediate + self.experts * self.hidden
        dense = 3 * self.hidden * self.dense_intermediate
        mixtures = sum(self.moe_layers)
        norms = 2 * self.hidden
        return self.layers * (attention + norms) + mixtures * mixture + (self.layers - mixtures) * dense


# Of attention, position and shape; each is read below.
KNOWN = """
attention_bias attention_chunk_size attn_scale attn_temperature_tuning bos_token_id dtype eos_token_id floor_scale
head_dim hidden_act hidden_size interleave_moe_layer_step intermediate_size intermediate_size_mlp layer_types
max_position_embeddings model_type moe_layers no_rope_layer_interval no_rope_layers num_attention_heads
num_experts_per_tok num_hidden_layers num_key_value_heads num_local_experts pad_token_id quantization_config
rms_norm_eps rope_parameters rope_scaling rope_theta tie_word_embeddings torch_dtype use_qk_norm vocab_size
"""
# Of training, of saving, or of how transformers generates: they change nothing in a forward pass.
IRRELEVANT = """
architectures attention_dropout auto_map bad_words_ids begin_suppress_tokens cache_implementation
chunk_size_feed_forward decoder_start_token_id diversity_penalty do_sample early_stopping
encoder_no_repeat_ngram_size exponential_decay_length_penalty finetuning_task for_llm_compressor forced_bos_token_id
forced_eos_token_id id2label initializer_range label2id length_penalty max_length min_length no_repeat_ngram_size
num_beam_groups num_beams num_labels num_return_sequences output_attentions output_hidden_states
output_router_logits output_scores prefix pretraining_tp problem_type remove_invalid_values repetition_penalty
return_dict return_dict_in_generate router_aux_loss_coef router_jitter_noise sep_token_id suppress_tokens
task_specific_params temperature tf_legacy_loss tokenizer_class top_k top_p torchscript transformers_version
typical_p unsloth_fixed unsloth_version use_bfloat16 use_cache
"""
ROPE_KEYS = """
factor high_freq_factor low_freq_factor original_max_position_embeddings partial_rotary_factor rope_theta rope_type
type
"""
DTYPES = ("bfloat16", "float16", "float32")
MAX_CONFIG_BYTES = 4 << 20
MAX_LAYERS = 1024
MAX_EXPERTS = 4096


def read_config(folder: Path, *, quantized: bool = False) -> ScoutConfig:
    """The text tower of the checkpoint in `folder`, from its config.json; raises CheckpointError.

    One with quantized weights is refused, unless they are another program's to read.
    """
    path = folder / "config.json"
    outer = read_json(path, MAX_CONFIG_BYTES)
    if not quantized:
        _refuse_quantized(path, outer)
    keys = Keys(path, _text_part(path, outer))
    keys.refuse_unknown(KNOWN + IRRELEVANT)
    _refuse_variants(keys)
    return _config(keys, outer)


def _refuse_quantized(path: Path, outer: Mapping[str, Json]) -> None:
    inner = outer.get("text_config")
    quantized = outer.get("quantization_config") or (isinstance(inner, dict) and inner.get("quantization_config"))
    if quantized:
        method = quantized.get("quant_method", "unknown") if isinstance(quantized, dict) else quantized
        raise CheckpointError(f"{path}: quantized weights ({shown(method)}) are not supported; use a bf16 checkpoint")


def _text_part(path: Path, outer: Mapping[str, Json]) -> Mapping[str, Json]:
    model_type = outer.get("model_type")
    if model_type == "llama4_text":
        return outer
    if model_type != "llama4":
        raise CheckpointError(f'{path}: \'model_type\' is {shown(model_type)}; expected "llama4" or "llama4_text"')
    text = outer.get("text_config")
    if not isinstance(text, dict):
        raise CheckpointError(f"{path}: 'text_config' is {shown(text)}; expected the text tower's configuration")
    return text


def _refuse_variants(keys: Keys) -> None:
    """What transformers can compute and this program doesn't."""
    biased = keys.flag("attention_bias", default=False)
    if biased:
        keys.refuse("attention_bias", biased, "false: biases in attention are not supported")
    if keys.value("hidden_act", "silu") != "silu":
        keys.refuse("hidden_act", keys.value("hidden_act"), '"silu"')


def _config(keys: Keys, outer: Mapping[str, Json]) -> ScoutConfig:
    layers = keys.integer("num_hidden_layers", 48, high=MAX_LAYERS)
    heads, kv_heads = _heads(keys)
    experts = keys.integer("num_local_experts", 16, high=MAX_EXPERTS)
    rope_layers = _rope_layers(keys, layers)
    max_positions = keys.integer("max_position_embeddings", 131072)
    theta, scaling = _rope(keys)
    return ScoutConfig(
        layers=layers,
        hidden=keys.integer("hidden_size", 5120),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=_head_dim(keys, heads),
        experts=experts,
        top_k=keys.integer("num_experts_per_tok", 1, high=experts),
        expert_intermediate=keys.integer("intermediate_size", 8192),
        dense_intermediate=keys.integer("intermediate_size_mlp", 16384),
        rope_layers=rope_layers,
        moe_layers=_moe_layers(keys, layers),
        vocab=keys.integer("vocab_size", 202048),
        tied_embeddings=_tied(keys, outer),
        rms_norm_eps=keys.number("rms_norm_eps", 1e-5),
        rope_theta=theta,
        rope_scaling=scaling,
        max_positions=max_positions,
        chunk=_chunk(keys, rope_layers, max_positions),
        temperature_tuning=_temperature_tuning(keys),
        qk_norm=keys.flag("use_qk_norm", default=True),
        bos_id=next(iter(keys.ids("bos_token_id", 1)), None),
        eos_ids=keys.ids("eos_token_id", 2),
        dtype=_dtype(keys, outer),
    )


def _heads(keys: Keys) -> tuple[int, int]:
    heads = keys.integer("num_attention_heads", 40)
    kv_heads = keys.integer("num_key_value_heads", heads if "num_key_value_heads" in keys.read else 8)
    if heads % kv_heads:
        keys.refuse("num_key_value_heads", kv_heads, f"a divisor of 'num_attention_heads', which is {heads}")
    return heads, kv_heads


def _head_dim(keys: Keys, heads: int) -> int:
    hidden = keys.integer("hidden_size", 5120)
    size = keys.integer("head_dim", max(hidden // heads, 1) if "head_dim" in keys.read else 128, high=1 << 16)
    if size % 2:
        keys.refuse("head_dim", size, "an even number, as dimensions are rotated in pairs")
    return size


def _rope_layers(keys: Keys, layers: int) -> tuple[bool, ...]:
    """From `no_rope_layers`, in which 1 means that a layer does use RoPE; from the interval where that is empty."""
    listed = keys.integers("no_rope_layers", 0, 1)
    if not listed:
        interval = keys.integer("no_rope_layer_interval", 4)
        listed = tuple(int((index + 1) % interval != 0) for index in range(layers))
    if len(listed) != layers:
        keys.refuse("no_rope_layers", list(listed), f"one entry for each of {layers} layers, not {len(listed)}")
    expected = ["chunked_attention" if rope else "full_attention" for rope in listed]
    if keys.value("layer_types", expected) != expected:
        keys.refuse("layer_types", keys.value("layer_types"), "what 'no_rope_layers' says: 1 chunked, 0 full attention")
    return tuple(rope == 1 for rope in listed)


def _moe_layers(keys: Keys, layers: int) -> tuple[bool, ...]:
    listed = keys.integers("moe_layers", 0, layers - 1)
    if listed is None:
        step = keys.integer("interleave_moe_layer_step", 1)
        listed = tuple(range(step - 1, layers, step))
    if len(set(listed)) < len(listed):
        keys.refuse("moe_layers", list(listed), "each layer once")
    return tuple(index in listed for index in range(layers))


def _chunk(keys: Keys, rope_layers: tuple[bool, ...], max_positions: int) -> int:
    """Without RoPE layers nothing is cut into chunks, and the window is as good as any."""
    if not any(rope_layers):
        return keys.integer("attention_chunk_size", max_positions)
    if "attention_chunk_size" in keys.read and keys.value("attention_chunk_size") is None:
        keys.refuse("attention_chunk_size", None, "a number of tokens, as there are RoPE layers")
    return keys.integer("attention_chunk_size", 8192)


def _temperature_tuning(keys: Keys) -> TemperatureTuning | None:
    """The published files say 4 where later ones say true; any number but 0 means yes."""
    value = keys.value("attn_temperature_tuning", 1)
    if not isinstance(value, int):
        keys.refuse("attn_temperature_tuning", value, "true, false or a whole number")
    tuning = TemperatureTuning(floor_scale=keys.integer("floor_scale", 8192), attn_scale=keys.number("attn_scale", 0.1))
    return tuning if value else None


def _rope(keys: Keys) -> tuple[float, RopeScaling | None]:
    """Theta and scaling, from `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (before)."""
    parameters = _rope_parameters(keys)
    parameters.refuse_unknown(ROPE_KEYS)
    if parameters.number("partial_rotary_factor", 1.0) != 1:
        parameters.refuse(
            "partial_rotary_factor", parameters.value("partial_rotary_factor"), "1: all of a head rotates"
        )
    outside = keys.number("rope_theta", parameters.number("rope_theta", 500_000.0))
    theta = parameters.number("rope_theta", outside)
    if theta != outside:
        keys.refuse("rope_theta", outside, f"{theta}, as 'rope_parameters' says")
    kind = parameters.value("rope_type", parameters.value("type", "default"))
    if kind not in ("default", "llama3"):
        parameters.refuse("rope_type", kind, '"llama3" or "default"')
    return theta, _llama3(parameters) if kind == "llama3" else None


def _rope_parameters(keys: Keys) -> Keys:
    new, old = keys.value("rope_parameters", {}), keys.value("rope_scaling", {})
    for name, value in (("rope_parameters", new), ("rope_scaling", old)):
        if not isinstance(value, dict):
            keys.refuse(name, value, "an object with 'rope_type'")
    assert isinstance(new, dict) and isinstance(old, dict)
    if old and new and any(new.get(name) != value for name, value in old.items()):
        keys.refuse("rope_scaling", old, f"what 'rope_parameters' says: {shown(new)}")
    return Keys(keys.path, new or old)


def _llama3(parameters: Keys) -> RopeScaling:
    scaling = RopeScaling(
        factor=parameters.number("factor", None),
        low_freq_factor=parameters.number("low_freq_factor", None),
        high_freq_factor=parameters.number("high_freq_factor", None),
        original_positions=parameters.integer("original_max_position_embeddings", None),
    )
    if scaling.high_freq_factor < scaling.low_freq_factor:
        expected = f"at least 'low_freq_factor', which is {scaling.low_freq_factor}"
        parameters.refuse("high_freq_factor", scaling.high_freq_factor, expected)
    return scaling


def _tied(keys: Keys, outer: Mapping[str, Json]) -> bool:
    tied = keys.flag("tie_word_embeddings", default=False)
    if not tied and outer.get("tie_word_embeddings"):
        keys.refuse("tie_word_embeddings", tied, f"{shown(outer['tie_word_embeddings'])}, as outside 'text_config'")
    return tied


def _dtype(keys: Keys, outer: Mapping[str, Json]) -> str:
    """What the weights are stored as, if anything says so; the published ones are bfloat16."""
    said = (holder.get(name) for holder in (keys.read, outer) for name in ("dtype", "torch_dtype"))
    value = next((value for value in said if value is not None), "bfloat16")
    name = value.removeprefix("torch.") if isinstance(value, str) else value
    if name not in DTYPES:
        keys.refuse("dtype", value, ", ".join(DTYPES))
    return str(name)
