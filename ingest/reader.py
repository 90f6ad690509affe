"""Sources to readings: each file is read once, by the reader its content calls for, and ends in one outcome.

Text is read here; binary formats go to worker processes and come back in any order. The shelf is asked first, so
bytes that were read before, by this corpus or another, are not parsed again.
"""

import hashlib
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace

from ingest import formats, markup, notebook, plain, rules, secrets
from ingest.document import Document, Kind
from ingest.outcome import Outcome, ReadFailure, Status
from ingest.pool import WorkerPool, WorkerResult
from ingest.rules import Selection
from ingest.shelf import LASTING, Shelf, Shelved
from ingest.source import Source

TEXT_LIMIT_BYTES = 32 * 2**20
WHOLE_BYTES = 2**20  # up to here a file is read at once; a larger one is looked at first
PARSED_LIMIT_BYTES = 512 * 2**20
TEXT_FORMATS = frozenset({"text", "markdown", "html", "notebook"})
PARSED_FORMATS = frozenset({"pdf", "docx", "pptx", "xlsx", "xls", "epub", "odt", "rtf", "eml", "msg"})
# One version for each reader: raising it reads those files anew and leaves the others alone.
READER_VERSIONS = {
    "text": "text/1",
    "markdown": "markdown/1",
    "html": "html/1",
    "notebook": "notebook/1",
    "pdf": "pdf/1",
}
OFFICE_VERSION = "office/1"
BYTES_PER_TOKEN = 4  # measured 3.2 to 4.4 over code and prose: good for "about"
PENDING_PER_WORKER = 2
SECRETS_NAMED = 5
_SURROGATE = re.compile("[\ud800-\udfff]")
STOPPED = "parser stopped"  # how a worker's failure begins that may not happen again on a less busy machine


def is_current(reader: str) -> bool:
    """Whether text or failure of this reader version need not be read again; "" is no reader's."""
    return reader.partition(":")[0] in {"", OFFICE_VERSION, *READER_VERSIONS.values()}


