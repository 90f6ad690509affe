"""The schema of the session store, by named steps: each is taken once, in order, all that are due in one transaction.

A database with a step that this program does not know is from a newer one: it is refused and left as it is. Before a
step changes a database that is there, a copy of it is put beside it. A broken file is never replaced.
sqlite-utils takes the steps and keeps their names; it is loaded only when one is due: it costs 0.12 CPU-s.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.database import BUSY_TIMEOUT_S, light_sqlite_utils, transaction
from longctx.errors import StoreError
from longctx.paths import ensure

if TYPE_CHECKING:
    import sqlite_utils

Step = Callable[["sqlite_utils.Database"], None]
SET = "sessions"
NAMES_TABLE = "_sqlite_migrations"  # sqlite-utils calls it so
BACKUPS_KEPT = 3
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
BROKEN_HINT = "longctx sessions verify names all that is wrong"
NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}


def connect(path: Path, steps: "Sequence[Step] | None" = None) -> sqlite3.Connection:
    """Open the database at `path`, made or brought up to date; in autocommit mode. Raises StoreError."""
    due = STEPS if steps is None else steps
    with explained(path):
        _create(path)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA synchronous = FULL")
            if _pending(connection, path, due):
                _take(connection, path, due)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say of the database at `path` into a StoreError."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a defect of this program says nothing of the file
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}", _hint(path, error)) from error
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {error.strerror or error}", ROOM_HINT) from error


def backups(path: Path) -> list[Path]:
    """The copies of the database at `path` that were made before a step, the newest first."""
    found = [each for each in path.parent.glob(f"{path.name}.before-*") if each.suffix != ".part"]
    return sorted(found, key=lambda each: (each.stat().st_mtime_ns, each.name), reverse=True)


ROOM_HINT = "is there room, and may you write there? longctx paths shows where it is"


def _hint(path: Path, error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in BUSY:
        return "another longctx is writing: try again"
    if code in NO_ROOM:
        return ROOM_HINT
    if code not in BROKEN:
        return BROKEN_HINT
    kept = backups(path)
    return "move it aside to start anew" + (f"; the newest back-up is {kept[0]}" if kept else "")


def _create(path: Path) -> None:
    """An empty file that only its owner may read: SQLite would make one that others can, until its mode is changed."""
    ensure(path.parent)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _pending(connection: sqlite3.Connection, path: Path, steps: Sequence[Step]) -> list[Step]:
    """The steps that are due; raises StoreError where the database is not one of ours, or a newer one."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    taken = _taken(connection) if NAMES_TABLE in tables else set()
    if tables and not taken:
        raise StoreError(f"{path}: holds something else than sessions", "move it aside to start anew")
    unknown = taken - {step.__name__ for step in steps}
    if unknown:
        newer = ", ".join(sorted(unknown))
        raise StoreError(f"{path}: written by a newer version of longctx ({newer})", "update longctx to use it")
    return [step for step in steps if step.__name__ not in taken]


def _taken(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute(f"SELECT name FROM {NAMES_TABLE} WHERE migration_set = ?", (SET,))
    return {name for (name,) in rows}


def _take(connection: sqlite3.Connection, path: Path, steps: Sequence[Step]) -> None:
    """Take the steps that are due; another process may have taken them while this one waited."""
    sqlite_utils = light_sqlite_utils()
    with transaction(connection):
        pending = _pending(connection, path, steps)
        if not pending:
            return
        if len(pending) < len(steps):
            _back_up(path, pending[0].__name__)
        migrations = sqlite_utils.Migrations(SET)
        for step in steps:
            migrations(name=step.__name__)(step)
        migrations.apply(sqlite_utils.Database(connection))


def _back_up(path: Path, step: str) -> None:
    """Copy the database as it was last committed; the caller holds the write lock, so nobody changes it meanwhile."""
    target = path.with_name(f"{path.name}.before-{step}")
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.unlink(missing_ok=True)
    _create(unfinished)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(unfinished)) as copy:
        copy.execute("PRAGMA journal_mode = OFF")  # one that a crash left would be played into the next copy
        source.backup(copy)
    _sync(unfinished)
    unfinished.replace(target)
    _sync(target.parent)
    for old in backups(path)[BACKUPS_KEPT:]:
        old.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def m001_sessions(database: "sqlite_utils.Database") -> None:
    """Sessions, their turns, and the words of both sides."""
    sessions = {"id": str, "title": str, "corpus": str, "tip": str, "created_s": float, "used_s": float}
    database.table("sessions").create(sessions, pk="id")
    database.table("session_turns").create({"session": str, "turn": str}, pk=("session", "turn"))
    database.table("session_turns").create_index(["turn"])
    turns = {
        "n": int,
        "id": str,
        "parent": str,
        "depth": int,
        "question": str,
        "answer": str,
        "body": bytes,
        "question_ids": bytes,
        "answer_ids": bytes,
        "opens_window": int,
        "engine": str,
        "model": str,
        "new_tokens": int,
        "prefill_s": float,
    }
    database.table("turns").create(turns, pk="n", not_null={"id", "depth", "body"})
    database.table("turns").create_index(["id"], unique=True)
    database.table("turns").create_index(["engine", "model"])
    for statement in _WORDS:
        database.execute(statement)


# Marks are part of words (categories Mn, Mc): without them every vowel sign of Hindi would end a word.
_WORDS = (
    """CREATE VIRTUAL TABLE turn_words USING fts5(question, answer, content='turns', content_rowid='n',
       tokenize="unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'")""",
    """CREATE TRIGGER turn_added AFTER INSERT ON turns BEGIN
       INSERT INTO turn_words (rowid, question, answer) VALUES (new.n, new.question, new.answer); END""",
    """CREATE TRIGGER turn_removed AFTER DELETE ON turns BEGIN
       INSERT INTO turn_words (turn_words, rowid, question, answer)
       VALUES ('delete', old.n, old.question, old.answer); END""",
)
STEPS: tuple[Step, ...] = (m001_sessions,)
