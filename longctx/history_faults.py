"""What is wrong in a session store, a line each; it changes nothing."""

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from longctx.turn_row import UNREADABLE, derived, dicts, turn_of


def faults(connection: sqlite3.Connection) -> Iterator[str]:
    """Each turn is what its id says and stands where it says, sessions have their turns, search is in step.

    The caller holds the write lock: SQLite checks a search index by a statement that could write.
    """
    yield from (text for (text,) in connection.execute("PRAGMA integrity_check") if text != "ok")
    yield from _of_turns(connection)
    yield from _of_sessions(connection)
    yield from _of_search(connection)


def _of_turns(connection: sqlite3.Connection) -> Iterator[str]:
    depths = dict(connection.execute("SELECT id, depth FROM turns").fetchall())
    for row in connection.execute("SELECT n FROM turns ORDER BY n").fetchall():
        (kept,) = dicts(connection.execute("SELECT * FROM turns WHERE n = ?", row))
        try:
            yield from _of_turn(kept, depths)
        except UNREADABLE as error:
            yield f"turn {kept['id']} can't be read: {error}"


def _of_turn(row: Mapping[str, Any], depths: Mapping[str, int]) -> Iterator[str]:
    turn = turn_of(row)
    is_so: dict[str, Any] = {"id": turn.id, "parent": turn.parent, **derived(turn)}
    for name in [name for name in is_so if is_so[name] != row[name]]:
        yield f"turn {row['id']}: its {name} is not what it was"
    if turn.parent is not None and turn.parent not in depths:
        yield f"turn {row['id']}: the turn before it, {turn.parent}, is missing"
    elif row["depth"] != (depths[turn.parent] if turn.parent else 0) + 1:
        yield f"turn {row['id']}: its depth is not what it was"


def _of_sessions(connection: sqlite3.Connection) -> Iterator[str]:
    missing = "SELECT session, turn FROM session_turns WHERE turn NOT IN (SELECT id FROM turns)"
    for session, turn in connection.execute(missing):
        yield f"session {session}: turn {turn} is missing"
    tips = (
        "SELECT id, tip FROM sessions WHERE tip IS NOT NULL"
        " AND tip NOT IN (SELECT turn FROM session_turns WHERE session = sessions.id)"
    )
    for session, tip in connection.execute(tips):
        yield f"session {session}: its last turn, {tip}, is not one of its own"


def _of_search(connection: sqlite3.Connection) -> Iterator[str]:
    try:
        connection.execute("INSERT INTO turn_words (turn_words, rank) VALUES ('integrity-check', 1)")
    except sqlite3.DatabaseError as error:
        yield f"the search index is not in step with the turns: {error}"