def version_of(format_name: str, path: str = "", head: bytes = b"") -> str:
    """The reader of a format with its version; for text also what kind of text, which its path decides."""
    version = READER_VERSIONS.get(format_name, OFFICE_VERSION)
    if format_name not in ("text", "markdown"):
        return version
    return f"{version}:{formats.kind_of(path, head.decode('utf-8', 'replace'))}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of one source. `document` is given where it was read now, absent where the shelf has it under
    (`digest`, `reader`)."""

    source: Source
    outcome: Outcome
    digest: str = ""
    reader: str = ""
    document: Document | None = None


@dataclass(frozen=True, slots=True)
class _Parse:
    """A file that a worker is reading."""

    source: Source
    format: str
    digest: str


class Reader:
    """Reads sources with a shelf, a selection and a pool of workers; the pool starts when it is first needed.

    `before_wait` is called before it waits for a worker, so that no store stays locked meanwhile.
    """

    def __init__(
        self,
        shelf: Shelf,
        selection: Selection,
        pool: WorkerPool,
        *,
        password: str | None = None,
        text_limit_bytes: int = TEXT_LIMIT_BYTES,
        before_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self._shelf = shelf
        self._selection = selection
        self._pool = pool
        self._password = password
        self._text_limit = text_limit_bytes
        self._before_wait = before_wait

    def read(self, sources: Iterable[Source | Outcome]) -> Iterator[Reading | Outcome]:
        """Read each source; outcomes of the discovery pass through. Order is that of completion."""
        pending: dict[Future[WorkerResult], _Parse] = {}
        for source in sources:
            if isinstance(source, Outcome):
                yield source
                continue
            step = self._read_or_submit(source)
            if isinstance(step, Reading):
                yield step
            else:
                parse, future = step
                pending[future] = parse
                yield from self._collect(pending, at_most=PENDING_PER_WORKER * self._pool.size)
        yield from self._collect(pending, at_most=0)

    def _read_or_submit(self, source: Source) -> "Reading | tuple[_Parse, Future[WorkerResult]]":
        try:
            return self._begin(source)
        except ReadFailure as failure:
            return _failed(source, failure)
        except sqlite3.Error:
            raise  # of the shelf: no file is to blame
        except Exception as error:  # noqa: BLE001 - the reader's wall: one odd file never costs the others
            return _failed(source, ReadFailure(Status.BROKEN, f"{type(error).__name__}: {error}"))

    def _begin(self, source: Source) -> "Reading | tuple[_Parse, Future[WorkerResult]]":
        self._check_rules(source)
        whole = plain.read_bytes(source, WHOLE_BYTES) if source.signature.size <= WHOLE_BYTES else None
        head = plain.read_head(source) if whole is None else whole[: plain.HEAD_BYTES]
        format_name = formats.sniff(head, source.path)
        if format_name in PARSED_FORMATS:
            return self._parse(source, format_name, whole)
        if format_name in TEXT_FORMATS:
            content = plain.read_bytes(source, self._text_limit) if whole is None else whole
            return self._read_text(source, format_name, content)
        if format_name == "image":
            raise ReadFailure(Status.NOT_READ_YET, "an image")
        raise ReadFailure(Status.BINARY, format_name if format_name != "binary" else "")

    def _check_rules(self, source: Source) -> None:
        """Raise where the file's name leaves it out; a file that the user named himself is only kept for secrets."""
        if self._selection.includes(source.path):
            return
        reason = None if source.named else rules.default_rule(source.path)
        if reason:
            saved = source.signature.size // BYTES_PER_TOKEN
            raise ReadFailure(Status.IGNORED, f"{reason}, about {saved:,} tokens saved")
        name = secrets.secret_name(source.path)
        if name and not self._selection.secrets:
            raise ReadFailure(Status.SECRET, name)

    def _read_text(self, source: Source, format_name: str, content: bytes) -> Reading:
        digest = hashlib.sha256(content).hexdigest()
        reader = version_of(format_name, source.path, content[: plain.HEAD_BYTES])
        shelved = self._shelf.get(digest, reader)
        if shelved is not None and not self._may_open_now(source, shelved):
            if shelved.document is not None:
                self._check_minified(source, shelved.document)
            return self._from_shelf(source, digest, reader, shelved)
        document = _text_document(content, source.path, format_name)
        self._check_minified(source, document)
        return self._keep(source, digest, reader, document)

    def _check_minified(self, source: Source, document: Document) -> None:
        if source.named or self._selection.includes(source.path):
            return
        reason = rules.minified(source.path, document.text)
        if reason:
            raise ReadFailure(Status.IGNORED, f"{reason}, about {len(document.text) // BYTES_PER_TOKEN:,} tokens saved")

    def _parse(
        self, source: Source, format_name: str, whole: bytes | None
    ) -> "Reading | tuple[_Parse, Future[WorkerResult]]":
        if source.content is not None:
            raise ReadFailure(Status.BINARY, f"{format_name} on standard input: give the file's path")
        digest = plain.digest(source, PARSED_LIMIT_BYTES) if whole is None else hashlib.sha256(whole).hexdigest()
        reader = version_of(format_name)
        shelved = self._shelf.get(digest, reader)
        if shelved is not None and not self._may_open_now(source, shelved):
            return self._from_shelf(source, digest, reader, shelved)
        future = self._pool.submit(source.location, format_name, self._password)
        return _Parse(source, format_name, digest), future

    def _may_open_now(self, source: Source, shelved: Shelved) -> bool:
        """Whether what kept a file closed is overcome: there is a password now, or secrets are let through."""
        if shelved.status is Status.PASSWORD:
            return self._password is not None
        return shelved.status is Status.SECRET and self._lets_through(source)

    def _lets_through(self, source: Source) -> bool:
        return self._selection.secrets or self._selection.includes(source.path)

    def _collect(self, pending: dict[Future[WorkerResult], _Parse], *, at_most: int) -> Iterator[Reading]:
        """Yield parses that have ended, waiting only while more than `at_most` are under way."""
        while pending:
            done = [future for future in pending if future.done()]
            if not done:
                if len(pending) <= at_most:
                    return
                self._before_wait()
                done = list(wait(pending, return_when=FIRST_COMPLETED).done)
            for future in done:
                yield self._parsed(pending.pop(future), future)

    def _parsed(self, parse: _Parse, future: Future[WorkerResult]) -> Reading:
        reader = version_of(parse.format)
        try:
            result = future.result()
        except ReadFailure as failure:
            if failure.status in LASTING and not failure.detail.startswith(STOPPED):
                self._shelf.put(parse.digest, reader, Shelved(failure.status, failure.detail, None))
            return Reading(parse.source, _failed(parse.source, failure).outcome, parse.digest, reader)
        if result.digest != parse.digest:
            return _failed(parse.source, ReadFailure(Status.CHANGED, "while it was parsed"))
        return self._keep(parse.source, parse.digest, reader, result.document)

    def _keep(self, source: Source, digest: str, reader: str, document: Document) -> Reading:
        """Put a fresh document on the shelf; one with secrets in it leaves only their lines and kinds there."""
        document = _storable(document)
        found = [_placed(document, finding.line, finding.kind) for finding in secrets.find(document.text)]
        if found and not self._lets_through(source):
            shelved = Shelved(Status.SECRET, "; ".join(found[:SECRETS_NAMED]), None)
        else:
            partly = document.metadata.get("partly", "")
            shelved = Shelved(Status.PARTLY_READ if partly else Status.READ, partly, document, bool(found))
        self._shelf.put(digest, reader, shelved)
        return self._from_shelf(source, digest, reader, shelved)

    def _from_shelf(self, source: Source, digest: str, reader: str, shelved: Shelved) -> Reading:
        outcome = Outcome(source.path, shelved.status, shelved.detail)
        if shelved.has_secrets and not self._lets_through(source):
            outcome = Outcome(source.path, Status.SECRET, "let through in another corpus, not in this one")
        elif shelved.document is not None:
            return Reading(source, _remarked(outcome, shelved.document), digest, reader, shelved.document)
        return Reading(source, outcome, digest, reader)


