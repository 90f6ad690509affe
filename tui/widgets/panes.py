"""The three panes, side by side as far as the width goes; where it does not, one of them under tabs.

The screen's breakpoint classes say how wide it is: `-narrow`, `-medium`, `-wide`; `app.tcss` says what is seen then.
"""

from collections.abc import Iterator, Mapping

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui.messages import PaneWanted

CORPUS, CONVERSATION, SOURCE = "corpus", "conversation", "source"
TABS = {CORPUS: "f2 Corpus", CONVERSATION: "f3 Conversation", SOURCE: "f4 Source"}


class Tab(Static):
    """A pane by name; a click shows it."""

    def __init__(self, pane: str, name: str) -> None:
        super().__init__(Content(name), id=f"tab-{pane}")
        self._pane = pane

    def on_click(self) -> None:
        self.post_message(PaneWanted(self._pane))


class Panes(Vertical):
    """Shows, hides and zooms panes; it knows nothing of what they hold."""

    DEFAULT_CSS = """
    Panes { height: 1fr; }
    Panes #tabs { height: 1; display: none; }
    Panes Tab { width: auto; padding: 0 1; margin-right: 1; color: $text-muted; }
    Panes Tab:hover { color: $text; text-style: underline; }
    Panes Tab.-on { color: $text; text-style: bold reverse; }
    Panes #row { height: 1fr; }
    Panes #row > * { height: 1fr; }
    """

    def __init__(self, panes: Mapping[str, Widget], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._panes = panes
        self.shown = CONVERSATION

    def compose(self) -> ComposeResult:
        with Horizontal(id="tabs"):
            yield from (Tab(pane, name) for pane, name in TABS.items())
        with Horizontal(id="row"):
            yield from self._panes.values()

    def on_mount(self) -> None:
        self._mark()

    @property
    def is_folded(self) -> bool:
        """Whether only one pane is seen."""
        return self.screen.has_class("-narrow") or self.has_class("-zoomed")

    def show(self, pane: str) -> None:
        """Have this pane on the screen; the one, where there is room for one."""
        self.shown = pane
        if pane == CORPUS:
            self.remove_class("-no-corpus")
        if pane == SOURCE:
            self.add_class("-has-source")
            self.remove_class("-no-source")
        self._mark()

    def toggle_corpus(self) -> None:
        """Hide the corpus, or bring it back."""
        if self.is_folded:
            self.show(CONVERSATION if self.shown == CORPUS else CORPUS)
        else:
            self.toggle_class("-no-corpus")

    def zoom(self, pane: str) -> None:
        """That pane alone, or all again."""
        self.show(pane)
        self.toggle_class("-zoomed")

    def close_source(self) -> None:
        """Give the source's room to the others, until it is shown again."""
        self.remove_class("-has-source")
        self.add_class("-no-source")
        self.shown = CONVERSATION
        self._mark()

    def around(self, widget: Widget | None) -> str | None:
        """The pane that a widget stands in."""
        return next((name for name in self._around(widget)), None)

    def _around(self, widget: Widget | None) -> Iterator[str]:
        within = set(widget.ancestors_with_self) if widget is not None else set()
        yield from (name for name, pane in self._panes.items() if pane in within)

    def entry(self, pane: str) -> Widget | None:
        """What takes the focus of a pane: the first in it that can and is seen."""
        return next((each for each in self.screen.focus_chain if self.around(each) == pane), None)

    def _mark(self) -> None:
        for name, pane in self._panes.items():
            pane.set_class(name == self.shown, "-on")
        for name in TABS:
            self.query_one(f"#tab-{name}", Tab).set_class(name == self.shown, "-on")
