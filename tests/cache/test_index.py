"""The index only remembers: whatever becomes of it, the files tell the truth."""

import os
import shutil
import sqlite3
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from cache import files
from cache import format as block_format
from cache.errors import NewerStore, StoreFailed
from cache.keys import BlockKey, Fingerprint, child_key
from cache.store import BlockStore, Chain, DiskStore
from cache.verification import Verdict

Windows = Callable[..., "list[array[int]]"]
Payload = Callable[[BlockKey], Mapping[str, bytes]]
Fill = Callable[[BlockStore, "Sequence[array[int]]"], Chain]


def drop_a_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE blocks")


def overwrite_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xa5" * 4096
    path.write_bytes(content)


HARM: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(b"no database at all" * 500),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "without a table": drop_a_table,
    "with a bad page": overwrite_the_middle,
}


@pytest.mark.parametrize("harm", HARM)
def test_it_is_made_anew_from_the_files(folder: Path, windows: Windows, fill: Fill, harm: str) -> None:
    with DiskStore.open(folder) as store:
        fill(store, windows(4)).close()
        before = [(row.key, row.parent, row.depth, row.nbytes) for row in store.rows()]
    HARM[harm](folder / "index.db")
    with DiskStore.open(folder) as store:
        assert [(row.key, row.parent, row.depth, row.nbytes) for row in store.rows()] == before
        assert {each.verdict for each in store.verify()} == {Verdict.OK}
        with fill(store, windows(5)) as chain:
            assert len(chain.blocks) == 5


@pytest.mark.parametrize("harm", ["deleted", "noise"])
def test_it_may_go_while_it_is_open(folder: Path, windows: Windows, fill: Fill, harm: str) -> None:
    with DiskStore.open(folder) as store:
        fill(store, windows(2)).close()
        HARM["deleted"](folder / "index.db")
        if harm == "noise":
            HARM["noise"](folder / "index.db")
        fill(store, windows(3)).close()
        assert len(store.rows()) == 3


def test_an_older_one_learns_what_is_new_and_what_is_gone(folder: Path, windows: Windows, fill: Fill) -> None:
    with DiskStore.open(folder) as store:
        fill(store, windows(2)).close()
    shutil.copy(folder / "index.db", folder / "older")
    with DiskStore.open(folder) as store, fill(store, windows(4)) as chain:
        gone = chain.blocks[1].key
    (folder / "older").replace(folder / "index.db")
    files.block_path(folder, gone).unlink()
    with DiskStore.open(folder) as store:
        assert [row.depth for row in store.rows()] == [0, 2, 3]


