"""The files of a store: where each block lies, how it gets there whole, how a bad one gets out of the way.

A block is written under another name, flushed, renamed, and its folder flushed: it is there whole or not at all.
Nothing is read through a link, and no name on disk comes from content. Functions raise OSError, Malformed, NewerStore.
"""

import contextlib
import errno
import fcntl
import mmap
import os
import resource
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cache import lock
from cache.errors import Malformed
from cache.format import PREAMBLE, Header, body_length, parse
from cache.keys import BlockKey, is_key

READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
NEW_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
ROOMS = ("blocks", "leases", "pins", "quarantine")
SUFFIX = ".kv"
TEMPORARY = ".tmp-"
WRITE_BYTES = 16 * 1024 * 1024  # so that Ctrl-C does not wait for a whole block
KEPT_IN_QUARANTINE = 4
SPARE_FILES = 256
FIRST_BYTES = 48 * 1024  # the header of a window of 8,192 tokens and some hundred pieces, in one read
NO_FILE = {errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENODEV}  # gone, a link, a socket, a device


class Fault(StrEnum):
    """Why a block was put into quarantine; part of its name there."""

    HEADER = "header"
    IDENTITY = "identity"
    PAYLOAD = "payload"


@dataclass(frozen=True, slots=True)
class Opened:
    """A block's header, and which file it was read from: a path may hold another one later."""

    header: Header
    inode: int
    modified: float


def prepare(folder: Path) -> None:
    """Make the folders of a store, for its user's eyes only."""
    for path in (folder, *(folder / name for name in ROOMS)):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)


def block_path(folder: Path, key: BlockKey) -> Path:
    return folder / "blocks" / key[:2] / (key + SUFFIX)


def stored_keys(folder: Path) -> Iterator[BlockKey]:
    """The key of every file that has a block's name and place, sorted."""
    for shelf in sorted((folder / "blocks").iterdir()):
        names = sorted(os.listdir(shelf)) if shelf.is_dir() else []
        keys = [name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)]
        yield from (BlockKey(key) for key in keys if is_key(key) and key.startswith(shelf.name))


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor to read a block file by."""
    descriptor = os.open(path, READ_FLAGS)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_header(descriptor: int) -> Opened:
    """The header of an open file, checked against the file's size."""
    status = _regular_status(descriptor)
    first = os.pread(descriptor, FIRST_BYTES, 0)
    preamble = first[: PREAMBLE.size]
    length = body_length(preamble, status.st_size)
    body = first[PREAMBLE.size : PREAMBLE.size + length]
    if len(body) < length:
        body += os.pread(descriptor, length - len(body), len(first))
    return Opened(parse(preamble, body, status.st_size), status.st_ino, status.st_mtime)


def look(path: Path) -> Opened:
    """The header of the file at `path`."""
    with opened(path) as descriptor:
        _regular_status(descriptor)
        read_only_what_is_asked(descriptor)
        return read_header(descriptor)


def read_only_what_is_asked(descriptor: int) -> None:
    """Keep the kernel from reading ahead: a header, or one section, is all that is wanted of this file."""
    if sys.platform != "darwin":
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)


def small(path: Path, most: int) -> bytes | None:
    """The first bytes of a regular file, `most` of them at most; None for anything else, and nothing is waited for."""
    with regular(path) as descriptor:
        return None if descriptor is None else os.pread(descriptor, most, 0)


@contextmanager
def regular(path: Path) -> Iterator[int | None]:
    """A descriptor to read a regular file by; None where there is none, but a link, a folder or a device."""
    try:
        descriptor = os.open(path, READ_FLAGS)
    except OSError as error:
        if error.errno not in NO_FILE:
            raise
        yield None
        return
    try:
        yield descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)


