"""A block is there whole or not at all: killed writers, full disks, and every call that may fail."""

import errno
import itertools
import os
import random
import resource
import signal
import sqlite3
import stat
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cache import files
from cache.errors import BlockLost, Malformed, StoreFailed, StoreFull
from cache.index import Index
from cache.keys import BlockKey, Fingerprint, child_key
from cache.store import BlockStore, Chain, DiskStore
from cache.verification import Verdict

Windows = Callable[..., "list[array[int]]"]
Payload = Callable[[BlockKey], Mapping[str, bytes]]
Fill = Callable[[BlockStore, "Sequence[array[int]]"], Chain]
BLOCK_BYTES = 4096 * 4 + 9
CALLS = ["write", "pwrite", "fsync", "rename", "ftruncate", "open", "mkdir"]


def leftovers(folder: Path) -> list[Path]:
    return [*folder.glob("blocks/*/.tmp-*"), *folder.glob("leases/*")]


def verdicts(store: DiskStore) -> set[Verdict]:
    return {each.verdict for each in store.verify()}


def fail_the(n: int, call: str, code: int, patch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Let the n-th call fail, half done where it writes; the function tells whether it came to that."""
    real, calls = getattr(os, call), itertools.count(1)
    failed = []

    def failing(*arguments: Any, **options: Any) -> object:
        if next(calls) != n:
            return real(*arguments, **options)
        failed.append(n)
        if call in {"write", "pwrite"}:
            real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2], *arguments[2:])
        raise OSError(code, os.strerror(code))

    patch.setattr(os, call, failing)
    return lambda: bool(failed)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT], ids=errno.errorcode.get)
@pytest.mark.parametrize("call", CALLS)
def test_the_nth_call_fails(
    folder: Path, fingerprint: Fingerprint, windows: Windows, payload: Payload, fill: Fill, call: str, code: int
) -> None:
    """Everything a run does: the outcome is a chain, or an error that harms nothing stored."""
    seeds = itertools.count(1)
    with DiskStore.open(folder) as store:
        fill(store, windows(2)).close()
        for n in itertools.count(1):
            asked = [*windows(2), *windows(2, seed=next(seeds))]
            with pytest.MonkeyPatch.context() as patch:
                came = fail_the(n, call, code, patch)
                try:
                    fill(store, asked).close()
                    went_well = True
                except (StoreFailed, BlockLost) as error:
                    went_well = False
                    assert os.strerror(code) in str(error)
                failed = came()
            assert verdicts(store) == {Verdict.OK}
            assert not list(folder.glob("blocks/*/.tmp-*"))
            if not failed:
                assert went_well
                break
        assert n > 1 or call in {"ftruncate", "mkdir"}
        with fill(store, windows(3)) as chain:
            assert len(chain.blocks) == 3
    with DiskStore.open(folder) as store:
        assert verdicts(store) == {Verdict.OK}
        assert not leftovers(folder)


def test_a_block_has_its_name_only_once_it_is_on_the_disk(
    folder: Path, fingerprint: Fingerprint, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def noted(name: str) -> None:
        real = getattr(os, name)

        def call(*arguments: Any) -> object:
            is_folder = name == "fsync" and stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
            done.append("fsync of the folder" if is_folder else name)
            return real(*arguments)

        monkeypatch.setattr(os, name, call)

    with DiskStore.open(folder) as store, store.chain(fingerprint, []) as chain:
        chain.append(windows(1)[0], {"k": b"1"})
        for name in ("write", "fsync", "rename"):
            noted(name)
        shelves = {path.name for path in (folder / "blocks").iterdir()}
        tip = chain.blocks[0].key
        known = next(ids for ids in (array("I", [n]) for n in range(10**6)) if child_key(tip, ids)[:2] in shelves)
        chain.append(known, {"k": b"1"})
    assert done == ["write", "write", "fsync", "rename", "fsync of the folder"]


def test_a_file_that_may_not_grow(folder: Path, fingerprint: Fingerprint, windows: Windows) -> None:
    (ids,) = windows(1)
    content = os.urandom(300_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with DiskStore.open(folder) as store, store.chain(fingerprint, []) as chain:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            with pytest.raises(StoreFailed, match="File too large"):
                chain.append(ids, {"k": content})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert not list(folder.glob("blocks/*/*"))
        assert chain.append(ids, {"k": content}).section("k") == content


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_that_is_full(
    folder: Path, fingerprint: Fingerprint, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ids,) = windows(1)
    full = os.open("/dev/full", os.O_WRONLY)
    real = os.write
    with DiskStore.open(folder) as store, store.chain(fingerprint, []) as chain:
        monkeypatch.setattr(os, "write", lambda descriptor, content: real(full, content))
        with pytest.raises(StoreFailed, match="No space left on device"):
            chain.append(ids, {"k": b"1234"})
        monkeypatch.undo()
        assert not list(folder.glob("blocks/*/*"))
        chain.append(ids, {"k": b"1234"})
    os.close(full)


def test_ctrl_c_in_a_write_leaves_nothing(
    folder: Path, fingerprint: Fingerprint, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    with DiskStore.open(folder) as store, store.chain(fingerprint, []) as chain:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, "fsync", interrupted)
            chain.append(windows(1)[0], {"k": b"1234"})
        assert not list(folder.glob("blocks/*/*"))
        assert verdicts(store) == set()


def test_a_pipe_is_no_block_and_is_not_waited_for(
    folder: Path, fingerprint: Fingerprint, windows: Windows, fill: Fill
) -> None:
    asked = windows(2)
    with DiskStore.open(folder) as store:
        with fill(store, asked) as chain:
            path = files.block_path(folder, chain.blocks[1].key)
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(Malformed, match="not a regular file"):
            files.look(path)
        with store.chain(fingerprint, asked) as chain:
            assert len(chain.blocks) == 1
        assert not path.exists()


def write_for_ever(folder: Path, windows: Windows, fill: Fill, seed: int) -> None:
    """Store chains with shared beginnings, dropping others for room, until somebody ends this process."""
    draw = random.Random(seed)
    with DiskStore.open(folder, 12 * BLOCK_BYTES) as store:
        while True:
            fill(store, [windows(1, seed=draw.randrange(3))[0] for _ in range(draw.randrange(1, 6))]).close()


@pytest.mark.slow
def test_two_hundred_kills(folder: Path, windows: Windows, fill: Fill) -> None:
    """Each kill hits a writer at another moment; the next start finds whole blocks and nothing else."""
    draw = random.Random(11)
    DiskStore.open(folder).close()
    swept = 0
    for seed in range(200):
        child = os.fork()
        if not child:
            try:
                write_for_ever(folder, windows, fill, seed)
            finally:
                os._exit(1)
        time.sleep(draw.uniform(0.005, 0.03))
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
        swept += len(leftovers(folder))
        with DiskStore.open(folder, 12 * BLOCK_BYTES) as store:
            assert verdicts(store) <= {Verdict.OK}
            assert not leftovers(folder)
            assert sum(row.nbytes for row in store.rows()) <= 12 * BLOCK_BYTES
    assert swept > 20, "no kill came in the middle of anything"
    assert not list((folder / "quarantine").iterdir())


def while_a_block_is_written(folder: Path, patch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let `act` happen once, before the first half-written file is flushed."""
    real = os.fsync
    done: list[bool] = []

    def meanwhile(descriptor: int) -> None:
        if not done and list(folder.glob("blocks/*/.tmp-*")):
            done.append(True)
            act()
        real(descriptor)

    patch.setattr(os, "fsync", meanwhile)


def test_a_writer_that_lives_is_not_swept(
    folder: Path, fingerprint: Fingerprint, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DiskStore.open(folder) as store, store.chain(fingerprint, []) as chain:
        opened: list[DiskStore] = []
        while_a_block_is_written(folder, monkeypatch, lambda: opened.append(DiskStore.open(folder)))
        chain.append(windows(1)[0], {"k": b"1234"})
        assert verdicts(store) == {Verdict.OK}
    opened[0].close()


def test_a_sweep_before_the_lock_is_taken_costs_only_another_try(
    folder: Path, fingerprint: Fingerprint, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files._lock_new
    swept: list[bool] = []

    def sweep_first(descriptor: int) -> None:
        if not swept:
            swept.append(True)
            files.sweep(folder)
        real(descriptor)

    with DiskStore.open(folder) as store, store.chain(fingerprint, []) as chain:
        monkeypatch.setattr(files, "_lock_new", sweep_first)
        chain.append(windows(1)[0], {"k": b"1234"})
        assert verdicts(store) == {Verdict.OK}
    assert swept


def test_room_that_another_takes_meanwhile_is_not_taken_twice(
    folder: Path, fingerprint: Fingerprint, windows: Windows, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[Chain] = []
    with DiskStore.open(folder, BLOCK_BYTES) as store:
        while_a_block_is_written(folder, monkeypatch, lambda: others.append(fill(store, windows(1, seed=1))))
        with pytest.raises(StoreFull):
            fill(store, windows(1))
        assert sum(row.nbytes for row in store.rows()) <= BLOCK_BYTES
        others[0].close()
        fill(store, windows(1)).close()


def test_a_block_that_another_stores_meanwhile_is_taken(
    folder: Path, fingerprint: Fingerprint, windows: Windows, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    inodes: list[int] = []

    def store_the_same() -> None:
        with DiskStore.open(folder) as other:
            fill(other, windows(1)).close()
        inodes.extend(path.stat().st_ino for path in folder.glob("blocks/*/*.kv"))

    with DiskStore.open(folder) as store:
        while_a_block_is_written(folder, monkeypatch, store_the_same)
        fill(store, windows(1)).close()
        assert [path.stat().st_ino for path in folder.glob("blocks/*/*.kv")] == inodes
        assert len(inodes) == 1


def test_an_index_that_refuses_leaves_no_block(
    folder: Path, fingerprint: Fingerprint, windows: Windows, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Index, rows: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with DiskStore.open(folder) as store:
        fill(store, windows(1)).close()
        with monkeypatch.context() as patch, store.chain(fingerprint, windows(1)) as chain:
            patch.setattr(Index, "put", full)
            with pytest.raises(StoreFailed, match="database or disk is full"):
                chain.append(windows(2)[1], {"k": b"1234"})
            with store.chain(fingerprint, windows(1)) as other:
                assert len(other.blocks) == 1
        assert verdicts(store) == {Verdict.OK}
        fill(store, windows(2)).close()


def test_a_full_disk_can_be_pruned_and_used(
    folder: Path, fingerprint: Fingerprint, windows: Windows, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    def no_space(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with DiskStore.open(folder) as store:
        fill(store, windows(3)).close()
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", no_space)
            with store.chain(fingerprint, windows(3)) as chain:
                assert len(chain.blocks) == 3 and chain.blocks[2].section("3.keys").nbytes == 5000
        with monkeypatch.context() as patch:
            patch.setattr(Index, "forget", full)
            assert len(store.prune(everything=True)) == 3
        assert not list(folder.glob("blocks/*/*.kv"))
    with DiskStore.open(folder) as store:
        assert store.rows() == []


def test_the_quarantine_goes_with_all_and_no_folder_in_it_stops_that(
    folder: Path, windows: Windows, fill: Fill
) -> None:
    with DiskStore.open(folder) as store:
        fill(store, windows(1)).close()
        aside = folder / "quarantine"
        (aside / "0-folder.kv").mkdir()
        for n in range(6):
            (aside / f"{n}.kv").write_bytes(bytes(100))
        assert store.quarantined_bytes() == 600
        store.prune(everything=True, dry_run=True)
        store.prune(target_bytes=0)
        assert store.quarantined_bytes() == 600
        files.empty_quarantine(folder, files.KEPT_IN_QUARANTINE)
        assert store.quarantined_bytes() == 400
        store.prune(everything=True)
        assert [path.name for path in aside.iterdir()] == ["0-folder.kv"]
