"""An open corpus: its record, its files and their order, and the stores that hold its texts, ids and index.

It reads no source (`refresh` does), asks no question and draws nothing.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from ingest.database import DatabaseTrouble
from ingest.document import Document
from ingest.shelf import Shelf
from ingest.source import Source
from longctx.corpora import CorporaStore, CorpusRecord, FileRecord, corpus_id
from longctx.errors import CorpusError, StoreError
from longctx.files import cost, marked, sent
from longctx.index import Index
from longctx.manifest import Entry, Present, State, repack
from longctx.passages import PASSAGES_VERSION
from longctx.paths import Paths, ensure
from longctx.request import Request, discover_sources
from longctx.token_store import TokenStore
from longctx.tokenised import TokenisedDocument
from longctx.tokens import Tokenizer

if TYPE_CHECKING:
    from longctx.answer import CorpusSummary

Store = TypeVar("Store", Shelf, TokenStore, Index)


class Corpus:
    """An open corpus. Close it, or use it in a `with`."""

    def __init__(self, request: Request, paths: Paths) -> None:
        self.request = request
        self.paths = paths
        self._open, self._lent = ExitStack(), ExitStack()
        ensure(paths.data)
        ensure(paths.cache)
        self.store = CorporaStore(paths.data / "longctx.db")
        self._open.callback(self.store.close)
        self._open.callback(self.let_go)
        self.record = self._record()
        self.tokenizer = Tokenizer()
        self._shelf: Shelf | None = None
        self._tokens: TokenStore | None = None
        self._index: Index | None = None
        self._records = self.store.files(self.record.id)
        self._files: dict[str, FileRecord] | None = None
        self._paths_by_key: dict[tuple[str, str], list[str]] | None = None
        self._summary: CorpusSummary | None = None
        self._entries: tuple[Entry, ...] | None = None
        self._held: set[tuple[str, str]] = set()

    def _record(self) -> CorpusRecord:
        request, now = self.request, time.time()
        identity = corpus_id(request.name)
        tag = self.store.tag(identity, request.part.whole if request.part else "")
        sources = (request.public_inputs, request.folder, request.selection_text)
        return CorpusRecord(identity, *sources, tag, now, now, request.part)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit what was done and close the stores."""
        self._open.close()

    def commit(self) -> None:
        """Make durable what the stores have gathered, texts first, and let other processes write."""
        with ExitStack() as each:  # the last comes first, and one that fails keeps none from it
            for store in (self._index, self._tokens, self._shelf):
                if store is not None:
                    each.callback(store.commit)

    def let_go(self) -> None:
        """Commit and close the stores of what can be made again. The next use opens those that are there then: a user
        may have emptied their folder."""
        self._shelf = self._tokens = self._index = None
        self._held.clear()
        self._lent.close()

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
    def current(self) -> tuple[Entry, ...]:
        """The texts of the manifest that there are now, in its order."""
        return tuple(entry for entry in self.entries if entry.state is State.CURRENT)

    @property
    def whole(self) -> tuple[Entry, ...]:
        """The manifest of the corpus that this one is a part of; nothing for one that is itself whole."""
        return self.store.entries(self.request.part.whole) if self.request.part else ()

    @property
    def is_new(self) -> bool:
        """Whether no order is there to begin with."""
        return not (self.entries or self.whole)

    @property
    def shelf(self) -> Shelf:
        """Stored texts."""
        if self._shelf is None:
            self._shelf = _opened(lambda: Shelf(self.paths.cache / "shelf.db"))
            self._lent.callback(self._shelf.close)
        return self._shelf

    @property
    def tokens(self) -> TokenStore:
        """Stored token ids."""
        if self._tokens is None:
            place = self.paths.cache / "tokens.db"
            self._tokens = _opened(lambda: TokenStore(place, self.tokenizer.fingerprint))
            self._lent.callback(self._tokens.close)
        return self._tokens

    @property
    def index(self) -> Index:
        """The evidence index."""
        if self._index is None:
            place = self.paths.cache / "evidence" / f"{self.record.id}.db"
            self._index = Index(place)
            self._lent.callback(self._index.close)
        return self._index

    def paths_of(self, text: Entry) -> list[str]:
        """Every path that has this text now, in order; the first is the one it is shown under."""
        return self._paths.get(text.key, [])

    @property
    def summary(self) -> "CorpusSummary":
        """What was read and what was left out, as each answer says it."""
        from longctx.answer import summarise

        if self._summary is None:
            self._summary = summarise(self.record.id, self.files)
        return self._summary

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

    def show_files(self, records: dict[str, FileRecord]) -> None:
        """Take `records` as the files there are, by path."""
        self._records, self._files, self._paths_by_key, self._summary = records, None, None, None

    def holds(self, text: Entry | FileRecord) -> bool:
        """Whether a text and its tokens are stored: they are lost when the user empties the cache directory."""
        if text.key not in self._held and self.shelf.has(*text.key) and self.tokens.count(*text.key) is not None:
            self._held.add(text.key)
        return text.key in self._held

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


def _opened(open_store: Callable[[], Store]) -> Store:
    """A store of what can be made again; raises StoreError where it can't be opened."""
    try:
        return open_store()
    except DatabaseTrouble as trouble:
        raise StoreError(str(trouble), "update longctx, or remove that file: it is made again") from trouble


def index_key(entry: Entry) -> str:
    """Names a text as the index cut it: another reader's text, or other passages, are other entries of the index."""
    return f"{entry.digest} {entry.reader} {PASSAGES_VERSION}"
