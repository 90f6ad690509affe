"""Several processes on one store: nobody loses what they use, nobody waits for the dead."""

import os
import random
import signal
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cache import lock
from cache.errors import StoreFull
from cache.keys import BlockKey
from cache.leases import Lease, leased_keys
from cache.store import BlockStore, Chain, DiskStore
from cache.verification import Verdict

Windows = Callable[..., "list[array[int]]"]
Fill = Callable[[BlockStore, "Sequence[array[int]]"], Chain]
BLOCK_BYTES = 4096 * 4 + 9
ROUNDS = 40


def work(folder: Path, windows: Windows, fill: Fill, seed: int) -> None:
    """What eight of these do at once: read what is there, store the rest, drop what is old."""
    draw = random.Random(seed)
    full = 0
    with DiskStore.open(folder, 20 * BLOCK_BYTES) as store:
        for _ in range(ROUNDS):
            asked = [windows(1, seed=draw.randrange(2))[0] for _ in range(draw.randrange(1, 6))]
            try:
                fill(store, asked).close()
            except StoreFull:
                full += 1
            if draw.random() < 0.1:
                store.prune(target_bytes=draw.randrange(20) * BLOCK_BYTES)
            if draw.random() < 0.1:
                assert Verdict.DAMAGED not in {each.verdict for each in store.verify(repair=True)}
    os._exit(0 if full < ROUNDS else 3)


@pytest.mark.slow
def test_eight_processes(folder: Path, windows: Windows, fill: Fill) -> None:
    children = []
    for seed in range(8):
        child = os.fork()
        if not child:
            try:
                work(folder, windows, fill, seed)
            finally:
                os._exit(5)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8
    with DiskStore.open(folder, 20 * BLOCK_BYTES) as store:
        assert {each.verdict for each in store.verify()} <= {Verdict.OK}
        assert sum(row.nbytes for row in store.rows()) <= 20 * BLOCK_BYTES
    for room in ("leases", "quarantine"):
        assert not list((folder / room).iterdir())


@pytest.mark.slow
def test_threads_of_one_process(folder: Path, windows: Windows, fill: Fill) -> None:
    def use(store: DiskStore, seed: int) -> int:
        draw = random.Random(seed)
        for _ in range(10):
            fill(store, [windows(1, seed=draw.randrange(2))[0] for _ in range(draw.randrange(1, 5))]).close()
        return seed

    with DiskStore.open(folder, 25 * BLOCK_BYTES) as store, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(use, [store] * 4, range(4), timeout=120)) == [0, 1, 2, 3]
        assert {each.verdict for each in store.verify()} == {Verdict.OK}


def test_what_another_process_uses_stays_until_it_dies(folder: Path, windows: Windows, fill: Fill) -> None:
    ready, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            chain = fill(DiskStore.open(folder), windows(3))
            os.write(tell, b"%d" % len(chain.blocks))
            signal.pause()
        finally:
            os._exit(1)
    with DiskStore.open(folder) as store:
        try:
            assert os.read(ready, 1) == b"3"
            assert store.prune(everything=True) == []
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert len(store.prune(everything=True)) == 3
    assert not list((folder / "leases").iterdir())


def test_a_lease_holds_what_it_was_told_last(tmp_path: Path) -> None:
    keys = [BlockKey(f"{n:064x}") for n in range(4)]
    lease = Lease(tmp_path, keys[:2])
    lease.add(keys[2])
    assert leased_keys(tmp_path) == set(keys[:3])
    lease.replace(keys[:1])
    lease.add(keys[3])
    assert leased_keys(tmp_path) == {keys[0], keys[3]}
    lease.give_up()
    assert leased_keys(tmp_path) == set()
    assert not list(tmp_path.iterdir())


def test_a_line_that_was_not_finished_does_not_harm_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [BlockKey(f"{n:064x}") for n in range(3)]
    lease, real = Lease(tmp_path, keys[:1]), os.pwrite

    def half(descriptor: int, content: bytes, at: int) -> int:
        real(descriptor, content[:20], at)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, "pwrite", half)
        lease.add(keys[1])
    lease.add(keys[2])
    assert leased_keys(tmp_path) == {keys[0], keys[2]}
    lease.give_up()


def test_a_lease_of_nobody_keeps_nothing(folder: Path, windows: Windows, fill: Fill) -> None:
    with DiskStore.open(folder) as store:
        fill(store, windows(2)).close()
        (folder / "leases" / "1-dead").write_text("".join(f"{row.key}\n" for row in store.rows()))
        assert len(store.prune(everything=True)) == 2
        assert not list((folder / "leases").iterdir())


def test_who_waits_for_the_whole_store_is_not_passed_by(tmp_path: Path) -> None:
    order: list[str] = []

    def take(name: str, exclusive: bool) -> None:
        with lock.held(tmp_path, exclusive=exclusive):
            order.append(name)

    def somebody_waits() -> bool:
        turn = os.open(tmp_path / "turn", os.O_RDWR)
        try:
            return not lock.is_free(turn)
        finally:
            lock.let_go(turn)

    with lock.held(tmp_path, exclusive=False):
        writer = threading.Thread(target=take, args=("writer", True))
        writer.start()
        while not somebody_waits():
            time.sleep(0.001)
        reader = threading.Thread(target=take, args=("reader", False))
        reader.start()
        assert order == []
    writer.join(10)
    reader.join(10)
    assert order == ["writer", "reader"]
