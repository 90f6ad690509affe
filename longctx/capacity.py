"""What a checkpoint needs and what this machine has: bytes of weights and KV, and the longest context that fits.

Sums over the checkpoint's own shape and what the system says is free just now. No weights are opened and no GPU is
asked; where weights are larger than memory they can still be mapped, but every token then reads them from the disk.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from longctx.scout.config import ScoutConfig
from longctx.scout.errors import CheckpointError
from longctx.scout.keys import read_json
from longctx.scout.memory import free_ram_bytes

BYTES_PER_VALUE = {"bfloat16": 2, "float16": 2, "float32": 4}
INDEX_FILE = "model.safetensors.index.json"
MAX_INDEX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFiles:
    """The safetensors files of a folder; `missing` are those that only the index has."""

    bytes: int
    files: int
    missing: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether there are weights, and all of them."""
        return self.files > 0 and not self.missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Bytes that are free: of memory, and for stored prefixes on the disk of `store`."""

    ram_bytes: int
    disk_bytes: int
    store: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a checkpoint takes in its own dtype, and how long a context can get in `room`."""

    config: ScoutConfig
    room: Room

    @property
    def weight_bytes(self) -> int:
        """The text tower in memory."""
        return int(self.config.weight_bytes(self.bytes_per_value))

    @property
    def kv_bytes_per_token(self) -> int:
        """What every token leaves behind: keys and values of the NoPE layers."""
        return int(self.config.kv_bytes_per_token(self.bytes_per_value))

    @property
    def all_kv_bytes_per_token(self) -> int:
        """What a token would leave behind if the RoPE layers kept theirs too."""
        return self.kv_bytes_per_token + int(self.config.local_kv_bytes(1, self.bytes_per_value))

    @property
    def open_window_bytes(self) -> int:
        """Keys and values of the RoPE layers for one chunk; more are never held."""
        return int(self.config.local_kv_bytes(self.config.chunk, self.bytes_per_value))

    @property
    def base_bytes(self) -> int:
        """Memory that is needed whatever the context: weights and an open window."""
        return self.weight_bytes + self.open_window_bytes

    @property
    def longest_in_ram(self) -> int:
        """Tokens whose KV fits beside the weights in free memory."""
        return self._tokens(self.room.ram_bytes - self.base_bytes)

    @property
    def longest_on_disk(self) -> int:
        """Tokens whose KV fits on the disk, from which it is mapped into memory piece by piece."""
        return self._tokens(self.room.disk_bytes)

    def kv_bytes(self, tokens: int) -> int:
        """Keys and values of a prompt and answer of `tokens`."""
        return self.kv_bytes_per_token * tokens + int(self.config.local_kv_bytes(tokens, self.bytes_per_value))

    @property
    def bytes_per_value(self) -> int:
        return BYTES_PER_VALUE[self.config.dtype]

    def _tokens(self, free: int) -> int:
        if self.kv_bytes_per_token == 0:
            return self.config.max_positions if free >= 0 else 0
        return min(self.config.max_positions, max(0, free) // self.kv_bytes_per_token)


def weight_files(folder: Path) -> WeightFiles:
    """The weight files of a folder by their sizes alone; an index that can't be read counts as none."""
    named = _indexed(folder / INDEX_FILE)
    found = {path.name: path.stat().st_size for path in folder.glob("*.safetensors") if path.is_file()}
    if "model.safetensors" in found:
        named = {"model.safetensors"}
    chosen = named or set(found)
    return WeightFiles(
        bytes=sum(found.get(name, 0) for name in chosen),
        files=sum(name in found for name in chosen),
        missing=tuple(sorted(chosen - set(found))),
    )


def _indexed(index: Path) -> set[str]:
    try:
        named = read_json(index, MAX_INDEX_BYTES).get("weight_map")
    except CheckpointError:
        return set()
    return {name for name in named.values() if isinstance(name, str)} if isinstance(named, dict) else set()


def room(store: Path, limit_bytes: int | None = None) -> Room:
    """What is free here; stored prefixes may take `limit_bytes`, or the store's own limit. Nothing is created.

    What is stored already counts as free: it gives way.
    """
    from cache.store import default_limit

    there = next(path for path in (store, *store.parents) if path.is_dir())
    used = sum(_file_bytes(path) for path in (store / "blocks").rglob("*"))
    limit = default_limit(there, used) if limit_bytes is None else limit_bytes
    free = shutil.disk_usage(there).free
    return Room(ram_bytes=free_ram_bytes(), disk_bytes=min(limit, free + used), store=store)


def _file_bytes(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # another process has just dropped it
        return 0
