"""The full-text index of one corpus: which passages hold which words, in one SQLite file.

It keeps no text (the shelf does), so it is small and can always be made again. What is removed is no longer
found at once, but its words stay until they are a fifth of the index; then all is dropped and added anew.
It ranks by words alone; `longctx.evidence` reads the text and decides.
"""

import json
import re
import sqlite3
import time
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ingest import database
from ingest.document import Document
from longctx.passages import NAME_MOST, Passage, passages

if TYPE_CHECKING:
    import sqlite_utils

STALE_SHARE_MOST = 0.2
COMMIT_EVERY_S = 2.0
PATHS_MOST = 2_000  # characters of the paths of one text: they stand with each of its passages
# BM25 weights of the columns path, name, heading, body.
WEIGHTS = (1.0, 3.0, 1.5, 1.0)


@dataclass(frozen=True, slots=True)
class Match:
    """A passage that holds words of a query; a larger `score` is better."""

    digest: str
    path: str
    start: int
    end: int
    kind: str
    name: str
    heading: str
    score: float


def _create(db: "sqlite_utils.Database") -> None:
    db.table("documents").create({"id": int, "digest": str, "kind": str}, pk="id", not_null={"digest", "kind"})
    db.table("documents").create_index(["digest"], unique=True)
    db.table("paths").create({"document": int, "path": bytes}, pk=("document", "path"))
    columns = {
        "id": int,
        "document": int,
        "first": int,
        "last": int,
        "kind": str,
        "name": str,
        "heading": str,
    }
    db.table("passages").create(columns, pk="id")
    db.table("passages").create_index(["document"])
    db.table("totals").create({"name": str, "value": int}, pk="name")
    db.table("totals").insert_all([{"name": "last_passage", "value": 0}, {"name": "dead_passages", "value": 0}])
    db.execute(_WORDS_TABLE)


# Marks are part of words (categories Mn, Mc): without them every vowel sign of Hindi would end a word.
_WORDS_TABLE = """
CREATE VIRTUAL TABLE words USING fts5(
    path, name, heading, body, content='',
    tokenize="porter unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'"
)"""


class Index:
    """The open index. Opening costs nothing until the first call; close it, or use it with `with`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: sqlite3.Connection | None = None
        self._begun = 0.0

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = database.connect(self._path, [_create], rebuildable=True)
        return self._opened

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit and close; a later call opens it again."""
        if self._opened is not None:
            try:
                self.commit()
            finally:
                self._opened.close()
                self._opened = None

    def commit(self) -> None:
        """Keep what was added so far, whatever happens next."""
        if self._opened is not None:
            database.commit(self._opened)

    def known(self) -> set[str]:
        """The digests that are in the index. Empty after many removals: then all are to be added again."""
        if self.stale_share() > STALE_SHARE_MOST or self._is_torn():
            self._clear()
        return {digest for (digest,) in self._connection.execute("SELECT digest FROM documents")}

    def add(self, digest: str, paths: Sequence[str], document: Document) -> None:
        """Index `document` under all its paths; one that is known only gets its paths renewed."""
        with self._whole():
            if self._id(digest) is None:
                self._insert(digest, paths, document)
            self._set_paths(digest, paths)
        if time.monotonic() - self._begun > COMMIT_EVERY_S:
            self.commit()

    def set_paths(self, digest: str, paths: Iterable[str]) -> None:
        """Renew under which paths a known document is found."""
        with self._whole():
            self._set_paths(digest, paths)

    def remove(self, digest: str) -> None:
        """Find the document no more; unknown digests are no error."""
        number = self._id(digest)
        if number is None:
            return
        with self._whole():
            run = self._connection.execute
            dead = run("DELETE FROM passages WHERE document = ?", (number,)).rowcount
            run("UPDATE totals SET value = value + ? WHERE name = 'dead_passages'", (dead,))
            run("DELETE FROM paths WHERE document = ?", (number,))
            run("DELETE FROM documents WHERE id = ?", (number,))

    def stale_share(self) -> float:
        """The share of the indexed passages that were removed."""
        return self._total("dead_passages") / max(1, self._total("last_passage"))

    def size(self) -> int:
        """How many passages can be found."""
        return self._total("last_passage") - self._total("dead_passages")

    def frequency(self, expression: str) -> int:
        """How many passages match an FTS5 expression, removed ones included."""
        rows = self._connection.execute("SELECT count(*) FROM words WHERE words MATCH ?", (expression,))
        return int(rows.fetchone()[0])

    def match(self, expression: str, limit: int, within: Collection[str] | None = None) -> list[Match]:
        """The best passages for an FTS5 expression by weighted BM25, best first: of all documents, or of those whose
        digests are `within`."""
        if within is None:
            rows = self._connection.execute(_MATCH, (expression, *WEIGHTS, limit))
        else:
            digests = json.dumps(list(within))
            first, last = self._connection.execute(_REACH, (digests,)).fetchone()
            rows = self._connection.execute(_MATCH_WITHIN, (expression, *WEIGHTS, limit, digests, first, last))
        return [Match(digest, _path(path), *rest) for digest, path, *rest in rows]

    def paths(self, digest: str) -> list[str]:
        """The paths of a document, in order."""
        rows = self._connection.execute("SELECT path FROM paths WHERE document = ? ORDER BY path", (self._id(digest),))
        return [_path(path) for (path,) in rows]

    def all_paths(self) -> Iterator[tuple[str, str]]:
        """(path, digest) of every document."""
        rows = self._connection.execute(
            "SELECT path, digest FROM paths JOIN documents ON documents.id = document ORDER BY path"
        )
        yield from ((_path(path), digest) for path, digest in rows)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """All of a change or none of it: half of one would be kept with the rest.

        What goes with it is of two seconds. (A savepoint would spare that, but FTS5 writes out what it has gathered at
        each one: 20 % of the time.)
        """
        if database.begin(self._connection):
            self._begun = time.monotonic()
        try:
            yield
        except BaseException:
            database.roll_back(self._connection)
            raise

    def _set_paths(self, digest: str, paths: Iterable[str]) -> None:
        number = self._id(digest)
        self._connection.execute("DELETE FROM paths WHERE document = ?", (number,))
        rows = ((number, _bytes(path)) for path in paths)
        self._connection.executemany("INSERT OR IGNORE INTO paths VALUES (?, ?)", rows)

    def _id(self, digest: str) -> int | None:
        row = self._connection.execute("SELECT id FROM documents WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else int(row[0])

    def _total(self, name: str) -> int:
        return int(self._connection.execute("SELECT value FROM totals WHERE name = ?", (name,)).fetchone()[0])

    def _is_torn(self) -> bool:
        """Whether there are passages that were never counted: half of a document, which nothing here leaves behind."""
        last = self._connection.execute("SELECT max(id) FROM passages").fetchone()[0]
        return last is not None and int(last) > self._total("last_passage")

    def _insert(self, digest: str, paths: Sequence[str], document: Document) -> None:
        run = self._connection.execute
        number = run("INSERT INTO documents(digest, kind) VALUES (?, ?)", (digest, document.kind)).lastrowid
        first = self._total("last_passage") + 1
        found = list(passages(document))
        self._connection.executemany(
            "INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (i, number, p.start, p.end, p.kind, _clean(p.name), _clean(p.heading))
                for i, p in enumerate(found, first)
            ),
        )
        self._connection.executemany(
            "INSERT INTO words(rowid, path, name, heading, body) VALUES (?, ?, ?, ?, ?)",
            _word_rows(first, " ".join(paths), document, found),
        )
        run("UPDATE totals SET value = ? WHERE name = 'last_passage'", (first + len(found) - 1,))

    def _clear(self) -> None:
        with self._whole():
            for table in ("documents", "paths", "passages", "words"):
                self._connection.execute(f"DROP TABLE {table}" if table == "words" else f"DELETE FROM {table}")
            self._connection.execute(_WORDS_TABLE)
            self._connection.execute("UPDATE totals SET value = 0")
        self.commit()


