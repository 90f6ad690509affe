"""What the tensors of a Llama 4 text tower are called and how large they are; nothing is read or computed here.

Names are those of the text tower alone ("layers.0.input_layernorm.weight"). Files put a prefix before them that
depends on which class saved them; experts are one tensor ("fused", input-major) or one per expert and matrix.
"""

from collections.abc import Iterator

from longctx.scout.config import ScoutConfig

Shape = tuple[int, ...]

# Longest first: each contains the next one's beginning.
PREFIXES = (
    "model.language_model.model.",
    "language_model.model.",
    "model.language_model.",
    "language_model.",
    "model.",
)
OTHER_TOWERS = ("vision_model.", "multi_modal_projector.", "model.vision_model.", "model.multi_modal_projector.")


def text_name(name: str) -> str | None:
    """A tensor's name within the text tower; None for one of the vision tower."""
    if name.startswith(OTHER_TOWERS):
        return None
    prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), "")
    return name.removeprefix(prefix)


def saved_name(name: str) -> str:
    """What Llama4ForCausalLM calls a tensor of the text tower in its files."""
    return name if name == "lm_head.weight" else f"model.{name}"


def shapes(config: ScoutConfig, *, fused: bool) -> dict[str, Shape]:
    """Every tensor that a text tower of this shape has."""
    outer = {"embed_tokens.weight": (config.vocab, config.hidden), "norm.weight": (config.hidden,)}
    head = {} if config.tied_embeddings else {"lm_head.weight": (config.vocab, config.hidden)}
    layers = {
        f"layers.{index}.{name}": shape
        for index in range(config.layers)
        for name, shape in _layer(config, mixture=config.moe_layers[index], fused=fused)
    }
    return {**outer, **head, **layers}


def _layer(config: ScoutConfig, *, mixture: bool, fused: bool) -> Iterator[tuple[str, Shape]]:
    hidden, query, key = config.hidden, config.heads * config.head_dim, config.kv_heads * config.head_dim
    yield "input_layernorm.weight", (hidden,)
    yield "post_attention_layernorm.weight", (hidden,)
    yield "self_attn.q_proj.weight", (query, hidden)
    yield "self_attn.k_proj.weight", (key, hidden)
    yield "self_attn.v_proj.weight", (key, hidden)
    yield "self_attn.o_proj.weight", (hidden, query)
    if mixture:
        yield from _mixture(config, fused=fused)
    else:
        yield from _mlp("feed_forward", hidden, config.dense_intermediate)


def _mixture(config: ScoutConfig, *, fused: bool) -> Iterator[tuple[str, Shape]]:
    hidden, inner = config.hidden, config.expert_intermediate
    yield "feed_forward.router.weight", (config.experts, hidden)
    yield from _mlp("feed_forward.shared_expert", hidden, inner)
    if fused:
        yield "feed_forward.experts.gate_up_proj", (config.experts, hidden, 2 * inner)
        yield "feed_forward.experts.down_proj", (config.experts, inner, hidden)
    else:
        for expert in range(config.experts):
            yield from _mlp(f"feed_forward.experts.{expert}", hidden, inner)


def _mlp(prefix: str, hidden: int, inner: int) -> Iterator[tuple[str, Shape]]:
    yield f"{prefix}.gate_proj.weight", (inner, hidden)
    yield f"{prefix}.up_proj.weight", (inner, hidden)
    yield f"{prefix}.down_proj.weight", (hidden, inner)
