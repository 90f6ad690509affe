"""What a prompt costs before it is sent: bytes of KV and weights, seconds to prefill and to decode.

Plain arithmetic over published shapes; nothing is measured, loaded or asked here. The seconds are estimates
for dense attention and one sequence, at the stated share of a machine's speed; they say whether something
takes minutes or days, not which of two engines is faster.

Attention follows the Llama 4 plan: every `global_interval`-th layer (NoPE) attends to the whole prompt, the
others (RoPE) only to their own chunk. KV is counted as this program keeps it: the global layers' for every
token, the local layers' for the current chunk only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Dtype(StrEnum):
    """How numbers are stored."""

    BF16 = "bf16"
    FP8 = "fp8"
    INT4 = "int4"

    @property
    def bytes_per_value(self) -> float:
        """int4 carries one 4-byte scale and zero point for each 64 values."""
        return {Dtype.BF16: 2.0, Dtype.FP8: 1.0, Dtype.INT4: 0.5 + 4 / 64}[self]


class Tier(StrEnum):
    """The fastest memory that holds something."""

    GPU = "gpu"
    RAM = "ram"
    DISK = "disk"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """The sizes of a model's text tower; `planned` marks one that was never published.

    With a `moe_interval` of 2 every second layer has experts, and the others one dense feed-forward.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    experts: int
    top_k: int = 1
    expert_intermediate: int
    dense_intermediate: int
    moe_interval: int = 1
    vocab: int = 202_048
    window: int
    chunk: int = 8192
    global_interval: int = 4
    vision_parameters: int = 0
    planned: bool = False

    @property
    def global_layers(self) -> int:
        return self.layers // self.global_interval

    @property
    def local_layers(self) -> int:
        return self.layers - self.global_layers

    @property
    def moe_layers(self) -> int:
        return self.layers // self.moe_interval

    @property
    def attention_parameters(self) -> int:
        """Of one layer: query and output for all heads, key and value for the KV heads."""
        return 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)

    @property
    def expert_parameters(self) -> int:
        """Of one expert (the shared one is as large): gate, up and down."""
        return 3 * self.hidden * self.expert_intermediate

    @property
    def vocabulary_parameters(self) -> int:
        """Of the embedding, and again of the output head, which is not tied to it."""
        return self.vocab * self.hidden

    @property
    def text_parameters(self) -> int:
        """All weights of the text tower; norms, a few hundred thousand, are left out."""
        return self._layer_parameters(self.experts) + 2 * self.vocabulary_parameters

    @property
    def active_parameters(self) -> int:
        """The weights that take part in one token, with the embedding and the head counted whole."""
        return self._layer_parameters(self.top_k) + 2 * self.vocabulary_parameters

    @property
    def linear_parameters(self) -> int:
        """The weights one prompt token is multiplied with; the head is needed for the last token only."""
        return self._layer_parameters(self.top_k)

    def _layer_parameters(self, routed: int) -> int:
        router = self.hidden * self.experts
        moe = self.moe_layers * ((routed + 1) * self.expert_parameters + router)
        dense = (self.layers - self.moe_layers) * 3 * self.hidden * self.dense_intermediate
        return self.layers * self.attention_parameters + moe + dense


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a machine can hold and how fast it is; bandwidths are those reached in practice.

    `mfu` is the share of `flops` (dense bf16) that prefill reaches, `usable` the share of a memory that can
    be filled.
    """

    name: str
    flops: float
    mfu: float
    ram_bytes: float
    ram_bandwidth: float
    gpu_bytes: float = 0.0
    gpu_bandwidth: float = 0.0
    link_bandwidth: float = 0.0
    disk_bytes: float = 2e12
    disk_bandwidth: float = 7e9
    usable: float = 0.9

    def bandwidth(self, tier: Tier) -> float:
        """Bytes a second from `tier` to where the arithmetic is done."""
        match tier:
            case Tier.GPU:
                return self.gpu_bandwidth
            case Tier.RAM:
                return self.link_bandwidth or self.ram_bandwidth
            case Tier.DISK:
                return self.disk_bandwidth
            case Tier.NOWHERE:
                return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What `tokens` of prompt need; the seconds are None where the machine can't hold what is needed."""

    tokens: int
    in_window: bool
    kv_bytes: float
    weight_bytes: float
    weights_in: Tier
    kv_in: Tier
    prefill_seconds: float | None
    decode_seconds_per_token: float | None

    @property
    def fits(self) -> bool:
        """Whether the model may be asked this and the machine can hold it."""
        return self.in_window and Tier.NOWHERE not in (self.weights_in, self.kv_in)


