"""Sessions and turns as they are kept, in the words of replies; opens nothing itself."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ingest.naming import show
from longctx.backend.replies import Exported, SessionIs, TurnIs
from longctx.backend.requests import Export
from longctx.errors import UsageError
from longctx.exported import exported
from longctx.history import History
from longctx.session import Session, Turn
from longctx.whole_file import whole_file

Sources = Mapping[str, Sequence[str]]
FOUND_MOST = 200  # turns in which words are looked for
SOURCES_MOST = 50  # that are named of a session: a shell may have made thousands of a pattern
LISTED_MOST = 200  # files that are named as left out, not read or read in part


def session_is(session: Session, sources: Sources, found: str = "") -> SessionIs:
    """A session; `sources` are those of each corpus that is still known, by its id."""
    named = sources.get(session.corpus, ())
    return SessionIs(
        id=session.id,
        title=session.title,
        corpus=session.corpus,
        sources=tuple(named[:SOURCES_MOST]),
        turns=session.turns,
        created_s=session.created_s,
        used_s=session.used_s,
        found=found,
        more_sources=len(named[SOURCES_MOST:]),
    )


def turn_is(turn: Turn) -> TurnIs:
    """A turn, with what it summarises where it was no question."""
    return TurnIs(
        id=turn.id,
        question=turn.question,
        answer=_brief(turn.answer),
        created_s=turn.created_s,
        summary_of=str(turn.settings.get("summary_of") or ""),
    )


def _brief(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """An answer without most of its lists of files, which may be long; beside `unread` and `partly` their counts."""
    corpus, reading = answer.get("corpus"), answer.get("reading")
    cut = dict[str, Any]()
    if isinstance(corpus, Mapping):
        cut["corpus"] = {**corpus, **{name: rows[:LISTED_MOST] for name, rows in _lists(corpus)}}
    if isinstance(reading, Mapping):
        counts = {f"{name}_count": len(paths) for name, paths in _lists(reading)}
        cut["reading"] = {**reading, **{name: paths[:LISTED_MOST] for name, paths in _lists(reading)}, **counts}
    return {**answer, **cut}


def _lists(values: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    return ((name, each) for name, each in values.items() if isinstance(each, list))


def sessions_with(history: History, words: str) -> Iterator[tuple[Session, str]]:
    """The sessions that have turns, the last used first, or those in which words stand, with the place.

    The best match comes first, and last those that have the words in their titles only.
    """
    kept = {session.id: session for session in history.all() if session.tip}
    wanted = words.casefold().split()
    if not wanted:
        yield from ((session, "") for session in kept.values())
        return
    for found in history.search(words, FOUND_MOST):
        if session := kept.pop(found.session.id, None):
            yield session, found.snippet
    for session in kept.values():
        if all(word in session.title.casefold() for word in wanted):
            yield session, ""


def export(history: History, sources: Sources, wanted: Export, folder: str) -> Exported:
    """Write a session to a file, whole or not at all; relative names start in `folder`. Raises UsageError."""
    session = history.session(wanted.session)
    text = exported(session, history.turns(session), sources.get(session.corpus, ()), wanted.form)
    path = _writable(wanted, folder)
    try:
        with whole_file(path) as stream:
            stream.write(text)
    except OSError as error:
        raise UsageError(f"{show(str(path))}: {error.strerror or error}", "name a file that you can write") from error
    return Exported(str(path))


def _writable(wanted: Export, folder: str) -> Path:
    """The file to write, by its absolute path; raises UsageError where something is there that must stay."""
    if not wanted.file.strip() or "\0" in wanted.file:
        raise UsageError("no file was named", "name one, as in notes.md")
    path = Path(os.path.normpath(os.path.join(folder, os.path.expanduser(wanted.file))))
    if path.is_dir():
        raise UsageError(f"{show(str(path))}: is a folder", "name a file in it")
    if os.path.lexists(path) and not wanted.replaces:
        raise UsageError(f"{show(str(path))}: is there already", "replace it, or name another file")
    return path
