"""The weights of a Llama 4 text tower, read from a folder of safetensors files; strict, memory-mapped, never pickle.

Every tensor that the configuration asks for must be there in its shape, and none besides (those of the vision tower
are left aside). What is stored as it is wanted stays in the file and is mapped. On a CPU, matrices in bfloat16 are
packed for its kernels (`product`), and experts that are fused in one tensor, which lie input-major, are copied once
into rows that lie whole in memory: one token's product then reads 33 GB/s instead of 14 (measured on two cores). Both
take memory, so they are done where that leaves half of what is free.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch
import xxhash

from longctx.scout.checkpoint import DTYPES, Entry, Mapped, Shard, map_shard, read_shards, shard_paths
from longctx.scout.config import ScoutConfig
from longctx.scout.errors import CheckpointError
from longctx.scout.keys import shown
from longctx.scout.memory import free_bytes
from longctx.scout.names import shapes, text_name
from longctx.scout.product import can_pack, packed

READ_BYTES = 8 << 20
MOST_NAMED = 1 << 16  # missing tensors that are looked for by name
REPACKED = (".experts.gate_up_proj", ".experts.down_proj", ".gate_proj.weight", ".up_proj.weight")


@dataclass(frozen=True, slots=True)
class Mlp:
    """A gated feed-forward: `gate` and `up` [intermediate, hidden], `down` [hidden, intermediate]; any strides."""

    gate: torch.Tensor
    up: torch.Tensor
    down: torch.Tensor

    @property
    def joined(self) -> torch.Tensor | None:
        """`gate` and `up` as one [2 * intermediate, hidden] view, if `up` follows `gate` in the same memory."""
        if self.gate.is_mkldnn:
            return None
        rows, columns = self.gate.shape
        beside = (
            self.gate.untyped_storage().data_ptr() == self.up.untyped_storage().data_ptr()
            and self.gate.stride() == self.up.stride()
            and self.up.storage_offset() == self.gate.storage_offset() + rows * self.gate.stride(0)
        )
        return torch.as_strided(self.gate, (2 * rows, columns), self.gate.stride()) if beside else None


@dataclass(frozen=True, slots=True)
class Mixture:
    """Routed experts beside one shared expert; `router` [experts, hidden]."""

    router: torch.Tensor
    experts: tuple[Mlp, ...]
    shared: Mlp


@dataclass(frozen=True, slots=True)
class Attention:
    """`joined` [(heads + 2 * kv_heads) * dim, hidden] gives queries, keys and values; `output` [hidden, heads * dim].

    Always a copy, 3 % of Scout's weights: one product reads a third faster than three small ones, and rotates and norms
    queries and keys at once.
    """

    joined: torch.Tensor
    output: torch.Tensor


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer: two norms [hidden], attention, and a mixture or one dense feed-forward."""

    attention_norm: torch.Tensor
    attention: Attention
    feed_forward_norm: torch.Tensor
    feed_forward: Mixture | Mlp


@dataclass(frozen=True, slots=True)
class Weights:
    """A whole text tower; `embedding` and `head` [vocab, hidden], `norm` [hidden]."""

    embedding: torch.Tensor
    layers: tuple[Layer, ...]
    norm: torch.Tensor
    head: torch.Tensor


def load_weights(
    folder: Path, config: ScoutConfig, dtype: torch.dtype, device: torch.device, repack: bool | None = None
) -> Weights:
    """The weights in `folder` as `dtype` on `device`; raises CheckpointError.

    With `repack` matrices are copied into the layout that is fastest on the device: packed (`product.packed`) where it
    has kernels for that, else every feed-forward's row by row in memory with `gate` and `up` joined. None decides by
    what fits. Files must not change while the weights are in use.
    """
    shards = read_shards(folder)
    stored = _stored(folder, shards, config)
    copied = _copied_bytes(stored, dtype, device)
    pack = can_pack(dtype, device)
    moved = _repack_bytes(stored, dtype, all_of_it=pack)
    if repack is None:
        repack = device.type == "cpu" and (copied > 0 or 2 * moved <= free_bytes(device))
    needed = max(copied, moved if repack else 0)
    if needed > free_bytes(device):
        raise CheckpointError(f"{folder}: {_too_large(needed, dtype, device)}")
    mapped = {shard.path: map_shard(shard) for shard in shards}
    files = {name: mapped[path] for name, (path, _) in stored.items()}
    entries = {name: entry for name, (_, entry) in stored.items()}
    return _Loader(files, entries, dtype, device, join=repack or copied > 0, turn=repack, pack=repack and pack).weights(
        config
    )


