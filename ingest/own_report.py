"""The files of reports that longctx wrote itself: those are no documents, wherever they lie.

A folder holds a report where its journal begins as ours do. Nothing but the beginning of that one file is read, and
what is no regular file is not.
"""

import os
import re
import stat
from functools import lru_cache

JOURNAL = "run.jsonl"
BEGINS = b'{"event":"run","schema":"longctx.run/'  # of a journal of ours
NAMES = ("report.md", "report.html", "report.json", "evidence.jsonl", JOURNAL)
PICTURES = "pages"
REPORT = "a report of longctx"

_UNFINISHED = r"\.[0-9a-f]{8}"
_FILE = "|".join(map(re.escape, NAMES))
_PICTURE = r"[0-9a-f]{16}-p[0-9]{1,6}-[0-9a-f]{16}\.jpg"
_OWN = re.compile(rf"(?:(?:{_FILE})|\.(?:{_FILE}){_UNFINISHED}|{PICTURES}/(?:{_PICTURE}|\.{_PICTURE}{_UNFINISHED}))\Z")
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@lru_cache(maxsize=16)
def files_of(paths: tuple[str, ...]) -> re.Pattern[str]:
    """What matches the whole of a real path that is one of `paths`, lies below one, or is one not finished yet."""
    parts = (os.path.split(path) for path in paths)
    unfinished = (rf"{re.escape(folder.rstrip('/'))}/\.{re.escape(name)}{_UNFINISHED}" for folder, name in parts)
    return re.compile("|".join((*(rf"{re.escape(path)}(?:/.*)?" for path in paths), *unfinished)), re.DOTALL)


class OwnReports:
    """Tells which files below a folder are those of reports; each folder is looked at once."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._known: dict[str, bool] = {}

    def folder_of(self, path: str) -> str | None:
        """The folder ("" or "a/b/") of the report that the file at `path` is a part of, or None."""
        folder = path[: path.rfind("/") + 1]
        for each in (folder, folder.removesuffix(f"{PICTURES}/")):
            if _OWN.match(path, len(each)) and self._is_report(each):
                return each
        return None

    def _is_report(self, folder: str) -> bool:
        if folder not in self._known:
            self._known[folder] = begins_as_ours(f"{self._root}/{folder}{JOURNAL}")
        return self._known[folder]


def begins_as_ours(location: str, directory: int | None = None) -> bool:
    """Whether the journal at `location` is one of ours, by how it begins."""
    try:
        descriptor = os.open(location, _READING, dir_fd=directory)
    except OSError:
        return False
    with open(descriptor, "rb") as stream:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and stream.read(len(BEGINS)) == BEGINS
