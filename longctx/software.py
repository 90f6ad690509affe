"""What is installed beside this program, by what its files say: nothing is imported, so a broken package is no harm."""

import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

CUDA = re.compile(r"^(cuda|hip)\b[^=]*= *'([^']+)'", re.MULTILINE)
EXTRA = re.compile(r"""extra *== *["']([\w-]+)["']""")


def is_installed(package: str) -> bool:
    """Whether a package can be found; it is not imported."""
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def version_of(*distributions: str) -> str | None:
    """The version of the first of these that is installed."""
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def torch_build() -> str:
    """What the installed torch computes on: `CUDA 12.8`, `ROCm 6.4` or `CPU`; nothing where that can't be told."""
    try:
        spec = find_spec("torch")
        folders = spec.submodule_search_locations if spec else None
        said = (Path(next(iter(folders or ()))) / "version.py").read_text("utf-8")
    except (OSError, ValueError, ImportError, StopIteration):
        return ""
    found = CUDA.search(said)
    if found is None:
        return "CPU"
    return f"{'CUDA' if found[1] == 'cuda' else 'ROCm'} {found[2]}"


def install(extra: str) -> str:
    """The command that brings what an extra of longctx needs, for this very Python."""
    try:
        listed = [line.partition(";") for line in requires("longctx") or ()]
    except PackageNotFoundError:
        listed = []
    needed = [need.strip() for need, _, marker in listed if (named := EXTRA.search(marker)) and named[1] == extra]
    return pip(*(needed or [f"longctx[{extra}]"]))


def pip(*words: str) -> str:
    """A pip install line for this very Python, fit for a shell."""
    return shlex.join([sys.executable or "python", "-m", "pip", "install", *words])