def estimate(
    model: ModelShape, machine: Machine, tokens: int, kv: Dtype = Dtype.BF16, weights: Dtype = Dtype.FP8
) -> Estimate:
    """The needs of one prompt of `tokens`, each thing lying whole in the fastest tier that still has room.

    Weights are placed first. Prefill is compute at `mfu`, plus one reading of weights that lie outside the
    GPU (layer by layer, all tokens through one layer before the next). Decode is bound by reading.
    """
    weight_size, kv_size = weight_bytes(model, weights), kv_bytes(model, tokens, kv)
    weights_in, kv_in = _place(machine, weight_size, kv_size)
    held = Tier.NOWHERE not in (weights_in, kv_in)
    return Estimate(
        tokens=tokens,
        in_window=tokens <= model.window,
        kv_bytes=kv_size,
        weight_bytes=weight_size,
        weights_in=weights_in,
        kv_in=kv_in,
        prefill_seconds=_prefill_seconds(model, machine, tokens, weight_size, weights_in) if held else None,
        decode_seconds_per_token=(
            active_weight_bytes(model, weights) / machine.bandwidth(weights_in)
            + kv_read_bytes(model, tokens, kv) / machine.bandwidth(kv_in)
            if held
            else None
        ),
    )


def weight_bytes(model: ModelShape, dtype: Dtype) -> float:
    """All weights, with the vision tower."""
    return (model.text_parameters + model.vision_parameters) * dtype.bytes_per_value


def active_weight_bytes(model: ModelShape, dtype: Dtype) -> float:
    """What is read for one new token: one token's layers and the head, but one row only of the embedding."""
    return (model.linear_parameters + model.vocabulary_parameters) * dtype.bytes_per_value


def kv_bytes_per_token(model: ModelShape, dtype: Dtype, *, all_layers: bool = False) -> float:
    """Keys and values of one token, in the global layers or (as most engines keep them) in all."""
    layers = model.layers if all_layers else model.global_layers
    return layers * _kv_bytes_per_layer(model, dtype)


def local_kv_bytes(model: ModelShape, tokens: int, dtype: Dtype) -> float:
    """The local layers' keys and values: a chunk's at most, however long the prompt."""
    return model.local_layers * _kv_bytes_per_layer(model, dtype) * min(tokens, model.chunk)


def kv_bytes(model: ModelShape, tokens: int, dtype: Dtype) -> float:
    """Everything that is held in memory for a prompt of `tokens`."""
    return kv_bytes_per_token(model, dtype) * tokens + local_kv_bytes(model, tokens, dtype)


def kv_read_bytes(model: ModelShape, tokens: int, dtype: Dtype) -> float:
    """What is read for one new token; the current chunk is half full on average."""
    return kv_bytes_per_token(model, dtype) * tokens + local_kv_bytes(model, tokens, dtype) / 2


def linear_flops(model: ModelShape, tokens: int) -> float:
    """Two operations for each weight and token."""
    return 2.0 * model.linear_parameters * tokens


def local_attention_flops(model: ModelShape, tokens: int) -> float:
    """Scores and values within chunks, causal: half a chunk for each token on average."""
    return _attention_flops(model, model.local_layers) * tokens * min(tokens, model.chunk) / 2


def global_attention_flops(model: ModelShape, tokens: int) -> float:
    """Scores and values over the whole prompt, causal: this grows with the square."""
    return _attention_flops(model, model.global_layers) * tokens * tokens / 2


def prefill_flops(model: ModelShape, tokens: int) -> float:
    """All operations of a dense prefill."""
    return linear_flops(model, tokens) + local_attention_flops(model, tokens) + global_attention_flops(model, tokens)


def _attention_flops(model: ModelShape, layers: int) -> float:
    """For one query and one key: multiply and add, once for the score and once for the value."""
    return 4.0 * layers * model.heads * model.head_dim


