from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache import eviction
from cache.keys import BlockKey
from cache.stored import StoredBlock, ancestry, chains_of

ROOT = BlockKey("f" * 64)


def a_row(key: BlockKey, parent: BlockKey, depth: int) -> StoredBlock:
    return StoredBlock(
        key=key,
        parent=parent,
        root=ROOT,
        depth=depth,
        tokens=16,
        nbytes=100,
        model="tiny",
        dtype="float32",
        layout="1",
        created=0.0,
        last_used=0.0,
    )


@st.composite
def forests(draw: st.DrawFn) -> tuple[list[StoredBlock], set[BlockKey]]:
    """Rows whose parents come before them, some of them missing, with any times; and some that are kept."""
    rows: list[StoredBlock] = []
    for n in range(draw(st.integers(0, 25))):
        above = draw(st.none() | st.sampled_from(rows)) if rows else None
        row = a_row(BlockKey(f"{n:064x}"), above.key if above else ROOT, above.depth + 1 if above else 0)
        rows.append(replace(row, nbytes=draw(st.integers(1, 100)), last_used=float(draw(st.integers(0, 5)))))
    lost = draw(st.sets(st.sampled_from(rows), max_size=2)) if rows else set()
    rows = [row for row in rows if row not in lost]
    kept = draw(st.sets(st.sampled_from([row.key for row in rows]), max_size=4)) if rows else set()
    return rows, kept


def guarded(rows: list[StoredBlock], kept: set[BlockKey]) -> set[BlockKey]:
    by_key = {row.key: row for row in rows}
    return {row.key for key in kept for row in ancestry(key, by_key)}


@given(forests())
def test_what_stays_is_what_is_kept_and_all_before_it(forest: tuple[list[StoredBlock], set[BlockKey]]) -> None:
    rows, kept = forest
    assert eviction.staying(rows, kept) == guarded(rows, kept)


def test_a_chain_in_use_is_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a chain's keys are kept while it is open, and each was walked down to the root."""
    keys = [BlockKey(f"{n:064x}") for n in range(1, 501)]
    rows = [a_row(key, above, depth) for depth, (key, above) in enumerate(zip(keys, [ROOT, *keys], strict=False))]
    steps: list[BlockKey] = []

    def noted(key: BlockKey, by_key: Mapping[BlockKey, StoredBlock]) -> Iterator[StoredBlock]:
        for row in ancestry(key, by_key):
            steps.append(row.key)
            yield row

    monkeypatch.setattr(eviction, "ancestry", noted)
    assert eviction.staying(rows, set(keys)) == set(keys)
    assert len(steps) <= 2 * len(keys)


@given(forests(), st.integers(0, 2000))
def test_what_is_kept_and_all_before_it_stays(forest: tuple[list[StoredBlock], set[BlockKey]], nbytes: int) -> None:
    rows, kept = forest
    drops = eviction.to_free(rows, kept, nbytes)
    assert not {row.key for row in drops} & guarded(rows, kept)


@given(forests(), st.integers(0, 2000))
def test_enough_is_dropped_or_all_that_may_be(forest: tuple[list[StoredBlock], set[BlockKey]], nbytes: int) -> None:
    rows, kept = forest
    drops = eviction.to_free(rows, kept, nbytes)
    if sum(row.nbytes for row in drops) < nbytes:
        assert {row.key for row in drops} == {row.key for row in rows} - guarded(rows, kept)
    elif drops:
        assert sum(row.nbytes for row in drops[:-1]) < nbytes


@given(forests(), st.integers(0, 2000))
def test_only_leaves_go_the_oldest_of_them_first(forest: tuple[list[StoredBlock], set[BlockKey]], nbytes: int) -> None:
    rows, kept = forest
    left, safe = list(rows), guarded(rows, kept)
    for drop in eviction.to_free(rows, kept, nbytes):
        parents = {row.parent for row in left}
        leaves = [row for row in left if row.key not in parents and row.key not in safe]
        assert drop in leaves
        assert drop.last_used == min(row.last_used for row in leaves)
        left.remove(drop)


@given(forests(), st.integers(0, 6))
def test_age_drops_nothing_younger(forest: tuple[list[StoredBlock], set[BlockKey]], moment: int) -> None:
    rows, kept = forest
    drops = eviction.unused_since(rows, kept, float(moment))
    assert all(row.last_used < moment for row in drops)
    assert not {row.key for row in drops} & guarded(rows, kept)
    if moment == 6:
        assert {row.key for row in drops} == {row.key for row in rows} - guarded(rows, kept)


@given(forests())
def test_every_block_is_in_a_chain(forest: tuple[list[StoredBlock], set[BlockKey]]) -> None:
    rows, kept = forest
    chains = chains_of(rows, dict.fromkeys(kept, "label"))
    by_key = {row.key: row for row in rows}
    assert {row.key for chain in chains for row in ancestry(chain.tip, by_key)} == set(by_key)
    assert all(chain.whole == (chain.blocks == by_key[chain.tip].depth + 1) for chain in chains)
    assert kept <= {row.key for chain in chains if chain.pinned for row in ancestry(chain.tip, by_key)}
    assert sum(chain.own_bytes for chain in chains) <= sum(row.nbytes for row in rows)


def test_rows_that_follow_each_other_end() -> None:
    row = StoredBlock(
        key=BlockKey("a" * 64),
        parent=BlockKey("b" * 64),
        root=BlockKey("f" * 64),
        depth=1,
        tokens=16,
        nbytes=1,
        model="tiny",
        dtype="float32",
        layout="1",
        created=0.0,
        last_used=0.0,
    )
    other = replace(row, key=row.parent, parent=row.key)
    own = replace(row, key=BlockKey("c" * 64), parent=BlockKey("c" * 64))
    by_key = {each.key: each for each in (row, other, own)}
    assert [each.key for each in ancestry(row.key, by_key)] == [row.key, other.key]
    assert list(ancestry(own.key, by_key)) == [own]
