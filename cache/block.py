"""A block in a file: mapped when it is first used, each piece checked before its bytes are first given out."""

import contextlib
import errno
import mmap
import threading
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path

from cache import files
from cache.chain import Parts
from cache.errors import BlockDamaged, BlockUnmapped, Malformed, NewerStore
from cache.files import Fault
from cache.format import PIECE_BYTES, Section
from cache.keys import BlockKey
from cache.stored import StoredBlock

Condemn = Callable[[BlockKey, int | None, Fault], None]
POPULATE_READ = 22  # Linux 5.14: reads ahead, and says EFAULT where touching the bytes would end the process
UNREADABLE = {errno.EFAULT, errno.EIO, 133}  # 133: EHWPOISON, which Python does not know everywhere


class DiskBlock:
    """A block of `DiskStore`; `condemn` is told of a file that must not be used again."""

    def __init__(self, path: Path, row: StoredBlock, ids: "array[int]", condemn: Condemn) -> None:
        self.key = row.key
        self.ids = ids
        self.nbytes = row.nbytes
        self.depth = row.depth
        self._path = path
        self._condemn = condemn
        self._turn = threading.Lock()
        self._mapped: _Mapped | None = None

    def section(self, name: str, parts: Parts = None) -> memoryview:
        """All bytes under `name`; see `cache.chain.Block`."""
        mapped = self._map()
        section = mapped.sections[name]
        if not mapped.check(section, ((0, section.size),) if parts is None else parts):
            self._condemn(self.key, mapped.inode, Fault.PAYLOAD)
            raise BlockDamaged(self.key, self.depth, f"is damaged in {section.name}")
        return mapped.view[section.offset : section.offset + section.size]

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

    def _map(self) -> "_Mapped":
        with self._turn:
            if self._mapped is None:
                self._mapped = self._newly_mapped()
            return self._mapped

    def _newly_mapped(self) -> "_Mapped":
        """The file that lies there now: it may be another than the one whose header was read before."""
        try:
            with files.opened(self._path) as descriptor:
                found = files.read_header(descriptor)
                if found.header.key != self.key or found.header.ids != self.ids:
                    self._condemn(self.key, found.inode, Fault.IDENTITY)
                    raise BlockDamaged(self.key, self.depth, "is not the block it was")
                return _Mapped(files.map_private(descriptor, found.header.file_bytes), found)
        except FileNotFoundError as error:
            raise BlockDamaged(self.key, self.depth, "is gone") from error
        except (Malformed, NewerStore) as error:
            if isinstance(error, Malformed):
                self._condemn(self.key, None, Fault.HEADER)
            raise BlockDamaged(self.key, self.depth, str(error)) from error
        except OSError as error:
            lost = BlockDamaged if error.errno in UNREADABLE else BlockUnmapped
            raise lost(self.key, self.depth, f"could not be mapped: {error.strerror}") from error


class _Mapped:
    """A block's memory, and which of its pieces have been found good."""

    def __init__(self, memory: mmap.mmap, found: files.Opened) -> None:
        self.memory = memory
        self.inode = found.inode
        self.sections = {section.name: section for section in found.header.sections}
        self._good: dict[str, bytearray] = {}

    @property
    def view(self) -> memoryview:
        return memoryview(self.memory)

    def check(self, section: Section, parts: Iterable[tuple[int, int]]) -> bool:
        """Whether all pieces that these parts touch are as they were written; only those not yet seen are read."""
        good = self._good.setdefault(section.name, bytearray(len(section.pieces(0, section.size))))
        return all(self._is_good(section, start, stop, good) for start, stop in parts)

    def release(self) -> None:
        """Forget what was read, and that it was good."""
        self._good.clear()
        self.memory.madvise(mmap.MADV_DONTNEED)

    def _is_good(self, section: Section, start: int, stop: int, good: bytearray) -> bool:
        if not 0 <= start <= stop <= section.size:
            raise ValueError(f"{start}:{stop} is not within the {section.size} bytes of {section.name}")
        unseen = [piece for piece in section.pieces(start, stop) if not good[piece]]
        if unseen and not self._readable(section, unseen[0] * PIECE_BYTES, (unseen[-1] + 1) * PIECE_BYTES):
            return False
        view = self.view[section.offset : section.offset + section.size]
        for piece in unseen:
            if not section.is_good(piece, view[piece * PIECE_BYTES : (piece + 1) * PIECE_BYTES]):
                return False
            good[piece] = True
        return True

    def _readable(self, section: Section, start: int, stop: int) -> bool:
        """Bring bytes into memory; false where the disk fails. Sections and pieces begin on pages."""
        length = min(stop, section.size) - start
        try:
            self.memory.madvise(POPULATE_READ, section.offset + start, length)
        except OSError as error:
            return error.errno not in UNREADABLE  # an older kernel, or too little memory to read ahead
        return True