def map_private(descriptor: int, nbytes: int) -> mmap.mmap:
    """The bytes of an open file; what is written to them is seen by nobody else and goes nowhere."""
    if sys.version_info >= (3, 13):
        memory = mmap.mmap(descriptor, nbytes, access=mmap.ACCESS_COPY, trackfd=False)
    else:
        memory = mmap.mmap(descriptor, nbytes, access=mmap.ACCESS_COPY)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a kernel without huge pages, which halve the time of a first reading
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def allow_maps(count: int) -> None:
    """Raise this process's limit of open files as far as it goes: before Python 3.13 each map keeps one open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_FILES if hard == resource.RLIM_INFINITY else min(count + SPARE_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def written(path: Path, head: bytes, header: Header, views: Mapping[str, memoryview]) -> Iterator[Path]:
    """A whole, flushed file beside `path`, to be given to `publish`; it is gone at the end of the block if it was not.

    It is locked as long as somebody works on it, so that `sweep` leaves it alone.
    """
    _make_shelf(path.parent)
    descriptor, temporary = _new_file(path.parent)
    try:
        _write(descriptor, head)
        for section in header.sections:
            os.lseek(descriptor, section.offset, os.SEEK_SET)
            _write(descriptor, views[section.name])
        os.ftruncate(descriptor, header.file_bytes)
        os.fsync(descriptor)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        lock.let_go(descriptor)


def publish(temporary: Path, path: Path) -> None:
    """Give a written file its name, for good. If this raises, the file does not have it."""
    os.rename(temporary, path)
    try:
        flush_folder(path.parent)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def remove(path: Path) -> None:
    """Delete a block; maps of it stay valid."""
    path.unlink(missing_ok=True)


def quarantine(folder: Path, key: BlockKey, inode: int | None, fault: Fault, now: float) -> bool:
    """Put a bad file aside, if its path still holds it; deleted where that fails. The caller holds the exclusive lock.

    Only the last few are kept: they are there to be looked at, and count towards no limit.
    """
    path = block_path(folder, key)
    with contextlib.suppress(FileNotFoundError):
        if inode is not None and path.lstat().st_ino != inode:
            return False
        try:
            os.rename(path, folder / "quarantine" / f"{now:017.6f}-{fault}-{key}{SUFFIX}")
        except OSError:
            path.unlink()
        empty_quarantine(folder, KEPT_IN_QUARANTINE)
        return True
    return False


def empty_quarantine(folder: Path, kept: int = 0) -> None:
    """Delete what was put aside but the last `kept`; what can't be deleted so stays."""
    found = sorted((folder / "quarantine").iterdir())
    for old in found[: max(len(found) - kept, 0)]:
        with contextlib.suppress(OSError):
            old.unlink()


def quarantined_bytes(folder: Path) -> int:
    """What the files in quarantine hold."""
    total = 0
    for path in (folder / "quarantine").iterdir():
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total


def sweep(folder: Path) -> None:
    """Delete what dead processes left half-written."""
    for temporary in (folder / "blocks").glob(f"*/{TEMPORARY}*"):
        with contextlib.suppress(OSError), opened(temporary) as descriptor:
            if lock.is_free(descriptor):
                temporary.unlink()


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _regular_status(descriptor: int) -> os.stat_result:
    """What is known of an open file; raises Malformed where it is a pipe, a folder or a device."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise Malformed("is not a regular file")
    return status


def _make_shelf(shelf: Path) -> None:
    if not shelf.is_dir():
        shelf.mkdir(mode=0o700, exist_ok=True)
        flush_folder(shelf.parent)


def _new_file(shelf: Path) -> tuple[int, Path]:
    """A locked temporary file. A sweep may come between making and locking it: then there is another try."""
    while True:
        path = shelf / f"{TEMPORARY}{secrets.token_hex(8)}"
        descriptor = os.open(path, NEW_FLAGS, 0o600)
        try:
            _lock_new(descriptor)
            if os.fstat(descriptor).st_nlink:
                return descriptor, path
            os.close(descriptor)
        except BaseException:
            path.unlink(missing_ok=True)
            os.close(descriptor)
            raise


def _lock_new(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def _write(descriptor: int, content: bytes | memoryview) -> None:
    view, done = memoryview(content), 0
    while done < view.nbytes:
        done += os.write(descriptor, view[done : done + WRITE_BYTES])
