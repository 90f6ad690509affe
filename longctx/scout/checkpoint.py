"""A folder of safetensors files: which they are, what their headers say, and their bytes mapped into memory.

Nothing a header says is believed before it was checked against the file, and nothing is allocated for it. Pickled
weights are never opened.
"""

import math
import mmap
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from longctx.scout.errors import CheckpointError
from longctx.scout.keys import parse_json, read_json, shown

# What this program computes with, as safetensors names it.
DTYPES: Mapping[str, torch.dtype] = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
MAX_HEADER_BYTES = 32 << 20
MAX_DIMENSIONS = 8
MAX_NUMBER = 1 << 80  # beyond any file, and short enough to be shown
MAX_INDEX_BYTES = 64 << 20
SHARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,200}\.safetensors")
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor as a header has it; its bytes are [start, stop) of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Shard:
    """One file and its tensors, by name."""

    path: Path
    entries: Mapping[str, Entry]


def shard_paths(folder: Path) -> list[Path]:
    """The weight files of `folder`, in order of their names: the single one, the index's, or all there are."""
    single, index = folder / SINGLE, folder / INDEX
    if single.is_file():
        return [single]
    if index.is_file():
        return [_inside(index, name) for name in sorted(set(_weight_map(index).values()))]
    found = sorted(path for path in folder.glob("*.safetensors") if path.is_file())
    if not found:
        _refuse_without(folder)
    return found


def read_shards(folder: Path) -> list[Shard]:
    """All weight files with their headers; no tensor is in two of them and all are where the index says."""
    shards = [Shard(path, read_header(path)) for path in shard_paths(folder)]
    counted = Counter(name for shard in shards for name in shard.entries)
    twice = next((name for name, count in counted.items() if count > 1), None)
    if twice is not None:
        raise CheckpointError(f"{folder}: tensor {shown(twice)} is in more than one file")
    index = folder / INDEX
    if index.is_file() and shards[0].path.name != SINGLE:
        _check_index(index, shards)
    return shards


def read_header(path: Path) -> dict[str, Entry]:
    """The tensors of one file, checked against its size; raises CheckpointError."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
                raise CheckpointError(
                    f"{path}: its header would have {length} bytes, the file has {size}: not safetensors, or cut off"
                )
            read = parse_json(path, file.read(length))
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror})") from None
    entries = {name: _entry(path, name, said, 8 + length) for name, said in read.items() if name != "__metadata__"}
    _check_layout(path, list(entries.values()), 8 + length, size)
    return entries


@dataclass(frozen=True, slots=True)
class Mapped:
    """One file's bytes in memory: private, so that nothing is ever written back, and read from disk as needed."""

    shard: Shard
    memory: mmap.mmap
    raw: torch.Tensor

    def tensor(self, entry: Entry) -> torch.Tensor:
        """A view of the file, valid for as long as anything holds it; a copy where the file isn't aligned."""
        dtype = DTYPES[entry.dtype]
        flat = self.raw[entry.start : entry.stop]
        aligned = flat.data_ptr() % dtype.itemsize == 0 and entry.start % dtype.itemsize == 0
        return (flat if aligned else flat.clone()).view(dtype).view(entry.shape)

    def release(self) -> None:
        """Give the pages back that were read; views stay valid and are read again when they are used."""
        self.memory.madvise(mmap.MADV_DONTNEED)


def map_shard(shard: Shard) -> Mapped:
    """Map one file; the address space that it takes is neither memory nor counted as promised."""
    no_reserve = 0x4000  # MAP_NORESERVE, which Python 3.11 has no name for
    try:
        with shard.path.open("rb") as file:
            memory = mmap.mmap(
                file.fileno(), 0, flags=mmap.MAP_PRIVATE | no_reserve, prot=mmap.PROT_READ | mmap.PROT_WRITE
            )
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{shard.path}: can't be mapped ({error})") from None
    if any(entry.stop > len(memory) for entry in shard.entries.values()):
        raise CheckpointError(f"{shard.path}: was cut off while it was read")
    return Mapped(shard, memory, torch.frombuffer(memory, dtype=torch.uint8))


def _weight_map(index: Path) -> dict[str, str]:
    weight_map = read_json(index, MAX_INDEX_BYTES).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: 'weight_map' is {shown(weight_map)}; expected tensor names and their files")
    for name, file in weight_map.items():
        if not isinstance(file, str):
            raise CheckpointError(f"{index}: the file of {shown(name)} is {shown(file)}; expected its name")
    return weight_map


def _inside(index: Path, name: str) -> Path:
    """A shard beside the index; a name that leads elsewhere is refused."""
    if not SHARD_NAME.fullmatch(name):
        raise CheckpointError(f"{index}: {shown(name)} is not the name of a safetensors file beside it")
    path = index.parent / name
    if not path.is_file():
        raise CheckpointError(f"{path}: not found, though {index.name} names it; was the download finished?")
    return path


def _check_index(index: Path, shards: Sequence[Shard]) -> None:
    held = {shard.path.name: shard.entries for shard in shards}
    for name, file in _weight_map(index).items():
        if name not in held.get(file, {}):
            raise CheckpointError(f"{index}: says that tensor {shown(name)} is in {file}, which has none of that name")


def _refuse_without(folder: Path) -> None:
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: not a folder")
    pickled = sorted(path.name for path in folder.glob("*") if path.suffix in PICKLED)
    if pickled:
        raise CheckpointError(
            f"{folder}: has only pickled weights ({shown(pickled[0])}), which can run programs and are never"
            " loaded; convert them to safetensors"
        )
    raise CheckpointError(f"{folder}: has no *.safetensors file")


def _entry(path: Path, name: str, said: object, data_start: int) -> Entry:
    match said:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(start), int(stop)], **more} if not more:
            sizes = tuple(size for size in shape if type(size) is int and 0 <= size < MAX_NUMBER)
            if len(sizes) == len(shape) <= MAX_DIMENSIONS and 0 <= start <= stop < MAX_NUMBER:
                return Entry(name, dtype, sizes, data_start + start, data_start + stop)
    raise CheckpointError(f"{path}: its header says of tensor {shown(name)} {shown(said)}, which can't be")


def _check_layout(path: Path, entries: list[Entry], data_start: int, size: int) -> None:
    """Each tensor as long as its shape, one after the other to the end of the file."""
    reached = data_start
    for entry in sorted(entries, key=lambda entry: (entry.start, entry.stop)):
        if entry.stop > size:
            raise CheckpointError(
                f"{path}: cut off: tensor {shown(entry.name)} ends at byte {entry.stop}, the file at {size}"
            )
        if entry.start != reached:
            raise CheckpointError(f"{path}: tensor {shown(entry.name)} overlaps another, or follows a gap")
        _check_length(path, entry)
        reached = entry.stop
    if reached != size:
        raise CheckpointError(f"{path}: {size - reached} bytes follow the last tensor")


def _check_length(path: Path, entry: Entry) -> None:
    if entry.dtype in DTYPES and entry.stop - entry.start != entry.count * DTYPES[entry.dtype].itemsize:
        raise CheckpointError(
            f"{path}: tensor {shown(entry.name)} has {entry.stop - entry.start} bytes, which is not what"
            f" {entry.dtype} {list(entry.shape)} needs"
        )
