"""The folder of a report's pictures: each whole or not there, and each telling which passages are marked on it.

It reads and writes no other files than its own, whatever it is asked for, and follows no link.
"""

import re
from collections.abc import Collection
from contextlib import AbstractContextManager, suppress
from types import TracebackType

from ingest.own_report import PICTURES
from longctx.reports.own_folder import OwnFolder

LARGEST_BYTES = 16 << 20

_NAME = re.compile(r"[0-9a-f]{16}-p[0-9]{1,6}-[0-9a-f]{16}\.jpg")
_JPEG = b"\xff\xd8"
# A comment in the JPEG that is ours: 1 for each passage that is marked, 0 for one that could not be.
_MARKED = re.compile(rb"\xff\xd8\xff\xfe(?s:..)longctx marked ([01]{1,9999});")


class PictureFiles(AbstractContextManager["PictureFiles"]):
    """The pictures of the report in a folder, in one of their own that is made with the first of them."""

    def __init__(self, report: OwnFolder) -> None:
        self._report = report
        self._folder: OwnFolder | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.__exit__(kind, error, trace)

    def read(self, name: str) -> bytes | None:
        """The JPEG of that name; None where there is none, or the name is not one of ours."""
        if not _NAME.fullmatch(name):
            return None
        try:
            content = self._opened().read(name, LARGEST_BYTES)
        except OSError:
            return None
        return content if content and _MARKED.match(content) else None

    def write(self, name: str, jpeg: bytes, marked: tuple[bool, ...]) -> bytes:
        """Keep a picture; what it is on the disk. Raises OSError."""
        content = _commented(jpeg, marked)
        self._opened(make=True).write(name, content)
        return content

    def sweep(self) -> None:
        """Remove what a run that was killed had not finished."""
        with suppress(OSError):
            self._opened().sweep(_NAME)

    def keep(self, names: Collection[str]) -> None:
        """Remove all pictures but these."""
        with suppress(OSError):
            folder = self._opened()
            folder.remove(name for name in folder.names() if _NAME.fullmatch(name) and name not in names)

    def _opened(self, *, make: bool = False) -> OwnFolder:
        if self._folder is None:
            self._folder = self._report.below(PICTURES, make=make)
        return self._folder


def marked_on(picture: bytes) -> tuple[bool, ...]:
    """Which passages are marked on a picture of ours."""
    found = _MARKED.match(picture)
    return tuple(sign == ord("1") for sign in found[1]) if found else ()


def _commented(jpeg: bytes, marked: tuple[bool, ...]) -> bytes:
    comment = b"longctx marked %s;" % "".join("1" if each else "0" for each in marked).encode()
    return _JPEG + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[len(_JPEG) :]
