"""How far a zip file expands, found out by expanding it and keeping nothing.

It refuses to believe a size that the archive declares, and writes no file.
"""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from ingest.outcome import ReadFailure, Status

MAGIC = b"PK\x03\x04"
CHUNK = 1 << 20
DEPTH = 4  # archives in archives; Office embeds one in another, seldom a third
LOCAL_HEADER = struct.Struct("<4s22xHH")
ENTITIES = ("<!ENTITY".encode("ascii"), "<!ENTITY".encode("utf-16-le"), "<!ENTITY".encode("utf-16-be"))
BAD_ZIP = (BadZipFile, NotImplementedError, ValueError, EOFError, OSError, struct.error, zlib.error)


def open_checked(content: bytes, limit: int, *, entities: bool = False) -> ZipFile:
    """Open a zip whose members, nested archives included, expand to no more than `limit` bytes together.

    Raises ReadFailure where they expand further, where it is no zip, or, unless `entities`, where a member
    declares XML entities: Office files never need them.
    """
    try:
        _Count(limit).add(content, 1, entities)
        return ZipFile(BytesIO(content))
    except BAD_ZIP as error:
        raise ReadFailure(Status.BROKEN, f"damaged archive: {error}") from None


class _Count:
    """The bytes that may still come out."""

    def __init__(self, limit: int) -> None:
        self.limit, self.left = limit, limit

    def add(self, content: bytes, depth: int, entities: bool) -> None:
        with ZipFile(BytesIO(content)) as archive:
            members = archive.infolist()
        for member in members:
            self._add_member(content, member, depth, entities)

    def _add_member(self, content: bytes, member: ZipInfo, depth: int, entities: bool) -> None:
        kept: list[bytes] = []
        tail = b""
        for chunk in _inflate(content, member):
            self._spend(len(chunk))
            if not entities and any(mark in tail + chunk for mark in ENTITIES):
                raise ReadFailure(Status.BROKEN, "declares XML entities, which are not expanded")
            tail = chunk[-16:]
            if kept or chunk.startswith(MAGIC):
                kept.append(chunk)
        if kept:
            self._add_nested(b"".join(kept), depth + 1)

    def _add_nested(self, content: bytes, depth: int) -> None:
        if depth > DEPTH:
            raise ReadFailure(Status.TOO_LARGE, f"archives nested deeper than {DEPTH}")
        try:
            self.add(content, depth, entities=True)
        except BAD_ZIP:
            return  # a part that only looks like an archive is never opened as one

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise ReadFailure(Status.TOO_LARGE, f"expands past {self.limit // 1_000_000:,} MB")


def _inflate(content: bytes, member: ZipInfo) -> Iterator[bytes]:
    """The member's bytes in pieces, as many as there are, whatever size is declared."""
    magic, name, extra = LOCAL_HEADER.unpack_from(content, member.header_offset)
    if magic != MAGIC:
        raise BadZipFile("a member is not where the directory says")
    start = member.header_offset + LOCAL_HEADER.size + name + extra
    body = memoryview(content)[start : start + member.compress_size]
    if member.compress_type == ZIP_STORED:
        yield bytes(body)
        return
    if member.compress_type != ZIP_DEFLATED:
        raise BadZipFile(f"packed by an unusual method ({member.compress_type})")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    chunk = inflater.decompress(body, CHUNK)
    while chunk:
        yield chunk
        chunk = inflater.decompress(inflater.unconsumed_tail, CHUNK)