def test_a_newer_index_is_refused_and_left_alone(folder: Path, windows: Windows, fill: Fill) -> None:
    with DiskStore.open(folder) as store:
        fill(store, windows(1)).close()
    with sqlite3.connect(folder / "index.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = (folder / "index.db").read_bytes()
    with pytest.raises(NewerStore, match="newer version of longctx") as caught:
        DiskStore.open(folder)
    assert caught.value.version == 99
    assert (folder / "index.db").read_bytes() == before


def test_a_newer_block_is_a_miss_and_left_alone(
    folder: Path, fingerprint: Fingerprint, windows: Windows, payload: Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ids,) = windows(1)
    key = child_key(fingerprint.root(), ids)
    with DiskStore.open(folder) as store:
        with monkeypatch.context() as patch, store.chain(fingerprint, []) as chain:
            patch.setattr(block_format, "VERSION", 2)
            chain.append(ids, payload(key))
        before = files.block_path(folder, key).read_bytes()
        with store.chain(fingerprint, [ids]) as chain:
            assert not chain.blocks
            with pytest.raises(StoreFailed, match="newer version of longctx"):
                chain.append(ids, payload(key))
        assert [each.verdict for each in store.verify(repair=True)] == [Verdict.NEWER]
    DiskStore.open(folder).close()
    assert files.block_path(folder, key).read_bytes() == before


def test_times_of_use_never_go_back(folder: Path, fingerprint: Fingerprint, windows: Windows, fill: Fill) -> None:
    now = [50.0]
    with DiskStore.open(folder, clock=lambda: now[0]) as store:
        fill(store, windows(1)).close()
        now[0] = 10.0
        store.chain(fingerprint, windows(1)).close()
        assert store.rows()[0].last_used == 50.0


def test_a_clock_that_was_wrong_is_forgotten(folder: Path, windows: Windows, fill: Fill) -> None:
    with DiskStore.open(folder, clock=lambda: 9e9) as store:
        fill(store, windows(1)).close()
    with DiskStore.open(folder, clock=lambda: 5e9) as store:
        assert [row.last_used for row in store.rows()] == [5e9]


@pytest.mark.parametrize(
    "change",
    [
        "last_used = 'x'",
        "last_used = 1e300",
        "created = -1e300",
        "depth = 'a'",
        "depth = -1",
        "nbytes = 9e18",
        "parent = key",
        "root = 'no key'",
        "model = x'ff'",
        "layout = cast(x'ff41' as text)",
    ],
)
def test_an_index_that_says_nonsense_is_made_anew(folder: Path, windows: Windows, fill: Fill, change: str) -> None:
    with DiskStore.open(folder) as store:
        fill(store, windows(3)).close()
        before = [(row.key, row.parent, row.depth, row.nbytes) for row in store.rows()]
        with sqlite3.connect(folder / "index.db") as connection:
            connection.execute(f"UPDATE blocks SET {change} WHERE depth = 1")
        connection.close()
        with pytest.raises(StoreFailed, match="index of the block store"):
            store.rows()
    with DiskStore.open(folder) as store:
        assert [(row.key, row.parent, row.depth, row.nbytes) for row in store.rows()] == before
    assert (folder / "index.db.broken").exists()


@pytest.mark.parametrize("taken", [False, True])
def test_a_folder_in_its_place_is_set_aside(folder: Path, windows: Windows, fill: Fill, taken: bool) -> None:
    with DiskStore.open(folder) as store:
        fill(store, windows(2)).close()
    if taken:
        (folder / "index.db").rename(folder / "index.db.broken")
    else:
        (folder / "index.db").unlink()
    (folder / "index.db" / "more").mkdir(parents=True)
    with DiskStore.open(folder) as store:
        assert len(store.rows()) == 2


def test_a_file_under_anothers_name_or_its_own_parent_is_not_entered(
    folder: Path, fingerprint: Fingerprint, windows: Windows
) -> None:
    files.prepare(folder)
    ids = windows(1)[0]
    own, other = BlockKey("ab" * 32), BlockKey("cd" * 32)
    for key, parent, name in ((own, own, own), (child_key(fingerprint.root(), ids), fingerprint.root(), other)):
        link = block_format.Link(fingerprint=fingerprint, parent=parent, depth=0)
        head, header = block_format.pack(link, key, ids, {"k": memoryview(b"1")})
        path = files.block_path(folder, name)
        path.parent.mkdir()
        path.write_bytes(head.ljust(header.file_bytes, b"\0"))
        assert files.look(path).header.key == key
    with DiskStore.open(folder) as store:
        assert store.rows() == [] and store.chains() == []
        assert {each.verdict for each in store.verify()} == {Verdict.DAMAGED}


@pytest.mark.parametrize("moment", [-5e9, 2.0**36])
def test_a_file_of_no_time_is_entered_all_the_same(folder: Path, windows: Windows, fill: Fill, moment: float) -> None:
    with DiskStore.open(folder) as store:
        fill(store, windows(1)).close()
        (row,) = store.rows()
    (folder / "index.db").unlink()
    try:
        os.utime(files.block_path(folder, row.key), (moment, moment))
    except OSError:
        pytest.skip("this file system has no such time")
    for _ in range(2):
        with DiskStore.open(folder) as store:
            assert len(store.rows()) == 1
    assert not (folder / "index.db.broken").exists()
