"""The corpus as a tree: each file and folder with its tokens, its share, and what becomes of it."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from longctx.backend.replies import CorpusOpened, FilesAre, Planned, ReadingFiles


class CorpusPane(Vertical):
    """Says FileChosen, ExclusionToggled and SummaryWanted."""

    def compose(self) -> ComposeResult:
        yield Static("corpus", markup=False)

    def show_reading(self, reading: ReadingFiles) -> None:
        """How far reading is."""

    def show_corpus(self, corpus: CorpusOpened) -> None:
        """Another corpus, or the same one anew; its files come with `add_files`."""

    def add_files(self, files: FilesAre) -> None:
        """More files; with the last part the tree is whole."""

    def show_cached(self, paths: frozenset[str] | None) -> None:
        """The files all of whose windows are stored; None where that is not known."""

    def show_plan(self, planned: Planned) -> None:
        """Which files the question that is being asked leaves out or has in part."""

    @property
    def chosen(self) -> str | None:
        """The path under the cursor; a folder ends in a slash."""
        return None

    @property
    def paths(self) -> tuple[str, ...]:
        """All files, for completion."""
        return ()
