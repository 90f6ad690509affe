"""What every store promises of chains, and what the one on disk promises of its folder."""

import os
import stat
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cache import files
from cache.errors import NoSuchBlock, StoreFailed, StoreFull
from cache.format import Link, flat, link_after, pack
from cache.keys import BlockKey, Fingerprint, child_key
from cache.store import BlockStore, Chain, DiskStore, MemoryStore, default_limit
from cache.verification import Verdict

Windows = Callable[..., "list[array[int]]"]
Payload = Callable[[BlockKey], Mapping[str, bytes]]
Fill = Callable[[BlockStore, "Sequence[array[int]]"], Chain]
Store = DiskStore | MemoryStore
BLOCK_BYTES = 4096 * 4 + 9  # what a block of the fixtures occupies


@pytest.fixture(params=["disk", "memory"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Store]]:
    opened: list[Store] = []

    def make(limit_bytes: int | None = None) -> Store:
        on_disk = request.param == "disk"
        opened.append(DiskStore.open(tmp_path / "s", limit_bytes) if on_disk else MemoryStore(limit_bytes))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def found(store: BlockStore, fingerprint: Fingerprint, asked: "Sequence[array[int]]") -> int:
    with store.chain(fingerprint, asked) as chain:
        return len(chain.blocks)


def test_the_longest_stored_beginning_is_found(
    make_store: Callable[..., Store], fingerprint: Fingerprint, windows: Windows, fill: Fill
) -> None:
    store, asked = make_store(), windows(6)
    fill(store, asked[:4]).close()
    assert [found(store, fingerprint, asked[:n]) for n in range(7)] == [0, 1, 2, 3, 4, 4, 4]
    assert found(store, fingerprint, asked[1:]) == 0
    fill(store, asked).close()
    assert found(store, fingerprint, asked) == 6


def test_prefixes_that_part_share_what_they_share(
    make_store: Callable[..., Store], fingerprint: Fingerprint, windows: Windows, fill: Fill
) -> None:
    store, stem, branch = make_store(), windows(5), windows(2, seed=1)
    fill(store, stem).close()
    with fill(store, stem[:3] + branch) as chain:
        assert len(chain.blocks) == 5
    assert len(store.rows()) == 7
    assert found(store, fingerprint, stem) == found(store, fingerprint, stem[:3] + branch) == 5
    assert found(store, fingerprint, stem[:3] + branch[1:]) == 3


def test_the_same_window_after_another_is_another_block(
    make_store: Callable[..., Store], fingerprint: Fingerprint, windows: Windows, fill: Fill
) -> None:
    store, (one, two) = make_store(), windows(2)
    with fill(store, [one, one, two, one]) as chain:
        assert len({block.key for block in chain.blocks}) == 4
    assert found(store, fingerprint, [two]) == 0
    assert found(store, fingerprint, [one, two]) == 1


def test_short_windows_are_not_their_longer_beginnings(
    make_store: Callable[..., Store], fingerprint: Fingerprint, windows: Windows, fill: Fill
) -> None:
    store, asked = make_store(), windows(3)
    short = [asked[0], asked[1][:5], asked[2][:1]]
    fill(store, short).close()
    assert found(store, fingerprint, short) == 3
    assert found(store, fingerprint, asked) == 1
    assert found(store, fingerprint, [asked[0], asked[1][:4], asked[2]]) == 1


@pytest.mark.parametrize(
    "change", [{"model": "n"}, {"dtype": "bfloat16"}, {"layout": "2"}, {"tokenizer": "u"}], ids=str
)
def test_another_fingerprint_is_a_miss(
    make_store: Callable[..., Store],
    fingerprint: Fingerprint,
    windows: Windows,
    fill: Fill,
    change: dict[str, Any],
) -> None:
    store = make_store()
    fill(store, windows(2)).close()
    assert found(store, replace(fingerprint, **change), windows(2)) == 0


