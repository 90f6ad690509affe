"""Bringing a corpus up to date: look at every source, read what changed, renew manifest, tokens and evidence index.

What is finished is committed every second, texts before tokens before file records before the manifest, and the
manifest is worked out anew each time: a run that was interrupted is simply gone on with by the next.
"""

import sqlite3
import time
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from ingest.interruption import undisturbed
from ingest.naming import show
from ingest.outcome import Outcome, Status
from ingest.pool import WorkerPool
from ingest.reader import STOPPED, Reader, Reading, is_current
from ingest.source import Source, is_count
from longctx.corpora import FileRecord
from longctx.corpus import Corpus, index_key
from longctx.errors import CorpusError
from longctx.events import Event, FileDone, Indexed, Refreshed
from longctx.files import sent
from longctx.manifest import Entry, Present, State, update
from longctx.request import discover_sources

COMMIT_EVERY_S = 1.0
LEAVING_WAIT_S = 0.5  # for another process that writes, where a run was interrupted or failed
# Two writes within one clock tick leave equal signatures; a file this young is looked at again (as git does).
RACY_NS = 50_000_000
# Outcomes that lie in the moment, not in the file: looked at again next time.
MOMENTARY = frozenset({Status.UNREADABLE, Status.CHANGED, Status.NEEDS_EXTRA, Status.PASSWORD, Status.TOO_LARGE})


def refresh(corpus: Corpus, *, index: bool = True, retry: bool = False) -> Generator[Event, None, None]:
    """Look at every source, read what changed, and bring manifest, tokens and evidence index up to date.

    With `retry`, files whose parser was stopped are tried again. Raises CorpusError where nothing can be read.
    What was finished before an interruption is kept; who stops listening before the end closes the generator.
    """
    corpus.let_go()
    run = _Refresh(corpus, retry=retry)
    yield from run.read()
    corpus.show_files(run.files)
    present = corpus.present(run.heat)
    corpus.freeze(lambda entries: updated(corpus, tuple(filter(corpus.holds, entries or corpus.whole)), present))
    if not any(sent(record) for record in corpus.files.values()):
        raise CorpusError("nothing readable in " + ", ".join(corpus.record.inputs), _why_empty(corpus))
    corpus.store.touch(corpus.record)
    if index:
        yield from _bring_index(corpus, renamed=bool(run.changed or run.gone))
    yield Refreshed(len(corpus.files), run.changed, len(run.gone))


def updated(corpus: Corpus, entries: tuple[Entry, ...], present: list[Present]) -> tuple[Entry, ...]:
    """What becomes of these entries when the sources are `present`; a new part of a corpus begins with that one's."""
    after = update(entries, present, corpus.records, corpus.whole)
    return tuple(e for e in after if e.state is State.CURRENT or corpus.request.carries(e))


def _bring_index(corpus: Corpus, *, renamed: bool) -> Iterator[Event]:
    """Index what the index lacks and take out what is no longer there; where files changed, renew their paths."""
    wanted = {index_key(entry): entry for entry in corpus.current}
    known = corpus.index.known()
    missing = [key for key in wanted if key not in known]
    try:
        for key in known - wanted.keys():
            corpus.index.remove(key)
        for key in known & wanted.keys() if renamed else ():
            corpus.index.set_paths(key, corpus.paths_of(wanted[key]))
        for done, key in enumerate(missing, start=1):
            entry = wanted[key]
            corpus.index.add(key, corpus.paths_of(entry), corpus.document(entry))
            yield Indexed(entry.path, done, len(missing))
    finally:
        corpus.index.commit()


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
    def gone(self) -> set[str]:
        """The paths of files that are no longer there."""
        return self._known.keys() - self.files.keys()

    def read(self) -> Iterator[Event]:
        """Read what is new or changed; one event for each such file. However it ends, no store stays locked."""
        if self._corpus.is_new:
            self._corpus.tokenizer.expect_much()
        try:
            yield from self._read()
        except BaseException:
            with suppress(sqlite3.Error):  # what is not kept is read again; why the run ends says more
                self._save(wait_s=LEAVING_WAIT_S)
            raise
        self._save(self.gone)

    def _read(self) -> Iterator[Event]:
        corpus = self._corpus
        found = discover_sources(corpus.request, corpus.paths, heat=corpus.is_new)
        with WorkerPool() as pool:
            request = corpus.request
            reader = Reader(
                corpus.shelf,
                request.selection,
                pool,
                password=request.password,
                text_limit_bytes=request.text_limit_bytes,
                before_wait=self._save,
            )
            for reading in reader.read(self._changed(found)):
                yield self._take(reading)
                if time.monotonic() - self._saved_at > COMMIT_EVERY_S:
                    self._save()

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

    def _save(self, gone: Collection[str] = (), wait_s: float | None = None) -> None:
        """Keep what is finished, texts before tokens before files, so that a record never lacks what it names."""
        with undisturbed():
            self._corpus.commit()
            if self._unsaved or gone:
                self._corpus.store.save_files(self._corpus.record.id, self._unsaved, gone, wait_s=wait_s)
            self._unsaved, self._saved_at = [], time.monotonic()


def _same(record: FileRecord, item: Source | Outcome) -> bool:
    """Whether an item is a file with the signature it was recorded with; an outcome has none, so it is taken anew."""
    return isinstance(item, Source) and item.content is None and item.signature == record.signature


def _why_empty(corpus: Corpus) -> str:
    if not corpus.files:
        own = " but the report's own" if corpus.request.selection.own else ""
        return f"the sources hold no files{own}, or every file is excluded"
    outcomes = [record.outcome for record in corpus.files.values()]
    first = next((outcome for outcome in outcomes if not is_count(outcome)), None)
    if first is None:
        return "; ".join(dict.fromkeys(outcome.detail for outcome in outcomes))
    count = sum(not is_count(outcome) for outcome in outcomes)
    such = f"{count:,} files left out, such as" if count > 1 else "left out:"
    return f"{such} {show(first.path)}: {first.status} {first.detail}".rstrip()


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