class Memo(Protocol):
    """What remembers digests that were dear to compute."""

    def digest(self, identity: str) -> str | None: ...

    def remember(self, identity: str, digest: str) -> None: ...


FileStates = Mapping[Path, str]


def file_states(folder: Path) -> FileStates:
    """For each weight file what changes whenever it does."""
    return {path: _file_state(path) for path in shard_paths(folder)}


def fingerprint(
    folder: Path, config: ScoutConfig, memo: Memo | None = None, *, loaded: FileStates | None = None
) -> str:
    """A digest of what the weights are: every byte of their files, and how the configuration reads them.

    `memo` keeps the digests of files under what changes whenever a file does, so that they are read only once. With
    `loaded`, the states before weights were loaded, other files than those are refused: they would be another model's.
    """
    digest = xxhash.xxh3_128(json.dumps(asdict(config), sort_keys=True).encode())
    states = file_states(folder)
    if loaded is not None and states != loaded:
        raise CheckpointError(f"{folder}: changed while it was read")
    for path, state in states.items():
        digest.update(_file_digest(path, state, memo).encode())
    return digest.hexdigest()


Stored = Mapping[str, tuple[Path, Entry]]


def _stored(folder: Path, shards: list[Shard], config: ScoutConfig) -> Stored:
    """Where each tensor of the text tower is, by its name there; exactly those that the configuration asks for."""
    stored: dict[str, tuple[Path, Entry]] = {}
    for path, entry in ((shard.path, entry) for shard in shards for entry in shard.entries.values()):
        name = text_name(entry.name)
        if name is None:
            continue
        if name in stored:
            raise CheckpointError(
                f"{folder}: {shown(entry.name)} and {shown(stored[name][1].name)} are the same tensor"
            )
        stored[name] = (path, entry)
    fused = any(name.endswith(".experts.gate_up_proj") for name in stored)
    _refuse_too_few(folder, len(stored), config, fused=fused)
    wanted = shapes(config, fused=fused)
    _refuse_any(folder, [name for name in wanted if name not in stored], "missing")
    _refuse_any(folder, [entry.name for name, (_, entry) in stored.items() if name not in wanted], "not known")
    for name, (path, entry) in stored.items():
        _check_entry(path, entry, wanted[name])
    return stored


def _refuse_too_few(folder: Path, stored: int, config: ScoutConfig, *, fused: bool) -> None:
    """A configuration can ask for millions of tensors, whose names alone would fill the memory."""
    least = config.layers + (0 if fused else sum(config.moe_layers) * config.experts)
    if least > stored + MOST_NAMED:
        raise CheckpointError(f"{folder}: config.json makes it {least:,} tensors or more, the files have {stored:,}")


