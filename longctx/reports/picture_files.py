"""The folder of a report's pictures: each whole or not there, and each telling which passages are marked on it.

It reads no other files than its own, whatever it is asked for.
"""

import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path

LARGEST_BYTES = 16 << 20

_NAME = re.compile(r"[0-9a-f]{16}-p[0-9]{1,6}-[0-9a-f]{16}\.jpg")
_UNFINISHED = re.compile(rf"\.{_NAME.pattern}\.[0-9a-f]{{8}}")
_READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_JPEG = b"\xff\xd8"
# A comment in the JPEG that is ours: 1 for each passage that is marked, 0 for one that could not be.
_MARKED = re.compile(rb"\xff\xd8\xff\xfe(?s:..)longctx marked ([01]{1,9999});")


class PictureFiles:
    """Pictures below a folder, which is made when the first one is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        """The JPEG of that name; None where there is none, or the name is not one of ours."""
        if not _NAME.fullmatch(name):
            return None
        try:
            with open(os.open(self._folder / name, _READING), "rb") as stream:
                status = os.fstat(stream.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_BYTES:
                    return None
                content = stream.read(LARGEST_BYTES)
        except OSError:
            return None
        return content if _MARKED.match(content) else None

    def marked(self, name: str) -> tuple[bool, ...] | None:
        """Which passages are marked on a picture; None where there is none."""
        content = self.read(name)
        found = _MARKED.match(content) if content else None
        return tuple(sign == ord("1") for sign in found[1]) if found else None

    def write(self, name: str, jpeg: bytes, marked: tuple[bool, ...]) -> None:
        """Keep a picture. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".{name}.{secrets.token_hex(4)}"
        try:
            unfinished.write_bytes(_commented(jpeg, marked))
            unfinished.replace(self._folder / name)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def sweep(self) -> None:
        """Remove what a run that was killed had not finished."""
        with suppress(OSError):
            for path in list(self._folder.iterdir()):
                if _UNFINISHED.fullmatch(path.name):
                    path.unlink()


def _commented(jpeg: bytes, marked: tuple[bool, ...]) -> bytes:
    comment = b"longctx marked %s;" % "".join("1" if each else "0" for each in marked).encode()
    return _JPEG + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[len(_JPEG) :]