def test_a_chain_can_be_cut_and_go_on_elsewhere(
    make_store: Callable[..., Store], fingerprint: Fingerprint, windows: Windows, payload: Payload
) -> None:
    store, asked, other = make_store(), windows(3), windows(1, seed=2)
    with store.chain(fingerprint, []) as chain:
        for ids in asked:
            chain.append(ids, {"k": b"1"})
        chain.cut(1)
        chain.append(other[0], {"k": b"2"})
        assert len(chain.blocks) == 2
        assert chain.blocks[1].key == child_key(chain.blocks[0].key, other[0])
    assert found(store, fingerprint, asked) == 3
    assert found(store, fingerprint, [asked[0], *other]) == 2


def test_a_chain_follows_what_is_stored(
    make_store: Callable[..., Store], fingerprint: Fingerprint, windows: Windows, fill: Fill
) -> None:
    store, asked = make_store(), windows(5)
    fill(store, asked).close()
    with store.chain(fingerprint, asked[:1]) as chain:
        lengths = []
        for following in ([], asked[2:], [asked[1], asked[3]], asked[2:4], [*asked[4:], *windows(1, seed=1)], asked):
            chain.follow(following)
            lengths.append(len(chain.blocks))
        assert lengths == [1, 1, 2, 4, 5, 5]
        with store.chain(fingerprint, asked) as whole:
            assert [block.key for block in chain.blocks] == [block.key for block in whole.blocks]
            assert [block.section("3.keys") for block in chain.blocks] == [
                block.section("3.keys") for block in whole.blocks
            ]


def test_what_was_followed_is_in_use(
    make_store: Callable[..., Store], fingerprint: Fingerprint, windows: Windows, payload: Payload, fill: Fill
) -> None:
    store, asked, other = make_store(3 * BLOCK_BYTES), windows(3), windows(1, seed=1)
    with fill(store, asked) as used:
        used.cut(1)
        used.follow(asked[1:])
        with store.chain(fingerprint, other) as chain, pytest.raises(StoreFull):
            chain.append(other[0], payload(child_key(fingerprint.root(), other[0])))
    assert found(store, fingerprint, asked) == 3


@pytest.mark.parametrize("at", [1, 3])
def test_a_chain_follows_up_to_a_bad_block_and_beyond_it_when_it_is_mended(
    folder: Path, fingerprint: Fingerprint, windows: Windows, payload: Payload, fill: Fill, at: int
) -> None:
    asked = windows(5)
    with DiskStore.open(folder) as store:
        with fill(store, asked) as chain:
            bad = files.block_path(folder, chain.blocks[at].key)
        bad.write_bytes(bad.read_bytes()[:-1])
        with store.chain(fingerprint, asked[:1]) as chain:
            chain.follow(asked[1:])
            assert (len(chain.blocks), bad.exists()) == (at, False)
            chain.append(asked[at], payload(BlockKey(bad.stem)))
            chain.follow(asked[at + 1 :])
            assert len(chain.blocks) == 5
            assert {each.verdict for each in store.verify()} == {Verdict.OK}


def test_what_is_no_window_is_refused(make_store: Callable[..., Store], fingerprint: Fingerprint) -> None:
    with make_store().chain(fingerprint, []) as chain:
        for ids in (array("I"), array("I", range(17))):
            with pytest.raises(ValueError, match="a window of"):
                chain.append(ids, {"k": b"1"})
        with pytest.raises(ValueError, match="contiguous"):
            chain.append(array("I", [1]), {"k": memoryview(b"1234")[::2]})
        assert not chain.blocks


def test_writing_to_a_view_changes_nothing_stored(
    make_store: Callable[..., Store], fingerprint: Fingerprint, windows: Windows, payload: Payload, fill: Fill
) -> None:
    store = make_store()
    with fill(store, windows(1)) as chain:
        chain.blocks[0].section("3.keys")[:] = bytes(5000)
    fill(store, windows(1)).close()


