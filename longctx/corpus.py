"""A corpus: sources brought up to date on the shelf, in the token store, in the manifest and in the evidence index.

`Corpus` holds the open stores. It asks no questions and draws nothing; `analysis` and the command line do.
"""

import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
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
from ingest.reader import STOPPED, TEXT_LIMIT_BYTES, Reader, Reading, is_current
from ingest.rules import Selection
from ingest.shelf import Shelf
from ingest.source import STDIN_PATH, Source, discover
from longctx.corpora import CorporaStore, CorpusRecord, FileRecord, corpus_id
from longctx.errors import CorpusError, StoreError
from longctx.events import Event, FileDone, Indexed, Refreshed
from longctx.index import Index
from longctx.manifest import Entry, Present, State, repack, update
from longctx.passages import PASSAGES_VERSION
from longctx.paths import Paths, ensure
from longctx.token_store import TokenStore
from longctx.tokenised import TokenisedDocument
from longctx.tokens import Tokenizer

Store = TypeVar("Store", Shelf, TokenStore, Index)
LISTED = "--from-file"
COMMIT_EVERY_S = 1.0
# Two writes within one clock tick leave equal signatures; a file this young is looked at again (as git does).
RACY_NS = 50_000_000
# Outcomes that lie in the moment, not in the file: looked at again next time.
MOMENTARY = frozenset({Status.UNREADABLE, Status.CHANGED, Status.NEEDS_EXTRA, Status.PASSWORD, Status.TOO_LARGE})


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks to be a corpus: sources and the rules that select from them; and what reading may need.

    `listed` is a list of further paths (`--from-file`), `folder` where relative paths start.
    """

    inputs: tuple[str, ...]
    selection: Selection = field(default_factory=Selection)
    stdin: bytes | None = None
    listed: bytes | None = None
    password: str | None = None
    text_limit_bytes: int = TEXT_LIMIT_BYTES
    folder: str = field(default_factory=os.getcwd)

    @property
    def public_inputs(self) -> tuple[str, ...]:
        """The inputs as they may be kept and shown: without the user and password of an address."""
        return tuple(git.public_url(each) if git.is_remote(each) else each for each in self.inputs)

    @property
    def name(self) -> list[str]:
        """What makes a corpus the same one: its sources, what shows their paths, and the selection."""
        sources = list(self.public_inputs)
        alone = len(sources) == 1 and self.listed is None
        if alone and not git.is_remote(sources[0]):
            sources = [os.path.join(self.folder, sources[0])]
            sources = [os.path.normpath(sources[0])] if os.path.isdir(sources[0]) else [self.folder, *self.inputs]
        elif not alone:
            sources = [self.folder, *sources]
        return [*sources, *([LISTED] if self.listed is not None else ()), self.selection_text]

    def carries(self, entry: Entry) -> bool:
        """Whether a text that is no longer current stays in the prompt: not what was piped in earlier, nor what
        only an earlier list named."""
        if entry.path == STDIN_PATH:
            return False
        return self.listed is None or entry.state is not State.DELETED

    @property
    def selection_text(self) -> str:
        """The selection as JSON."""
        return json.dumps(asdict(self.selection), sort_keys=True)


class Corpus:
    """An open corpus. Close it, or use it in a `with`."""

    def __init__(self, request: Request, paths: Paths) -> None:
        self.request = request
        self.paths = paths
        self._open = ExitStack()
        ensure(paths.data)
        ensure(paths.cache)
        self.store = CorporaStore(paths.data / "longctx.db")
        self._open.callback(self.store.close)
        self.record = self._record()
        self.tokenizer = Tokenizer()
        self._shelf: Shelf | None = None
        self._tokens: TokenStore | None = None
        self._index: Index | None = None
        self._records = self.store.files(self.record.id)
        self._files: dict[str, FileRecord] | None = None
        self._paths_by_key: dict[tuple[str, str], list[str]] | None = None
        self._entries: tuple[Entry, ...] | None = None

    def _record(self) -> CorpusRecord:
        request, now = self.request, time.time()
        identity = corpus_id(request.name)
        tag = self.store.tag(identity)
        return CorpusRecord(identity, request.public_inputs, request.folder, request.selection_text, tag, now, now)

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
            place = self.paths.cache / "evidence" / f"{self.record.id}.db"
            self._index = Index(place)
            self._open.callback(self._index.close)
        return self._index

    def paths_of(self, text: Entry) -> list[str]:
        """Every path that has this text now, in order; the first is the one it is shown under."""
        return self._paths.get(text.key, [])

    @property
    def _paths(self) -> Mapping[tuple[str, str], list[str]]:
        if self._paths_by_key is None:
            self._paths_by_key = {}
            for record in self.files.values():
                if sent(record):
                    self._paths_by_key.setdefault(record.key, []).append(record.path)
        return self._paths_by_key

    def location(self, path: str) -> str | None:
        """The file behind a path as it is cited, or None where there is none any more (stdin, a clone)."""
        inputs = [os.path.join(self.record.folder, each) for each in self.record.inputs]
        root = inputs[0] if len(inputs) == 1 and os.path.isdir(inputs[0]) else self.record.folder
        location = os.path.abspath(os.path.join(root, path))
        return location if os.path.exists(location) else None

    def document(self, entry: Entry) -> Document:
        """A stored document; raises CorpusError where the shelf has lost it."""
        shelved = self.shelf.get(*entry.key)
        if shelved is None or shelved.document is None:
            raise CorpusError("a stored text is missing", "run longctx ingest on these sources again")
        return shelved.document

    def tokenised(self, entry: Entry) -> TokenisedDocument:
        """An entry's text beside its ids."""
        ids = self.tokens.get(*entry.key)
        if ids is None:
            raise CorpusError("stored tokens are missing", "run longctx ingest on these sources again")
        return TokenisedDocument(self.document(entry), ids, self.tokenizer)

    def refresh(self, *, index: bool = True, retry: bool = False) -> Iterator[Event]:
        """Look at every source, read what changed, and bring manifest, tokens and evidence index up to date.

        With `retry`, files whose parser was stopped are tried again. Raises CorpusError where nothing can be read.
        What was finished before an interruption is kept.
        """
        run = _Refresh(self, retry=retry)
        yield from run.read()
        self._records, self._files, self._paths_by_key = run.files, None, None
        present = self.present(run.heat)
        self.freeze(lambda entries: self._updated(entries, present, run.files))
        if not any(sent(record) for record in self.files.values()):
            raise CorpusError("nothing readable in " + ", ".join(self.record.inputs), _why_empty(self.files))
        self.store.touch(self.record)
        if index:
            yield from self._bring_index(renamed=bool(run.changed or run.gone))
        yield Refreshed(len(self.files), run.changed, run.gone)

    def _updated(self, entries: tuple[Entry, ...], present: list[Present], paths: Collection[str]) -> tuple[Entry, ...]:
        after = update(tuple(filter(self.holds, entries)), present, paths)
        return tuple(e for e in after if e.state is State.CURRENT or self.request.carries(e))

    def holds(self, text: Entry | FileRecord) -> bool:
        """Whether a text and its tokens are stored: they are lost when the user empties the cache directory."""
        return self.shelf.has(*text.key) and self.tokens.count(*text.key) is not None

    def freeze(self, change: Callable[[tuple[Entry, ...]], tuple[Entry, ...]]) -> None:
        """Make the manifest what `change` makes of it; entries that another process has appended are seen by it."""
        self._entries = self.store.change_entries(self.record.id, change)

    def repack(self) -> None:
        """Order the corpus anew, coldest first, without what is stale."""
        found = discover_sources(self.request, self.paths, heat=True)
        heat = {item.path: item.heat for item in found if isinstance(item, Source)}
        self.freeze(lambda _: repack(self.present(heat)))

    def present(self, heat: Mapping[str, int]) -> list[Present]:
        """The texts the sources have now, each once, under the first of its paths."""
        first: dict[tuple[str, str], FileRecord] = {}
        for record in self.files.values():
            if cost(record):
                first.setdefault(record.key, record)
        return [Present(r.path, *r.key, r.tokens, heat.get(r.path, 0)) for r in first.values()]

    def _bring_index(self, *, renamed: bool) -> Iterator[Event]:
        """Index what the index lacks and take out what is no longer there; where files changed, renew their paths."""
        wanted = {index_key(entry): entry for entry in self.entries if entry.state is State.CURRENT}
        known = self.index.known()
        for key in known - wanted.keys():
            self.index.remove(key)
        missing = [key for key in wanted if key not in known]
        for key in known & wanted.keys() if renamed else ():
            self.index.set_paths(key, self.paths_of(wanted[key]))
        for done, key in enumerate(missing, start=1):
            entry = wanted[key]
            self.index.add(key, self.paths_of(entry), self.document(entry))
            yield Indexed(entry.path, done, len(missing))
        self.index.commit()


