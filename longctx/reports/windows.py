"""The inputs of a report: its documents, and the windows they stand in with the verified citations of each."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from longctx.reports.plain import whole
from longctx.reports.report import DocumentRow, Item, WindowRow

if TYPE_CHECKING:
    from longctx.corpus import Corpus
    from longctx.manifest import Entry
    from longctx.packing import Window


def documents(corpus: "Corpus") -> tuple[DocumentRow, ...]:
    """Each text that there is now, in the corpus's order."""
    return tuple(_row(corpus, entry) for entry in corpus.current)


class Windows:
    """The windows of a corpus, and where in them a citation stands."""

    def __init__(self, corpus: "Corpus") -> None:
        from longctx.plan import pack

        self._rows: list[WindowRow] = []
        self._places: dict[str, list[tuple[int, int]]] = {}  # by digest: where a stretch begins, and its window
        for window in pack(corpus):
            self._take(window)

    def cited(self, items: Iterable[Item]) -> tuple[WindowRow, ...]:
        """The windows with the number of verified citations in each."""
        counts = [0] * len(self._rows)
        for item in items:
            for each in item.evidence:
                if each.is_sound and each.chars is not None:
                    for index in self._of(each.sha256, each.chars[0]):
                        counts[index] += 1
        replace = msgspec.structs.replace
        return tuple(replace(row, cited=count) if count else row for row, count in zip(self._rows, counts, strict=True))

    def _take(self, window: "Window") -> None:
        first = whole(window.pieces[0].entry.path) if window.pieces else ""
        held = {piece.entry.position for piece in window.pieces}
        row = WindowRow(index=len(self._rows), tokens=window.size, first=first, documents=len(held))
        for piece in window.pieces:
            start = piece.part.chars[0] if piece.part else 0
            self._places.setdefault(piece.entry.digest, []).append((start, len(self._rows)))
        self._rows.append(row)

    def _of(self, digest: str, start: int) -> list[int]:
        """The window in which a text's character stands; none where the text is not in the prompt."""
        places = self._places.get(digest, [])
        at = bisect_right(places, (start, len(self._rows))) - 1
        return [places[at][1]] if at >= 0 else []


def _row(corpus: "Corpus", entry: "Entry") -> DocumentRow:
    document, paths = corpus.document(entry), corpus.paths_of(entry) or [entry.path]
    outcome = corpus.files[paths[0]].outcome if paths[0] in corpus.files else None
    return DocumentRow(
        id=entry.document_id,
        path=whole(paths[0]),
        kind=str(document.kind),
        tokens=entry.tokens,
        sha256=entry.digest,
        pages=len(document.pages) or None,
        also=tuple(whole(paths[1:])),
        status=str(outcome.status) if outcome else "read",
        detail=whole(outcome.detail) if outcome else "",
    )
