"""Reads a stored block wholly and says what it is; changes nothing."""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cache import files
from cache.errors import Malformed, NewerStore
from cache.files import Fault
from cache.format import PIECE_BYTES, Header, Section
from cache.keys import BlockKey, child_key


class Verdict(StrEnum):
    """What a block was found to be; DAMAGED and UNREADABLE are bad: stored bytes are lost or can't be had."""

    OK = "ok"
    DAMAGED = "damaged"
    ORPHAN = "orphan"  # good, but of no use until the block before it is stored again
    UNINDEXED = "unindexed"
    GONE = "gone"  # the index knows it, but there is no file
    NEWER = "newer"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Checked:
    """One block's verdict, and the reason where it is not OK; `fault` says what to put it aside for."""

    key: BlockKey
    verdict: Verdict
    reason: str = ""
    nbytes: int = 0
    fault: Fault | None = None
    inode: int | None = None


class Parents:
    """Headers of blocks that others follow, each read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[BlockKey, tuple[BlockKey, int] | None] = {}

    def of(self, header: Header) -> tuple[BlockKey, int] | None:
        """Root and depth of the block before this one; None where it is not stored."""
        if header.parent not in self._known:
            self._known[header.parent] = self._read(header.parent)
        return self._known[header.parent]

    def _read(self, key: BlockKey) -> tuple[BlockKey, int] | None:
        try:
            header = files.look(files.block_path(self._folder, key)).header
        except (OSError, Malformed, NewerStore):
            return None
        return header.fingerprint.root(), header.depth


def check_file(folder: Path, key: BlockKey, parents: Parents, *, is_indexed: bool) -> Checked | None:
    """The verdict on one block; None where it has been dropped meanwhile."""
    try:
        with files.opened(files.block_path(folder, key)) as descriptor:
            return _check(descriptor, key, parents, is_indexed)
    except FileNotFoundError:
        return None
    except NewerStore as error:
        return Checked(key, Verdict.NEWER, str(error))
    except Malformed as error:
        return Checked(key, Verdict.DAMAGED, str(error), fault=Fault.HEADER)
    except OSError as error:
        return Checked(key, Verdict.UNREADABLE, str(error.strerror))


def _check(descriptor: int, key: BlockKey, parents: Parents, is_indexed: bool) -> Checked:
    found = files.read_header(descriptor)
    header, nbytes, inode = found.header, found.header.file_bytes, found.inode
    above = (header.fingerprint.root(), -1) if header.depth == 0 else parents.of(header)
    if header.key != key or child_key(header.parent, header.ids) != key or not _follows(header, above):
        return Checked(key, Verdict.DAMAGED, "is not the block it is named for", nbytes, Fault.IDENTITY, inode)
    for section in header.sections:
        if not _is_sound(descriptor, section):
            return Checked(key, Verdict.DAMAGED, f"is damaged in {section.name}", nbytes, Fault.PAYLOAD, inode)
    if above is None:
        return Checked(key, Verdict.ORPHAN, "follows a block that is not stored", nbytes)
    if not is_indexed:
        return Checked(key, Verdict.UNINDEXED, "is missing in the index", nbytes)
    return Checked(key, Verdict.OK, nbytes=nbytes)


def _follows(header: Header, above: tuple[BlockKey, int] | None) -> bool:
    root = header.fingerprint.root()
    if header.depth == 0:
        return header.parent == root
    return above is None or above == (root, header.depth - 1)


def _is_sound(descriptor: int, section: Section) -> bool:
    for piece in section.pieces(0, section.size):
        start = piece * PIECE_BYTES
        content = os.pread(descriptor, min(PIECE_BYTES, section.size - start), section.offset + start)
        if not section.is_good(piece, content):
            return False
    return True