def _text_document(content: bytes, path: str, format_name: str) -> Document:
    document = plain.read_text(content, path)
    if format_name == "notebook":
        return notebook.read_notebook(document.text)
    if format_name == "html" and not markup.is_template(document.text):
        return markup.read_html(document.text)
    if format_name == "html":
        return Document(document.text, Kind.CODE, encoding=document.encoding, replaced=document.replaced)
    return document


def _placed(document: Document, line: int, kind: str) -> str:
    """Where a secret stands: the line of the file, or the page, where lines of the text are not lines of the file."""
    offset = 0
    for _ in range(line - 1):
        offset = document.text.find("\n", offset) + 1
    page, place = document.page_at(offset), document.line_at(offset)
    where = f"{page.kind} {page.number}" if page else f"line {place}" if place else "somewhere"
    return f"{where}: {kind}"


def _storable(document: Document) -> Document:
    """Without lone surrogates, which JSON may name but no encoding can hold: offsets stay as they are."""
    if document.text.isascii() or not _SURROGATE.search(document.text):
        return document
    return replace(document, text=_SURROGATE.sub("\ufffd", document.text))


def _remarked(outcome: Outcome, document: Document) -> Outcome:
    """Add to the outcome what a person should know of the document: its encoding, replaced bytes, attachments."""
    remarks = [outcome.detail] if outcome.detail else []
    if document.encoding not in ("utf-8", "ascii") and document.kind is not Kind.PDF:
        remarks.append(f"encoding {document.encoding}")
    if document.replaced:
        remarks.append(f"{document.replaced} bytes replaced")
    remarks += [note for note in document.notes if note != outcome.detail]
    return Outcome(outcome.path, outcome.status, "; ".join(remarks))


def _failed(source: Source, failure: ReadFailure) -> Reading:
    return Reading(source, Outcome(source.path, failure.status, failure.detail))
