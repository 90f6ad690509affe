"""The bytes of a block file, version 1: pure functions between them and a Header; opens no file.

    0            magic (8), version (4), length of the rest of the header (4), xxh3-128 of header (16)
    32           length of the description (4), the description (JSON), token ids, one xxh3-64 a piece of 64 KiB
    n * 4096     the sections, each from a multiple of 4096 on; zeros between them

The digest covers all of the header but itself. The sections' places follow from their sizes, so that none can overlap,
and the size of the whole file is known from the header: anything else is refused before a byte of payload is read.
These first 32 bytes are the same in every version to come, so that a newer file is told from a damaged one.
"""

import json
import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

import xxhash

from cache.errors import Malformed, NewerStore
from cache.keys import BlockKey, Fingerprint, from_little_endian, is_key, little_endian

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAGIC = b"longctx\xb1"
VERSION = 1
PIECE_BYTES = 64 * 1024
ALIGNMENT = 4096
SUM_BYTES = 8
MAX_HEADER_BYTES = 64 * 1024 * 1024
PREAMBLE = struct.Struct("<8sII16s")
LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Section:
    """A named range of a file's bytes, and the checksums of its pieces, one after the other."""

    name: str
    offset: int
    size: int
    checksums: bytes

    def pieces(self, start: int, stop: int) -> range:
        """The pieces that the bytes from `start` to `stop` of the section touch."""
        return range(start // PIECE_BYTES, -(-stop // PIECE_BYTES))

    def is_good(self, piece: int, content: "Buffer") -> bool:
        """Whether `content` is what was written as this piece."""
        return xxhash.xxh3_64_digest(content) == self.checksums[piece * SUM_BYTES : (piece + 1) * SUM_BYTES]


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """All that a file says of its block. `file_bytes` is what it occupies."""

    fingerprint: Fingerprint
    key: BlockKey
    parent: BlockKey
    depth: int
    ids: "array[int]"
    sections: tuple[Section, ...]
    file_bytes: int

    @property
    def link(self) -> "Link":
        """Where it hangs."""
        return Link(fingerprint=self.fingerprint, parent=self.parent, depth=self.depth)

    def is_of(self, link: "Link", key: BlockKey, ids: "array[int]") -> bool:
        """Whether this is the block that was looked for."""
        return self.link == link and self.key == key and self.ids == ids

    def shape(self) -> tuple[tuple[str, int], ...]:
        """Names and sizes of the sections, in order."""
        return tuple((section.name, section.size) for section in self.sections)


class Keyed(Protocol):
    """A block, of which only its name is needed."""

    @property
    def key(self) -> BlockKey: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a block hangs: its fingerprint, its parent (or root), and how many blocks are before it."""

    fingerprint: Fingerprint
    parent: BlockKey
    depth: int


def next_link(fingerprint: Fingerprint, before: "Sequence[Keyed]", ids: "array[int]") -> Link:
    """Where the block of `ids` hangs after those `before`; raises ValueError where they are no window."""
    if not 0 < len(ids) <= fingerprint.window_tokens:
        raise ValueError(f"a window of {len(ids)} tokens, not of 1 to {fingerprint.window_tokens}")
    return link_after(fingerprint, before)


def link_after(fingerprint: Fingerprint, before: "Sequence[Keyed]") -> Link:
    """Where whatever comes after `before` hangs."""
    parent = before[-1].key if before else fingerprint.root()
    return Link(fingerprint=fingerprint, parent=parent, depth=len(before))


def pack(link: Link, key: BlockKey, ids: "array[int]", views: Mapping[str, memoryview]) -> tuple[bytes, Header]:
    """The first bytes of a file, up to its first section, and the same as a Header; reads all of `views` once."""
    sums = b"".join(checksums(view) for view in views.values())
    sizes = [(name, view.nbytes) for name, view in views.items()]
    description = {
        "depth": link.depth,
        "fingerprint": asdict(link.fingerprint),
        "key": key,
        "parent": link.parent,
        "sections": sizes,
        "tokens": len(ids),
    }
    text = json.dumps(description, sort_keys=True, separators=(",", ":")).encode()
    body = LENGTH.pack(len(text)) + text + little_endian(ids) + sums
    start = _aligned(PREAMBLE.size + len(body))
    if start > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {start} bytes: too many sections, pieces or tokens for one block")
    sections = _placed(start, sizes, sums)
    header = Header(
        fingerprint=link.fingerprint,
        key=key,
        parent=link.parent,
        depth=link.depth,
        ids=ids,
        sections=sections,
        file_bytes=_end(start, sections),
    )
    return _sealed(body).ljust(start, b"\0"), header


def body_length(preamble: bytes, file_bytes: int) -> int:
    """How many bytes of header follow the first 32; raises Malformed where that is absurd."""
    if len(preamble) < PREAMBLE.size:
        raise Malformed("is shorter than a header")
    magic, _, length, _ = PREAMBLE.unpack(preamble)
    if magic != MAGIC:
        raise Malformed("is not a block")
    if not 0 < length <= min(MAX_HEADER_BYTES, file_bytes - PREAMBLE.size):
        raise Malformed("has a header longer than the file")
    return int(length)


def parse(preamble: bytes, body: bytes, file_bytes: int) -> Header:
    """The header of a file of `file_bytes`. Raises Malformed or NewerStore."""
    _, version, length, digest = PREAMBLE.unpack(preamble)
    if len(body) != length or digest != _digest(preamble[:16], body):
        raise Malformed("has a damaged header")
    if version > VERSION:
        raise NewerStore("a block", version, VERSION)
    try:
        header = _described(body)
    except (ValueError, KeyError, TypeError, RecursionError, struct.error) as error:
        raise Malformed("has a header that says nonsense") from error
    if version != VERSION or header.file_bytes != file_bytes:
        raise Malformed("is not as long as its header says")
    return header


def checksums(view: memoryview) -> bytes:
    """One checksum for each piece of a section, one after the other."""
    starts = range(0, view.nbytes, PIECE_BYTES)
    return b"".join(xxhash.xxh3_64_digest(view[start : start + PIECE_BYTES]) for start in starts)


def flat(sections: "Mapping[str, Buffer]") -> dict[str, memoryview]:
    """Each section as one run of bytes; raises ValueError where one is not contiguous."""
    views = {name: memoryview(buffer) for name, buffer in sections.items()}
    if not all(view.c_contiguous for view in views.values()):
        raise ValueError("a section must be contiguous")
    return {name: view.cast("B") if view.nbytes else memoryview(b"") for name, view in views.items()}


def _described(body: bytes) -> Header:
    (text_length,) = LENGTH.unpack_from(body)
    text = json.loads(body[LENGTH.size : LENGTH.size + text_length])
    sizes = [(_text(name), _count(size)) for name, size in text["sections"]]
    tokens, ids_at = _count(text["tokens"]), LENGTH.size + text_length
    sums_at = ids_at + 4 * tokens
    if len({name for name, _ in sizes}) != len(sizes) or sums_at + sum(_sum_bytes(size) for _, size in sizes) != len(
        body
    ):
        raise ValueError("sections and pieces do not agree")
    start = _aligned(PREAMBLE.size + len(body))
    sections = _placed(start, sizes, body[sums_at:])
    return Header(
        fingerprint=_fingerprint(text["fingerprint"]),
        key=_key(text["key"]),
        parent=_key(text["parent"]),
        depth=_count(text["depth"]),
        ids=from_little_endian(body[ids_at:sums_at]),
        sections=sections,
        file_bytes=_end(start, sections),
    )


def _placed(start: int, sizes: Sequence[tuple[str, int]], sums: bytes) -> tuple[Section, ...]:
    placed, done = [], 0
    for name, size in sizes:
        length = _sum_bytes(size)
        placed.append(Section(name, start, size, sums[done : done + length]))
        start, done = _aligned(start + size), done + length
    return tuple(placed)


def _sum_bytes(size: int) -> int:
    return -(-size // PIECE_BYTES) * SUM_BYTES


def _end(start: int, sections: Sequence[Section]) -> int:
    return sections[-1].offset + sections[-1].size if sections else start


def _sealed(body: bytes) -> bytes:
    first = PREAMBLE.pack(MAGIC, VERSION, len(body), b"")[:16]
    return first + _digest(first, body) + body


def _digest(first: bytes, body: bytes) -> bytes:
    digest = xxhash.xxh3_128(first)
    digest.update(body)
    return digest.digest()


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def _fingerprint(fields: Mapping[str, object]) -> Fingerprint:
    window_tokens = _count(fields["window_tokens"])
    names = {name: _text(fields[name]) for name in ("model", "dtype", "layout", "tokenizer")}
    if len(fields) != len(names) + 1:
        raise ValueError("a fingerprint with unknown fields")
    return Fingerprint(**names, window_tokens=window_tokens)


def _key(value: object) -> BlockKey:
    if not is_key(_text(value)):
        raise ValueError("not a key")
    return BlockKey(_text(value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**62:
        raise TypeError("not a size")
    return value
