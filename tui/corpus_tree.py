"""A corpus as folders and files: sums, order, and which rows are to be seen. Values and functions, no widget.

Paths are as hostile as whoever named them: any depth, empty parts, a slash at either end. Nothing here recurses.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import nlargest
from typing import NamedTuple

from longctx.backend.replies import FileIs, Sending
from tui.marks import FileSign

EXCLUDED = "excluded"  # the status of what was left out by hand; ingest has no such status


class Order(StrEnum):
    """By what the entries of a folder are ordered."""

    TOKENS = "tokens"
    NAME = "name"
    STATE = "state"
    PROMPT = "place in the prompt"

    @property
    def following(self) -> "Order":
        """The one that comes after this."""
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]


@dataclass(slots=True)
class Folder:
    """A folder, which `add` fills; `tokens` are those it adds to the prompt. A path ends in a slash but for the root's.

    `position` is the first one of its texts in the prompt.
    """

    path: str = ""
    folders: "dict[str, Folder]" = field(default_factory=dict)
    files: list[FileIs] = field(default_factory=list)
    tokens: int = 0
    sent: int = 0
    twins: int = 0
    left_out: int = 0
    excluded: int = 0
    position: int | None = None

    @property
    def count(self) -> int:
        """How many files stand below; what was excluded is none."""
        return self.sent + self.twins + self.left_out


Node = Folder | FileIs


class Row(NamedTuple):
    """A line of the tree. `name` may join folders that hold nothing but the next; `among` are its parent's tokens."""

    node: Node
    depth: int
    name: str
    among: int


def excluded(path: str, tokens: int = 0) -> FileIs:
    """What was left out by hand, as an entry of the tree; a folder's path ends in a slash."""
    return FileIs(path=path, tokens=tokens, sending=Sending.LEFT_OUT, status=EXCLUDED)


def is_excluded(node: Node) -> bool:
    """Whether it was left out by hand."""
    return isinstance(node, FileIs) and node.status == EXCLUDED


def weight(node: Node) -> int:
    """The tokens it adds to the prompt: none where its text is not sent, or is sent under another path."""
    return node.tokens if isinstance(node, Folder) or node.sending is Sending.SENT else 0


def build(files: Iterable[FileIs]) -> Folder:
    """The tree of these files."""
    root = Folder()
    for file in files:
        add(root, file)
    return root


def add(root: Folder, file: FileIs) -> None:
    """Put a file into its folder, made where there is none yet, and into all sums above it."""
    folder, start = root, 0
    _count(folder, file)
    while 0 <= (slash := file.path.find("/", start)) < len(file.path) - 1:
        start = slash + 1
        path = file.path[:start]
        below = folder.folders.get(path)
        if below is None:
            below = folder.folders[path] = Folder(path)
        folder = below
        _count(folder, file)
    folder.files.append(file)


def _count(folder: Folder, file: FileIs) -> None:
    match file.sending:
        case Sending.SENT:
            folder.sent += 1
            folder.tokens += file.tokens
            if file.position is not None and (folder.position is None or file.position < folder.position):
                folder.position = file.position
        case Sending.TWIN:
            folder.twins += 1
        case _ if file.status == EXCLUDED:
            folder.excluded += 1
        case _:
            folder.left_out += 1


