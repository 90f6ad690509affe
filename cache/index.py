"""What SQLite remembers of stored blocks, so that listing and evicting need not open them; the files are the truth.

Whatever it lacks is read from the files again. It keeps the rollback journal: write-ahead logging can corrupt a
database before SQLite 3.51.3 when two processes write at once (sqlite.org/wal.html, "walresetbug").
sqlite-utils makes the schema and is loaded only then: it costs 0.12 CPU-s.
"""

import secrets
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from cache.errors import NewerStore
from cache.keys import BlockKey, is_key
from cache.stored import StoredBlock

if TYPE_CHECKING:
    import sqlite_utils

BUSY_TIMEOUT_S = 30.0
MOST = 2**50  # of anything that is counted
LATEST = 2.0**34  # the year 2514, as late as ext4 knows
COLUMNS = tuple(field.name for field in fields(StoredBlock))
UPSERT = (
    f"INSERT INTO blocks ({', '.join(COLUMNS)}) VALUES ({', '.join('?' for _ in COLUMNS)}) "
    "ON CONFLICT (key) DO UPDATE SET nbytes = excluded.nbytes, last_used = max(last_used, excluded.last_used)"
)
_values = attrgetter(*COLUMNS)
# SQLITE_ERROR (a table is missing), SQLITE_CORRUPT, SQLITE_NOTADB; others (locked, full, I/O) say nothing of the file.
BROKEN = {1, 11, 26}


class Index:
    """An open index; methods may be called from any thread. All raise sqlite3.Error where the disk refuses."""

    def __init__(self, path: Path, connection: sqlite3.Connection, inode: int) -> None:
        self._connection = connection
        self._inode = inode
        self._path = path
        self._turn = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> "Index":
        """Open or create; a broken file is moved aside. Raises NewerStore. The caller holds the exclusive lock."""
        if path.exists() and not path.is_file():
            _set_aside(path)
        try:
            return cls(path, *_checked(path))
        except sqlite3.DatabaseError as error:
            # without a code it is Python that can't make a text of what was stored
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in BROKEN:
                raise
            _set_aside(path)
            return cls(path, *_checked(path))

    def is_current(self) -> bool:
        """Whether the file that is open is still the one at its path: else another process has begun a new one."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def rows(self) -> list[StoredBlock]:
        """Every block, in no order."""
        with self._turn:
            rows = _rows(self._connection)
        if not all(is_sound(row) for row in rows):
            raise _broken(self._path)
        return rows

    def keys(self) -> set[BlockKey]:
        with self._turn:
            return {BlockKey(key) for (key,) in self._connection.execute("SELECT key FROM blocks")}

    def total_bytes(self) -> int:
        """What all blocks occupy."""
        with self._turn:
            return int(self._connection.execute("SELECT coalesce(sum(nbytes), 0) FROM blocks").fetchone()[0])

    def put(self, rows: Sequence[StoredBlock]) -> None:
        """Add rows; of those that are known already, only what is newer about their use is taken."""
        if rows:
            with self._transaction() as connection:
                connection.executemany(UPSERT, map(_values, rows))

    def limit_use(self, now: float) -> None:
        """No block was used later than `now`: else a clock that was wrong once would keep it for ever."""
        with self._turn:
            late = self._connection.execute("SELECT 1 FROM blocks WHERE last_used > ? LIMIT 1", (now,)).fetchone()
        if late:
            with self._transaction() as connection:
                connection.execute("UPDATE blocks SET last_used = ?1 WHERE last_used > ?1", (now,))

    def forget(self, keys: Iterable[BlockKey]) -> None:
        """Drop rows."""
        values = [(key,) for key in keys]
        if values:
            with self._transaction() as connection:
                connection.executemany("DELETE FROM blocks WHERE key = ?", values)

    def digest(self, identity: str) -> str | None:
        """A digest that was remembered."""
        with self._turn:
            row = self._connection.execute(
                "SELECT digest FROM digests WHERE identity = ?", (_text(identity),)
            ).fetchone()
        return None if row is None else str(row[0])

    def remember(self, identity: str, digest: str) -> None:
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO digests (identity, digest) VALUES (?, ?)", (_text(identity), digest)
            )

    def close(self) -> None:
        with self._turn:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._turn, _transaction(self._connection) as connection:
            yield connection


def is_sound(row: StoredBlock) -> bool:
    """Whether a row says what a block can be; SQLite keeps any type in any column."""
    names, times = (row.model, row.dtype, row.layout), (row.created, row.last_used)
    return (
        all(isinstance(key, str) and is_key(key) for key in (row.key, row.parent, row.root))
        and row.parent != row.key
        and all(type(count) is int and 0 <= count <= MOST for count in (row.depth, row.tokens, row.nbytes))
        and all(isinstance(name, str) and _is_text(name) for name in names)
        and all(isinstance(moment, float) and 0 <= moment <= LATEST for moment in times)
    )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _rows(connection: sqlite3.Connection) -> list[StoredBlock]:
    found = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM blocks").fetchall()
    return [StoredBlock(**dict(zip(COLUMNS, values, strict=True))) for values in found]


def _text(identity: str) -> str:
    """What SQLite can take: paths may hold bytes that are no UTF-8."""
    return identity.encode(errors="backslashreplace").decode()


def _set_aside(path: Path) -> None:
    """Move an index and its journal out of the way: a journal left behind would be played into the next one."""
    for suffix in ("", "-journal"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            try:
                source.replace(path.with_name(f"{path.name}.broken{suffix}"))
            except OSError:  # one of the two is a folder
                source.replace(path.with_name(f"{path.name}.broken-{secrets.token_hex(4)}{suffix}"))


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _checked(path: Path) -> tuple[sqlite3.Connection, int]:
    path.touch(mode=0o600)
    inode = path.stat().st_ino
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        _migrate(connection, path)
        if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise _broken(path)
        if not all(is_sound(row) for row in _rows(connection)):
            raise _broken(path)
        connection.execute("SELECT identity, digest FROM digests LIMIT 0")
    except BaseException:
        connection.close()
        raise
    return connection, inode


def _broken(path: Path) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(f"{path} is broken")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise NewerStore(str(path), version, len(MIGRATIONS))
    if version < len(MIGRATIONS):
        database = _light_sqlite_utils().Database(connection)
        with _transaction(connection):
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            for migrate in MIGRATIONS[version:]:
                migrate(database)
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _first(database: "sqlite_utils.Database") -> None:
    types = {"depth": int, "tokens": int, "nbytes": int, "created": float, "last_used": float}
    database.table("blocks").create({name: types.get(name, str) for name in COLUMNS}, pk="key", not_null=COLUMNS)
    database.table("digests").create({"identity": str, "digest": str}, pk="identity", not_null=["digest"])


MIGRATIONS: tuple[Callable[["sqlite_utils.Database"], None], ...] = (_first,)


def _light_sqlite_utils() -> ModuleType:
    """sqlite-utils without numpy and pandas, which it loads only to know their values: 0.2 CPU seconds for nothing."""
    absent = [name for name in ("numpy", "pandas") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None makes an import fail at once
    try:
        import sqlite_utils
    finally:
        for name in absent:
            del sys.modules[name]
    return sqlite_utils
