"""Where files come from: the paths a user gives become a stream of `Source`s, each file listed once.

Folders in a git working tree are listed by git, others by our own walk. Links are followed to files inside
the root only, those in a list or found by a glob to what lies below the current folder or the glob's; a path that
the user typed is followed anywhere. All else that is met and can't be read ends in a named `Outcome`. No file's
content is looked at here.
"""

import errno
import glob
import hashlib
import os
import stat
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from ingest import git
from ingest.errors import GitFailed, SourceNotFound
from ingest.git import NoAnswer
from ingest.outcome import Outcome, Status
from ingest.own_report import JOURNAL, REPORT, OwnReports
from ingest.rules import OWN_IGNORE_FILE, TOOL_FOLDER, VCS_FOLDERS, IgnoreTree, Selection
from ingest.secrets import secret_name
from ingest.walk import Entry, ignore_lines, special, stat_entry, unreadable, walk

STDIN_PATH = "<stdin>"
LEFT_OUT = f"left out by --exclude, --only or {OWN_IGNORE_FILE}"


@dataclass(frozen=True, slots=True)
class Signature:
    """What stat says of a file; equal signatures mean that it need not be read again."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def signature_of(status: os.stat_result) -> Signature:
    """The signature of a file that stat says this of."""
    return Signature(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@dataclass(frozen=True, slots=True)
class Source:
    """One regular file to read, or text from stdin.

    `path` is how it is shown and cited (relative to the root given, `/` between parts, undecodable bytes as
    surrogate escapes); `location` opens it. `heat` orders a corpus at first: larger is changed more recently or often.
    `named` files were given one by one, so rules about what is seldom wanted don't hold for them.
    """

    path: str
    location: str
    signature: Signature
    heat: int = 0
    content: bytes | None = None
    named: bool = False


@dataclass(frozen=True, slots=True)
class _Input:
    """One thing the user named: `prefix` goes before the paths of a folder's files, `path` stands for a single file.

    `pattern` keeps the files of a folder that a glob with `**` matches. Where there `is_link` on the way, it must stay
    `within` that folder, "" for one that the user typed.
    """

    location: str
    path: str
    prefix: str = ""
    pattern: str = ""
    named: bool = False
    is_link: bool = False
    within: str = ""


def discover(
    inputs: Sequence[str],
    selection: Selection,
    *,
    clone_root: str,
    stdin: bytes | None = None,
    from_file: bytes | None = None,
    heat: bool = False,
) -> Iterator[Source | Outcome]:
    """Every file that `inputs` name, in one order, and an outcome for each that won't become a source.

    An input is a folder, a file, a glob, the address of a repository (cloned below `clone_root`) or `-` for `stdin`;
    `from_file` is a list of further paths, each a file or folder and nothing else. With one folder as the only input
    paths are relative to it, else they are as the user gave them. `heat` asks git when each file was last changed.
    Raises SourceNotFound or GitFailed before anything is yielded.
    """
    alone = len(inputs) == 1 and from_file is None
    found = [one for text in inputs if text != "-" for one in _resolve(text, clone_root, alone=alone)]
    listed = _listed(from_file or b"")
    if "-" in inputs:
        yield _stdin_source(stdin or b"")
    yield from _once([*found, *listed], selection, heat)


def is_count(outcome: Outcome) -> bool:
    """Whether it stands for what is too much to list, and for no file; its path is then a folder."""
    counts = LEFT_OUT in outcome.detail or outcome.detail.startswith(f"{TOOL_FOLDER}: ")
    return outcome.status is Status.IGNORED and counts


def from_list(content: bytes) -> list[str]:
    """The paths in a list separated by NULs or, where it has none, by line ends."""
    if b"\0" in content:
        return [os.fsdecode(path) for path in content.split(b"\0") if path]
    return [os.fsdecode(line) for line in content.replace(b"\r\n", b"\n").split(b"\n") if line]


def _listed(content: bytes) -> list[_Input]:
    here = os.getcwd()
    return [replace(_as_given(path, alone=False), within=here) for path in from_list(content)]


def _resolve(text: str, clone_root: str, *, alone: bool) -> list[_Input]:
    if os.path.lexists(text):
        return [replace(_as_given(text, alone=alone), named=True)]
    if git.is_remote(text):
        folder = os.path.realpath(git.clone(text, clone_root))
        return [_Input(folder, git.public_url(text), prefix="" if alone else git.short_name(text) + "/")]
    if glob.has_magic(text):
        return _expand(text)
    raise SourceNotFound(f"no such file or folder: {git.public_url(text)}", _hint(text))


def _as_given(text: str, *, alone: bool) -> _Input:
    path = os.path.normpath(text)
    prefix = "" if alone or path == "." else path.rstrip("/") + "/"
    location = _real(text)
    return _Input(location, path, prefix, is_link=location != _plain(text))


def _real(path: str) -> str:
    """`realpath`, which recurses with each link: a chain that the system won't follow stays as it is."""
    try:
        os.stat(path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return _plain(path)
    return os.path.realpath(path)


def _plain(path: str) -> str:
    return "/" + os.path.abspath(path).lstrip("/")


def _expand(pattern: str) -> list[_Input]:
    base, rest = _split_glob(pattern)
    if "**" in pattern and os.path.isdir(base or "."):
        return [replace(_as_given(base or ".", alone=False), pattern=rest)]
    matches = sorted(glob.glob(pattern))
    if not matches:
        raise SourceNotFound(f"no file matches {pattern}")
    folder = _real(base or ".")
    return [_matched(path, path[len(base) :], folder) for path in matches]


def _matched(path: str, inside: str, folder: str) -> _Input:
    """A glob's match: links before its first wildcard are the user's own, so only those `inside` its folder count."""
    one = _as_given(path, alone=False)
    return replace(one, is_link=one.location != _plain(f"{folder}/{inside}"), within=folder)


def _split_glob(pattern: str) -> tuple[str, str]:
    """The folder before the first wildcard, and the rest: `**` is matched over the files listed below that folder."""
    parts = pattern.split("/")
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:first]) or "/" * pattern.startswith("/"), "/" + "/".join(parts[first:])


