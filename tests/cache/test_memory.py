"""The store in memory and the one on disk do the same, whatever is asked of them in whatever order."""

import shutil
import tempfile
from array import array
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cache.errors import StoreFull
from cache.keys import Fingerprint
from cache.store import Chain, DiskStore, MemoryStore

FINGERPRINT = Fingerprint(model="tiny", dtype="float32", layout="1", tokenizer="t", window_tokens=4)
LIMIT = 6 * (4096 + 3)
WINDOWS = st.lists(st.sampled_from([array("I", [n, 7]) for n in range(2)]), max_size=4)


class BothStores(RuleBasedStateMachine):
    """Every step is taken in both; then they hold the same blocks, used at the same times."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.folder = Path(tempfile.mkdtemp())
        self.disk = self.open_disk()
        self.memory = MemoryStore(LIMIT, lambda: self.now)
        self.open_chains: list[tuple[Chain, Chain]] = []

    def open_disk(self) -> DiskStore:
        return DiskStore.open(self.folder, LIMIT, lambda: self.now)

    def pick(self, n: int) -> tuple[Chain, Chain] | None:
        self.now += 1
        return self.open_chains[n % len(self.open_chains)] if self.open_chains else None

    @rule(asked=WINDOWS)
    def open_chain(self, asked: "list[array[int]]") -> None:
        self.now += 1
        pair = (self.disk.chain(FINGERPRINT, asked), self.memory.chain(FINGERPRINT, asked))
        assert [block.key for block in pair[0].blocks] == [block.key for block in pair[1].blocks]
        assert all(bytes(block.section("k")) == b"abc" for chain in pair for block in chain.blocks)
        self.open_chains.append(pair)

    @rule(n=st.integers(0, 9), asked=WINDOWS)
    def append(self, n: int, asked: "list[array[int]]") -> None:
        pair = self.pick(n) or ()
        for ids in asked if pair else ():
            outcomes: list[str] = []
            for chain in pair:
                try:
                    outcomes.append(chain.append(ids, {"k": b"abc"}).key)
                except StoreFull:
                    outcomes.append("full")
            assert outcomes[0] == outcomes[1]

    @rule(n=st.integers(0, 9), asked=WINDOWS)
    def follow(self, n: int, asked: "list[array[int]]") -> None:
        pair = self.pick(n) or ()
        for chain in pair:
            chain.follow(asked)
        assert len({tuple(block.key for block in chain.blocks) for chain in pair}) <= 1

    @rule(n=st.integers(0, 9), depth=st.integers(0, 4))
    def cut(self, n: int, depth: int) -> None:
        for chain in self.pick(n) or ():
            chain.cut(depth)

    @rule(n=st.integers(0, 9))
    def close_chain(self, n: int) -> None:
        pair = self.pick(n)
        if pair:
            self.open_chains.remove(pair)
            for chain in pair:
                chain.close()

    @rule(n=st.integers(0, 9))
    def pin(self, n: int) -> None:
        rows = self.memory.rows()
        if rows:
            key = rows[n % len(rows)].key
            self.memory.pin(key)
            self.disk.pin(key)

    @rule(n=st.integers(0, 9))
    def unpin(self, n: int) -> None:
        pinned = sorted(row.name for row in (self.folder / "pins").iterdir())
        if pinned:
            key = self.disk.unpin(pinned[n % len(pinned)])
            self.memory.unpin(key)

    @rule()
    def start_anew(self) -> None:
        for pair in self.open_chains:
            for chain in pair:
                chain.close()
        self.open_chains = []
        self.disk.close()
        self.disk = self.open_disk()

    @invariant()
    def they_hold_the_same(self) -> None:
        disk, memory = (
            [(row.key, row.parent, row.depth, row.tokens, row.nbytes, row.last_used) for row in store.rows()]
            for store in (self.disk, self.memory)
        )
        assert disk == memory
        assert sum(row[4] for row in memory) <= LIMIT

    @invariant()
    def what_is_in_use_is_there(self) -> None:
        keys = {row.key for row in self.memory.rows()}
        assert {block.key for pair in self.open_chains for chain in pair for block in chain.blocks} <= keys

    def teardown(self) -> None:
        self.disk.close()
        shutil.rmtree(self.folder)


BothStores.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestBothStores = pytest.mark.slow(BothStores.TestCase)
