"""How the cited pages of an item become pictures, for a run and for what it writes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from longctx.reports.report import Evidence

if TYPE_CHECKING:
    from longctx.reports.pictures import PagePictures


class Drawing:
    """No pictures, where the manifest wants none."""

    def draw(self, evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
        """The evidence with its pictures."""
        return tuple(evidence)

    def restore(self, evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
        """Evidence of an earlier run, as it would be drawn now."""
        return tuple(replace(each, picture="", picture_note="") for each in evidence)

    def read(self, _name: str) -> bytes | None:
        """A picture by its name."""
        return None


class PageDrawing(Drawing):
    """Pictures of the pages of PDFs, in the report's folder."""

    def __init__(self, pictures: "PagePictures") -> None:
        self._pictures = pictures

    def draw(self, evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
        """The evidence with its pictures."""
        return self._pictures.drawn(evidence)

    def restore(self, evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
        """Evidence of an earlier run, as it would be drawn now; a picture that is there is not drawn again."""
        return self._pictures.drawn(super().restore(evidence))

    def read(self, name: str) -> bytes | None:
        """A picture by its name."""
        return self._pictures.read(name)
