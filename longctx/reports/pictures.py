"""Pictures of the cited pages of PDFs, each with its passages marked, as files of a report's folder.

They are drawn in a limited process, of files that are as they were when they were cited; whatever goes wrong with one
is a note at its citation. One that is there is taken where it was drawn here, see `drawn_here`. A report has no more
than MOST. What is drawn is the part of a page with its passages, in the page's full width.
"""

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from types import TracebackType

from msgspec.structs import replace

from ingest.document import Document, Kind
from ingest.git import is_remote
from ingest.marks import Passage, letters
from ingest.naming import show
from ingest.outcome import ReadFailure, Status
from ingest.picture import MarkedPage, MarkedPages
from ingest.source import STDIN_PATH
from longctx.corpus import Corpus
from longctx.reports.drawn_here import FILE, DrawnHere
from longctx.reports.evidence import cited_document
from longctx.reports.own_folder import OwnFolder
from longctx.reports.picture_files import PictureFiles, marked_on
from longctx.reports.plain import whole
from longctx.reports.report import Evidence

MOST = 200
WIDTH = 800
SHARE = 1 / 3  # of a page's height is drawn at least, so that a passage is seen where it stands
VERSION = 2  # of how marks are drawn: pictures of another one are not taken from the disk
STOPPED_STARTS = "parser stopped"
STOPPED_MOST = 3  # pages of one file on which the parser had to be stopped, before the others are left
UNMARKED = "the passage could not be marked"
CHANGED = "the file has changed since"
NOT_HERE = "the file is not on this machine"
TOO_MANY = f"a report has pictures of {MOST} pages at most"


class PagePictures(AbstractContextManager["PagePictures"]):
    """The pictures of the report in a folder; use it in a `with`. Those that are asked for of it are what it has."""

    def __init__(self, folder: OwnFolder, corpus: Corpus, password: str | None) -> None:
        self._files = PictureFiles(folder)
        self._here = DrawnHere(corpus.paths.state / FILE)
        self._corpus = corpus
        self._password = password
        self._pages = MarkedPages()
        self._names = set[str]()
        self._stopped: dict[str, int] = {}

    def __enter__(self) -> "PagePictures":
        self._files.sweep()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pages.__exit__(kind, error, trace)
        self._files.__exit__(kind, error, trace)

    def drawn(self, evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
        """The same with their pictures, or a note why there is none; those of one item on one page share one."""
        rows = [i for i, each in enumerate(evidence) if _has_page(each)]
        rows.sort(key=lambda i: _page(evidence[i]))
        documents: dict[str, Document | None] = {}
        done = list(evidence)
        for _, group in groupby(rows, key=lambda i: _page(evidence[i])):
            those = list(group)
            page = self._drawn_page([evidence[i] for i in those], documents)
            for i, each in zip(those, page, strict=True):
                done[i] = each
        return tuple(done)

    def read(self, name: str) -> bytes | None:
        """The picture of that name; None where there is none that was drawn here."""
        content = self._files.read(name)
        return content if content and self._here.has(name, content) else None

    def _drawn_page(self, those: Sequence[Evidence], documents: dict[str, Document | None]) -> list[Evidence]:
        """The evidence on one page with its picture."""
        name = _name(those)
        if name not in self._names and len(self._names) >= MOST:
            return _without(those, TOO_MANY)
        try:
            kept = self.read(name)
            marked = marked_on(kept) if kept else self._draw(name, those, documents)
        except ReadFailure as failure:
            return _without(those, show(failure.detail or str(failure.status)))
        except OSError as error:
            return _without(those, f"it can't be kept: {error.strerror}")
        self._names.add(name)
        notes = ["" if is_marked else UNMARKED for is_marked in marked]
        return [replace(each, picture=name, picture_note=note) for each, note in zip(those, notes, strict=True)]

    def _draw(self, name: str, those: Sequence[Evidence], documents: dict[str, Document | None]) -> tuple[bool, ...]:
        """Draw a page and keep it; which passages are marked. Raises ReadFailure or OSError."""
        digest, path = those[0].sha256, those[0].path
        location = self._location(path)
        if digest not in documents:
            documents[digest] = cited_document(self._corpus, digest, path)
        drawn = self._marked_page(location, those, documents[digest])
        if drawn.digest != digest:
            raise ReadFailure(Status.CHANGED, CHANGED)
        self._here.add(name, self._files.write(name, drawn.jpeg, drawn.marked))
        return drawn.marked

    def _marked_page(self, location: str, those: Sequence[Evidence], document: Document | None) -> MarkedPage:
        digest, page = those[0].sha256, those[0].page
        if self._stopped.get(digest, 0) >= STOPPED_MOST:
            raise ReadFailure(Status.BROKEN, f"{STOPPED_STARTS} on other pages of this file")
        passages = [_passage(each, document) for each in those]
        try:
            return self._pages.draw(location, page or 1, passages, WIDTH, self._password, SHARE)
        except ReadFailure as failure:
            self._stopped[digest] = self._stopped.get(digest, 0) + failure.detail.startswith(STOPPED_STARTS)
            raise

    def _location(self, path: str) -> str:
        """The file behind a path of the corpus; raises ReadFailure for what was piped in, cloned, or is gone."""
        files = self._corpus.files
        name = path if path in files else next((name for name in files if whole(name) == path), STDIN_PATH)
        is_here = name != STDIN_PATH and not all(map(is_remote, self._corpus.record.inputs))
        location = self._corpus.location(name) if is_here else None
        if location is None:
            raise ReadFailure(Status.UNREADABLE, NOT_HERE)
        return location


def _without(those: Sequence[Evidence], note: str) -> list[Evidence]:
    return [replace(each, picture="", picture_note=note) for each in those]


def _has_page(each: Evidence) -> bool:
    """Whether it stands on a page that can be drawn."""
    return each.kind == Kind.PDF and each.page is not None and each.chars is not None


def _page(each: Evidence) -> tuple[str, str, int]:
    return each.item, each.sha256, each.page or 0


def _name(those: Sequence[Evidence]) -> str:
    """Names what is drawn: the file's bytes, the page, and the ranges that are marked."""
    ranges = ",".join(f"{start}-{end}" for start, end in (each.chars or (0, 0) for each in those))
    digest = hashlib.sha256(f"{VERSION} {ranges}".encode()).hexdigest()[:16]
    return f"{those[0].sha256[:16]}-p{those[0].page}-{digest}.jpg"


def _passage(each: Evidence, document: Document | None) -> Passage:
    """The part of a quote that stands on its page, and how many letters of the page stand ahead of it."""
    start, end = each.chars or (0, 0)
    page = document.page_at(start) if document else None
    if document is None or page is None:
        return Passage(each.quote)
    ahead = letters(document.text[page.start : start])
    return Passage(document.text[start : min(end, page.end)], len(ahead))