def _kv_bytes_per_layer(model: ModelShape, dtype: Dtype) -> float:
    return 2 * model.kv_heads * model.head_dim * dtype.bytes_per_value


def _prefill_seconds(model: ModelShape, machine: Machine, tokens: int, weight_size: float, weights_in: Tier) -> float:
    compute = prefill_flops(model, tokens) / (machine.flops * machine.mfu)
    has_gpu = machine.gpu_bytes > 0
    resident = Tier.GPU if has_gpu else Tier.RAM
    return compute + (0.0 if weights_in is resident else weight_size / machine.bandwidth(weights_in))


def _place(machine: Machine, weight_size: float, kv_size: float) -> tuple[Tier, Tier]:
    room = {
        Tier.GPU: machine.gpu_bytes * machine.usable,
        Tier.RAM: machine.ram_bytes * machine.usable,
        Tier.DISK: machine.disk_bytes * machine.usable,
    }
    placed = []
    for size in (weight_size, kv_size):
        tier = next((tier for tier, free in room.items() if size <= free), Tier.NOWHERE)
        if tier is not Tier.NOWHERE:
            room[tier] -= size
        placed.append(tier)
    return placed[0], placed[1]


MODELS: Mapping[str, ModelShape] = {
    shape.name: shape
    for shape in (
        ModelShape(
            name="scout",
            layers=48,
            hidden=5120,
            heads=40,
            kv_heads=8,
            head_dim=128,
            experts=16,
            expert_intermediate=8192,
            dense_intermediate=16384,
            window=10_485_760,
            vision_parameters=870_000_000,
        ),
        ModelShape(
            name="maverick",
            layers=48,
            hidden=5120,
            heads=40,
            kv_heads=8,
            head_dim=128,
            experts=128,
            expert_intermediate=8192,
            dense_intermediate=16384,
            moe_interval=2,
            window=1_048_576,
            vision_parameters=870_000_000,
        ),
        # Never released. Announced were 16 experts, 288 B active and about 2 T parameters; these sizes give
        # 293 B and 2.03 T.
        ModelShape(
            name="behemoth",
            layers=96,
            hidden=16384,
            heads=128,
            kv_heads=8,
            head_dim=128,
            experts=16,
            expert_intermediate=24576,
            dense_intermediate=49152,
            window=1_048_576,
            planned=True,
        ),
    )
}

# Bandwidths are about 90 % of the makers' figures, which is what reading one large array reaches.
# Several GPUs count as one: tensor parallelism without loss, which is kind to them at short prompts.
MACHINES: Mapping[str, Machine] = {
    machine.name: machine
    for machine in (
        Machine(
            name="1xH200",
            flops=989e12,
            mfu=0.5,
            gpu_bytes=141e9,
            gpu_bandwidth=4.3e12,
            link_bandwidth=55e9,
            ram_bytes=256e9,
            ram_bandwidth=300e9,
        ),
        Machine(
            name="8xH100",
            flops=8 * 989e12,
            mfu=0.5,
            gpu_bytes=8 * 80e9,
            gpu_bandwidth=8 * 3.0e12,
            link_bandwidth=8 * 55e9,
            ram_bytes=2e12,
            ram_bandwidth=600e9,
            disk_bytes=16e12,
        ),
        Machine(
            name="8xH200",
            flops=8 * 989e12,
            mfu=0.5,
            gpu_bytes=8 * 141e9,
            gpu_bandwidth=8 * 4.3e12,
            link_bandwidth=8 * 55e9,
            ram_bytes=2e12,
            ram_bandwidth=600e9,
            disk_bytes=16e12,
        ),
        Machine(
            name="workstation",  # one 24 GB GPU on PCIe 4, 128 GB of RAM
            flops=165e12,
            mfu=0.5,
            gpu_bytes=24e9,
            gpu_bandwidth=0.9e12,
            link_bandwidth=25e9,
            ram_bytes=128e9,
            ram_bandwidth=80e9,
        ),
        Machine(
            name="laptop",  # two cores with AVX512-BF16; these rates were measured, so all of them is used
            flops=0.20e12,
            mfu=1.0,
            ram_bytes=23e9,
            ram_bandwidth=14.8e9,
            disk_bytes=0.5e12,
            disk_bandwidth=0.9e9,
        ),
    )
}
