"""Which pictures were drawn on this machine: a report's folder may have come from elsewhere, with others in it.

Their digests are kept with the user's own things, never in a report; the oldest go. Where that fails a picture is
drawn once more.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

from longctx.paths import ensure
from longctx.whole_file import whole_file

FILE = "pictures.txt"
MOST = 20_000


class DrawnHere:
    """Pictures by their names and bytes, in a file with a line for each."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._lines: dict[str, None] | None = None

    def has(self, name: str, picture: bytes) -> bool:
        """Whether these bytes were drawn under this name."""
        return _line(name, picture) in self._known()

    def add(self, name: str, picture: bytes) -> None:
        """Take note of a picture that has been drawn."""
        line, known = _line(name, picture), self._known()
        if line in known:
            return
        known[line] = None
        with suppress(OSError):
            ensure(self._place.parent)
            if len(known) > MOST:
                self._shorten(list(known)[-MOST // 2 :])
            else:
                with self._place.open("a", encoding="ascii") as stream:
                    stream.write(f"{line}\n")

    def _known(self) -> dict[str, None]:
        if self._lines is None:
            self._lines = {}
            with suppress(OSError):
                self._lines = dict.fromkeys(self._place.read_text("ascii", "replace").splitlines())
        return self._lines

    def _shorten(self, lines: list[str]) -> None:
        self._lines = dict.fromkeys(lines)
        with whole_file(self._place) as stream:
            stream.writelines(f"{line}\n" for line in lines)


def _line(name: str, picture: bytes) -> str:
    return f"{name} {hashlib.sha256(picture).hexdigest()}"