def _opened(open_store: Callable[[], Store]) -> Store:
    """A store of what can be made again; raises StoreError where it can't be opened."""
    try:
        return open_store()
    except DatabaseTrouble as trouble:
        raise StoreError(str(trouble), "update longctx, or remove that file: it is made again") from trouble


def index_key(entry: Entry) -> str:
    """Names a text as the index cut it: another reader's text, or other passages, are other entries of the index."""
    return f"{entry.digest} {entry.reader} {PASSAGES_VERSION}"


class _Refresh:
    """One look at the sources: what changed since the files were recorded."""

    def __init__(self, corpus: Corpus, *, retry: bool) -> None:
        self._corpus = corpus
        self._retry = retry
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
        if not is_current(record.reader) or (self._retry and record.outcome.detail.startswith(STOPPED)):
            return False
        return not sent(record) or self._corpus.holds(record)

    def _take(self, reading: Reading | Outcome) -> Event:
        record = self._joined(self._record(self._unforged(reading)))
        if record != self._known.get(record.path):
            self.changed += 1
            self._unsaved.append(record)
        self.files[record.path] = record
        return FileDone(record.outcome, record.tokens)

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
        yield from discover(
            request.inputs,
            request.selection,
            clone_root=clones,
            stdin=request.stdin,
            from_file=request.listed,
            heat=heat,
        )
    except IngestError as error:
        raise CorpusError(str(error), error.hint) from error