def _hint(text: str) -> str:
    folder, name = os.path.split(os.path.normpath(text))
    try:
        close = get_close_matches(name, os.listdir(folder or "."), n=1)
    except OSError:
        close = []
    if close:
        return f"did you mean {os.path.join(folder, close[0])}?"
    return f"for a repository on GitHub: https://github.com/{text}" if text.count("/") == 1 and folder else ""


def _stdin_source(content: bytes) -> Source:
    digest = int.from_bytes(hashlib.sha256(content).digest()[:7], "big")
    return Source(STDIN_PATH, "", Signature(len(content), 0, 0, digest), content=content)


def _once(inputs: Sequence[_Input], selection: Selection, heat: bool) -> Iterator[Source | Outcome]:
    """The files of all inputs; one that several inputs lead to comes with the first of them."""
    if len(inputs) == 1:
        yield from _files(inputs[0], selection, heat)
        return
    seen: set[str] = set()
    for one in inputs:
        for found in _files(one, selection, heat):
            place = found.location if isinstance(found, Source) else f"outcome {found.path}"
            if place not in seen:
                seen.add(place)
                yield found


def _files(one: _Input, selection: Selection, heat: bool) -> Iterator[Source | Outcome]:
    refusal = _link_refusal(one, selection) if one.is_link else None
    try:
        status = os.stat(one.location)
    except OSError as error:
        yield refusal or unreadable(one.path, error)
        return
    if refusal:
        yield refusal
    elif stat.S_ISDIR(status.st_mode):
        yield from _Tree(one, selection, heat=heat).files()
    elif selection.is_own(one.location):
        return
    elif stat.S_ISREG(status.st_mode):
        left_out = not one.named and selection.excludes(one.path)
        source = Source(one.path, one.location, signature_of(status), named=one.named)
        yield Outcome(one.path, Status.IGNORED, LEFT_OUT) if left_out else source
    else:
        yield special(one.path, status.st_mode)


def _link_refusal(one: _Input, selection: Selection) -> Outcome | None:
    """Why what a link leads to is not read, or None."""
    if one.within:
        if not _is_below(one.location, one.within):
            return Outcome(one.path, Status.SPECIAL, f"link leaves the folder: {one.location}")
        if not VCS_FOLDERS.isdisjoint(one.location[len(one.within) :].split("/")):
            return Outcome(one.path, Status.SPECIAL, f"link to {one.location}")
    if os.path.isdir(one.location):
        return None
    let_through = selection.includes(one.path)
    return None if let_through else _secret(one.path, one.location, one.location.lstrip("/"), selection)


def _secret(path: str, target: str, shown: str, selection: Selection) -> Outcome | None:
    """What is said of a link at `path` to a file that is secret by its name, as `shown`, and not let through."""
    name = secret_name(target)
    if name and not selection.secrets and not selection.includes(shown):
        return Outcome(path, Status.SECRET, f"link to {target}: {name}")
    return None


