"""The corpora a user has made: sources, the files they had, and the frozen order of their texts.

One SQLite file in the data directory. It holds no document text (that is on the shelf) and can't be rebuilt, since
the order of a prompt is a decision and not a fact.
"""

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.database import DatabaseTrouble, connect, transaction, waiting_at_most
from ingest.git import is_remote
from ingest.outcome import Outcome, Status
from ingest.source import Signature
from longctx.errors import StoreError
from longctx.manifest import Entry, State

if TYPE_CHECKING:
    import sqlite_utils


SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Part:
    """Of which corpus a request names a part: its id, and the paths left out of it (folders end in a slash)."""

    whole: str
    left_out: frozenset[str]

    def leaves_out(self, path: str) -> bool:
        """Whether a path is one of those left out, or in a folder among them."""
        folders = (path[: at + 1] for at, letter in enumerate(path) if letter == "/")
        return path in self.left_out or any(folder in self.left_out for folder in folders)


@dataclass(frozen=True, slots=True)
class CorpusRecord:
    """A stored corpus: its sources as they were given, the folder they were given in, and the rules that select; and
    of which other one it is a part."""

    id: str
    inputs: tuple[str, ...]
    folder: str
    selection: str
    tag: str
    created_s: float
    used_s: float
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file as it was last seen. `signature` is None where it must be looked at again whatever stat says."""

    outcome: Outcome
    signature: Signature | None
    digest: str
    reader: str
    tokens: int

    @property
    def key(self) -> tuple[str, str]:
        """Names the file's text, as an entry's key does."""
        return self.digest, self.reader

    @property
    def path(self) -> str:
        """How the file is shown and cited."""
        return self.outcome.path


def corpus_id(named: Sequence[str]) -> str:
    """The same sources under the same rules are the same corpus."""
    return hashlib.sha256(os.fsencode(json.dumps(named))).hexdigest()[:12]


class CorporaStore:
    """The database of corpora; every write is one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = connect(path, [_m001_corpora, _m002_parts], rebuildable=False)
        except DatabaseTrouble as trouble:
            raise StoreError(str(trouble), "move the file aside to start anew, or update longctx") from trouble

    def tag(self, identity: str, whole: str = "") -> str:
        """What marks a corpus's wrappers: a document can't know it, and it never changes (law 6).

        One that is new and a part of another, the `whole`, has the tag of that one.
        """
        query = "SELECT tag FROM corpora WHERE id = ?"
        for known in filter(None, (identity, whole)):
            if row := self._connection.execute(query, (known,)).fetchone():
                return str(row[0])
        return hmac.new(self._secret(), (whole or identity).encode(), hashlib.sha256).hexdigest()[:8]

    def touch(self, record: CorpusRecord) -> None:
        """Keep a corpus, or the time of its last use, and of which it is a part by now."""
        part = record.part
        with transaction(self._connection):
            self._connection.execute(
                "INSERT INTO corpora (id, inputs, folder, selection, tag, created_s, used_s, whole, left_out)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET used_s = excluded.used_s,"
                " whole = coalesce(excluded.whole, whole), left_out = coalesce(excluded.left_out, left_out)",
                (
                    record.id,
                    os.fsencode(json.dumps(record.inputs)),
                    os.fsencode(record.folder),
                    record.selection,
                    record.tag,
                    record.created_s,
                    time.time(),
                    part and part.whole,
                    part and os.fsencode(json.dumps(sorted(part.left_out))),
                ),
            )

    def find(self, identity: str) -> CorpusRecord:
        """The corpus whose id begins with `identity`; raises StoreError where none or several do."""
        found = [record for record in self.all() if identity and record.id.startswith(identity)]
        if len(found) != 1:
            what = "no corpus" if not found else f"{len(found)} corpora"
            raise StoreError(f"{what} with an id that begins with {identity!r}", "see longctx corpora ls")
        return found[0]

    def all(self) -> list[CorpusRecord]:
        """Every corpus, the last used first."""
        rows = self._connection.execute(
            "SELECT id, inputs, folder, selection, tag, created_s, used_s, whole, left_out FROM corpora"
            " ORDER BY used_s DESC"
        )
        return [_record(*row) for row in rows]

    def files(self, identity: str) -> dict[str, FileRecord]:
        """The corpus's files by path, as last seen."""
        rows = self._connection.execute(
            "SELECT path, status, detail, size, mtime_ns, ctime_ns, inode, digest, reader, tokens FROM files"
            " WHERE corpus = ? ORDER BY path",
            (identity,),
        )
        return {record.path: record for record in map(_file_record, rows)}

    def save_files(
        self, identity: str, changed: Iterable[FileRecord], gone: Iterable[str], *, wait_s: float | None = None
    ) -> None:
        """Record files that are new or changed, and forget those that are gone.

        With `wait_s`, other processes that write are waited for no longer than that.
        """
        patience = nullcontext() if wait_s is None else waiting_at_most(self._connection, wait_s)
        with patience, transaction(self._connection):
            self._connection.executemany(
                "INSERT OR REPLACE INTO files (corpus, path, status, detail, size, mtime_ns, ctime_ns, inode,"
                " digest, reader, tokens) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [_file_row(identity, record) for record in changed],
            )
            self._connection.executemany(
                "DELETE FROM files WHERE corpus = ? AND path = ?",
                [(identity, os.fsencode(path)) for path in gone],
            )

    def entries(self, identity: str) -> tuple[Entry, ...]:
        """The frozen manifest, in order."""
        rows = self._connection.execute(
            "SELECT position, path, digest, reader, tokens, state FROM entries WHERE corpus = ? ORDER BY position",
            (identity,),
        )
        return tuple(Entry(row[0], os.fsdecode(row[1]), row[2], row[3], row[4], State(row[5])) for row in rows)

    def change_entries(
        self, identity: str, change: Callable[[tuple[Entry, ...]], tuple[Entry, ...]]
    ) -> tuple[Entry, ...]:
        """Make the manifest what `change` makes of it, in one transaction, so that no other process's entry is lost."""
        with transaction(self._connection):
            before = self.entries(identity)
            after = change(before)
            if after != before:
                self._connection.execute("DELETE FROM entries WHERE corpus = ?", (identity,))
                self._connection.executemany(
                    "INSERT INTO entries (corpus, position, path, digest, reader, tokens, state)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [(identity, e.position, os.fsencode(e.path), e.digest, e.reader, e.tokens, e.state) for e in after],
                )
        return after

    def remove(self, identity: str) -> None:
        """Forget a corpus: its files and its order. Texts stay on the shelf."""
        with transaction(self._connection):
            for table, column in (("files", "corpus"), ("entries", "corpus"), ("corpora", "id")):
                self._connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (identity,))

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _secret(self) -> bytes:
        """32 random bytes of this installation, made at its first use; a torn file is made anew."""
        path = self._path.with_name("secret")
        if path.exists() and len(secret := path.read_bytes()) == SECRET_BYTES:
            return secret
        descriptor, unfinished = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
        os.replace(unfinished, path)
        return path.read_bytes()