def test_a_block_larger_than_the_limit_does_not_fit(
    make_store: Callable[..., Store], fingerprint: Fingerprint, windows: Windows, payload: Payload, fill: Fill
) -> None:
    store = make_store(BLOCK_BYTES - 1)
    with store.chain(fingerprint, []) as chain, pytest.raises(StoreFull, match="no room"):
        chain.append(windows(1)[0], payload(child_key(fingerprint.root(), windows(1)[0])))
    assert store.rows() == []


def test_blocks_in_use_are_not_dropped_for_room(
    make_store: Callable[..., Store], fingerprint: Fingerprint, windows: Windows, payload: Payload, fill: Fill
) -> None:
    store, asked, other = make_store(3 * BLOCK_BYTES), windows(3), windows(2, seed=1)
    with fill(store, asked) as used:
        with store.chain(fingerprint, other) as chain, pytest.raises(StoreFull):
            chain.append(other[0], payload(child_key(fingerprint.root(), other[0])))
        assert found(store, fingerprint, asked) == 3
        used.cut(2)
        fill(store, other[:1]).close()
        assert found(store, fingerprint, asked) == 2
    fill(store, other).close()
    assert found(store, fingerprint, other) == 2
    assert found(store, fingerprint, asked) == 1


def test_the_chain_used_longest_ago_goes_first_from_its_end(
    make_store: Callable[..., Store], fingerprint: Fingerprint, windows: Windows, fill: Fill
) -> None:
    store, (one, two, three) = make_store(4 * BLOCK_BYTES), (windows(2, seed=n) for n in range(3))
    fill(store, one).close()
    fill(store, two).close()
    fill(store, one).close()
    fill(store, three[:1]).close()
    assert [found(store, fingerprint, asked) for asked in (one, two, three)] == [2, 1, 1]


def test_a_closed_chain_may_be_closed_again(make_store: Callable[..., Store], windows: Windows, fill: Fill) -> None:
    chain = fill(make_store(), windows(2))
    chain.close()
    chain.close()
    assert list(chain.blocks) == []


def test_digests_are_remembered(make_store: Callable[..., Store]) -> None:
    store = make_store()
    assert store.digest("a file") is None
    store.remember("a file", "1")
    store.remember("a file", "2")
    assert store.digest("a file") == "2"
    store.remember("no UTF-8: \udce9", "3")
    assert (store.digest("no UTF-8: \udce9"), store.digest("no UTF-8: \udcea")) == ("3", None)


def test_a_new_start_finds_everything(folder: Path, fingerprint: Fingerprint, windows: Windows, fill: Fill) -> None:
    with DiskStore.open(folder) as store:
        fill(store, windows(3)).close()
        store.remember("a", "b")
    with DiskStore.open(folder) as store:
        assert found(store, fingerprint, windows(3)) == 3
        assert store.digest("a") == "b"


def test_two_chains_may_store_the_same_block(
    folder: Path, fingerprint: Fingerprint, windows: Windows, payload: Payload
) -> None:
    (ids,) = windows(1)
    key = child_key(fingerprint.root(), ids)
    with (
        DiskStore.open(folder) as store,
        store.chain(fingerprint, [ids]) as one,
        store.chain(fingerprint, [ids]) as two,
    ):
        first = one.append(ids, payload(key))
        second = two.append(ids, payload(key))
        assert first.section("3.keys") == second.section("3.keys") == payload(key)["3.keys"]
        assert len(store.rows()) == 1


