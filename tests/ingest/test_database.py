import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingest.database import DatabaseTrouble, begin, commit, connect, transaction

if TYPE_CHECKING:
    import sqlite_utils


def first(database: "sqlite_utils.Database") -> None:
    database.table("things").create({"id": int, "name": str}, pk="id")


def second(database: "sqlite_utils.Database") -> None:
    database.table("things").add_column("size", int)


def failing(database: "sqlite_utils.Database") -> None:
    database.table("things").add_column("colour", str)
    raise RuntimeError("power cut")


def columns(connection: sqlite3.Connection) -> list[str]:
    return [row[1] for row in connection.execute("PRAGMA table_info(things)")]


def test_migrations_are_applied_once_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.db"
    connect(path, [first], rebuildable=False).execute("INSERT INTO things VALUES (1, 'x')").connection.close()
    connection = connect(path, [first, second], rebuildable=False)
    assert columns(connection) == ["id", "name", "size"]
    assert connection.execute("SELECT name FROM things").fetchall() == [("x",)]
    assert columns(connect(path, [first, second], rebuildable=False)) == ["id", "name", "size"]


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    connect(path, [first], rebuildable=False).close()
    with pytest.raises(RuntimeError):
        connect(path, [first, failing], rebuildable=False)
    assert columns(connect(path, [first], rebuildable=False)) == ["id", "name"]


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    connect(path, [first, second], rebuildable=False).close()
    with pytest.raises(DatabaseTrouble, match="newer version"):
        connect(path, [first], rebuildable=True)


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to look at" * 100, b"SQLite format 3\0" + b"\7" * 5000]
)
def test_a_broken_file_is_moved_aside_where_it_can_be_made_again(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "b.db"
    path.write_bytes(content)
    assert columns(connect(path, [first], rebuildable=True)) == ["id", "name"]
    assert (tmp_path / "b.db.broken").read_bytes() == content


def test_a_broken_file_that_can_not_be_made_again_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    path.write_bytes(b"precious" * 1000)
    with pytest.raises(DatabaseTrouble):
        connect(path, [first], rebuildable=False)
    assert path.read_bytes() == b"precious" * 1000


def test_others_can_not_read_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "b.db"
    connect(path, [first], rebuildable=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    connection = connect(tmp_path / "b.db", [first], rebuildable=False)
    with pytest.raises(ZeroDivisionError), transaction(connection):
        connection.execute("INSERT INTO things VALUES (1, 'x')")
        raise ZeroDivisionError
    assert connection.execute("SELECT count(*) FROM things").fetchone() == (0,)


def test_several_first_starts_at_once_make_one_schema(tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from ingest.shelf import Shelf; Shelf(Path(sys.argv[1])).close()"
    command = [sys.executable, "-P", "-c", program, str(tmp_path / "shelf.db")]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    assert [(process.communicate()[1], process.returncode) for process in started] == [(b"", 0)] * 4


class Interrupted(sqlite3.Connection):
    """One whose statements are interrupted as soon as they are done: when the one in `after` has been executed."""

    after = ""

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        cursor = super().execute(sql, parameters)
        if self.after and sql.startswith(self.after):
            self.after = ""
            raise KeyboardInterrupt
        return cursor


@pytest.fixture
def interrupted(tmp_path: Path) -> Interrupted:
    connect(tmp_path / "b.db", [first], rebuildable=False).close()
    return sqlite3.connect(tmp_path / "b.db", isolation_level=None, factory=Interrupted)


def test_an_interruption_while_it_begins_leaves_no_transaction_open(interrupted: Interrupted) -> None:
    interrupted.after = "BEGIN"
    with pytest.raises(KeyboardInterrupt), transaction(interrupted):
        raise AssertionError("not reached")
    assert not interrupted.in_transaction
    with transaction(interrupted):
        interrupted.execute("INSERT INTO things VALUES (1, 'x')")
    assert interrupted.execute("SELECT count(*) FROM things").fetchone() == (1,)


def test_a_transaction_in_another_one_is_refused_and_harms_it_not(tmp_path: Path) -> None:
    connection = connect(tmp_path / "b.db", [first], rebuildable=False)
    with transaction(connection):
        connection.execute("INSERT INTO things VALUES (1, 'x')")
        with pytest.raises(sqlite3.ProgrammingError), transaction(connection):
            raise AssertionError("not reached")
    assert connection.execute("SELECT count(*) FROM things").fetchone() == (1,)


def test_what_can_not_be_committed_keeps_nobody_waiting(tmp_path: Path) -> None:
    connection = connect(tmp_path / "b.db", [first], rebuildable=False)
    connection.execute("PRAGMA busy_timeout = 0")
    begin(connection)
    connection.execute("INSERT INTO things VALUES (1, 'x')")
    reader = connect(tmp_path / "b.db", [first], rebuildable=False)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM things").fetchall()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        commit(connection)
    reader.execute("COMMIT")
    with transaction(reader):
        reader.execute("INSERT INTO things VALUES (2, 'y')")
