import json
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache import format as block_format
from cache.errors import Malformed, NewerStore
from cache.keys import Fingerprint, child_key

FINGERPRINT = Fingerprint(model="tiny", dtype="float32", layout="1", tokenizer="t", window_tokens=16)
LINK = block_format.Link(fingerprint=FINGERPRINT, parent=FINGERPRINT.root(), depth=0)
IDS = array("I", range(10))
SECTIONS = st.dictionaries(st.text(max_size=8), st.integers(0, 3 * block_format.PIECE_BYTES), max_size=5)


def packed(sizes: dict[str, int]) -> tuple[bytes, block_format.Header]:
    views = {name: memoryview(bytes(size)) for name, size in sizes.items()}
    return block_format.pack(LINK, child_key(LINK.parent, IDS), IDS, views)


def read(head: bytes, file_bytes: int) -> block_format.Header:
    preamble = head[: block_format.PREAMBLE.size]
    length = block_format.body_length(preamble, file_bytes)
    return block_format.parse(
        preamble, head[block_format.PREAMBLE.size : block_format.PREAMBLE.size + length], file_bytes
    )


@given(SECTIONS)
def test_a_header_comes_back(sizes: dict[str, int]) -> None:
    head, header = packed(sizes)
    assert read(head, header.file_bytes) == header
    assert header.shape() == tuple(sizes.items())


@given(SECTIONS)
def test_sections_begin_on_pages_and_do_not_overlap(sizes: dict[str, int]) -> None:
    head, header = packed(sizes)
    ends = [len(head)]
    for section in header.sections:
        assert section.offset % block_format.ALIGNMENT == 0
        assert section.offset >= ends[-1]
        ends.append(section.offset + section.size)
    assert header.file_bytes == ends[-1]


@given(st.integers(0, 2**20), st.integers(0, 2**20))
def test_pieces_cover_a_range_and_no_more(one: int, two: int) -> None:
    start, stop = sorted((one, two))
    pieces = block_format.Section("k", 0, 2**20, b"").pieces(start, stop)
    touched = {at // block_format.PIECE_BYTES for at in (start, stop - 1, (start + stop) // 2) if start <= at < stop}
    assert touched <= set(pieces)
    assert all(piece * block_format.PIECE_BYTES < max(stop, start + 1) for piece in pieces)
    assert all((piece + 1) * block_format.PIECE_BYTES > start for piece in pieces)


def sealed(change: Callable[[dict[str, Any]], object]) -> tuple[bytes, int]:
    """A header with a right digest whose description was changed."""
    head, header = packed({"a": 10, "b": 20})
    (length,) = block_format.LENGTH.unpack_from(head, block_format.PREAMBLE.size)
    at = block_format.PREAMBLE.size + block_format.LENGTH.size
    description = json.loads(head[at : at + length])
    changed = change(description)
    text = changed if isinstance(changed, bytes) else json.dumps(description).encode()
    (_, _, whole, _) = block_format.PREAMBLE.unpack_from(head)
    rest = head[at + length : block_format.PREAMBLE.size + whole]
    return block_format._sealed(block_format.LENGTH.pack(len(text)) + text + rest), header.file_bytes


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "negative size": lambda d: d.update(sections=[["a", -10], ["b", 20]]),
    "past the end": lambda d: d.update(sections=[["a", 10], ["b", 2**40]]),
    "absurd": lambda d: d.update(sections=[["a", 10], ["b", 2**80]]),
    "a shorter file": lambda d: d.update(sections=[["a", 10], ["b", 19]]),
    "the same name twice": lambda d: d.update(sections=[["a", 10], ["a", 20]]),
    "a size that is true": lambda d: d.update(sections=[["a", True], ["b", 20]]),
    "a size that is a fraction": lambda d: d.update(sections=[["a", 10.0], ["b", 20]]),
    "a name that is a number": lambda d: d.update(sections=[[1, 10], ["b", 20]]),
    "more tokens": lambda d: d.update(tokens=11),
    "absurdly many tokens": lambda d: d.update(tokens=2**61),
    "no key": lambda d: d.pop("key"),
    "a key that is a path": lambda d: d.update(key="../../x"),
    "a depth below zero": lambda d: d.update(depth=-1),
    "a strange fingerprint": lambda d: d["fingerprint"].update(more=1),
    "a list": lambda d: b"[]",
    "deep": lambda d: b"[" * 100_000,
    "not JSON": lambda d: b"\xff\xfe",
    "a number without end": lambda d: b"9" * 10_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_header_that_says_nonsense_is_refused(name: str) -> None:
    head, file_bytes = sealed(HOSTILE[name])
    with pytest.raises(Malformed):
        read(head, max(file_bytes, len(head)))


def test_an_unchanged_header_is_not_refused() -> None:
    head, file_bytes = sealed(lambda d: None)
    assert read(head, file_bytes).depth == 0


@given(st.binary(max_size=400))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes) -> None:
    for head in (noise, block_format._sealed(noise)):
        with pytest.raises(Malformed):
            read(head, len(head))


def test_a_length_past_the_file_is_refused_before_it_is_read() -> None:
    preamble = block_format.PREAMBLE.pack(block_format.MAGIC, block_format.VERSION, 2**32 - 1, b"")
    with pytest.raises(Malformed, match="longer than the file"):
        block_format.body_length(preamble, 2**20)
    with pytest.raises(Malformed, match="longer than the file"):
        block_format.body_length(preamble, 2**40)


def test_a_newer_version_is_told_from_a_flipped_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    head, header = packed({"a": 10})
    flipped = bytearray(head)
    flipped[8] ^= 2
    with pytest.raises(Malformed):
        read(bytes(flipped), header.file_bytes)
    monkeypatch.setattr(block_format, "VERSION", 7)
    newer, _ = packed({"a": 10})
    monkeypatch.undo()
    with pytest.raises(NewerStore, match="format 7, known 1"):
        read(newer, header.file_bytes)


def test_a_section_must_be_one_run_of_bytes() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        block_format.flat({"a": memoryview(b"abcdef")[::2]})
    assert block_format.flat({"a": array("I", [1, 2])})["a"].nbytes == 8
