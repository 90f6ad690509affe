"""Small chains with known bytes: what a block holds follows from its key, so that every reader can tell."""

import hashlib
import random
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from cache import files
from cache import format as block_format
from cache.chain import BlockStore, Chain
from cache.keys import BlockKey, Fingerprint, child_key

Windows = Callable[..., "list[array[int]]"]
Payload = Callable[[BlockKey], Mapping[str, bytes]]
Fill = Callable[[BlockStore, "Sequence[array[int]]"], Chain]
WINDOW_TOKENS = 16


@pytest.fixture(scope="session")
def fingerprint() -> Fingerprint:
    return Fingerprint(model="tiny", dtype="float32", layout="1", tokenizer="t", window_tokens=WINDOW_TOKENS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blocks of one model"


@pytest.fixture(scope="session")
def windows() -> Windows:
    """`windows(5, 7)`: five full windows of ids that follow from the seed 7."""

    def make(count: int, seed: int = 0) -> "list[array[int]]":
        draw = random.Random(seed)
        return [array("I", (draw.randrange(2**32) for _ in range(WINDOW_TOKENS))) for _ in range(count)]

    return make


@pytest.fixture(scope="session")
def payload() -> Payload:
    def make(key: BlockKey) -> Mapping[str, bytes]:
        stream = hashlib.shake_128(key.encode())
        return {"3.keys": stream.digest(5000), "3.values": stream.digest(1700)[::-1], "3.bounds": stream.digest(9)}

    return make


@pytest.fixture(scope="session")
def fill(fingerprint: Fingerprint, payload: Payload) -> Fill:
    """Open a chain, read what it has, store the rest; the chain stays open."""

    def go_on(chain: Chain, asked: "Sequence[array[int]]") -> None:
        parent = fingerprint.root()
        for depth, ids in enumerate(asked):
            parent = child_key(parent, ids)
            expected = payload(parent)
            block = chain.blocks[depth] if depth < len(chain.blocks) else chain.append(ids, expected)
            assert (block.key, block.ids) == (parent, ids)
            assert {name: bytes(block.section(name)) for name in expected} == expected

    def make(store: BlockStore, asked: "Sequence[array[int]]") -> Chain:
        chain = store.chain(fingerprint, asked)
        try:
            go_on(chain, asked)
        except BaseException:
            chain.close()
            raise
        return chain

    return make


@pytest.fixture
def plant(fingerprint: Fingerprint) -> Callable[..., None]:
    """Lay a chain of sparse files, each with a section of zeros, where a store will find it."""

    def lay(folder: Path, asked: "Sequence[array[int]]", nbytes: int) -> None:
        files.prepare(folder)
        zeros = memoryview(bytearray(nbytes))
        parent = fingerprint.root()
        for depth, ids in enumerate(asked):
            key = child_key(parent, ids)
            link = block_format.Link(fingerprint=fingerprint, parent=parent, depth=depth)
            head, header = block_format.pack(link, key, ids, {"3.keys": zeros})
            path = files.block_path(folder, key)
            path.parent.mkdir(exist_ok=True)
            with path.open("wb") as file:
                file.write(head)
                file.truncate(header.file_bytes)
            parent = key

    return lay
