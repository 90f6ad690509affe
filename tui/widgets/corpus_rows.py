"""The tree of a corpus as a list of rows: what is open, ordered, filtered and marked, and the keys for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from ingest.naming import show
from longctx.backend.replies import FileIs, Sending
from tui.corpus_lines import Plan, row_pieces
from tui.corpus_tree import (
    Cached,
    Folder,
    Node,
    Order,
    Row,
    build,
    cached_counts,
    files,
    first_opened,
    folders,
    heaviest,
    is_excluded,
    matching,
    ordered,
    parent,
    sign_of,
    visible,
)
from tui.marks import FileSign
from tui.messages import CopyWanted, ExclusionToggled, FileChosen, SummaryWanted
from tui.widgets.rows import Piece, Rows

MOST_MATCHES = 2000


class CorpusRows(Rows):
    """Says FileChosen, ExclusionToggled, SummaryWanted and CopyWanted, Relaid, Refused and FilterWanted."""

    DEFAULT_CSS = """
    CorpusRows {
        &> .corpus--cached { color: $text-success; }
        &> .corpus--partly-cached { color: $text-warning; }
        &> .corpus--new, &> .corpus--sent, &> .corpus--twin, &> .corpus--excluded { color: $text-muted; }
        &> .corpus--left-out { color: $text-error; }
        &> .corpus--mark { color: $text-accent; text-style: bold; }
        &> .corpus--folder { text-style: bold; }
        &> .corpus--unread, &> .corpus--tokens, &> .corpus--why { color: $text-muted; }
        &> .corpus--bar { color: $secondary; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"corpus--{sign.name.lower().replace('_', '-')}" for sign in FileSign),
        *(f"corpus--{part}" for part in ("mark", "folder", "unread", "tokens", "why", "bar")),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Open", id="tree.open"),
        Binding("right,l", "enter", "Open folder", show=False, id="tree.enter"),
        Binding("left,h", "leave", "Close folder", show=False, id="tree.leave"),
        Binding("space", "exclude", "In / out", id="tree.exclude"),
        Binding("slash", "filter", "Filter", id="tree.filter"),
        Binding("escape", "unfilter", "Show all", id="tree.unfilter"),
        Binding("s", "sort", "Sort", id="tree.sort"),
        Binding("S", "summarise", "Summary", id="tree.summary"),
        Binding("m", "mark", "Mark", show=False, id="tree.mark"),
        Binding("y", "copy", "Copy path", show=False, id="tree.copy"),
        Binding("c", "collapse", "Close all", show=False, id="tree.collapse"),
        Binding("e", "expand", "Open all", show=False, id="tree.expand"),
    ]

    @dataclass
    class FilterWanted(Message):
        """Words to filter by are to be typed, or, with `ends`, no longer wanted."""

        ends: bool = False

    @dataclass
    class Relaid(Message):
        """There are other rows, they are in another order, or others are marked."""

    @dataclass
    class Refused(Message):
        """A key did nothing, and why."""

        why: str

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.root = Folder()
        self.order = Order.TOKENS
        self.cached: Cached | None = None
        self.plan: Plan | None = None
        self.marked: set[str] = set()
        self.words = ""
        self.matches = 0  # files that have the words; the heaviest of them are shown
        self._shown = self.root  # the root, or of it what the filter leaves
        self._shown_cached: Cached | None = None
        self._rows: list[Row] = []
        self._opened: set[str] = set()
        self._sorted: dict[str, list[Node]] = {}
        self._folded: list[tuple[str, FileIs]] | None = None

    # --- what is shown --------------------------------------------------------------------------------------------

    def show_tree(self, root: Folder, *, anew: bool) -> None:
        """Show a tree; with `anew` nothing of what was open and marked before means anything."""
        self.root, self._folded = root, None
        if anew:
            self._opened, self.marked, self.cursor = set(first_opened(root)), set(), 0
        self.marked &= {folder.path for folder in folders(root)} | {file.path for file in files(root)}
        self.show_cached(self.cached.paths if self.cached else None)

    def show_cached(self, paths: frozenset[str] | None) -> None:
        """Show which files are stored."""
        self.cached = None if paths is None else Cached(paths, cached_counts(self.root, paths))
        self.filter(self.words)

    def show_plan(self, plan: Plan | None) -> None:
        """Show what the last question left out."""
        self.plan = plan
        self.renew()

    def filter(self, words: str) -> None:
        """Show only the files whose paths hold these words, with their folders."""
        self.words = words.strip()
        self._shown, self._shown_cached = self.root, self.cached
        if self.words:
            if self._folded is None:
                self._folded = [(file.path.casefold(), file) for file in files(self.root)]
            found = matching(self._folded, self.words)
            self.matches = len(found)
            self._shown = build(heaviest(found, MOST_MATCHES))
            if self.cached is not None:
                self._shown_cached = Cached(self.cached.paths, cached_counts(self._shown, self.cached.paths))
        self._sorted.clear()
        self._lay_out()

    def _lay_out(self) -> None:
        """Find the rows anew; the cursor stays on its path, else about where it was."""
        at = self.chosen
        self._rows = visible(self._shown, None if self.words else self._opened, self._entries)
        known = None if at is None else at.path
        index = next((i for i, row in enumerate(self._rows) if row.node.path == known), self.cursor)
        self.renew(index)
        self.post_message(self.Relaid())

    def _entries(self, folder: Folder) -> list[Node]:
        """What a folder holds, in order; found once."""
        entries = self._sorted.get(folder.path)
        if entries is None:
            entries = self._sorted[folder.path] = ordered(folder, self.order, self._shown_cached)
        return entries

    # --- rows -----------------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        return len(self._rows)

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    @property
    def chosen(self) -> Node | None:
        """What stands under the cursor."""
        return self.row.node if self.row else None

    def sign(self, node: Node) -> FileSign:
        """What becomes of it."""
        return sign_of(node, self._shown_cached)

    def pieces(self, index: int, width: int) -> Sequence[Piece]:
        row = self._rows[index]
        path = row.node.path
        return row_pieces(
            row,
            width,
            sign=self.sign(row.node),
            opened=bool(self.words) or path in self._opened,
            marked=path in self.marked,
            unread=self.plan is not None and path in self.plan.unread,
        )

    def note(self) -> str:
        return "  no path has that" if self.words else "  nothing has been read yet"

    # --- keys -----------------------------------------------------------------------------------------------------

    def on_rows_picked(self) -> None:
        self.action_choose()

    def action_choose(self) -> None:
        match self.chosen:
            case Folder(path):
                self._turn(path, opens=path not in self._opened)
            case FileIs() as file:
                self._open(file)

    def _open(self, file: FileIs) -> None:
        if file.sending is Sending.LEFT_OUT:
            why = (
                "excluded: space takes it back"
                if is_excluded(file)
                else f"left out, {show(file.status)}: no text of it"
            )
            self.post_message(self.Refused(f"{show(file.path)} is {why}"))
        else:
            self.post_message(FileChosen(file.path))

    def _turn(self, path: str, *, opens: bool) -> None:
        if not self.words:
            (self._opened.add if opens else self._opened.discard)(path)
            self._lay_out()

    def action_enter(self) -> None:
        match self.chosen:
            case Folder(path) if self.words or path in self._opened:
                self.action_move(1)
            case _:
                self.action_choose()

    def action_leave(self) -> None:
        match self.chosen:
            case Folder(path) if path in self._opened and not self.words:
                self._turn(path, opens=False)
            case None:
                return
            case _:
                above = parent(self._rows, self.cursor)
                if above is not None:
                    self.move_to(above)

    def action_exclude(self) -> None:
        match self.chosen:
            case None:
                return
            case FileIs(sending=Sending.LEFT_OUT) as file if not is_excluded(file):
                self.post_message(self.Refused(f"{show(file.path)} is left out already: {show(file.status)}"))
            case node:
                self.post_message(ExclusionToggled(node.path, not is_excluded(node)))

    def action_summarise(self) -> None:
        paths = tuple(sorted(self.marked)) or ((self.chosen.path,) if self.chosen else ())
        if paths:
            self.post_message(SummaryWanted(paths))

    def action_mark(self) -> None:
        if self.chosen is not None and not is_excluded(self.chosen):
            self.marked ^= {self.chosen.path}
            self.action_move(1)
            self.post_message(self.Relaid())

    def action_copy(self) -> None:
        if self.chosen is not None:
            self.post_message(CopyWanted(show(self.chosen.path), "path"))

    def action_sort(self) -> None:
        self.order = self.order.following
        self._sorted.clear()
        self._lay_out()

    def action_collapse(self) -> None:
        self._change(lambda: self._opened.clear())

    def action_expand(self) -> None:
        self._change(lambda: self._opened.update(folder.path for folder in folders(self.root)))

    def _change(self, change: Callable[[], object]) -> None:
        if not self.words:
            change()
            self._lay_out()

    def action_filter(self) -> None:
        self.post_message(self.FilterWanted())

    def action_unfilter(self) -> None:
        if self.words:
            self.post_message(self.FilterWanted(ends=True))
        else:
            self.marked.clear()
            self._lay_out()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Escape is ours only while there is a filter or a mark."""
        return bool(self.words or self.marked) if action == "unfilter" else True