def _refuse_any(folder: Path, names: list[str], what: str) -> None:
    if names:
        first = ", ".join(shown(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")
        are = "tensor is" if len(names) == 1 else "tensors are"
        raise CheckpointError(f"{folder}: {len(names)} {are} {what}: {first}")


def _check_entry(path: Path, entry: Entry, shape: tuple[int, ...]) -> None:
    if entry.dtype not in DTYPES:
        raise CheckpointError(
            f"{path}: tensor {shown(entry.name)} is {shown(entry.dtype)}; only {', '.join(DTYPES)} are supported:"
            " use a checkpoint that is not quantized"
        )
    if entry.shape != shape:
        raise CheckpointError(
            f"{path}: tensor {shown(entry.name)} is {list(entry.shape)}; config.json makes it {list(shape)}"
        )


def _copied_bytes(stored: Stored, dtype: torch.dtype, device: torch.device) -> int:
    """What can't stay in the files, because another type or device is wanted."""
    moved = device.type != "cpu"
    return sum(entry.count for _, entry in stored.values() if moved or DTYPES[entry.dtype] != dtype) * dtype.itemsize


def _repack_bytes(stored: Stored, dtype: torch.dtype, *, all_of_it: bool) -> int:
    """At most what repacking copies: all, or fused experts and gate and up of every other feed-forward."""
    copied = (entry.count for name, (_, entry) in stored.items() if all_of_it or name.endswith(REPACKED))
    return sum(copied) * dtype.itemsize


def _too_large(needed: int, dtype: torch.dtype, device: torch.device) -> str:
    """Better said at once than killed for memory half way through."""
    name, free = str(dtype).removeprefix("torch."), free_bytes(device)
    return f"the weights need {needed / 1e9:.1f} GB as {name} on {device}, where {free / 1e9:.1f} GB are free"


@dataclass(frozen=True, slots=True)
class _Loader:
    """Tensors by their names in the text tower, taken from the files that hold them."""

    files: Mapping[str, Mapped]
    entries: Mapping[str, Entry]
    dtype: torch.dtype
    device: torch.device
    join: bool
    turn: bool
    pack: bool

    def weights(self, config: ScoutConfig) -> Weights:
        embedding = self.tensor("embed_tokens.weight")
        return Weights(
            embedding=embedding,
            layers=tuple(self.layer(index, config) for index in range(config.layers)),
            norm=self.tensor("norm.weight"),
            head=self.packed(embedding if config.tied_embeddings else self.tensor("lm_head.weight")),
        )

    def layer(self, index: int, config: ScoutConfig) -> Layer:
        prefix = f"layers.{index}."
        inner = f"{prefix}feed_forward"
        layer = Layer(
            attention_norm=self.tensor(f"{prefix}input_layernorm.weight"),
            attention=self.attention(f"{prefix}self_attn"),
            feed_forward_norm=self.tensor(f"{prefix}post_attention_layernorm.weight"),
            feed_forward=self.mixture(inner, config.experts) if config.moe_layers[index] else self.mlp(inner),
        )
        self.release()
        return layer

    def release(self) -> None:
        """Give back the pages that were read to be copied, before they add up."""
        for file in {file.shard.path: file for file in self.files.values()}.values():
            file.release()

    def attention(self, prefix: str) -> Attention:
        query, key, value, output = (self.tensor(f"{prefix}.{name}_proj.weight") for name in "qkvo")
        return Attention(self.packed(torch.cat((query, key, value))), self.packed(output))

    def mixture(self, prefix: str, experts: int) -> Mixture:
        fused = f"{prefix}.experts.gate_up_proj" in self.entries
        return Mixture(
            router=self.packed(self.tensor(f"{prefix}.router.weight")),
            experts=self.fused(f"{prefix}.experts")
            if fused
            else tuple(self.mlp(f"{prefix}.experts.{expert}") for expert in range(experts)),
            shared=self.mlp(f"{prefix}.shared_expert"),
        )

    def fused(self, prefix: str) -> tuple[Mlp, ...]:
        """Experts of one tensor; all are views of it, or of its one repacked copy."""
        gates_up, downs = self.turned(f"{prefix}.gate_up_proj"), self.turned(f"{prefix}.down_proj")
        gates, ups = gates_up.chunk(2, dim=1)
        return tuple(self.joined(Mlp(*parts)) for parts in zip(gates, ups, downs, strict=True))

    def turned(self, name: str) -> torch.Tensor:
        """[experts, in, out] as [experts, out, in]."""
        turned = self.tensor(name).transpose(1, 2)
        return turned.contiguous() if self.turn and not self.pack else turned

    def mlp(self, prefix: str) -> Mlp:
        gate, up, down = (self.tensor(f"{prefix}.{name}_proj.weight") for name in ("gate", "up", "down"))
        return self.joined(Mlp(gate, up, down))

    def joined(self, mlp: Mlp) -> Mlp:
        """Packed, or with `gate` and `up` in one memory, as far as that is wanted."""
        if self.pack:
            return Mlp(packed(mlp.gate), packed(mlp.up), packed(mlp.down))
        if not self.join or mlp.joined is not None:
            return mlp
        gate, up = torch.cat((mlp.gate, mlp.up)).chunk(2)
        return Mlp(gate, up, mlp.down)

    def packed(self, weight: torch.Tensor) -> torch.Tensor:
        return packed(weight) if self.pack else weight

    def tensor(self, name: str) -> torch.Tensor:
        """The stored tensor itself where it is as wanted already, else a copy."""
        return self.files[name].tensor(self.entries[name]).to(self.device, self.dtype)


def _file_digest(path: Path, state: str, memo: Memo | None) -> str:
    if memo is not None and (known := memo.digest(state)):
        return known
    try:
        digest = _read_digest(path)
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror})") from None
    if _file_state(path) != state:
        raise CheckpointError(f"{path}: changed while it was read")
    if memo is not None:
        memo.remember(state, digest)
    return digest


def _file_state(path: Path) -> str:
    try:
        stat, real = path.stat(), path.resolve()
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror})") from None
    return f"{real}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}|{stat.st_ino}"


def _read_digest(path: Path) -> str:
    digest, block = xxhash.xxh3_128(), memoryview(bytearray(READ_BYTES))
    with path.open("rb", buffering=0) as file:
        while read := file.readinto(block):
            digest.update(block[:read])
    return digest.hexdigest()
