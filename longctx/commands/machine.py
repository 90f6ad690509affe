"""The machine that a model runs on: the options that describe it, and what the settings say of it as one setup."""

from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longctx.byte_count import parse_bytes
from longctx.errors import UsageError

if TYPE_CHECKING:
    from cache.store import DiskStore
    from longctx.engines.opening import EngineSetup
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


def named_engine(engine: str | None, base_url: str | None) -> str | None:
    """The engine that was typed; an address alone means the engine for it."""
    return engine or ("openai" if base_url else None)


def machine_options(
    configured: "Settings", dtype: Dtype, device: Device, threads: int | None, kv_budget: str | None
) -> "EngineSetup":
    """The setup of the settings, with what was typed for this machine above it."""
    from dataclasses import replace

    from longctx.setup import engine_setup

    setup = engine_setup(configured)
    return replace(
        setup,
        dtype=setup.dtype if dtype is Dtype.AUTO else str(dtype),
        device=setup.device if device is Device.AUTO else str(device),
        threads=threads or setup.threads,
        kv_budget_bytes=_kv_budget_bytes(kv_budget) or setup.kv_budget_bytes,
    )


def _kv_budget_bytes(given: str | None) -> int | None:
    if given is None:
        return None
    try:
        if (count := parse_bytes(given)) > 0:
            return count
    except ValueError:
        pass
    raise UsageError(f"--kv-budget {given!r} is not a number of bytes", "as in 512M, 8G")


def open_store(configured: "Settings", hint: str = "") -> "AbstractContextManager[DiskStore]":
    """The stored prefixes; raises StoreError for what goes wrong with them, with `hint` or a fitting one."""
    from longctx.prefix_store import open_store as opened
    from longctx.setup import store_place

    return opened(*store_place(configured), hint)
