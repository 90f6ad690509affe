"""The needle checkpoint as a folder that transformers, vLLM and this program load; built on demand, never shipped.

A folder is written under another name and renamed, so that it is there whole or not at all; its name says which
construction it holds, so a later one never passes for it.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from longctx.errors import EngineError
from longctx.needle import codes, construction
from longctx.needle.construction import Weights, config, tensors
from longctx.needle.tokenizer import write_tokenizer
from longctx.scout.config import read_config
from longctx.scout.names import Shape, shapes

WEIGHTS = "model.safetensors"
ROWS = 16_384  # of a large tensor, turned into bfloat16 at a time


def needle_folder(parent: Path) -> Path:
    """The folder in `parent`, written whole if it is not there (0.4 GB, some seconds). Raises EngineError."""
    folder = parent / f"needle-{_version()}"
    if not folder.is_dir():
        try:
            parent.mkdir(parents=True, exist_ok=True)
            _publish(folder)
        except OSError as error:
            raise EngineError(f"{folder}: can't be written ({error.strerror})", "0.4 GB are needed there") from error
    return folder


@cache
def _version() -> str:
    """Names the construction by the program text that makes it."""
    digest = hashlib.sha256()
    for module in (codes, construction):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:12]


def _publish(folder: Path) -> None:
    made = Path(tempfile.mkdtemp(prefix=".needle-", dir=folder.parent))
    try:
        write_folder(made)
        if not folder.is_dir():
            os.rename(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


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
        header[_file_name(name)] = {"dtype": "BF16", "shape": shape, "data_offsets": [places[name], end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)
    file.write(len(text).to_bytes(8, "little") + text)
    data_start = file.tell()
    for name, values in tensors():
        assert values.shape == shapes[name]
        file.seek(data_start + places[name])
        for start in range(0, len(values), ROWS):
            file.write(_bfloat16(values[start : start + ROWS]))


def _file_name(name: str) -> str:
    """As Llama4ForCausalLM names it."""
    return name if name == "lm_head.weight" else f"model.{name}"


def _bfloat16(values: Weights) -> bytes:
    """The upper halves of float32, rounded to the nearest; the construction has no infinities."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()