@pytest.mark.parametrize("wrong", ["ids", "depth", "parent", "fingerprint"])
def test_a_file_of_another_block_under_this_ones_name_is_written_over(
    folder: Path, fingerprint: Fingerprint, windows: Windows, payload: Payload, wrong: str
) -> None:
    """It is well-formed, has this key and sections of the same sizes."""
    (ids, others), root = windows(2), fingerprint.root()
    key = child_key(root, ids)
    link = {
        "ids": Link(fingerprint=fingerprint, parent=root, depth=0),
        "depth": Link(fingerprint=fingerprint, parent=root, depth=1),
        "parent": Link(fingerprint=fingerprint, parent=child_key(root, others), depth=0),
        "fingerprint": Link(fingerprint=replace(fingerprint, model="other"), parent=root, depth=0),
    }[wrong]
    views = flat(payload(child_key(root, others)))
    head, header = pack(link, key, others if wrong == "ids" else ids, views)
    path = files.block_path(folder, key)
    with DiskStore.open(folder) as store, store.chain(fingerprint, []) as chain:
        with files.written(path, head, header, views) as temporary:
            files.publish(temporary, path)
        block = chain.append(ids, payload(key))
        assert {name: block.section(name) for name in payload(key)} == payload(key)
        assert files.look(path).header.is_of(link_after(fingerprint, []), key, ids)
        assert {each.verdict for each in store.verify()} == {Verdict.OK}


def test_nobody_else_may_read_it(folder: Path, windows: Windows, fill: Fill) -> None:
    with DiskStore.open(folder) as store, fill(store, windows(2)):
        for path in [folder, *folder.rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_pins_keep_blocks_and_outlive_the_index(
    folder: Path, fingerprint: Fingerprint, windows: Windows, payload: Payload, fill: Fill
) -> None:
    kept, other = windows(2), windows(2, seed=1)
    with DiskStore.open(folder, 2 * BLOCK_BYTES) as store:
        with fill(store, kept) as chain:
            tip = chain.blocks[1].key
        assert store.pin(tip[:10], "the handbook") == tip
    (folder / "index.db").unlink()
    with DiskStore.open(folder, 2 * BLOCK_BYTES) as store:
        assert [(each.pinned, each.label) for each in store.chains()] == [(True, "the handbook")]
        with store.chain(fingerprint, other) as chain, pytest.raises(StoreFull):
            chain.append(other[0], payload(child_key(fingerprint.root(), other[0])))
        assert store.prune(everything=True) == []
        assert store.unpin(tip) == tip
        fill(store, other).close()
        assert found(store, fingerprint, kept) == 0


def test_what_is_kept_is_what_no_pruning_drops(
    folder: Path, fingerprint: Fingerprint, windows: Windows, fill: Fill
) -> None:
    pinned, used, other = windows(3), windows(2, seed=1), windows(2, seed=2)
    with DiskStore.open(folder) as store:
        assert store.kept() == set()
        with fill(store, pinned) as chain:
            before = {block.key for block in chain.blocks[:2]}
            store.pin(chain.blocks[1].key)
        fill(store, other).close()
        with fill(store, used) as chain:
            kept = store.kept()
            assert kept == before | {block.key for block in chain.blocks}
            assert len(store.prune(everything=True)) == 3
            assert {row.key for row in store.rows()} == kept


def test_a_prefix_must_name_one_block(folder: Path, windows: Windows, fill: Fill) -> None:
    with DiskStore.open(folder) as store:
        fill(store, windows(40)).close()
        firsts = [row.key[0] for row in store.rows()]
        twice = next(first for first in firsts if firsts.count(first) > 1)
        for prefix in ("", "x", "../", twice):
            with pytest.raises(NoSuchBlock):
                store.pin(prefix)
        with pytest.raises(NoSuchBlock):
            store.unpin(store.rows()[0].key)
    assert list((folder / "pins").iterdir()) == []


def test_prune(folder: Path, fingerprint: Fingerprint, windows: Windows, fill: Fill) -> None:
    now = [100.0]
    old, new = windows(3), windows(2, seed=1)
    with DiskStore.open(folder, clock=lambda: now[0]) as store:
        fill(store, old).close()
        now[0] = 200.0
        fill(store, new).close()
        assert [row.depth for row in store.prune(older_than=150.0, dry_run=True)] == [2, 1, 0]
        assert len(store.rows()) == 5
        assert len(store.prune(target_bytes=4 * BLOCK_BYTES)) == 1
        with store.chain(fingerprint, old):
            assert store.prune(older_than=150.0) == []
        assert len(store.prune(older_than=200.0)) == 0
        now[0] = 300.0
        fill(store, new).close()
        assert len(store.prune(older_than=300.0)) == 2
        assert len(store.prune(everything=True)) == 2
        assert store.rows() == []
    assert list(folder.glob("blocks/*/*")) == []


def test_chains_are_told_with_what_they_share(
    folder: Path, fingerprint: Fingerprint, windows: Windows, fill: Fill
) -> None:
    stem, branch = windows(3), windows(1, seed=1)
    with DiskStore.open(folder) as store:
        fill(store, stem).close()
        fill(store, stem[:2] + branch).close()
        last, first = store.chains()
        assert (last.blocks, last.tokens, last.nbytes) == (3, 48, 3 * BLOCK_BYTES)
        assert (first.own_bytes, first.whole) == (BLOCK_BYTES, True)
        assert (first.model, first.dtype, first.layout) == ("tiny", "float32", "1")
        assert last.last_used >= first.last_used


def test_the_limit_follows_the_disk(tmp_path: Path) -> None:
    assert 0 < default_limit(tmp_path, 0) <= 200 * 1024**3
    assert default_limit(tmp_path, 10**15) == 200 * 1024**3


def test_a_fork_opens_its_own(folder: Path, fingerprint: Fingerprint, windows: Windows) -> None:
    with DiskStore.open(folder) as store:
        child = os.fork()
        if not child:
            try:
                store.chain(fingerprint, windows(1))
            except StoreFailed:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_folder_that_cannot_be_one_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed) as caught:
        DiskStore.open(tmp_path / "file" / "store")
    assert "\n" not in str(caught.value)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_a_chain_of_1280_blocks_opens_without_its_payload(
    folder: Path, fingerprint: Fingerprint, windows: Windows, plant: Callable[..., None]
) -> None:
    asked = windows(1280)
    plant(folder, asked, 4 * 1024**2)
    with DiskStore.open(folder) as store:
        before = resident_bytes()
        with store.chain(fingerprint, asked) as chain:
            assert len(chain.blocks) == 1280
            assert sum(block.nbytes for block in chain.blocks) > 5 * 1024**3
            assert resident_bytes() - before < 32 * 1024**2


