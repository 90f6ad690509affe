"""The NVIDIA GPUs of this machine as their driver describes them; needs no torch, and loads nothing."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

DRIVER_FILES = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidia0"), Path("/usr/lib/wsl/lib/nvidia-smi"))
PROGRAM = "nvidia-smi"
QUERY = ("--query-gpu=name,memory.total,memory.free,driver_version", "--format=csv,noheader,nounits")
PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU; memory is None where the driver does not say, as where it is shared with the CPU."""

    name: str
    memory_bytes: int | None
    free_bytes: int | None
    driver: str


def has_gpu() -> bool:
    """Whether the driver of an NVIDIA GPU is there, as far as files tell."""
    return any(path.exists() for path in DRIVER_FILES)


def gpus() -> tuple[Gpu, ...]:
    """The GPUs; none where there is no driver. Raises OSError where the driver's program fails."""
    program = shutil.which(PROGRAM)
    if program is None:
        return ()
    try:
        done = subprocess.run([program, *QUERY], capture_output=True, text=True, timeout=PATIENCE_S, errors="replace")
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{PROGRAM} gave no answer in {PATIENCE_S:.0f} s") from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().partition("\n")[0][:200]
        raise OSError(f"{PROGRAM} fails: {said or f'exit status {done.returncode}'}")
    return tuple(_gpu(line) for line in done.stdout.splitlines() if line.count(",") >= 3)


def _gpu(line: str) -> Gpu:
    name, total, free, driver = (part.strip() for part in line.rsplit(",", 3))
    return Gpu(name=name, memory_bytes=_bytes(total), free_bytes=_bytes(free), driver=driver)


def _bytes(mebibytes: str) -> int | None:
    return int(mebibytes) << 20 if mebibytes.isascii() and mebibytes.isdigit() else None
