"""One SQLite file with every minute of every station. Rows are added and never changed or deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

SCHEMA_VERSION = 4

SCHEMA = """
CREATE TABLE IF NOT EXISTS minute (
    station TEXT NOT NULL,
    epoch_minute INTEGER NOT NULL,
    level_mm INTEGER,
    readings INTEGER NOT NULL,
    PRIMARY KEY (station, epoch_minute)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rejected (
    received TEXT NOT NULL,
    line TEXT NOT NULL,
    reason TEXT NOT NULL
);
"""


class SchemaTooNew(RuntimeError):
    """The file was written by a later version of tidewatch."""


@dataclass(frozen=True)
class Minute:
    """The median level of one minute; `level_mm` is None where too few readings arrived."""

    station: str
    epoch_minute: int
    level_mm: int | None
    readings: int

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.epoch_minute * 60, tz=timezone.utc)


class Store:
    """The readings file, opened for one process at a time to write and for any number to read."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=15)
        self._migrate()

    def close(self) -> None:
        self._connection.close()

    def add_minutes(self, minutes: Iterable[Minute]) -> int:
        """Adds the minutes that are not there yet and returns how many were new; the first version stays."""
        rows = [(m.station, m.epoch_minute, m.level_mm, m.readings) for m in minutes]
        with self._connection:
            cursor = self._connection.executemany("INSERT OR IGNORE INTO minute VALUES (?, ?, ?, ?)", rows)
        return cursor.rowcount

    def add_rejected(self, line: str, reason: str, received: datetime) -> None:
        """Keeps a line that could not be parsed, with the reason."""
        with self._connection:
            self._connection.execute(
                "INSERT INTO rejected VALUES (?, ?, ?)", (received.isoformat(), line, reason)
            )

    def between(self, station: str, start: datetime, end: datetime) -> Iterator[Minute]:
        """The stored minutes of `station` from `start` up to but not including `end`, in order."""
        rows = self._connection.execute(
            "SELECT station, epoch_minute, level_mm, readings FROM minute"
            " WHERE station = ? AND epoch_minute >= ? AND epoch_minute < ? ORDER BY epoch_minute",
            (station, epoch_minute(start), epoch_minute(end)),
        )
        for row in rows:
            yield Minute(*row)

    def latest(self, station: str) -> Minute | None:
        """The newest minute of `station` that has a level."""
        row = self._connection.execute(
            "SELECT station, epoch_minute, level_mm, readings FROM minute"
            " WHERE station = ? AND level_mm IS NOT NULL ORDER BY epoch_minute DESC LIMIT 1",
            (station,),
        ).fetchone()
        return Minute(*row) if row else None

    def _migrate(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise SchemaTooNew(f"schema {version}, this program knows {SCHEMA_VERSION}; upgrade tidewatch")
        with self._connection:
            self._connection.executescript(SCHEMA)
            self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


@contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """A store that is closed at the end of the block."""
    store = Store(path)
    try:
        yield store
    finally:
        store.close()


def epoch_minute(moment: datetime) -> int:
    """Whole minutes since 1970-01-01T00:00Z."""
    return int(moment.timestamp()) // 60
