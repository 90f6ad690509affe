"""A corpus: sources brought up to date on the shelf, in the token store, in the manifest and in the evidence index.

`Corpus` holds the open stores. It asks no questions and draws nothing; `analysis` and the command line do.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from types import TracebackType
from typing import Self, TypeVar

from ingest import git
from ingest.database import DatabaseTrouble
from ingest.document import Document
from ingest.errors import IngestError
from ingest.naming import show
from ingest.outcome import Outcome, Status
from ingest.pool import WorkerPool
from ingest.reader import CURRENT_VERSIONS, TEXT_LIMIT_BYTES, Reader, Reading
from ingest.rules import Selection
from ingest.shelf import Shelf
from ingest.source import Source, discover
from longctx.corpora import CorporaStore, CorpusRecord, FileRecord
from longctx.errors import CorpusError, StoreError
from longctx.events import Event, FileDone, Indexed, Refreshed
from longctx.index import Index
from longctx.manifest import Entry, Present, State, repack, update
from longctx.paths import Paths
from longctx.token_store import TokenStore
from longctx.tokenised import TokenisedDocument
from longctx.tokens import Tokenizer

Store = TypeVar("Store", Shelf, TokenStore)
COMMIT_EVERY_S = 1.0
# Two writes within one clock tick leave equal signatures; a file this young is looked at again (as git does).
RACY_NS = 50_000_000
# Outcomes that lie in the moment, not in the file: looked at again next time.
MOMENTARY = frozenset({Status.UNREADABLE, Status.CHANGED, Status.NEEDS_EXTRA, Status.PASSWORD, Status.TOO_LARGE})


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks to be a corpus: sources and the rules that select from them; and what reading may need."""

    inputs: tuple[str, ...]
    selection: Selection = field(default_factory=Selection)
    stdin: bytes | None = None
    password: str | None = None
    text_limit_bytes: int = TEXT_LIMIT_BYTES

    @property
    def identity(self) -> tuple[tuple[str, ...], str]:
        """The inputs made absolute, and the selection as text: equal ones name one corpus."""
        absolute = tuple(_absolute(each) for each in self.inputs)
        return absolute, json.dumps(asdict(self.selection), sort_keys=True)


