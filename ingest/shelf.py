"""The shelf: what reading a file gave, kept by the digest of its bytes and the reader's version.

So nothing is parsed twice, in any corpus, and a document that has changed on disk can still be sent and cited as it
was read. Failures that lie in the bytes (broken, no text) are kept too; those that lie in the moment are not.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.database import begin, commit, connect
from ingest.document import Document, from_json, to_json
from ingest.outcome import Status

if TYPE_CHECKING:
    import sqlite_utils

LASTING = frozenset({Status.BROKEN, Status.NO_TEXT, Status.BINARY, Status.PASSWORD, Status.NOT_READ_YET, Status.SECRET})


@dataclass(frozen=True, slots=True)
class Shelved:
    """One stored reading: a document or the lasting reason why there is none.

    `has_secrets` marks a document that a user let through although secrets were found in it.
    """

    status: Status
    detail: str
    document: Document | None
    has_secrets: bool = False


class Shelf:
    """Stored readings in one SQLite file; writes gather in a transaction until `commit`."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path, [_m001_readings], rebuildable=True)

    def get(self, digest: str, reader: str) -> Shelved | None:
        """What reading these bytes gave, or None where they were not read by this reader version."""
        row = self._connection.execute(
            "SELECT status, detail, has_secrets, fields, text FROM readings WHERE digest = ? AND reader = ?",
            (digest, reader),
        ).fetchone()
        return None if row is None else _shelved(row)

    def find(self, digest: str) -> Shelved | None:
        """The document that these bytes gave last, by whichever reader version; None where there is none."""
        row = self._connection.execute(
            "SELECT status, detail, has_secrets, fields, text FROM readings"
            " WHERE digest = ? AND text IS NOT NULL ORDER BY rowid DESC LIMIT 1",
            (digest,),
        ).fetchone()
        return None if row is None else _shelved(row)

    def put(self, digest: str, reader: str, shelved: Shelved) -> None:
        """Keep a reading in place of an older one of the same bytes and reader; a text is never lost to none."""
        document = shelved.document
        if document is None and self.has(digest, reader):
            return
        begin(self._connection)
        self._connection.execute(
            "INSERT OR REPLACE INTO readings (digest, reader, status, detail, has_secrets, fields, text)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                digest,
                reader,
                shelved.status,
                shelved.detail,
                shelved.has_secrets,
                None if document is None else json.dumps(to_json(document)),
                None if document is None else document.text.encode("utf-8", "surrogatepass"),
            ),
        )

    def has(self, digest: str, reader: str) -> bool:
        """Whether the text of these bytes by this reader version is here."""
        query = "SELECT 1 FROM readings WHERE digest = ? AND reader = ? AND text IS NOT NULL"
        return self._connection.execute(query, (digest, reader)).fetchone() is not None

    def commit(self) -> None:
        """Make what was put durable and let other processes write."""
        commit(self._connection)

    def close(self) -> None:
        """Commit and close."""
        try:
            self.commit()
        finally:
            self._connection.close()


def _shelved(row: tuple[str, str, int, str | None, bytes | None]) -> Shelved:
    status, detail, has_secrets, fields, text = row
    document = None
    if fields is not None and text is not None:
        document = from_json(text.decode("utf-8", "surrogatepass"), json.loads(fields))
    return Shelved(Status(status), detail, document, bool(has_secrets))


def _m001_readings(database: "sqlite_utils.Database") -> None:
    database.table("readings").create(
        {
            "digest": str,
            "reader": str,
            "status": str,
            "detail": str,
            "has_secrets": int,
            "fields": str,
            "text": bytes,
        },
        pk=("digest", "reader"),
    )