def folders(root: Folder) -> Iterator[Folder]:
    """The root and every folder below it, each before what it holds."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        yield folder
        waiting.extend(folder.folders.values())


def files(root: Folder) -> Iterator[FileIs]:
    """Every file, and what was excluded."""
    for folder in folders(root):
        yield from folder.files


def cached_counts(root: Folder, cached: Collection[str]) -> dict[str, int]:
    """Of each folder, by its path, how many of the sent files below it are among `cached`."""
    counts: dict[str, int] = {}
    for folder in reversed(list(folders(root))):
        own = sum(file.sending is Sending.SENT and file.path in cached for file in folder.files)
        counts[folder.path] = own + sum(counts[below] for below in folder.folders)
    return counts


@dataclass(frozen=True, slots=True)
class Cached:
    """Which files are stored, and how many of each folder."""

    paths: frozenset[str]
    counts: Mapping[str, int]


def sign_of(node: Node, cached: Cached | None) -> FileSign:
    """What becomes of a file, or of what a folder holds; `cached` is None where that is not known."""
    if isinstance(node, Folder):
        return _folder_sign(node, cached)
    if node.sending is Sending.TWIN:
        return FileSign.TWIN
    if node.sending is Sending.LEFT_OUT:
        return FileSign.EXCLUDED if is_excluded(node) else FileSign.LEFT_OUT
    if cached is None:
        return FileSign.SENT
    return FileSign.CACHED if node.path in cached.paths else FileSign.NEW


def _folder_sign(folder: Folder, cached: Cached | None) -> FileSign:
    if folder.sent:
        if cached is None:
            return FileSign.SENT
        stored = cached.counts.get(folder.path, 0)
        return FileSign.CACHED if stored == folder.sent else FileSign.PARTLY_CACHED if stored else FileSign.NEW
    if folder.twins:
        return FileSign.TWIN
    return FileSign.LEFT_OUT if folder.left_out else FileSign.EXCLUDED


_WORST_FIRST = {
    sign: rank
    for rank, sign in enumerate(
        (
            FileSign.LEFT_OUT,
            FileSign.EXCLUDED,
            FileSign.TWIN,
            FileSign.NEW,
            FileSign.SENT,
            FileSign.PARTLY_CACHED,
            FileSign.CACHED,
        )
    )
}


def ordered(folder: Folder, order: Order, cached: Cached | None) -> list[Node]:
    """What a folder holds, in order; equals as they came. By name folders come first, by state what is left out."""
    nodes: list[Node] = [*folder.folders.values(), *folder.files]
    match order:
        case Order.TOKENS:
            nodes.sort(key=lambda node: -weight(node))
        case Order.NAME:
            nodes.sort(key=lambda node: (isinstance(node, FileIs), node.path.casefold()))
        case Order.STATE:
            nodes.sort(key=lambda node: _WORST_FIRST[sign_of(node, cached)])
        case Order.PROMPT:
            nodes.sort(key=lambda node: (node.position is None, node.position or 0))
    return nodes


def visible(root: Folder, opened: Collection[str] | None, entries: Callable[[Folder], list[Node]]) -> list[Row]:
    """The rows to be seen: what stands in the root and in the `opened` folders (None: all), as `entries` orders it."""
    rows: list[Row] = []
    waiting = _rows(root, 0, entries)
    while waiting:
        row = waiting.pop()
        rows.append(row)
        if isinstance(row.node, Folder) and (opened is None or row.node.path in opened):
            waiting += _rows(row.node, row.depth + 1, entries)
    return rows


def _rows(folder: Folder, depth: int, entries: Callable[[Folder], list[Node]]) -> list[Row]:
    """The rows of a folder, the last one first."""
    skipped = len(folder.path)
    rows = []
    for entry in reversed(entries(folder)):
        node = _only(entry) if isinstance(entry, Folder) else entry
        rows.append(Row(node, depth, node.path[skipped:], folder.tokens))
    return rows


def _only(folder: Folder) -> Folder:
    """The folder, or where it holds just one folder, that one."""
    while len(folder.folders) == 1 and not folder.files:
        (folder,) = folder.folders.values()
    return folder


def first_opened(root: Folder) -> frozenset[str]:
    """The folders to open at first: one that is all there is."""
    only = _only(root)
    return frozenset() if only is root else frozenset({only.path})


def parent(rows: list[Row], index: int) -> int | None:
    """The row of the folder that holds that row."""
    depth = rows[index].depth
    return next((above for above in range(index - 1, -1, -1) if rows[above].depth < depth), None)


def matching(named: Iterable[tuple[str, FileIs]], words: str) -> list[FileIs]:
    """The files, each given with its path casefolded, whose paths hold every word; where none does, those whose
    paths hold the letters of each word in order."""
    wanted = words.casefold().split()
    known = list(named)
    found = [file for path, file in known if all(word in path for word in wanted)]
    return found or [file for path, file in known if all(_in_order(word, path) for word in wanted)]


def heaviest(found: list[FileIs], most: int) -> list[FileIs]:
    """As many of the files as that, those with the most tokens."""
    return found if len(found) <= most else nlargest(most, found, key=weight)


def _in_order(letters: str, path: str) -> bool:
    at = 0
    for letter in letters:
        at = path.find(letter, at) + 1
        if not at:
            return False
    return True