class Corpus:
    """An open corpus. Close it, or use it in a `with`."""

    def __init__(self, request: Request, paths: Paths) -> None:
        self.request = request
        self.paths = paths
        self._open = ExitStack()
        self.store = CorporaStore(paths.data / "longctx.db")
        self._open.callback(self.store.close)
        self.record: CorpusRecord = self.store.open(*request.identity)
        self.tokenizer = Tokenizer()
        self._shelf: Shelf | None = None
        self._tokens: TokenStore | None = None
        self._index: Index | None = None
        self._records = self.store.files(self.record.id)
        self._files: dict[str, FileRecord] | None = None
        self._entries: tuple[Entry, ...] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit what was done and close the stores."""
        self._open.close()

    @property
    def files(self) -> Mapping[str, FileRecord]:
        """Every file of the corpus by path in order; of equal ones the first is read, the others its duplicates."""
        if self._files is None:
            self._files = marked(self._records)
        return self._files

    @property
    def records(self) -> Mapping[str, FileRecord]:
        """Every file as it was recorded, duplicates not told from their twins."""
        return self._records

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The frozen manifest."""
        if self._entries is None:
            self._entries = self.store.entries(self.record.id)
        return self._entries

    @property
    def shelf(self) -> Shelf:
        """Stored texts."""
        if self._shelf is None:
            self._shelf = _opened(lambda: Shelf(self.paths.cache / "shelf.db"))
            self._open.callback(self._shelf.close)
        return self._shelf

    @property
    def tokens(self) -> TokenStore:
        """Stored token ids."""
        if self._tokens is None:
            place = self.paths.cache / "tokens.db"
            self._tokens = _opened(lambda: TokenStore(place, self.tokenizer.fingerprint))
            self._open.callback(self._tokens.close)
        return self._tokens

    @property
    def index(self) -> Index:
        """The evidence index."""
        if self._index is None:
            self._index = Index(self.paths.cache / "evidence" / f"{self.record.id}.db")
            self._open.callback(self._index.close)
        return self._index

    def paths_of(self, digest: str) -> list[str]:
        """Every path that has this text, in order; the first is the one it is shown under."""
        return [record.path for record in self.files.values() if record.digest == digest and sent(record)]

    def location(self, path: str) -> str | None:
        """The file behind a path as it is cited, or None where there is none any more (stdin, a clone)."""
        inputs = self.record.inputs
        root = inputs[0] if len(inputs) == 1 and os.path.isdir(inputs[0]) else "."
        location = os.path.abspath(os.path.join(root, path))
        return location if os.path.exists(location) else None

    def document(self, digest: str, reader: str) -> Document:
        """A stored document; raises CorpusError where the shelf has lost it."""
        shelved = self.shelf.get(digest, reader)
        if shelved is None or shelved.document is None:
            raise CorpusError("a stored text is missing", "run longctx ingest on these sources again")
        return shelved.document

    def tokenised(self, entry: Entry) -> TokenisedDocument:
        """An entry's text beside its ids."""
        document = self.document(entry.digest, entry.reader)
        ids = self.tokens.get(entry.digest, entry.reader)
        if ids is None:
            raise CorpusError("stored tokens are missing", "run longctx ingest on these sources again")
        return TokenisedDocument(document, ids, self.tokenizer)

    def refresh(self, *, index: bool = True) -> Iterator[Event]:
        """Look at every source, read what changed, and bring manifest, tokens and evidence index up to date.

        Raises CorpusError where nothing can be read. What was finished before an interruption is kept.
        """
        run = _Refresh(self)
        yield from run.read()
        self._records, self._files = run.files, None
        if run.changed or run.gone:
            kept = tuple(entry for entry in self.entries if self.holds(entry.digest, entry.reader))
            self.freeze(update(kept, self.present(run.heat)))
        if not any(sent(record) for record in self.files.values()):
            raise CorpusError("nothing readable in " + ", ".join(self.request.inputs), _why_empty(self.files))
        if index:
            yield from self._bring_index()
        yield Refreshed(len(self.files), run.changed, run.gone)

    def holds(self, digest: str, reader: str) -> bool:
        """Whether a text and its tokens are stored: they are lost when the user empties the cache directory."""
        return self.shelf.has(digest, reader) and self.tokens.count(digest, reader) is not None

    def freeze(self, entries: tuple[Entry, ...]) -> None:
        """Make `entries` the manifest."""
        if entries != self.entries:
            self.store.save_entries(self.record.id, entries)
            self._entries = entries

    def repack(self) -> None:
        """Order the corpus anew, coldest first, without what is stale."""
        found = discover_sources(self.request, self.paths, heat=True)
        heat = {item.path: item.heat for item in found if isinstance(item, Source)}
        self.freeze(repack(self.present(heat)))

    def present(self, heat: Mapping[str, int]) -> list[Present]:
        """The texts the sources have now, each once, under the first of its paths."""
        first: dict[str, FileRecord] = {}
        for record in self.files.values():
            if sent(record) and record.tokens:
                first.setdefault(record.digest, record)
        return [
            Present(record.path, digest, record.reader, record.tokens, heat.get(record.path, 0))
            for digest, record in first.items()
        ]

    def _bring_index(self) -> Iterator[Event]:
        """Index what the index lacks, and take out what is no longer there."""
        wanted = {entry.digest: entry for entry in self.entries if entry.state is State.CURRENT}
        known = self.index.known()
        missing = [entry for digest, entry in wanted.items() if digest not in known]
        for digest in known - wanted.keys():
            self.index.remove(digest)
        for done, entry in enumerate(missing, start=1):
            document = self.document(entry.digest, entry.reader)
            self.index.add(entry.digest, self.paths_of(entry.digest), document)
            yield Indexed(entry.path, done, len(missing))
        self.index.commit()