def test_more_blocks_can_be_mapped_than_files_may_be_open(
    folder: Path, fingerprint: Fingerprint, windows: Windows, plant: Callable[..., None]
) -> None:
    resource = pytest.importorskip("resource")
    asked = windows(400)
    plant(folder, asked, 1000)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    try:
        with DiskStore.open(folder) as store, store.chain(fingerprint, asked) as chain:
            assert all(block.section("3.keys") == bytes(1000) for block in chain.blocks)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_verify_tells_good_from_bad(folder: Path, windows: Windows, fill: Fill) -> None:
    with DiskStore.open(folder) as store:
        with fill(store, windows(5)) as chain:
            paths = [files.block_path(folder, block.key) for block in chain.blocks]
        paths[0].unlink()
        content = bytearray(paths[2].read_bytes())
        content[-1] ^= 1
        paths[2].write_bytes(content)
        paths[4].write_bytes(b"longctx, but no block")
        fill(store, windows(1, seed=1)).close()
        verdicts = {str(each.key): each.verdict for each in store.verify()}
        told = [verdicts[path.stem] for path in paths]
        assert told == [Verdict.GONE, Verdict.ORPHAN, Verdict.DAMAGED, Verdict.OK, Verdict.DAMAGED]
        assert len(list(store.verify(repair=True))) == 6
        assert sorted(each.verdict for each in store.verify()) == [Verdict.OK, Verdict.ORPHAN, Verdict.ORPHAN]


def test_verify_knows_a_block_under_another_name(folder: Path, windows: Windows, fill: Fill) -> None:
    with DiskStore.open(folder) as store:
        with fill(store, windows(2)) as chain:
            one, two = (files.block_path(folder, block.key) for block in chain.blocks)
        two.write_bytes(one.read_bytes())
        assert {str(each.key): each.verdict for each in store.verify()}[two.stem] == Verdict.DAMAGED