def known_sources(database: Path) -> dict[str, tuple[str, ...]]:
    """What each corpus that is still known was made of, by its id; nothing where that can't be read."""
    if not database.exists():
        return {}
    try:
        with closing(CorporaStore(database)) as store:
            return {record.id: tuple(_source(record.folder, each) for each in record.inputs) for record in store.all()}
    except (StoreError, sqlite3.Error):
        return {}  # conversations can be read without


def _source(folder: str, source: str) -> str:
    return source if source == "-" or is_remote(source) else os.path.normpath(os.path.join(folder, source))


def _record(
    identity: str,
    inputs: bytes,
    folder: bytes,
    selection: str,
    tag: str,
    created_s: float,
    used_s: float,
    whole: str | None,
    left_out: bytes | None,
) -> CorpusRecord:
    sources, part = tuple(_listed(inputs)), _part(whole, left_out)
    return CorpusRecord(identity, sources, os.fsdecode(folder), selection, tag, created_s, used_s, part)


def _part(whole: str | None, left_out: bytes | None) -> Part | None:
    return None if whole is None or left_out is None else Part(whole, frozenset(_listed(left_out)))


def _listed(stored: bytes) -> list[str]:
    names: list[str] = json.loads(os.fsdecode(stored))
    return names


def _file_record(row: tuple[bytes, str, bytes, int | None, int, int, int, str, str, int]) -> FileRecord:
    path, status, detail, size, mtime_ns, ctime_ns, inode, digest, reader, tokens = row
    signature = None if size is None else Signature(size, mtime_ns, ctime_ns, inode)
    return FileRecord(
        Outcome(os.fsdecode(path), Status(status), os.fsdecode(detail)), signature, digest, reader, tokens
    )


def _file_row(identity: str, record: FileRecord) -> tuple[object, ...]:
    outcome, signature = record.outcome, record.signature
    stat = (signature.size, signature.mtime_ns, signature.ctime_ns, signature.inode) if signature else (None,) * 4
    path = os.fsencode(outcome.path)
    return (
        identity,
        path,
        outcome.status,
        os.fsencode(outcome.detail),
        *stat,
        record.digest,
        record.reader,
        record.tokens,
    )


def _m001_corpora(database: "sqlite_utils.Database") -> None:
    database.table("corpora").create(
        {
            "id": str,
            "inputs": bytes,
            "folder": bytes,
            "selection": str,
            "tag": str,
            "created_s": float,
            "used_s": float,
        },
        pk="id",
    )
    database.table("files").create(
        {
            "corpus": str,
            "path": bytes,
            "status": str,
            "detail": bytes,
            "size": int,
            "mtime_ns": int,
            "ctime_ns": int,
            "inode": int,
            "digest": str,
            "reader": str,
            "tokens": int,
        },
        pk=("corpus", "path"),
    )
    database.table("entries").create(
        {
            "corpus": str,
            "position": int,
            "path": bytes,
            "digest": str,
            "reader": str,
            "tokens": int,
            "state": str,
        },
        pk=("corpus", "position"),
    )


def _m002_parts(database: "sqlite_utils.Database") -> None:
    database.table("corpora").add_column("whole", str)
    database.table("corpora").add_column("left_out", bytes)