def _opened(open_store: Callable[[], Store]) -> Store:
    """A store of what can be made again; raises StoreError where it can't be opened."""
    try:
        return open_store()
    except DatabaseTrouble as trouble:
        raise StoreError(str(trouble), "update longctx, or remove that file: it is made again") from trouble


class _Refresh:
    """One look at the sources: what changed since the files were recorded."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._known = corpus.records
        self._unsaved: list[FileRecord] = []
        self._saved_at = time.monotonic()
        self.files: dict[str, FileRecord] = {}
        self.heat: dict[str, int] = {}
        self.changed = 0

    @property
    def gone(self) -> int:
        """How many files are no longer there."""
        return len(self._known.keys() - self.files.keys())

    def read(self) -> Iterator[Event]:
        """Read what is new or changed; one event for each such file."""
        corpus = self._corpus
        if not corpus.entries:
            corpus.tokenizer.expect_much()
        found = discover_sources(corpus.request, corpus.paths, heat=not corpus.entries)
        with WorkerPool() as pool:
            request = corpus.request
            reader = Reader(
                corpus.shelf,
                request.selection,
                pool,
                password=request.password,
                text_limit_bytes=request.text_limit_bytes,
            )
            for reading in reader.read(self._changed(found)):
                yield self._take(reading)
                if time.monotonic() - self._saved_at > COMMIT_EVERY_S:
                    self._save()
        self._save(gone=self._known.keys() - self.files.keys())

    def _changed(self, found: Iterable[Source | Outcome]) -> Iterator[Source | Outcome]:
        """What must be looked at; the rest is taken as it was recorded."""
        for item in found:
            record = self._known.get(item.path)
            if record is not None and _same(record, item) and self._is_held(record):
                self.files[item.path] = record
            else:
                yield item

    def _is_held(self, record: FileRecord) -> bool:
        if record.reader and record.reader not in CURRENT_VERSIONS:
            return False
        return not sent(record) or self._corpus.holds(record.digest, record.reader)

    def _take(self, reading: Reading | Outcome) -> Event:
        record = self._joined(self._record(self._unforged(reading)))
        if record != self._known.get(record.path):
            self.changed += 1
            self._unsaved.append(record)
        self.files[record.path] = record
        return FileDone(record.outcome, record.tokens, fresh=True)

    def _record(self, reading: Reading | Outcome) -> FileRecord:
        if isinstance(reading, Outcome):
            return FileRecord(reading, None, "", "", 0)
        signature = reading.source.signature
        self.heat[reading.source.path] = reading.source.heat
        settled = time.time_ns() - max(signature.mtime_ns, signature.ctime_ns) > RACY_NS
        kept = signature if settled and reading.outcome.status not in MOMENTARY else None
        return FileRecord(reading.outcome, kept, reading.digest, reading.reader, self._count(reading))

    def _joined(self, record: FileRecord) -> FileRecord:
        """With what was already said of the same path: of a folder there may be several things to say."""
        said = self.files.get(record.path)
        if said is None:
            return record
        detail = f"{said.outcome.detail}; {record.outcome.detail}"
        return replace(record, outcome=replace(record.outcome, detail=detail))

    def _unforged(self, reading: Reading | Outcome) -> Reading | Outcome:
        """Leave out a text that holds this corpus's wrapper: an earlier prompt of ours, or a forgery."""
        if isinstance(reading, Outcome) or reading.document is None:
            return reading
        if f"doc-{self._corpus.record.tag}" not in reading.document.text:
            return reading
        outcome = Outcome(reading.outcome.path, Status.WRAPPER, "an earlier prompt of this corpus?")
        return Reading(reading.source, outcome)

    def _count(self, reading: Reading) -> int:
        """The tokens of a reading's text, encoded now where they never were."""
        if reading.document is None:
            return 0
        store = self._corpus.tokens
        count = store.count(reading.digest, reading.reader)
        if count is None:
            ids = self._corpus.tokenizer.encode(reading.document.text)
            store.put(reading.digest, reading.reader, ids)
            count = len(ids)
        return count

    def _save(self, gone: Iterable[str] = ()) -> None:
        """Keep what is finished, texts before tokens before files, so that a record never lacks what it names."""
        gone = list(gone)
        if self._unsaved or gone:
            self._corpus.shelf.commit()
            self._corpus.tokens.commit()
            self._corpus.store.save_files(self._corpus.record.id, self._unsaved, gone)
        self._unsaved, self._saved_at = [], time.monotonic()


