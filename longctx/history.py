"""The conversations a user has had, in one SQLite file that all faces of the program share.

A turn is kept under the id of its content, with the id of the turn before it; nothing but `remove` ever takes one
away. It holds what was asked and answered, in words and in token ids, and no document beyond what was quoted.
Several processes may write at once; one History belongs to one thread.
"""

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ingest.database import transaction
from ingest.naming import show
from longctx import migrations
from longctx.errors import StoreError
from longctx.history_faults import faults
from longctx.migrations import BROKEN_HINT
from longctx.session import Session, Turn
from longctx.turn_row import UNREADABLE, dicts, plain, row_of, turn_of

LAST = "last"
TITLE_MOST = 200  # characters
CANDIDATES_SHOWN = 5
RATES = 5  # turns that the prefill rate is taken from
LEAST_NEW = 256  # tokens; of fewer the time is mostly that of starting
SNIPPET_WORDS = 16
UNSPACED = (  # scripts that put no blanks between words
    ("\u0e00", "\u0eff"),
    ("\u1000", "\u109f"),
    ("\u1780", "\u17ff"),
    ("\u3040", "\u30ff"),
    ("\u3400", "\u9fff"),
    ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003ffff"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A turn in which words were found; `snippet` is where, the words between [ and ]."""

    session: Session
    turn: str
    question: str
    snippet: str


class History:
    """The store of sessions. Opening costs nothing until the first call; close it, or use it with `with`.

    Every method raises StoreError where the database can't be used.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        self._opened: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; a later call opens it again."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def begin(self, corpus: str, title: str) -> Session:
        """A new session over a corpus, without turns."""
        now = self._clock()
        with self._writing() as connection:
            identity = _unused(connection)
            connection.execute(
                "INSERT INTO sessions (id, title, corpus, created_s, used_s) VALUES (?, ?, ?, ?, ?)",
                (identity, one_line(title), corpus, now, now),
            )
            return _session(connection, identity)

    def append(self, session: str, turn: Turn) -> Session:
        """Keep a turn and make it the tip of the session.

        A turn whose parent is no longer the tip makes a branch: what another process appended meanwhile stays, beside
        the line that leads to the new tip. Raises StoreError where the session or the parent is not there.
        """
        row = row_of(turn)
        with self._writing() as connection:
            _session(connection, session)
            row["depth"] = _depth(connection, turn.parent) + 1
            connection.execute(_INSERT, row)
            connection.execute("INSERT OR IGNORE INTO session_turns VALUES (?, ?)", (session, row["id"]))
            used = "UPDATE sessions SET tip = ?, used_s = max(used_s, ?) WHERE id = ?"
            connection.execute(used, (row["id"], self._clock(), session))
            return _session(connection, session)

    def find(self, name: str) -> Session:
        """The session whose id begins with `name`, or whose title it is; `last` is the one used last.

        Raises StoreError where not just one is.
        """
        if name == LAST:
            return self._last()
        sessions = self.all()
        title = one_line(name)
        found = [each for each in sessions if name and (each.id.startswith(name.lower()) or each.title == title)]
        if len(found) == 1:
            return found[0]
        what = "no session" if not found else f"{len(found)} sessions"
        message = f"{what} with an id that begins with {show(name)!r}, or with that title"
        raise StoreError(message, f"one of {_named(found)}" if found else "see longctx sessions ls")

    def session(self, identity: str) -> Session:
        """The session with just that id; raises StoreError where there is none."""
        with migrations.explained(self.path):
            return _session(self._connection, identity)

    def last(self, corpus: str | None = None) -> Session | None:
        """The session with turns that was used last, over any corpus or the one given."""
        sql = f"{_SESSIONS} WHERE s.tip IS NOT NULL AND coalesce(?1, s.corpus) = s.corpus {_NEWEST} LIMIT 1"
        row = self._row(sql, corpus)
        return None if row is None else Session(**row)

    def all(self, limit: int | None = None) -> list[Session]:
        """The sessions, the last used first; at most `limit`."""
        return [Session(**row) for row in self._rows(f"{_SESSIONS} {_NEWEST} LIMIT ?", -1 if limit is None else limit)]

    def turns(self, session: Session) -> tuple[Turn, ...]:
        """The turns that lead to the session's tip, the oldest first; raises StoreError where one was changed."""
        line: dict[str, Turn] = {}
        identity = session.tip
        while identity is not None and identity not in line:
            line[identity] = turn = self.turn(identity)
            identity = turn.parent
        return tuple(reversed(line.values()))

    def turn(self, identity: str) -> Turn:
        """A turn as it was kept; raises StoreError where it is gone or was changed."""
        row = self._row("SELECT * FROM turns WHERE id = ?", identity)
        if row is None:
            raise StoreError(f"{self.path}: turn {identity} is missing", BROKEN_HINT)
        try:
            turn = turn_of(row)
        except UNREADABLE as error:
            raise StoreError(f"{self.path}: turn {identity} can't be read: {error}", BROKEN_HINT) from error
        if turn.id != identity:
            raise StoreError(f"{self.path}: turn {identity} is not what it was", BROKEN_HINT)
        return turn

    def aside(self, session: Session) -> tuple[Turn, ...]:
        """The session's turns that do not lead to its tip, in the order in which they were kept."""
        line = {turn.id for turn in self.turns(session)}
        sql = "SELECT turn FROM session_turns JOIN turns ON id = turn WHERE session = ? ORDER BY n"
        kept = [row["turn"] for row in self._rows(sql, session.id)]
        return tuple(self.turn(identity) for identity in kept if identity not in line)

    def search(self, words: str, limit: int = 20) -> list[Found]:
        """The turns that hold words which begin with each of these, the best match first."""
        wanted = words.replace("\0", " ").encode("utf-8", "replace").decode().split()
        if not wanted:
            return []
        unspaced = any(_is_unspaced(word) for word in wanted)
        rows = self._containing(wanted, limit) if unspaced else self._matching(wanted, limit)
        kept = [(row.pop("turn"), row.pop("asked"), row.pop("snippet"), row) for row in rows]
        return [Found(Session(**row), turn, asked, snippet) for turn, asked, snippet, row in kept]

    def rename(self, session: str, title: str) -> Session:
        """Give a session another title."""
        with self._writing() as connection:
            connection.execute("UPDATE sessions SET title = ? WHERE id = ?", (one_line(title), session))
            return _session(connection, session)

    def remove(self, *sessions: str) -> None:
        """Forget sessions and the turns that no other session needs; their bytes are overwritten in the file."""
        with self._writing() as connection:
            for identity in sessions:
                connection.execute("DELETE FROM sessions WHERE id = ?", (identity,))
                connection.execute("DELETE FROM session_turns WHERE session = ?", (identity,))
            connection.execute(_DELETE_UNNEEDED)
            # else removed words stay in older parts of the search index
            connection.execute("INSERT INTO turn_words (turn_words) VALUES ('optimize')")

    def verify(self, *, repair: bool = False) -> list[str]:
        """What is wrong, a line each. `repair` makes the search index anew; no turn is ever changed."""
        with self._writing() as connection:
            problems = list(faults(connection))
            if repair:
                connection.execute("INSERT INTO turn_words (turn_words) VALUES ('rebuild')")
        return problems

    def prefill_rate(self, engine: str, model: str) -> float | None:
        """Prompt tokens a second that this engine reached with this model of late, those from a store left out."""
        sql = (
            "SELECT new_tokens / prefill_s AS rate FROM turns WHERE engine = ? AND model = ?"
            " AND new_tokens >= ? AND prefill_s > 0 ORDER BY n DESC LIMIT ?"
        )
        rates = sorted(row["rate"] for row in self._rows(sql, plain(engine), plain(model), LEAST_NEW, RATES))
        return float(rates[len(rates) // 2]) if rates else None

    def _last(self) -> Session:
        session = self.last()
        if session is None:
            raise StoreError("there is no session yet", "longctx ask PATH... QUESTION begins one")
        return session

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = migrations.connect(self.path)
        return self._opened

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with migrations.explained(self.path), transaction(self._connection):
            yield self._connection

    def _rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        with migrations.explained(self.path):
            return dicts(self._connection.execute(sql, values))

    def _row(self, sql: str, *values: object) -> dict[str, Any] | None:
        rows = self._rows(sql, *values)
        return rows[0] if rows else None

    def _matching(self, words: list[str], limit: int) -> list[dict[str, Any]]:
        """By the search index: every word is the beginning of one, and no character of it an operator."""
        expression = " ".join('"{}"*'.format(word.replace('"', '""')) for word in words)
        return self._rows(_MATCHING, expression, limit)

    def _containing(self, words: list[str], limit: int) -> list[dict[str, Any]]:
        """By looking through all text, for scripts whose words the index can't tell apart."""
        holds = " AND ".join(["instr(lower(t.question || ' ' || t.answer), lower(?))"] * len(words))
        return self._rows(_CONTAINING.format(holds), words[0], *words, limit)


def one_line(title: str) -> str:
    """A title as it is kept: one line that SQLite and every terminal can hold."""
    return " ".join(plain(title).split())[:TITLE_MOST] or "untitled"


_COLUMNS = "s.id, s.title, s.corpus, s.tip, coalesce(tip.depth, 0) AS turns, s.created_s, s.used_s"
_TIP = "LEFT JOIN turns tip ON tip.id = s.tip"
_SESSIONS = f"SELECT {_COLUMNS} FROM sessions s {_TIP}"
_NEWEST = "ORDER BY s.used_s DESC, s.rowid DESC"
_HITS = f"JOIN session_turns st ON st.turn = t.id JOIN sessions s ON s.id = st.session {_TIP}"
_MATCHING = f"""
SELECT {_COLUMNS}, t.id AS turn, t.question AS asked,
  snippet(turn_words, -1, '[', ']', '…', {SNIPPET_WORDS}) AS snippet
FROM turn_words JOIN turns t ON t.n = turn_words.rowid {_HITS}
WHERE turn_words MATCH ? ORDER BY bm25(turn_words), t.n DESC LIMIT ?"""
_CONTAINING = f"""
SELECT {_COLUMNS}, t.id AS turn, t.question AS asked,
  substr(t.answer, max(1, instr(lower(t.answer), lower(?)) - 40), 120) AS snippet
FROM turns t {_HITS} WHERE {{}} ORDER BY t.n DESC LIMIT ?"""
_INSERT = """
INSERT INTO turns (id, parent, depth, question, answer, body, question_ids, answer_ids, opens_window,
  engine, model, new_tokens, prefill_s)
VALUES (:id, :parent, :depth, :question, :answer, :body, :question_ids, :answer_ids, :opens_window,
  :engine, :model, :new_tokens, :prefill_s)
ON CONFLICT (id) DO NOTHING"""
_DELETE_UNNEEDED = """
WITH RECURSIVE needed (id, parent) AS (
  SELECT t.id, t.parent FROM turns t JOIN session_turns st ON st.turn = t.id
  UNION SELECT t.id, t.parent FROM turns t JOIN needed ON t.id = needed.parent)
DELETE FROM turns WHERE id NOT IN (SELECT id FROM needed)"""


def _unused(connection: sqlite3.Connection) -> str:
    """Eight hex digits that no session has yet."""
    while True:
        identity = secrets.token_hex(4)
        if connection.execute("SELECT 1 FROM sessions WHERE id = ?", (identity,)).fetchone() is None:
            return identity


def _session(connection: sqlite3.Connection, identity: str) -> Session:
    rows = dicts(connection.execute(f"{_SESSIONS} WHERE s.id = ?", (identity,)))
    if not rows:
        raise StoreError(f"there is no session {identity}", "it was removed; see longctx sessions ls")
    return Session(**rows[0])


def _depth(connection: sqlite3.Connection, turn: str | None) -> int:
    """How many turns lead up to a turn, itself among them."""
    if turn is None:
        return 0
    row = connection.execute("SELECT depth FROM turns WHERE id = ?", (turn,)).fetchone()
    if row is None:
        raise StoreError(f"there is no turn {turn} to go on from", "its session was removed; begin a new one")
    return int(row[0])


def _named(sessions: list[Session]) -> str:
    names = [f"{each.id} ({show(each.title)})" for each in sessions[:CANDIDATES_SHOWN]]
    more = len(sessions) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _is_unspaced(word: str) -> bool:
    return any(first <= character <= last for character in word for first, last in UNSPACED)
