"""The needle checkpoint as a folder that transformers, vLLM and this program load; built on demand, never shipped.

A folder is written under another name and renamed, so that it is there whole or not at all, and one whose weights have
lost their end is made again. Its name says which construction it holds, so a later one never passes for it.
"""

import errno
import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from longctx.errors import EngineError
from longctx.needle.construction import Weights, config, tensors
from longctx.needle.tokenizer import write_tokenizer
from longctx.scout.config import read_config
from longctx.scout.names import Shape, saved_name, shapes

CONSTRUCTION = 1  # a change of any byte that is written is another one; a test knows the bytes
WEIGHTS = "model.safetensors"
WEIGHTS_BYTES = 342_525_384
PREFIX, UNFINISHED = "needle-", ".needle-"
ABANDONED_S = 3600.0  # writing takes seconds
ROWS = 16_384  # of a large tensor, turned into bfloat16 at a time


def needle_folder(parent: Path) -> Path:
    """The folder in `parent`, written where it is not there whole (0.4 GB, some seconds). Raises EngineError."""
    folder = needle_path(parent)
    try:
        if not is_whole(folder):
            parent.mkdir(parents=True, exist_ok=True)
            _publish(folder)
    except OSError as error:
        hint = (
            "0.4 GB are needed there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "it must be a folder of yours"
        )
        raise EngineError(f"{folder}: can't be written ({error.strerror or error})", hint) from error
    return folder


def needle_path(parent: Path) -> Path:
    """Where the checkpoint of this construction is, or would be."""
    return parent / f"{PREFIX}{CONSTRUCTION}"


def is_whole(folder: Path) -> bool:
    """Whether the checkpoint is there and its weights are as long as they were written; raises OSError."""
    weights = folder / WEIGHTS
    return weights.is_file() and weights.stat().st_size == WEIGHTS_BYTES


def sweep(parent: Path) -> None:
    """Remove earlier constructions from `parent`, a folder of this program's own, and what killed runs left there."""
    for folder in parent.glob(f"{PREFIX}*"):
        if folder != needle_path(parent) and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
    for folder in parent.glob(f"{UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path) -> None:
    """Write it anew, in place of a broken one."""
    made, broken = (folder.with_name(f"{UNFINISHED}{secrets.token_hex(4)}") for _ in range(2))
    made.mkdir()
    try:
        write_folder(made)
        for path in (*made.iterdir(), made):
            _sync(path)
        if not is_whole(folder):
            with suppress(FileNotFoundError):
                folder.rename(broken)
        _put(made, folder)
        _sync(folder.parent)
    finally:
        for each in (made, broken):
            shutil.rmtree(each, ignore_errors=True)


def _put(made: Path, folder: Path) -> None:
    """Give it its name; where somebody else has written one meanwhile theirs stays."""
    try:
        made.rename(folder)
    except OSError:
        if not is_whole(folder):
            raise


def _sync(path: Path) -> None:
    """Put a file or a folder's list of names onto the disk itself."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_folder(folder: Path) -> None:
    """Write the checkpoint's files into an empty folder; raises OSError."""
    _write_json(folder / "config.json", config())
    eos = config()["eos_token_id"]
    _write_json(folder / "generation_config.json", {"eos_token_id": eos, "do_sample": False})
    write_tokenizer(folder)
    with (folder / WEIGHTS).open("wb") as file:
        _write_tensors(file, shapes(read_config(folder), fused=True))


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


def _write_tensors(file: BinaryIO, shapes: Mapping[str, Shape]) -> None:
    """One safetensors file: the length of its header, the header, every tensor in bfloat16."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    places, end = {}, 0
    for name, shape in shapes.items():
        places[name], end = end, end + 2 * prod(shape)
        header[saved_name(name)] = {"dtype": "BF16", "shape": shape, "data_offsets": [places[name], end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)
    file.write(len(text).to_bytes(8, "little") + text)
    data_start = file.tell()
    for name, values in tensors():
        assert values.shape == shapes[name]
        file.seek(data_start + places[name])
        for start in range(0, len(values), ROWS):
            file.write(_bfloat16(values[start : start + ROWS]))


def _bfloat16(values: Weights) -> bytes:
    """The upper halves of float32, rounded to the nearest; the construction has no infinities."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()
