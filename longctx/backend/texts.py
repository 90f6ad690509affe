"""A document's text as it was read, in parts, and pages of its file as pictures.

A path names a file of the open corpus, never one of the machine; a digest names a text that was read at some time.
"""

import hashlib
from collections.abc import Iterator
from math import ceil, sqrt

from ingest.document import Document
from ingest.git import is_remote
from ingest.naming import show
from ingest.outcome import ReadFailure
from ingest.picture import page_picture
from ingest.source import STDIN_PATH
from longctx.backend.replies import PageIs, PictureIs, TextPart
from longctx.backend.requests import Picture, Text
from longctx.corpora import FileRecord
from longctx.corpus import Corpus
from longctx.errors import CorpusError
from longctx.files import sent
from longctx.manifest import Entry, State

PART_CHARS = 1 << 18
LABEL_CHARS = 200
MOST_LINES = 50_000  # places whose line in the file is told: a face takes 30 ms to read so many
MOST_PIXELS = 3_000_000  # and 15 ms for these
REREAD = "read the sources anew"


def text_parts(corpus: Corpus, wanted: Text) -> Iterator[TextPart]:
    """The text in parts; raises CorpusError where it is not there."""
    document, is_current = _found(corpus, wanted)
    length = len(document.text)
    for start in range(0, max(1, length), PART_CHARS):
        chars, is_last = document.text[start : start + PART_CHARS], start + PART_CHARS >= length
        if start:
            yield TextPart(path=wanted.path, text=chars, is_last=is_last)
        else:
            yield TextPart(
                path=wanted.path,
                text=chars,
                is_last=is_last,
                kind=str(document.kind),
                pages=_pages(document),
                first_lines=_first_lines(document),
                location=location_of(corpus, wanted.path),
                notes=document.notes,
                is_current=is_current,
            )


def picture(corpus: Corpus, wanted: Picture) -> PictureIs:
    """A page of a file as it was when it was read; raises CorpusError."""
    record = _record(corpus, wanted.path)
    location = location_of(corpus, wanted.path)
    if location is None:
        raise CorpusError(f"{show(wanted.path)}: the file is not on this machine any more", "its text is still there")
    _check_unchanged(record, location)
    width, height = _bounded(wanted.width, wanted.height)
    try:
        drawn = page_picture(location, wanted.page, width, height, corpus.request.password)
    except ReadFailure as failure:
        raise CorpusError(f"{show(wanted.path)}: page {wanted.page} can't be drawn: {show(str(failure))}") from failure
    return PictureIs(path=wanted.path, page=wanted.page, width=drawn.width, height=drawn.height, rgb=drawn.rgb)


def _found(corpus: Corpus, wanted: Text) -> tuple[Document, bool]:
    """The text that is wanted, and whether some file still says it."""
    record = corpus.files.get(wanted.path)
    if record is not None and sent(record) and wanted.sha256 in ("", record.digest):
        return _document(corpus, record, wanted.path), True
    if not wanted.sha256:
        return _document(corpus, _record(corpus, wanted.path), wanted.path), True
    entries = [entry for entry in corpus.entries if entry.digest == wanted.sha256]
    if not entries:
        return _earlier(corpus, wanted), False
    best = max(entries, key=lambda entry: (entry.path == wanted.path, entry.state is State.CURRENT))
    return _document(corpus, best, wanted.path), best.state is State.CURRENT


def _earlier(corpus: Corpus, wanted: Text) -> Document:
    """A text that the prompt has no longer: it was left out or repacked away since an answer cited it."""
    shelved = corpus.shelf.find(wanted.sha256)
    if shelved is None or shelved.document is None:
        what = f"{show(wanted.path)}: the text that was read then is no longer stored"
        raise CorpusError(what, "the cache was emptied since; the session's citation still quotes it")
    selection = corpus.request.selection
    if shelved.has_secrets and not (selection.secrets or selection.includes(wanted.path)):
        raise CorpusError(f"{show(wanted.path)}: that text has secrets in it, which this corpus leaves out")
    return shelved.document


def _record(corpus: Corpus, path: str) -> FileRecord:
    """The file of that path, which has text; raises CorpusError."""
    record = corpus.files.get(path)
    if record is None:
        raise CorpusError(f"{show(path)}: no file of this corpus", REREAD)
    if not sent(record):
        why = f"{record.outcome.status} {show(record.outcome.detail)}".rstrip()
        raise CorpusError(f"{show(path)}: left out, so there is no text of it: {why}")
    return record


def _document(corpus: Corpus, text: Entry | FileRecord, path: str) -> Document:
    shelved = corpus.shelf.get(*text.key)
    if shelved is None or shelved.document is None:
        raise CorpusError(f"{show(path)}: its stored text is missing", f"the cache was emptied; {REREAD}")
    return shelved.document


def _pages(document: Document) -> tuple[PageIs, ...]:
    return tuple(
        PageIs(number=page.number, label=page.label[:LABEL_CHARS], start=page.start, end=page.end, kind=page.kind)
        for page in document.pages
    )


def _first_lines(document: Document) -> tuple[tuple[int, int], ...] | None:
    """Where lines of the file begin; of very many every n-th, between which a place has the line of the one before."""
    lines = document.source_lines
    return None if lines is None else lines[:: max(1, ceil(len(lines) / MOST_LINES))]


def location_of(corpus: Corpus, path: str) -> str | None:
    """The file behind a path of the corpus, None for what was piped in, cloned, or is gone."""
    if path not in corpus.files or path == STDIN_PATH or all(map(is_remote, corpus.record.inputs)):
        return None
    return corpus.location(path)


def _check_unchanged(record: FileRecord, location: str) -> None:
    try:
        with open(location, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CorpusError(f"{show(record.path)}: {error.strerror or error}", REREAD) from error
    if digest != record.digest:
        raise CorpusError(f"{show(record.path)}: the file has changed since it was read", REREAD)


def _bounded(width: int, height: int) -> tuple[int, int]:
    """At most so many pixels in all, in the same proportions."""
    scale = min(1.0, sqrt(MOST_PIXELS / max(1, width * height)))
    return int(width * scale), int(height * scale)
