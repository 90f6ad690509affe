"""Our own walk, for folders that git does not list: every entry once, in one order, links not followed.

`.gitignore` and `.ignore` hold as they would in git. Nothing is opened but these, and they only where they
are regular files. Folders that can't be read, and what is neither file, folder nor link, are named.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ingest.outcome import Outcome, Status
from ingest.rules import IGNORE_FILES, OWN_IGNORE_FILE, VCS_FOLDERS, IgnoreTree, folder_rule

IGNORE_FILE_LIMIT_BYTES = 2**20

_SPECIAL = {
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a link, or a folder that is a repository of its own; `path` is relative to the root of the walk."""

    path: str
    status: os.stat_result


def walk(
    root: str,
    folder: str,
    ignore: IgnoreTree | None,
    own_ignore: IgnoreTree,
    *,
    vendored: bool = False,
    prune: Callable[[str], bool] = lambda _: False,
) -> Iterator[Entry | Outcome]:
    """What lies in `folder` ("" or "a/b/") of `root`, sorted by path. Adds each ignore file to its tree.

    What `ignore` matches is passed over (None: ignore files don't count); `.longctxignore` is only gathered in
    `own_ignore`. `prune` is asked for each folder; `vendored` enters those that a default rule leaves out.
    """
    waiting = [_names(root, folder, ignore, own_ignore)]
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
        elif isinstance(found, Outcome):
            yield found
        elif not found.endswith("/"):
            yield from stat_entry(root, found)
        elif not vendored and (reason := folder_rule(found[:-1])):
            yield Outcome(found, Status.IGNORED, reason)
        elif os.path.lexists(f"{root}/{found}.git"):
            yield from stat_entry(root, found[:-1])
        elif not prune(found):
            waiting.append(_names(root, found, ignore, own_ignore))


def ignore_lines(location: str) -> list[str]:
    """The lines of an ignore file; none where it isn't a small regular file that may be read."""
    try:
        descriptor = os.open(location, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return []
        content = file.read(IGNORE_FILE_LIMIT_BYTES)
    return os.fsdecode(content.removeprefix(b"\xef\xbb\xbf")).split("\n")


def stat_entry(root: str, path: str) -> Iterator[Entry | Outcome]:
    """The entry at `path` of `root`, or what is said of it; nothing where it is gone."""
    try:
        status = os.lstat(f"{root}/{path}")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        yield unreadable(path, error)
        return
    if stat.S_IFMT(status.st_mode) in _SPECIAL:
        yield special(path, status.st_mode)
    else:
        yield Entry(path, status)


def special(path: str, mode: int) -> Outcome:
    """What is said of an entry that is neither file, folder nor link; it is never opened."""
    return Outcome(path, Status.SPECIAL, _SPECIAL.get(stat.S_IFMT(mode), "neither file nor folder"))


def unreadable(path: str, error: OSError) -> Outcome:
    """What is said of an entry that the system won't show."""
    reasons = {
        errno.EACCES: "no permission",
        errno.EPERM: "no permission",
        errno.ENAMETOOLONG: "path too long",
        errno.ENOENT: "no such file",
        errno.ENOTDIR: "no such file",
    }
    return Outcome(path, Status.UNREADABLE, reasons.get(error.errno or 0, error.strerror or "can't be read"))


def _names(root: str, folder: str, ignore: IgnoreTree | None, own_ignore: IgnoreTree) -> Iterator[str | Outcome]:
    """The paths of what a folder holds and isn't ignored; folders end in `/`, which also sorts them in their place."""
    try:
        names = _listed(f"{root}/{folder}")
    except OSError as error:
        yield unreadable(folder or ".", error)
        return
    for name in IGNORE_FILES:
        tree = own_ignore if name == OWN_IGNORE_FILE else ignore
        if tree is not None and name in names:
            tree.add(folder, ignore_lines(f"{root}/{folder}{name}"))
    for name in names:
        if ignore is None or not ignore.matches(folder + name):
            yield folder + name


def _listed(location: str) -> list[str]:
    with os.scandir(location) as entries:
        names = [f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name for entry in entries]
    return sorted(name for name in names if name.rstrip("/") not in VCS_FOLDERS)
