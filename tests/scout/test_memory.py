import os
import sys
from pathlib import Path

import pytest
import torch

from longctx.scout import memory

CPU = torch.device("cpu")


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control group of the test's own, on a machine with 8000 KiB available."""
    (tmp_path / "meminfo").write_text(
        "MemTotal: 16000 kB\nMemFree: 1000 kB\nMemAvailable: 8000 kB\nHugePages_Total: 0\n"
    )
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CONTROL_GROUP", tmp_path)
    return tmp_path


def limit(group: Path, most: str, used: int, reclaimable: int) -> None:
    (group / "memory.max").write_text(f"{most}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {reclaimable}\nactive_file 7\n")


def test_without_a_limit_it_is_what_the_machine_has(group: Path) -> None:
    assert memory.free_bytes(CPU) == 8000 * 1024
    limit(group, "max", 100, 0)
    assert memory.free_bytes(CPU) == 8000 * 1024


def test_a_containers_limit_counts_and_pages_of_files_are_free(group: Path) -> None:
    limit(group, "5000", 4000, 1500)
    assert memory.free_bytes(CPU) == 2500
    limit(group, "5000", 6000, 0)
    assert memory.free_bytes(CPU) == 0
    limit(group, str(1 << 40), 0, 0)
    assert memory.free_bytes(CPU) == 8000 * 1024


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(memory._trim() is None or not sys.platform.startswith("linux"), reason="needs glibc")
def test_holes_that_growing_tensors_leave_go_back_to_the_system() -> None:
    """Small ones between them stay, so that the heap can't shrink from its end."""
    torch.ones(1)
    before = resident_bytes()
    kept, freed = [], []
    for index in range(4000):
        freed.append(torch.ones(8_000 + index))  # smaller than what the C library maps apart
        kept.append(torch.ones(64))
    whole = sum(tensor.nbytes for tensor in freed)
    freed.clear()
    memory.return_freed()
    assert resident_bytes() - before < whole / 4
    assert all(float(tensor.sum()) == 64 for tensor in kept)


def test_a_c_library_that_can_not_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_trim", lambda: None)
    memory.return_freed()


def test_this_machine_has_some() -> None:
    assert 1 << 20 < memory.free_bytes(CPU) < 1 << 50
