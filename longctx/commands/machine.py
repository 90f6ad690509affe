"""The machine that a model runs on: the options that describe it, and the engine and the store of prefixes, open.

What goes wrong in them comes out as an error for a user.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longctx.byte_count import parse_bytes
from longctx.errors import EngineError, StoreError, UsageError

if TYPE_CHECKING:
    from cache.errors import CacheError
    from cache.store import DiskStore
    from longctx.engines.scout import ScoutEngine
    from longctx.scout.config import ScoutConfig
    from longctx.settings import Settings

MACHINE = "Machine"


class Dtype(StrEnum):
    """What numbers are computed in."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Device(StrEnum):
    """Where it runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def option(*names: str, help: str, panel: str | None = None, **more: Any) -> Any:  # noqa: A002 - typer's word
    """An option that shows no default unless it is told to."""
    return typer.Option(*names, help=help, rich_help_panel=panel, **{"show_default": False, **more})


Model = Annotated[Path, option("--model", metavar="DIR", help="A Llama 4 folder as Hugging Face has it.")]
Dtypes = Annotated[Dtype, option(help="Compute in this.", panel=MACHINE, show_default=True)]
Devices = Annotated[Device, option(help="Compute there.", panel=MACHINE, show_default=True)]
Threads = Annotated[int | None, option(min=1, max=1024, help="CPU threads.", panel=MACHINE)]
Attention = Annotated[
    str | None,
    option(
        metavar="dense|sparse:N",
        help="NoPE layers read every token, or pages of the N that matter most (128 or more).",
        panel=MACHINE,
    ),
]
KvBudget = Annotated[
    str | None,
    option(metavar="BYTES", help="Keep so much KV in memory (512M, 8G), the rest on disk.", panel=MACHINE),
]


@dataclass(frozen=True, slots=True)
class Machine:
    """How it is computed."""

    dtype: str
    device: str
    threads: int | None
    attention: str
    kv_budget_bytes: int | None


def read_shape(folder: Path) -> "ScoutConfig":
    """The shape of the model in `folder`; raises EngineError."""
    from longctx.scout.config import read_config
    from longctx.scout.errors import CheckpointError

    try:
        return read_config(folder)
    except CheckpointError as error:
        raise EngineError(str(error), "name the folder that holds config.json") from error


def kv_budget_bytes(given: str | None, configured: "Settings") -> int | None:
    """Bytes of KV in memory: what was typed, or what is set; None leaves it to the engine."""
    if given is None:
        return None if configured.kv_budget_mb is None else configured.kv_budget_mb << 20
    try:
        if (count := parse_bytes(given)) > 0:
            return count
    except ValueError:
        pass
    raise UsageError(f"--kv-budget {given!r} is not a number of bytes", "as in 512M, 8G")


@contextmanager
def open_engine(model: Path, machine: Machine, store: "DiskStore | None") -> "Iterator[ScoutEngine]":
    """The model in a folder, open; raises EngineError."""
    opened = _scout().open(
        model,
        store=store,
        dtype=machine.dtype,
        device=machine.device,
        threads=machine.threads,
        attention=machine.attention,
        kv_budget_bytes=machine.kv_budget_bytes,
    )
    with closing(opened):
        yield opened


def _scout() -> "type[ScoutEngine]":
    try:
        from longctx.engines.scout import ScoutEngine
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("torch", "safetensors"):
            raise
        raise EngineError('the scout engine needs torch: pip install "longctx[scout]"') from error
    except (ImportError, OSError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise EngineError(f"torch can't be loaded: {reason}", "install it again for this machine") from error
    return ScoutEngine


def store_place(configured: "Settings") -> tuple[Path, int | None]:
    """The folder of stored prefixes, which need not be there, and the bytes they may take where that is set."""
    from longctx import paths

    limit = configured.cache_limit_gb
    return paths.locate(os.environ).cache / "prefix", None if limit is None else limit << 30


@contextmanager
def open_store(configured: "Settings", hint: str = "") -> "Iterator[DiskStore]":
    """The stored prefixes; raises StoreError for what goes wrong with them, with `hint` or a fitting one."""
    from cache.errors import CacheError
    from cache.store import DiskStore
    from longctx import paths

    folder, limit = store_place(configured)
    try:
        paths.ensure(folder.parent)
    except OSError as error:
        raise StoreError(f"{folder.parent}: {error.strerror}", "longctx paths shows where it keeps things") from error
    try:
        with DiskStore.open(folder, limit_bytes=limit) as store:
            yield store
    except CacheError as error:
        raise StoreError(str(error), hint or _hint(error)) from error


def _hint(error: "CacheError") -> str:
    from cache.errors import BlockDamaged, NewerStore, NoSuchBlock, StoreFull

    match error:
        case NoSuchBlock():
            return "longctx cache ls shows their keys"
        case StoreFull():
            return "longctx cache prune makes room; the setting cache_limit_gb allows more"
        case NewerStore():
            return "update longctx"
        case BlockDamaged():
            return "longctx cache verify --repair puts damaged blocks aside"
        case _:
            return "is there room, and may you write there? longctx paths shows where it is"