def marked(files: Mapping[str, FileRecord]) -> dict[str, FileRecord]:
    """The files in order of their paths; of those with the same text the first is read, the others its duplicates.

    A link to a file of the corpus is always the duplicate, and shares its target's fate where that wasn't read.
    """
    first: dict[tuple[str, str], str] = {}
    for path in sorted(files):
        record = files[path]
        if sent(record) and record.tokens:
            first.setdefault(record.key, path)
    return {path: _marked(_with_target(files[path], files), first) for path in sorted(files)}


def _marked(record: FileRecord, first: Mapping[tuple[str, str], str]) -> FileRecord:
    twin = first.get(record.key, record.path)
    if not sent(record) or twin == record.path:
        return record
    return replace(record, outcome=Outcome(record.path, Status.DUPLICATE, twin))


def _with_target(record: FileRecord, files: Mapping[str, FileRecord]) -> FileRecord:
    """A link to a file of the corpus has that file's text, or the reason why it has none."""
    if record.outcome.status is not Status.DUPLICATE:
        return record
    target = files.get(record.outcome.detail)
    if target is None:
        return replace(record, outcome=Outcome(record.path, Status.SPECIAL, f"link to {record.outcome.detail}"))
    if not sent(target):
        return replace(record, outcome=replace(target.outcome, path=record.path))
    return replace(record, digest=target.digest, reader=target.reader, tokens=target.tokens)


def _same(record: FileRecord, item: Source | Outcome) -> bool:
    """Whether an item is a file with the signature it was recorded with; an outcome has none, so it is taken anew."""
    return isinstance(item, Source) and item.content is None and item.signature == record.signature


def _why_empty(files: Mapping[str, FileRecord]) -> str:
    if not files:
        return "the sources hold no files, or every file is excluded"
    first = next(iter(files.values())).outcome
    return f"{len(files)} files left out, such as {show(first.path)}: {first.status} {first.detail}".rstrip()


def request_of(record: CorpusRecord) -> Request:
    """The request that made a stored corpus; text and lists that came from stdin are gone."""
    fields = json.loads(record.selection)
    patterns = {name: tuple(fields[name]) for name in ("include", "exclude", "only")}
    selection = Selection(**patterns, gitignore=fields["gitignore"], secrets=fields["secrets"])
    return Request(record.inputs, selection, folder=record.folder)


def differences(corpus: Corpus) -> list[tuple[str, str]]:
    """("new" | "changed" | "gone", path) of what is not as it was recorded, by stat alone; nothing is written."""
    found = list(discover_sources(corpus.request, corpus.paths))
    known, now = corpus.records, {item.path for item in found}
    changes = [("new", item.path) for item in found if item.path not in known]
    changes += [("changed", item.path) for item in found if item.path in known and _differs(known[item.path], item)]
    changes += [("gone", path) for path in known if path not in now]
    return sorted(changes, key=lambda change: change[1])


def _differs(record: FileRecord, item: Source | Outcome) -> bool:
    """Whether a file is not as it was recorded; of one without a signature only its size could be compared."""
    if isinstance(item, Outcome):
        return record.outcome.status is not item.status
    return record.signature is not None and record.signature != item.signature
