"""How much memory a device still has, asked of the driver and of the kernel, and giving back what is no longer used.

Measures nothing and reserves nothing. In a container the limit of its control group counts as well as what the machine
has. Only a GPU's memory needs torch.
"""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

MEMINFO = Path("/proc/meminfo")
CONTROL_GROUP = Path("/sys/fs/cgroup")


def free_bytes(device: "torch.device") -> int:
    """What can still be allocated on `device` without swapping or failing."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    return free_ram_bytes()


def free_ram_bytes() -> int:
    """The same of this machine's memory; what files only keep warm counts as free."""
    return min(_machine_free(), _group_free(CONTROL_GROUP))


def return_freed() -> None:
    """Give what was freed back to the system, where the C library can (glibc); elsewhere nothing.

    Tensors that grow from window to window leave holes between others, which glibc keeps for itself: more than half
    of a process, after a thousand windows.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    """`malloc_trim`, which takes the bytes to keep at the end of the heap."""
    import ctypes

    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return trim


def _machine_free() -> int:
    try:
        return _numbers(MEMINFO.read_text("ascii"))["MemAvailable:"] * 1024
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _group_free(group: Path) -> int:
    """Without a limit, or without control groups of the second version, whatever the machine has."""
    try:
        limit = int((group / "memory.max").read_text("ascii"))
        used = int((group / "memory.current").read_text("ascii"))
        reclaimable = _numbers((group / "memory.stat").read_text("ascii")).get("inactive_file", 0)
    except (OSError, ValueError):
        return 1 << 62
    return max(limit - used + reclaimable, 0)


def _numbers(text: str) -> dict[str, int]:
    """The first two words of each line: a name and its number."""
    return {words[0]: int(words[1]) for words in map(str.split, text.splitlines()) if len(words) > 1}
