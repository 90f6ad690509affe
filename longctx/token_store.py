"""Token ids by the digest of a source's bytes and the reader that made text of them: encoded once, ever."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.database import begin, commit, connect
from longctx.tokens import from_bytes, packed

if TYPE_CHECKING:
    from array import array

    import sqlite_utils


class TokenStore:
    """Stored ids in one SQLite file, for one tokenizer; writes gather until `commit`."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._connection = connect(path, [_m001_tokens], rebuildable=True)
        self._fingerprint = fingerprint

    def count(self, digest: str, reader: str) -> int | None:
        """How many tokens the text has, or None where it was not encoded yet."""
        row = self._connection.execute(
            "SELECT tokens FROM encoded WHERE digest = ? AND reader = ? AND tokenizer = ?",
            (digest, reader, self._fingerprint),
        ).fetchone()
        return None if row is None else int(row[0])

    def get(self, digest: str, reader: str) -> "array[int] | None":
        """The ids of the text, or None where it was not encoded yet."""
        row = self._connection.execute(
            "SELECT ids FROM encoded WHERE digest = ? AND reader = ? AND tokenizer = ?",
            (digest, reader, self._fingerprint),
        ).fetchone()
        return None if row is None else from_bytes(row[0])

    def put(self, digest: str, reader: str, ids: Sequence[int]) -> None:
        """Keep the ids of a text."""
        begin(self._connection)
        self._connection.execute(
            "INSERT OR REPLACE INTO encoded (digest, reader, tokenizer, tokens, ids) VALUES (?, ?, ?, ?, ?)",
            (digest, reader, self._fingerprint, len(ids), packed(ids)),
        )

    def commit(self) -> None:
        """Make what was put durable and let other processes write."""
        commit(self._connection)

    def close(self) -> None:
        """Commit and close."""
        try:
            self.commit()
        finally:
            self._connection.close()


def _m001_tokens(database: "sqlite_utils.Database") -> None:
    database.table("encoded").create(
        {"digest": str, "reader": str, "tokenizer": str, "tokens": int, "ids": bytes},
        pk=("digest", "reader", "tokenizer"),
    )
