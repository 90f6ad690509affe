"""Pins: whole or not at all, and nothing that only looks like one."""

import os
from pathlib import Path

import pytest

from cache import files, pins
from cache.keys import BlockKey
from cache.leases import leased_keys

KEYS = [BlockKey(f"{n:064x}") for n in range(6)]


def lay_odd_things(folder: Path, names: list[str]) -> None:
    """A folder, a FIFO that nobody writes to, a link to endless zeros, one to itself and one to a file."""
    (folder / names[0]).mkdir()
    os.mkfifo(folder / names[1])
    (folder / names[2]).symlink_to("/dev/zero")
    (folder / names[3]).symlink_to(names[3])
    (folder / names[4]).symlink_to(__file__)


@pytest.mark.timeout(20)
def test_odd_things_pin_and_lease_nothing(tmp_path: Path) -> None:
    lay_odd_things(tmp_path, [*KEYS[:5]])
    pins.write(tmp_path, KEYS[5], "kept")
    assert pins.pinned_keys(tmp_path) == {KEYS[5]: "kept"}
    (tmp_path / KEYS[5]).unlink()
    assert leased_keys(tmp_path) == set()
    assert len(list(tmp_path.iterdir())) == 5


def test_a_label_that_can_not_be_text_pins_all_the_same(tmp_path: Path) -> None:
    pins.write(tmp_path, KEYS[0], "a\udcffb")
    pins.write(tmp_path, KEYS[1], "€" * 300)
    assert pins.pinned_keys(tmp_path) == {KEYS[0]: "a?b", KEYS[1]: "€" * pins.MAX_LABEL}


def test_a_pin_that_is_not_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    pins.write(tmp_path, KEYS[0], "first")
    (tmp_path / f"{files.TEMPORARY}{KEYS[0]}").write_text("of a killed process")
    monkeypatch.setattr(os, "fsync", refuse)
    for key in KEYS[:2]:
        with pytest.raises(OSError, match="No space"):
            pins.write(tmp_path, key, "second")
    assert pins.pinned_keys(tmp_path) == {KEYS[0]: "first"}
    assert [path.name for path in tmp_path.iterdir()] == [KEYS[0]]
