"""A block in a file: whole sections are mapped, parts copied; each piece is checked before its bytes are given out.

Parts are not mapped: Linux maps up to 2 MiB around each, which would soon be the whole store, and a file that changes
later changes what was checked.
"""

import contextlib
import errno
import mmap
import os
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cache import files
from cache.chain import Parts
from cache.errors import BlockDamaged, BlockUnmapped, Malformed, NewerStore
from cache.files import Fault
from cache.format import PIECE_BYTES, Section
from cache.keys import BlockKey

Condemn = Callable[[BlockKey, int | None, Fault], None]
POPULATE_READ = 22  # Linux 5.14: reads ahead, and says EFAULT where touching the bytes would end the process
UNREADABLE = {errno.EFAULT, errno.EIO, 133}  # 133: EHWPOISON, which Python does not know everywhere


class DiskBlock:
    """A block of `DiskStore`, `found` at its path; `condemn` is told of a file that must not be used again."""

    def __init__(self, path: Path, found: files.Opened, ids: "array[int]", condemn: Condemn) -> None:
        self.key = found.header.key
        self.ids = ids
        self.nbytes = found.header.file_bytes
        self.depth = found.header.depth
        self._path = path
        self._condemn = condemn
        self._laid = _Laid.of(found)
        self._turn = threading.Lock()
        self._mapped: _Mapped | None = None

    def size(self, name: str) -> int:
        """How many bytes are under `name`; see `cache.chain.Block`."""
        return self._laid.sections[name].size

    def section(self, name: str, parts: Parts = None) -> memoryview:
        """All bytes under `name`, or a copy of `parts` of them; see `cache.chain.Block`."""
        if parts is not None:
            return self._copied(name, parts)
        mapped = self._map()
        section = mapped.laid.sections[name]
        if not mapped.check(section):
            raise self._damaged(mapped.laid, section)
        return mapped.view(section)

    def release(self) -> None:
        """Give memory back; what was written to views is lost, the views hold the stored bytes again."""
        mapped = self._mapped
        if mapped is not None:
            mapped.release()

    def close(self) -> None:
        """Unmap, or leave that to the last view."""
        with self._turn:
            if self._mapped is not None:
                with contextlib.suppress(BufferError):
                    self._mapped.memory.close()
                self._mapped = None

    def _copied(self, name: str, parts: Sequence[tuple[int, int]]) -> memoryview:
        with self._file("read") as (descriptor, laid):
            files.read_only_what_is_asked(descriptor)
            section = laid.sections[name]
            given, done = memoryview(bytearray(_length(section, parts))), 0
            for content in _read(descriptor, section, parts):
                if content is None:
                    raise self._damaged(laid, section)
                given[done : done + len(content)] = content
                done += len(content)
            return given

    def _map(self) -> "_Mapped":
        with self._turn:
            if self._mapped is None:
                with self._file("mapped") as (descriptor, laid):
                    self._mapped = _Mapped(files.map_private(descriptor, laid.nbytes), laid)
            return self._mapped

    @contextmanager
    def _file(self, use: str) -> "Iterator[tuple[int, _Laid]]":
        """The file that lies there now: it may be another than the one whose header was read before."""
        try:
            with files.opened(self._path) as descriptor:
                laid = self._laid
                if not laid.is_of(descriptor):
                    laid = self._laid = self._laid_anew(files.read_header(descriptor))
                yield descriptor, laid
        except FileNotFoundError as error:
            raise BlockDamaged(self.key, self.depth, "is gone") from error
        except (Malformed, NewerStore) as error:
            if isinstance(error, Malformed):
                self._condemn(self.key, None, Fault.HEADER)
            raise BlockDamaged(self.key, self.depth, str(error)) from error
        except OSError as error:
            lost = BlockDamaged if error.errno in UNREADABLE else BlockUnmapped
            raise lost(self.key, self.depth, f"could not be {use}: {error.strerror}") from error

    def _laid_anew(self, found: files.Opened) -> "_Laid":
        """A block stored again must have the same bytes: what was read of the old ones goes with no others.

        Other ones may be good all the same, so their file stays.
        """
        laid = _Laid.of(found)
        if found.header.key != self.key or found.header.ids != self.ids:
            self._condemn(self.key, found.inode, Fault.IDENTITY)
            raise BlockDamaged(self.key, self.depth, "is not the block it was")
        if laid.sections != self._laid.sections:
            raise BlockDamaged(self.key, self.depth, "is not the block it was")
        return laid

    def _damaged(self, laid: "_Laid", section: Section) -> BlockDamaged:
        self._condemn(self.key, laid.inode, Fault.PAYLOAD)
        return BlockDamaged(self.key, self.depth, f"is damaged in {section.name}")


