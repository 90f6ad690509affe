"""What is read is what was written, or it is not read at all."""

import errno
import mmap
import os
import random
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from cache import files
from cache.block import POPULATE_READ, DiskBlock
from cache.errors import BlockDamaged, BlockLost, BlockUnmapped
from cache.files import Fault
from cache.format import PIECE_BYTES, PREAMBLE
from cache.keys import BlockKey, Fingerprint, child_key
from cache.store import BlockStore, Chain, DiskStore
from cache.verification import Verdict

Windows = Callable[..., "list[array[int]]"]
Payload = Callable[[BlockKey], Mapping[str, bytes]]
Fill = Callable[[BlockStore, "Sequence[array[int]]"], Chain]


def can_populate() -> bool:
    try:
        mmap.mmap(-1, mmap.PAGESIZE).madvise(POPULATE_READ)
    except OSError:
        return False
    return True


def only_file(folder: Path) -> Path:
    (path,) = folder.glob("blocks/*/*.kv")
    return path


def damage(path: Path, at: int, bit: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def padding_of(path: Path) -> set[int]:
    """The bytes between header and sections: zeros that are never given out, so that what is in them harms nobody."""
    found = files.look(path).header
    length = PREAMBLE.unpack(path.read_bytes()[: PREAMBLE.size])[2]
    used = set(range(PREAMBLE.size + length))
    for section in found.sections:
        used |= set(range(section.offset, section.offset + section.size))
    return set(range(found.file_bytes)) - used


def test_a_thousand_flipped_bits(
    folder: Path, fingerprint: Fingerprint, windows: Windows, payload: Payload, fill: Fill
) -> None:
    asked = windows(1)
    draw = random.Random(5)
    with DiskStore.open(folder) as store:
        fill(store, asked).close()
        path = only_file(folder)
        good, padding = path.read_bytes(), padding_of(path)
        useful = [at for at in range(len(good)) if at not in padding]
        places = draw.sample(useful, 900) + draw.sample(sorted(padding), 100)
        caught = 0
        for at in places:
            flipped = bytearray(good)
            flipped[at] ^= 1 << draw.randrange(8)
            path.write_bytes(flipped)
            with store.chain(fingerprint, asked) as chain:
                was_caught = not chain.blocks
                for block in chain.blocks:
                    for name, expected in payload(block.key).items():
                        try:
                            assert block.section(name) == expected, f"a wrong byte of {name} at {at} was given out"
                        except BlockDamaged:
                            was_caught = True
            assert was_caught == (at not in padding), at
            assert path.exists() == (at in padding)
            caught += was_caught
    assert caught == 900


def test_a_damaged_block_goes_into_quarantine_and_is_stored_anew(
    folder: Path, fingerprint: Fingerprint, windows: Windows, payload: Payload, fill: Fill
) -> None:
    asked = windows(3)
    with DiskStore.open(folder) as store:
        with fill(store, asked) as chain:
            key = chain.blocks[1].key
        damage(files.block_path(folder, key), 4096 + 100)
        with store.chain(fingerprint, asked) as chain:
            held = chain.blocks[1].section("3.values")
            with pytest.raises(BlockDamaged, match=r"damaged in 3\.keys") as caught:
                chain.blocks[1].section("3.keys")
            assert (caught.value.key, caught.value.depth) == (key, 1)
            (aside,) = (folder / "quarantine").iterdir()
            assert "-payload-" in aside.name
            assert held == payload(key)["3.values"]
            chain.cut(1)
            chain.append(asked[1], payload(key))
            assert chain.blocks[1].section("3.keys") == payload(key)["3.keys"]
        with fill(store, asked) as chain:
            assert len(chain.blocks) == 3
        assert {each.verdict for each in store.verify()} == {Verdict.OK}


def test_a_block_that_was_stored_anew_is_not_put_aside(
    folder: Path, windows: Windows, payload: Payload, fill: Fill
) -> None:
    with DiskStore.open(folder) as store, fill(store, windows(1)) as chain:
        store._place.condemn(chain.blocks[0].key, None, Fault.HEADER)
        store._place.condemn(chain.blocks[0].key, 1, Fault.PAYLOAD)
        assert only_file(folder).exists()


def test_quarantine_does_not_grow_for_ever(
    folder: Path, fingerprint: Fingerprint, windows: Windows, fill: Fill
) -> None:
    with DiskStore.open(folder) as store:
        for _ in range(8):
            fill(store, windows(1)).close()
            damage(only_file(folder), 40)
            store.chain(fingerprint, windows(1)).close()
    assert len(list((folder / "quarantine").iterdir())) == files.KEPT_IN_QUARANTINE


def long_block(store: DiskStore, fingerprint: Fingerprint, ids: "array[int]") -> bytes:
    content = os.urandom(3 * PIECE_BYTES + 77)
    with store.chain(fingerprint, []) as chain:
        chain.append(ids, {"first": b"x" * 10, "long": content})
    return content


def test_a_part_is_checked_alone(folder: Path, fingerprint: Fingerprint, windows: Windows) -> None:
    asked = windows(1)
    with DiskStore.open(folder) as store:
        content = long_block(store, fingerprint, asked[0])
        section = files.look(only_file(folder)).header.sections[1]
        damage(only_file(folder), section.offset + 2 * PIECE_BYTES + 5)
        with store.chain(fingerprint, asked) as chain:
            (block,) = chain.blocks
            for start, stop in [(0, 10), (PIECE_BYTES - 3, PIECE_BYTES + 3), (3 * PIECE_BYTES, 3 * PIECE_BYTES + 77)]:
                assert block.section("long", [(start, stop)]) == content[start:stop]
            with pytest.raises(BlockDamaged):
                block.section("long", [(0, 10), (2 * PIECE_BYTES - 1, 2 * PIECE_BYTES + 1)])
            with pytest.raises(BlockDamaged):
                block.section("long")


def test_parts_have_bounds_and_names(folder: Path, fingerprint: Fingerprint, windows: Windows) -> None:
    with DiskStore.open(folder) as store:
        content = long_block(store, fingerprint, windows(1)[0])
        with store.chain(fingerprint, windows(1)) as chain:
            for start, stop in [(-1, 3), (5, 4), (0, len(content) + 1)]:
                with pytest.raises(ValueError, match="not within"):
                    chain.blocks[0].section("long", [(start, stop)])
            with pytest.raises(KeyError):
                chain.blocks[0].section("short")
            assert bytes(chain.blocks[0].section("long", [(7, 7)])) == b""


def test_views_are_private_writable_and_outlive_the_chain(
    folder: Path, fingerprint: Fingerprint, windows: Windows
) -> None:
    asked = windows(1)
    with DiskStore.open(folder) as store:
        content = long_block(store, fingerprint, asked[0])
        before = only_file(folder).read_bytes()
        with store.chain(fingerprint, asked) as chain, store.chain(fingerprint, asked) as other:
            view = chain.blocks[0].section("long")
            assert not view.readonly
            view[:4] = b"mine"
            assert other.blocks[0].section("long") == content
            chain.blocks[0].release()
            assert view == content
        assert view == content
        assert only_file(folder).read_bytes() == before


def test_a_block_that_is_gone_or_another_one_is_damaged(
    folder: Path, fingerprint: Fingerprint, windows: Windows, fill: Fill
) -> None:
    asked = windows(2)
    with DiskStore.open(folder) as store:
        fill(store, asked).close()
        with store.chain(fingerprint, asked) as chain:
            first, second = (files.block_path(folder, block.key) for block in chain.blocks)
            second.write_bytes(first.read_bytes())
            first.unlink()
            with pytest.raises(BlockDamaged, match="is gone"):
                chain.blocks[0].section("3.keys")
            with pytest.raises(BlockDamaged, match="not the block it was"):
                chain.blocks[1].section("3.keys")
            assert not second.exists()


@pytest.mark.parametrize(
    ("number", "lost"), [(errno.EMFILE, BlockUnmapped), (errno.ENOMEM, BlockUnmapped), (errno.EIO, BlockDamaged)]
)
def test_a_block_that_cannot_be_mapped_says_which_it_is(
    folder: Path,
    fingerprint: Fingerprint,
    windows: Windows,
    fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    lost: type[BlockLost],
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with DiskStore.open(folder) as store:
        fill(store, windows(2)).close()
        with store.chain(fingerprint, windows(2)) as chain:
            monkeypatch.setattr(files, "map_private", refuse)
            with pytest.raises(lost, match="could not be mapped") as caught:
                chain.blocks[1].section("3.keys")
            assert (type(caught.value), caught.value.depth) == (lost, 1)
            monkeypatch.undo()
            assert chain.blocks[1].section("3.keys")


@pytest.mark.parametrize("size", [0, 10, 32, 200, 4096, 5000, 9000])
def test_a_block_cut_short_is_a_miss(
    folder: Path, fingerprint: Fingerprint, windows: Windows, fill: Fill, size: int
) -> None:
    with DiskStore.open(folder) as store:
        fill(store, windows(1)).close()
        os.truncate(only_file(folder), size)
        with store.chain(fingerprint, windows(1)) as chain:
            assert not chain.blocks
        with fill(store, windows(1)) as chain:
            assert len(chain.blocks) == 1


@pytest.mark.skipif(not can_populate(), reason="MADV_POPULATE_READ came with Linux 5.14")
def test_a_file_that_shrinks_under_its_map_does_not_end_the_process(
    folder: Path, fingerprint: Fingerprint, windows: Windows
) -> None:
    with DiskStore.open(folder) as store:
        long_block(store, fingerprint, windows(1)[0])
        with store.chain(fingerprint, windows(1)) as chain:
            chain.blocks[0].section("first")
            os.truncate(only_file(folder), 3 * 4096)
            with pytest.raises(BlockDamaged):
                chain.blocks[0].section("long")


def test_a_link_is_not_followed(
    folder: Path, fingerprint: Fingerprint, windows: Windows, payload: Payload, fill: Fill, tmp_path: Path
) -> None:
    asked = windows(1)
    with DiskStore.open(folder) as store:
        fill(store, asked).close()
        path, outside = only_file(folder), tmp_path / "outside"
        path.rename(outside)
        path.symlink_to(outside)
        with store.chain(fingerprint, asked) as chain:
            assert not chain.blocks
            key = child_key(fingerprint.root(), asked[0])
            assert chain.append(asked[0], payload(key)).section("3.keys") == payload(key)["3.keys"]
        assert not path.is_symlink()
        assert outside.exists()


def test_what_was_released_is_checked_again(folder: Path, fingerprint: Fingerprint, windows: Windows) -> None:
    with DiskStore.open(folder) as store:
        content = long_block(store, fingerprint, windows(1)[0])
        with store.chain(fingerprint, windows(1)) as chain:
            (block,) = chain.blocks
            assert block.section("long") == content
            section = files.look(only_file(folder)).header.sections[1]
            damage(only_file(folder), section.offset + 5)
            block.release()
            with pytest.raises(BlockDamaged):
                block.section("long")


def copied(block: DiskBlock, name: str) -> memoryview:
    return block.section(name, [(0, block.size(name))])


def test_a_copy_is_checked_and_leaves_nothing_mapped(
    folder: Path, fingerprint: Fingerprint, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("mapped")

    monkeypatch.setattr(files, "map_private", refuse)
    with DiskStore.open(folder) as store:
        content = long_block(store, fingerprint, windows(1)[0])
        with store.chain(fingerprint, windows(1)) as chain:
            (block,) = chain.blocks
            copy = copied(block, "long")
            assert (bytes(copy), copy.readonly, block.size("long")) == (content, False, len(content))
            copy[:4] = b"mine"
            assert copied(block, "long") == content
            with pytest.raises(KeyError):
                block.size("short")
            section = files.look(only_file(folder)).header.sections[1]
            damage(only_file(folder), section.offset + 2 * PIECE_BYTES + 5)
            assert copied(block, "first") == b"x" * 10
            with pytest.raises(BlockDamaged, match="damaged in long"):
                copied(block, "long")
        assert not list(folder.glob("blocks/*/*.kv"))


def test_a_copy_of_a_file_cut_short_is_none(folder: Path, fingerprint: Fingerprint, windows: Windows) -> None:
    with DiskStore.open(folder) as store:
        long_block(store, fingerprint, windows(1)[0])
        with store.chain(fingerprint, windows(1)) as chain:
            os.truncate(only_file(folder), 3 * 4096)
            with pytest.raises(BlockDamaged):
                copied(chain.blocks[0], "long")


def test_a_block_that_was_found_is_not_looked_at_again(
    folder: Path, fingerprint: Fingerprint, windows: Windows, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    real = files.read_header

    def noted(descriptor: int) -> files.Opened:
        looked.append(descriptor)
        return real(descriptor)

    with DiskStore.open(folder) as store:
        fill(store, windows(5)).close()
        monkeypatch.setattr(files, "read_header", noted)
        with store.chain(fingerprint, windows(5)) as chain:
            for block in chain.blocks:
                copied(block, "3.bounds")
                block.section("3.keys")
        assert len(looked) == 5


@pytest.mark.parametrize("other", [b"one" * 1000, b"two" * 1000, b"longer" * 1000])
def test_a_block_stored_again_meanwhile_is_the_same_only_with_the_same_bytes(
    folder: Path, fingerprint: Fingerprint, windows: Windows, other: bytes
) -> None:
    """Bounds that were made from the old keys are none for new ones; but the new file may be good."""
    (ids,), content = windows(1), b"one" * 1000
    with DiskStore.open(folder) as store:
        with store.chain(fingerprint, []) as chain:
            chain.append(ids, {"3.keys": content, "3.bounds": b"old"})
        with store.chain(fingerprint, [ids]) as chain, store.chain(fingerprint, []) as another:
            (block,) = chain.blocks
            assert copied(block, "3.bounds") == b"old"
            before = only_file(folder).stat().st_ino
            only_file(folder).rename(folder / "kept, so that its inode is not used again")
            another.append(ids, {"3.keys": other, "3.bounds": b"old"})
            assert only_file(folder).stat().st_ino != before
            for read in (lambda: copied(block, "3.keys"), lambda: block.section("3.keys")):
                if other == content:
                    assert read() == content
                else:
                    with pytest.raises(BlockDamaged, match="not the block it was"):
                        read()
        with store.chain(fingerprint, [ids]) as chain:
            assert copied(chain.blocks[0], "3.keys") == other


def test_a_read_that_gives_less_than_there_is_goes_on(
    folder: Path, fingerprint: Fingerprint, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.preadv

    def short(descriptor: int, buffers: "Sequence[memoryview]", offset: int) -> int:
        return real(descriptor, [buffers[0][:10_000]], offset)

    monkeypatch.setattr(os, "preadv", short)
    with DiskStore.open(folder) as store:
        content = long_block(store, fingerprint, windows(1)[0])
        with store.chain(fingerprint, windows(1)) as chain:
            assert copied(chain.blocks[0], "long") == content
            os.truncate(only_file(folder), 3 * 4096)
            with pytest.raises(BlockDamaged):
                copied(chain.blocks[0], "long")


def test_a_header_may_be_longer_than_what_is_read_first(
    folder: Path, windows: Windows, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first in (PREAMBLE.size, 100):
        monkeypatch.setattr(files, "FIRST_BYTES", first)
        with DiskStore.open(folder) as store, fill(store, windows(2)) as chain:
            assert len(chain.blocks) == 2


def is_cached(path: Path, at: int) -> bool:
    """Whether a byte of a file could be read without its disk."""
    with files.opened(path) as descriptor:
        try:
            return bool(os.preadv(descriptor, [bytearray(1)], at, os.RWF_NOWAIT))
        except BlockingIOError:
            return False


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="needs Linux")
def test_a_part_costs_no_more_of_the_disk_than_itself(folder: Path, fingerprint: Fingerprint, windows: Windows) -> None:
    """A map reads ahead on both sides, as far as the disk is set to: megabytes for each page of sparse attention."""
    (ids,), size = windows(1), 64 * PIECE_BYTES
    with DiskStore.open(folder) as store:
        with store.chain(fingerprint, []) as chain:
            chain.append(ids, {"keys": os.urandom(size), "bounds": b"x" * 100})
        path = only_file(folder)
        keys = files.look(path).header.sections[0]
        with store.chain(fingerprint, [ids]) as chain:
            with files.opened(path) as descriptor:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            if is_cached(path, keys.offset + size // 2):
                pytest.skip("this file system keeps its files in memory")
            chain.blocks[0].section("keys", [(size // 2, size // 2 + 10)])
            copied(chain.blocks[0], "bounds")
            found = [is_cached(path, keys.offset + piece * PIECE_BYTES) for piece in range(64)]
    assert (found[32], sum(found) <= 4) == (True, True)


def test_a_section_may_be_empty(folder: Path, fingerprint: Fingerprint, windows: Windows) -> None:
    with DiskStore.open(folder) as store, store.chain(fingerprint, []) as chain:
        block = chain.append(windows(1)[0], {"first": b"", "other": b"1", "last": b""})
        for name in ("first", "last"):
            assert bytes(block.section(name)) == bytes(copied(block, name)) == b""
