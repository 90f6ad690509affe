"""How full the context is, and the map of its windows: the gauge in one line, the map when it is opened."""

from collections.abc import Mapping
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from longctx.backend.replies import EngineOpened, Evidence, Planned, Prefill, ReadingFiles, WindowsAre
from longctx.citations import Citation


class WindowPanel(Vertical):
    """Says FileChosen for a window's file."""

    def compose(self) -> ComposeResult:
        yield Static("window", markup=False)

    def show_reading(self, reading: ReadingFiles) -> None:
        """How far the corpus is read."""

    def show_windows(self, windows: WindowsAre) -> None:
        """The windows of the corpus."""

    def show_engine(self, engine: EngineOpened) -> None:
        """What fits."""

    def show_plan(self, planned: Planned) -> None:
        """What is about to be sent: nothing of it is read yet."""

    def show_evidence(self, evidence: Evidence) -> None:
        """Where search finds what bears on the question."""

    def show_prefill(self, prefill: Prefill) -> None:
        """How far the engine is: the map fills."""

    def show_citation(self, citation: Citation) -> None:
        """A window is cited."""

    def show_answer(self, answer: Mapping[str, Any]) -> None:
        """What the answer took: tokens, times, cached share."""

    def toggle_map(self) -> None:
        """Open or close the map."""
