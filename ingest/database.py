"""SQLite files: opened with the same care everywhere, migrated once, in order.

The rollback journal is kept on purpose: write-ahead logging can corrupt a database before SQLite 3.51.3 when two
processes write at once (sqlite.org/wal.html, "walresetbug"), and a batch run beside a session does just that.
sqlite-utils makes and changes schemas; it is loaded only when there is one to change: it costs 0.12 CPU-s.
"""

import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite_utils

Migration = Callable[["sqlite_utils.Database"], None]
BUSY_TIMEOUT_S = 30.0
CACHE_KIB = 16_000  # pages of a transaction stay here until it ends: 3 % of a first ingest's CPU time


class DatabaseTrouble(Exception):
    """A database that can't be used: newer than this program, broken, or not a database at all."""


def connect(path: Path, migrations: Sequence[Migration], *, rebuildable: bool) -> sqlite3.Connection:
    """Open `path` with all `migrations` applied; the connection is in autocommit mode.

    A broken file is moved aside and begun anew where it is `rebuildable`. Raises DatabaseTrouble otherwise, and
    where a newer version of this program wrote it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _migrated(path, migrations)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) or not rebuildable:
            raise DatabaseTrouble(f"{path}: {error}") from error
        path.replace(path.with_suffix(path.suffix + ".broken"))
        return _migrated(path, migrations)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction around a block: committed at its end, rolled back on any exception.

    Raises ProgrammingError inside another one, which stays as it is.
    """
    if connection.in_transaction:
        raise sqlite3.ProgrammingError("a transaction in a transaction")
    try:
        connection.execute("BEGIN IMMEDIATE")  # an interruption meanwhile is raised once it has begun
        yield
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


@contextmanager
def waiting_at_most(connection: sqlite3.Connection, seconds: float) -> Iterator[None]:
    """Inside this block other processes are not waited for longer than this."""
    (before,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {before}")


def begin(connection: sqlite3.Connection) -> bool:
    """Begin what `commit` ends, unless it has begun already; whether it was now."""
    if connection.in_transaction:
        return False
    connection.execute("BEGIN IMMEDIATE")
    return True


def commit(connection: sqlite3.Connection) -> None:
    """Make durable what has gathered; where that fails it is undone, so that nobody else waits for it."""
    if not connection.in_transaction:
        return
    try:
        connection.execute("COMMIT")
    except sqlite3.Error:
        roll_back(connection)
        raise


def roll_back(connection: sqlite3.Connection) -> None:
    """Undo what has gathered since the last commit."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _migrated(path: Path, migrations: Sequence[Migration]) -> sqlite3.Connection:
    is_new = not path.exists()
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    if is_new:
        path.chmod(0o600)
        connection.execute("PRAGMA page_size = 32768")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations):
        connection.close()
        raise DatabaseTrouble(f"{path}: written by a newer version (schema {version}, known {len(migrations)})")
    if version < len(migrations):
        _apply(connection, migrations, version)
    return connection


def _apply(connection: sqlite3.Connection, migrations: Sequence[Migration], version: int) -> None:
    """Bring the schema up in one transaction; another process may have done it while this one waited."""
    sqlite_utils = light_sqlite_utils()
    with transaction(connection):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        database = sqlite_utils.Database(connection)
        for migrate in migrations[version:]:
            migrate(database)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def light_sqlite_utils() -> ModuleType:
    """sqlite-utils without numpy and pandas, which it loads only to know their values: 0.2 CPU seconds for nothing."""
    absent = [name for name in ("numpy", "pandas") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None makes an import fail at once
    try:
        import sqlite_utils
    finally:
        for name in absent:
            del sys.modules[name]
    return sqlite_utils
