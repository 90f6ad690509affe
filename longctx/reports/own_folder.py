"""A folder that is held open, so that what is read and written in it lies there, wherever its path leads by then.

No link in it is followed, and what is no regular file is neither read nor replaced.
"""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNFINISHED = re.compile(r"\.(.+)\.[0-9a-f]{8}", re.DOTALL)
NO_FILE = "there is something else of that name, no regular file"


class OwnFolder(AbstractContextManager["OwnFolder"]):
    """A folder that is there; `follow` one that is a link. Raises OSError, as all that it does.

    `within` is the descriptor of the folder above it, where that is held open.
    """

    def __init__(self, path: Path, *, follow: bool = False, within: int | None = None) -> None:
        self.path = path
        flags = _FOLDER if follow else _FOLDER | os.O_NOFOLLOW
        self.descriptor = os.open(path if within is None else path.name, flags, dir_fd=within)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)

    def names(self) -> list[str]:
        """All that is in it."""
        return sorted(os.listdir(self.descriptor))

    def is_file(self, name: str) -> bool:
        """Whether a regular file of that name is there."""
        return stat.S_ISREG(self._mode(name))

    def is_folder(self, name: str) -> bool:
        """Whether a folder of that name is there, which is no link."""
        return stat.S_ISDIR(self._mode(name))

    def below(self, name: str, *, make: bool = False) -> "OwnFolder":
        """A folder in it, never behind a link."""
        if make:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=self.descriptor)
        return OwnFolder(self.path / name, within=self.descriptor)

    def read(self, name: str, most: int) -> bytes | None:
        """What is in a regular file of at most so many bytes; None where there is none."""
        content = self.beginning(name, most + 1)
        return None if content is None or len(content) > most else content

    def beginning(self, name: str, most: int) -> bytes | None:
        """The first bytes of a regular file; None where there is none."""
        try:
            descriptor = os.open(name, _READING, dir_fd=self.descriptor)
        except (OSError, ValueError):
            return None
        with open(descriptor, "rb") as stream:
            return stream.read(most) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None

    def write(self, name: str, content: bytes) -> None:
        """Put a file there whole, in the place of an earlier one; it is on the disk when this returns."""
        mode = self._mode(name)
        if mode and not stat.S_ISREG(mode):
            raise OSError(errno.EEXIST, NO_FILE)
        unfinished = f".{name}.{secrets.token_hex(4)}"
        descriptor = os.open(unfinished, _WRITING, 0o666, dir_fd=self.descriptor)
        try:
            with open(descriptor, "wb") as stream:
                if mode:
                    os.fchmod(descriptor, mode & 0o777)
                stream.write(content)
                stream.flush()
                os.fsync(descriptor)
            os.replace(unfinished, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(unfinished, dir_fd=self.descriptor)
            raise

    def remove(self, names: Iterable[str]) -> None:
        """Remove regular files; what is none stays."""
        for name in names:
            if self.is_file(name):
                os.unlink(name, dir_fd=self.descriptor)

    def sweep(self, is_ours: "re.Pattern[str]") -> None:
        """Remove what a writer that was killed had not finished of files whose whole names match."""
        found = ((name, _UNFINISHED.fullmatch(name)) for name in self.names())
        self.remove(name for name, match in found if match and is_ours.fullmatch(match[1]))

    def _mode(self, name: str) -> int:
        """What stat says it is; 0 where there is nothing."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return 0