def sent(record: FileRecord) -> bool:
    """Whether the file's text is in the prompt, by itself or through its twin."""
    return record.outcome.status.has_text


def cost(record: FileRecord) -> int:
    """The tokens that a file adds to the prompt: none where its text is sent under another path."""
    return record.tokens if sent(record) and record.outcome.status is not Status.DUPLICATE else 0


def discover_sources(request: Request, paths: Paths, *, heat: bool = False) -> Iterator[Source | Outcome]:
    """The files that the request names, now; raises CorpusError where a source is missing."""
    clones = str(paths.cache / "clones")
    try:
        yield from discover(request.inputs, request.selection, clone_root=clones, stdin=request.stdin, heat=heat)
    except IngestError as error:
        raise CorpusError(str(error), error.hint) from error


def marked(files: Mapping[str, FileRecord]) -> dict[str, FileRecord]:
    """The files in order of their paths; of those with equal bytes the first is read, the others are its duplicates."""
    first: dict[str, str] = {}
    result: dict[str, FileRecord] = {}
    for path in sorted(files):
        record = _with_target(files[path], files)
        if sent(record) and record.tokens and first.setdefault(record.digest, path) != path:
            twin = Outcome(path, Status.DUPLICATE, first[record.digest])
            record = replace(record, outcome=twin)
        result[path] = record
    return result


def _with_target(record: FileRecord, files: Mapping[str, FileRecord]) -> FileRecord:
    """A link to a file of the corpus has that file's text."""
    target = files.get(record.outcome.detail) if record.outcome.status is Status.DUPLICATE else None
    if target is None or not sent(target):
        return record
    return replace(record, digest=target.digest, reader=target.reader, tokens=target.tokens)


def _same(record: FileRecord, item: Source | Outcome) -> bool:
    """Whether an item is a file with the signature it was recorded with; an outcome has none, so it is taken anew."""
    return isinstance(item, Source) and item.content is None and item.signature == record.signature


def _why_empty(files: Mapping[str, FileRecord]) -> str:
    if not files:
        return "the sources hold no files, or every file is excluded"
    first = next(iter(files.values())).outcome
    return f"{len(files)} files left out, such as {show(first.path)}: {first.status} {first.detail}".rstrip()


def _absolute(source: str) -> str:
    return source if source == "-" or git.is_remote(source) else os.path.abspath(source)


def request_of(record: CorpusRecord) -> Request:
    """The request that made a stored corpus; text that came from stdin is gone."""
    fields = json.loads(record.selection)
    patterns = {name: tuple(fields[name]) for name in ("include", "exclude", "only")}
    selection = Selection(**patterns, gitignore=fields["gitignore"], secrets=fields["secrets"])
    return Request(record.inputs, selection)


def differences(corpus: Corpus) -> list[tuple[str, str]]:
    """("new" | "changed" | "gone", path) of what is not as it was recorded, by stat alone; nothing is written."""
    found = list(discover_sources(corpus.request, corpus.paths))
    known, now = corpus.records, {item.path for item in found}
    changes = [("new", item.path) for item in found if item.path not in known]
    changes += [("changed", item.path) for item in found if item.path in known and _differs(known[item.path], item)]
    changes += [("gone", path) for path in known if path not in now]
    return sorted(changes, key=lambda change: change[1])


def _differs(record: FileRecord, item: Source | Outcome) -> bool:
    if isinstance(item, Outcome):
        return record.outcome != item
    return record.signature is not None and record.signature != item.signature