_MATCH_FORM = """
SELECT d.digest, (SELECT min(path) FROM paths WHERE document = d.id), p.first, p.last, p.kind, p.name,
    p.heading, -rank
FROM (SELECT rowid, bm25(words, ?2, ?3, ?4, ?5) AS rank FROM words WHERE words MATCH ?1{reach}) AS w
JOIN passages AS p ON p.id = w.rowid JOIN documents AS d ON d.id = p.document{documents}
ORDER BY rank, p.id LIMIT ?6"""
_MATCH = _MATCH_FORM.format(reach="", documents="")
# Passages of a document lie together, so that of a part of a corpus only their stretch is looked through.
_MATCH_WITHIN = _MATCH_FORM.format(
    reach=" AND rowid BETWEEN ?8 AND ?9", documents=" WHERE d.digest IN (SELECT value FROM json_each(?7))"
)
_REACH = """
SELECT min(p.id), max(p.id) FROM json_each(?1) AS e JOIN documents AS d ON d.digest = e.value
JOIN passages AS p ON p.document = d.id"""


def _word_rows(
    first: int, paths: str, document: Document, found: Sequence[Passage]
) -> Iterator[tuple[int, str, str, str, str]]:
    words_of_path, title = searchable(paths[:PATHS_MOST]), searchable(document.title[:NAME_MOST])
    names: dict[str, str] = {}
    for number, passage in enumerate(found, first):
        for name in (passage.name, passage.heading):
            if name not in names:
                names[name] = searchable(name)
        body = searchable(document.text[passage.start : passage.end])
        yield number, words_of_path, names[passage.name], f"{title} {names[passage.heading]}", body


def _bytes(path: str) -> bytes:
    """SQLite's text takes no lone surrogates, which stand for undecodable bytes in a path."""
    return path.encode("utf-8", "surrogatepass")


def _path(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


_HUMP = re.compile(r"[a-z\d][A-Z]|[A-Z]{2}[a-z]")
_CAMEL = re.compile(r"\b_*[A-Z]*+[a-z\d]*+[A-Z]\w*")
_HUMPS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# Scripts written without spaces: Thai, Lao, Myanmar, Khmer; kana, Han, Hangul is spaced.
_RUNS = re.compile(
    "[\u0e00-\u0eff]+|[\u1000-\u109f]+|[\u1780-\u17ff]+|[\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003134f]+"
)
# Arabic vowel signs and the lengthening stroke are seldom typed; đ has no decomposition.
_FOLDED = {
    **dict.fromkeys([*range(0x64B, 0x660), 0x670, 0x640, 0xAD, 0x200B, 0x200C, 0x200D]),
    0x111: "d",
    0x110: "D",
}


def searchable(text: str) -> str:
    """`text` with what the tokenizer would miss: parts of camelCase, pairs in scripts without spaces."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _clean(text)).translate(_FOLDED)
        text = _RUNS.sub(lambda run: f" {' '.join(pairs(run.group()))} ", text)
    if _HUMP.search(text):
        text = " ".join((text, *map(_humps, dict.fromkeys(_CAMEL.findall(text)))))
    return text


@lru_cache(maxsize=4096)
def _humps(name: str) -> str:
    return " ".join(_HUMPS.findall(name)) if _HUMP.search(name) else ""


def pairs(run: str) -> list[str]:
    """Every two neighbouring characters; a single one stands for itself."""
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]