def _is_below(location: str, folder: str) -> bool:
    return location == folder or location.startswith(folder.rstrip("/") + "/")


class _Tree:
    """One folder that is being listed: what was met so far decides on the links, which come last."""

    def __init__(self, root: _Input, selection: Selection, *, heat: bool) -> None:
        self._root = root.location.rstrip("/")
        self._prefix = root.prefix
        self._selection = selection
        self._wants_heat = heat
        self._chosen = Selection(only=(root.pattern,)) if root.pattern else Selection()
        self._ignore = IgnoreTree()
        self._own_ignore = IgnoreTree()
        self._inodes = array("Q")
        self._heat: dict[bytes, int] = {}
        self._left_out = 0
        self._tool_folders: list[str] = []
        self._reports = OwnReports(self._root)
        self._told_reports = set[str]()
        self._git_answers = True

    def files(self) -> Iterator[Source | Outcome]:
        """Sources in the order of their paths, then links, then what the user's own patterns left out, as a count."""
        links: list[Entry] = []
        for found in self._listing():
            if isinstance(found, Outcome):
                yield from self._named(found)
            elif self._selection.is_own(f"{self._root}/{found.path}"):
                continue
            elif self._is_left_out(found.path):
                self._left_out += 1
            elif (report := self._report(found.path)) is not None:
                yield from self._named_report(report)
            elif stat.S_ISLNK(found.status.st_mode):
                links.append(found)
            else:
                self._inodes.append(found.status.st_ino)
                yield self._source(found.path, f"{self._root}/{found.path}", found.status)
        yield from self._follow(links)
        yield from self._counts()

    def _named(self, found: Outcome) -> Iterator[Outcome]:
        if found.detail == TOOL_FOLDER:
            self._tool_folders.append(found.path)
        else:
            yield replace(found, path=self._prefix + found.path)

    def _report(self, path: str) -> str | None:
        """The folder of the report that a file is a part of; None also where it was included."""
        folder = self._reports.folder_of(path)
        return None if folder is not None and self._selection.includes(self._prefix + path) else folder

    def _named_report(self, folder: str) -> Iterator[Outcome]:
        """A report is named once: by its folder, one at the root by its journal."""
        if folder not in self._told_reports:
            self._told_reports.add(folder)
            yield Outcome(self._prefix + (folder or JOURNAL), Status.IGNORED, REPORT)

    def _counts(self) -> Iterator[Outcome]:
        """One outcome each for what would be tedious to list."""
        if self._left_out:
            detail = f"{self._left_out:,} {LEFT_OUT}"
            yield Outcome(self._prefix or ".", Status.IGNORED, detail)
        if self._tool_folders:
            count = len(self._tool_folders)
            detail = f"{TOOL_FOLDER}: {f'{count:,} folders such as this one' if count > 1 else 'one folder'}"
            yield Outcome(self._prefix + self._tool_folders[0], Status.IGNORED, detail)

    def _source(self, path: str, location: str, status: os.stat_result) -> Source:
        heat = self._heat.get(os.fsencode(path), 0) if self._heat else 0
        return Source(self._prefix + path, location, signature_of(status), heat)

    def _is_left_out(self, path: str) -> bool:
        shown = self._prefix + path
        if self._chosen.excludes(path) or self._selection.excludes(shown):
            return True
        return self._own_ignore.ignored(path) and not self._selection.includes(shown)

    def _listing(self) -> Iterator[Entry | Outcome]:
        """Files and links of the tree, with those of repositories inside it where they stand."""
        waiting = [self._folder("")]
        while waiting:
            found = next(waiting[-1], None)
            if found is None:
                waiting.pop()
            elif isinstance(found, Entry) and stat.S_ISDIR(found.status.st_mode):
                waiting.append(self._folder(found.path + "/"))
            else:
                yield found

    def _folder(self, folder: str) -> Iterator[Entry | Outcome]:
        location = f"{self._root}/{folder}"
        if folder and not os.path.lexists(f"{location}.git") and not _has_entries(location):
            yield Outcome(folder, Status.SPECIAL, "a submodule that isn't checked out")
            return
        try:
            names = self._tracked_names(location)
        except GitFailed as error:
            yield Outcome(folder or ".", Status.SPECIAL, f"listed without git: {error}")
            names = None
        if names is None:
            yield from self._walk(folder)
        else:
            self._add_heat(folder, location)
            yield from self._tracked(folder, names)

    def _tracked_names(self, location: str) -> list[bytes] | None:
        """What git lists. Once it hung it is asked no more: there may be as many repositories inside as one likes."""
        if not self._selection.gitignore:
            return None
        if not self._git_answers:
            raise NoAnswer("git gave no answer before")
        try:
            return git.tracked(location)
        except NoAnswer:
            self._git_answers = False
            raise

    def _walk(self, folder: str) -> Iterator[Entry | Outcome]:
        return walk(
            self._root,
            folder,
            self._ignore if self._selection.gitignore else None,
            self._own_ignore,
            vendored=bool(self._selection.include),
            prune=self._is_pruned,
        )

    def _is_pruned(self, folder: str) -> bool:
        unwanted = not self._selection.include and self._own_ignore.ignored(folder)
        pruned = unwanted or self._selection.prunes(self._prefix + folder)
        self._left_out += pruned
        return pruned

    def _add_heat(self, folder: str, location: str) -> None:
        if self._wants_heat:
            inside = os.fsencode(folder)
            try:
                self._heat |= {inside + name: time for name, time in git.heat(location).items()}
            except NoAnswer:
                self._wants_heat = False

    def _tracked(self, folder: str, names: Iterable[bytes]) -> Iterator[Entry | Outcome]:
        paths = [folder + os.fsdecode(name) for name in names]
        for path in (f"{folder}{OWN_IGNORE_FILE}", *paths):
            if path.endswith(OWN_IGNORE_FILE) and path.rpartition("/")[2] == OWN_IGNORE_FILE:
                self._own_ignore.add(path[: path.rfind("/") + 1], ignore_lines(f"{self._root}/{path}"))
        real = _RealFolders(self._root)
        for path in paths:
            if real.holds(path):
                yield from stat_entry(self._root, path)
            else:
                yield Outcome(path, Status.SPECIAL, "behind a link that stands for a folder")

    def _follow(self, links: Sequence[Entry]) -> Iterator[Source | Outcome]:
        listed = set(self._inodes) if links else set()
        for link in links:
            found = self._target(link.path, listed)
            if isinstance(found, Source):
                listed.add(found.signature.inode)
            if found is not None:
                yield found

    def _target(self, path: str, listed: set[int]) -> Source | Outcome | None:
        """What a link leads to; nothing is said of the reader's own files."""
        shown = self._prefix + path
        try:
            os.stat(f"{self._root}/{path}")  # refuses a chain of links so long that realpath would recurse too deep
            location = os.path.realpath(f"{self._root}/{path}", strict=True)
            status = os.stat(location)
        except OSError as error:
            return Outcome(shown, Status.SPECIAL, _broken(error))
        if location == self._root:
            return Outcome(shown, Status.SPECIAL, "link to a folder: .")
        if not _is_below(location, self._root):
            return Outcome(shown, Status.SPECIAL, f"link leaves the folder: {location}")
        if self._selection.is_own(location):
            return None
        target = location.removeprefix(self._root + "/")
        if stat.S_ISREG(status.st_mode) and status.st_ino in listed:
            return Outcome(shown, Status.DUPLICATE, self._prefix + target)
        if self._report(target) is not None:
            return Outcome(shown, Status.IGNORED, REPORT)
        if refusal := self._refusal(target, status.st_mode):
            return replace(refusal, path=shown)
        return self._source(path, location, status)

    def _refusal(self, target: str, mode: int) -> Outcome | None:
        if not VCS_FOLDERS.isdisjoint(target.split("/")):
            return Outcome("", Status.SPECIAL, f"link to {target}")
        if stat.S_ISDIR(mode):
            return Outcome("", Status.SPECIAL, f"link to a folder: {target}")
        if not stat.S_ISREG(mode):
            return special("", mode)
        return _secret("", target, self._prefix + target, self._selection)


class _RealFolders:
    """Tells whether a listed path is reached through folders alone: git's list may be older than a link put there."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._known = {"": True}

    def holds(self, path: str) -> bool:
        folder = known = path[: path.rfind("/") + 1]
        while known not in self._known:
            known = known[: known.rfind("/", 0, -1) + 1]
        while known != folder:
            above = self._known[known]
            known = folder[: folder.index("/", len(known)) + 1]
            self._known[known] = above and not os.path.islink(f"{self._root}/{known[:-1]}")
        return self._known[folder]


def _has_entries(location: str) -> bool:
    try:
        with os.scandir(location) as entries:
            return next(entries, None) is not None
    except OSError:
        return True


def _broken(error: OSError) -> str:
    return "broken link" if isinstance(error, FileNotFoundError) else f"link can't be followed: {error.strerror}"
