"""A document as it was read: virtual, however long, with what is cited highlighted."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from longctx.backend.replies import Failed, PictureIs, TextPart
from longctx.citations import Citation


class SourcePane(Vertical):
    """Says PictureWanted, OpenOutside, CitationStep and CopyWanted."""

    def compose(self) -> ComposeResult:
        yield Static("source", markup=False)

    def expect(self, path: str, citation: Citation | None = None) -> None:
        """This document is coming, and this citation is to be seen; nothing is highlighted that was not found."""

    def add_text(self, part: TextPart) -> None:
        """Some of the document; the first part is shown at once."""

    def holds(self, path: str, sha256: str) -> bool:
        """Whether that text is shown, so that it need not come again."""
        return False

    def show_picture(self, picture: PictureIs) -> None:
        """The page that was asked for."""

    def fail(self, failed: Failed) -> None:
        """It can't be shown."""