@dataclass(frozen=True, slots=True)
class _Laid:
    """What a header says of where bytes lie and what they are, and which file says so; without the ids."""

    inode: int
    modified: float
    nbytes: int
    sections: dict[str, Section]

    @classmethod
    def of(cls, found: files.Opened) -> Self:
        sections = {section.name: section for section in found.header.sections}
        return cls(found.inode, found.modified, found.header.file_bytes, sections)

    def is_of(self, descriptor: int) -> bool:
        """Whether an open file is the one that was read; what its bytes are, only their checksums can say."""
        status = os.fstat(descriptor)
        return (status.st_ino, status.st_mtime, status.st_size) == (self.inode, self.modified, self.nbytes)


class _Mapped:
    """A block's memory, and which of its sections have been found good."""

    def __init__(self, memory: mmap.mmap, laid: _Laid) -> None:
        self.memory = memory
        self.laid = laid
        self._good: set[str] = set()

    def view(self, section: Section) -> memoryview:
        return memoryview(self.memory)[section.offset : section.offset + section.size]

    def check(self, section: Section) -> bool:
        """Whether all of it is as it was written; read only once."""
        if section.name not in self._good:
            if section.size and not self._readable(section):
                return False
            view = self.view(section)
            for piece in section.pieces(0, section.size):
                if not section.is_good(piece, view[piece * PIECE_BYTES : (piece + 1) * PIECE_BYTES]):
                    return False
            self._good.add(section.name)
        return True

    def release(self) -> None:
        """Forget what was read, and that it was good."""
        self._good.clear()
        self.memory.madvise(mmap.MADV_DONTNEED)

    def _readable(self, section: Section) -> bool:
        """Bring its bytes into memory; false where the disk fails. Sections begin on pages."""
        try:
            self.memory.madvise(POPULATE_READ, section.offset, section.size)
        except OSError as error:
            return error.errno not in UNREADABLE  # an older kernel, or too little memory to read ahead
        return True


def _length(section: Section, parts: Sequence[tuple[int, int]]) -> int:
    """Of all parts together; raises ValueError where one is not within the section."""
    for start, stop in parts:
        if not 0 <= start <= stop <= section.size:
            raise ValueError(f"{start}:{stop} is not within the {section.size} bytes of {section.name}")
    return sum(stop - start for start, stop in parts)


def _read(descriptor: int, section: Section, parts: Iterable[tuple[int, int]]) -> Iterator[memoryview | None]:
    """What these parts have of each piece, valid until the next; None, and the end, where one is not as written."""
    room = memoryview(bytearray(min(PIECE_BYTES, section.size)))
    content, held = room, -1
    for start, stop in parts:
        for piece in section.pieces(start, stop):
            begin = piece * PIECE_BYTES
            if piece != held:
                content, held = room[: section.size - begin], piece
                _fill(content, descriptor, section.offset + begin)
                if not section.is_good(piece, content):
                    yield None
                    return
            yield content[max(start - begin, 0) : stop - begin]


def _fill(content: memoryview, descriptor: int, offset: int) -> None:
    """Read `content` full, or as far as the file goes; one read may give less than there is."""
    done = 0
    while done < len(content):
        count = os.preadv(descriptor, [content[done:]], offset + done)
        if not count:
            return
        done += count
