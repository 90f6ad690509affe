"""The corpus as a tree: each file and folder with its tokens, its share, and what becomes of it."""

from typing import ClassVar, Self

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from longctx.backend.replies import CorpusOpened, FilesAre, Planned, ReadingFiles
from tui.corpus_lines import Plan, detail, legend, progress, summary
from tui.corpus_tree import Folder, add, excluded, files, folders
from tui.fitting import fitted, fitted_end
from tui.marks import FileSign
from tui.widgets.corpus_rows import MOST_MATCHES, CorpusRows
from tui.widgets.rows import Rows

_TALL = 20  # rows of a pane that has a legend


class FilterInput(Input):
    """The words to filter by."""

    DEFAULT_CSS = "FilterInput { width: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "All files", id="tree-filter.leave"),
        Binding("down", "submit", "To the files", id="tree-filter.done"),
    ]

    def action_leave(self) -> None:
        self.post_message(CorpusRows.FilterWanted(ends=True))


class CorpusPane(Vertical):
    """Says FileChosen, ExclusionToggled, SummaryWanted and CopyWanted."""

    DEFAULT_CSS = """
    CorpusPane {
        border: round $border-blurred;
        border-title-color: $text;
        border-subtitle-color: $text-muted;
        &:focus-within { border: round $accent; }
        #corpus-legend { height: 1; color: $text-muted; display: none; }
        #corpus-filter-line { height: 1; display: none; background: $surface; }
        #corpus-filter-line.-shown { display: block; }
        #corpus-slash { width: 2; color: $text-accent; }
        #corpus-detail { height: 4; padding: 0 1; background: $surface; }
        #corpus-where, #corpus-sums { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        #corpus-state { height: 2; color: $text-muted; }
        #corpus-detail.-reading #corpus-sums { color: $text-accent; }
        &.-tall #corpus-legend { display: block; }
        &.-low #corpus-detail { display: none; }
    }
    """
    HELP = """\
## Corpus

Every file of your sources: its tokens, its share of the folder it stands in, and what becomes of it.

| sign | |
|---|---|
| `·` | sent with every question; whether it is cached is not known |
| `●` | sent, and what the model has read of it is stored |
| `◐` | a folder of which a part is stored |
| `○` | sent, and still to be read by the model |
| `=` | the same text is sent under another path |
| `✗` | left out; the line below says why |
| `–` | excluded by you |

**enter** opens a folder or shows a file · **space** excludes or takes back; you see first what that changes ·
**/** filters by path, **esc** ends that · **s** changes the order · **S** summarises this, or all that **m** has
marked · **y** copies the path · **c** closes and **e** opens all folders
"""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._corpus: CorpusOpened | None = None
        self._coming: Folder | None = None
        self._is_other = True
        self._paths: tuple[str, ...] = ()
        self._signs: frozenset[FileSign] = frozenset()
        self._reading: ReadingFiles | None = None

    def compose(self) -> ComposeResult:
        yield CorpusRows(id="corpus-rows")
        with Horizontal(id="corpus-filter-line"):
            yield Static("/ ", id="corpus-slash", markup=False)
            yield FilterInput(placeholder="part of a path", compact=True, id="corpus-filter")
        yield Static(id="corpus-legend", markup=False)
        with Vertical(id="corpus-detail"):
            yield Static(id="corpus-where", markup=False)
            yield Static(id="corpus-sums", markup=False)
            yield Static(id="corpus-state", markup=False)

    def on_mount(self) -> None:
        self._rows = self.query_one(CorpusRows)
        self._filter = self.query_one(FilterInput)
        self._say()

    def focus(self, scroll_visible: bool = True) -> Self:
        self.query_one(CorpusRows).focus(scroll_visible)
        return self

    # --- what is shown --------------------------------------------------------------------------------------------

    def show_reading(self, reading: ReadingFiles) -> None:
        """How far reading is."""
        self._reading = reading
        self._say()

    def end_reading(self) -> None:
        """Nothing is read any more, whether or not there is a corpus."""
        self._reading = None
        self._say()

    def show_corpus(self, corpus: CorpusOpened) -> None:
        """Another corpus, or the same one anew; its files come with `add_files`."""
        before, self._corpus = self._corpus, corpus
        same = before is not None and (before.folder, before.sources) == (corpus.folder, corpus.sources)
        self._is_other = self._is_other or not same
        self._coming = None
        if before is None or before.id != corpus.id:
            self._rows.show_cached(None)
            self._rows.show_plan(None)
        self.end_reading()

    def add_files(self, files: FilesAre) -> None:
        """More files; with the last part the tree is whole."""
        left_out = set(self._corpus.excluded) if self._corpus else set()
        if self._coming is None:
            self._coming = Folder()
        for file in files.files:
            if file.path not in left_out:
                add(self._coming, file)
        if files.is_last:
            self._finish(self._coming)

    def show_cached(self, paths: frozenset[str] | None) -> None:
        """The files all of whose windows are stored; None where that is not known."""
        self._rows.show_cached(paths)
        self._find_signs()

    def show_plan(self, planned: Planned) -> None:
        """Which files the question that is being asked leaves out or has in part."""
        self._rows.show_plan(Plan(frozenset(planned.unread), frozenset(planned.partly)))

    def find(self, words: str) -> None:
        """Show the files in whose paths these words stand; more can be typed."""
        self.query_one("#corpus-filter-line").add_class("-shown")
        self._filter.value = words
        self._filter.focus()

    @property
    def chosen(self) -> str | None:
        """The path under the cursor; a folder ends in a slash."""
        node = self._rows.chosen
        return None if node is None else node.path

    @property
    def paths(self) -> tuple[str, ...]:
        """All files, for completion."""
        return self._paths

    def _finish(self, root: Folder) -> None:
        """The tree is whole: show it, with what was excluded and the tokens it had."""
        self._paths = tuple(file.path for file in files(root))
        known = _tokens(self._rows.root, self._corpus.excluded) if self._corpus else {}
        for path, tokens in known.items():
            add(root, excluded(path, tokens))
        self._rows.show_tree(root, anew=self._is_other)
        self._coming, self._is_other = None, False
        self._find_signs()

    def _find_signs(self) -> None:
        self._signs = frozenset(self._rows.sign(file) for file in files(self._rows.root))
        self._say()

    # --- words ----------------------------------------------------------------------------------------------------

    def _say(self) -> None:
        if not self.is_mounted:
            return
        width = max(self.size.width, 1)
        self.border_title = Content(f"Corpus · by {self._rows.order}" if self._rows.count else "Corpus")
        self.border_subtitle = Content(self._subtitle(width - 4))
        self.query_one("#corpus-legend", Static).update(Content(legend(self._signs, width)), layout=False)
        self._say_row()

    def _say_row(self) -> None:
        width = max(self.size.width, 1)
        detail = self.query_one("#corpus-detail")
        detail.set_class(self._reading is not None, "-reading")
        for line, text in zip(detail.query_children(Static), self._detail(width - 2), strict=True):
            line.update(Content(text), layout=False)

    def _subtitle(self, width: int) -> str:
        if self._rows.words:
            most = f", {MOST_MATCHES:,} shown" if self._rows.matches > MOST_MATCHES else ""
            return f"{self._rows.matches:,} of {len(self._paths):,} files{most}"
        if self._rows.marked:
            return f"{len(self._rows.marked):,} marked · S sums up · esc"
        return summary(self._corpus, width) if self._corpus else ""

    def _detail(self, width: int) -> tuple[str, str, str]:
        """Where, how much, what becomes of it: the last may take two lines."""
        node = self._rows.chosen
        if self._reading is not None:
            how_many, share, where = progress(self._reading, width)
            return how_many, share, fitted_end(where, width)
        if node is None:
            return "", "", ""
        total = self._corpus.tokens if self._corpus else 0
        where, how_much, state = detail(node, self._rows.cached, total, self._rows.plan, width)
        return fitted_end(where, width), fitted(how_much, width), fitted(state, 2 * width).rstrip()

    # --- events ---------------------------------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.height >= _TALL, "-tall")
        self.set_class(event.size.height < 9, "-low")
        self._say()

    @on(Rows.Moved)
    def _moved(self, event: Rows.Moved) -> None:
        event.stop()
        self._say_row()

    @on(CorpusRows.Relaid)
    def _relaid(self, event: CorpusRows.Relaid) -> None:
        event.stop()
        self._say()

    @on(CorpusRows.Refused)
    def _refused(self, event: CorpusRows.Refused) -> None:
        event.stop()
        self.notify(event.why[:300], severity="warning", markup=False)

    @on(CorpusRows.FilterWanted)
    def _filter_wanted(self, event: CorpusRows.FilterWanted) -> None:
        event.stop()
        self.query_one("#corpus-filter-line").set_class(not event.ends, "-shown")
        if event.ends:
            self._filter.value = ""
            self._rows.filter("")
            self._rows.focus()
        else:
            self._filter.focus()

    @on(Input.Changed, "#corpus-filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._rows.filter(event.value)

    @on(Input.Submitted, "#corpus-filter")
    def _filter_done(self, event: Input.Submitted) -> None:
        event.stop()
        self._rows.focus()


def _tokens(root: Folder, paths: tuple[str, ...]) -> dict[str, int]:
    """How many tokens each of these had in a tree; 0 where it was not in it."""
    wanted = set(paths)
    known: dict[str, int] = dict.fromkeys(paths, 0)
    for folder in folders(root) if wanted else ():
        known |= {folder.path: folder.tokens} if folder.path in wanted else {}
        known |= {file.path: file.tokens for file in folder.files if file.path in wanted}
    return known
