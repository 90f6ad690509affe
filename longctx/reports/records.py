"""What stands in a run's journal, `longctx.run/1`: how each run began, what became of each item, steps, how it ended.

Nothing in it is believed before its shape is checked, and nothing is passed over: what is not known here was written by
a newer version, or by something else.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from ingest.naming import show
from longctx.errors import StoreError
from longctx.journal import Journal
from longctx.reports.items import Parts
from longctx.reports.plain import whole
from longctx.reports.report import Evidence, State

SCHEMA = "longctx.run/1"


class Began(msgspec.Struct, frozen=True, kw_only=True, tag="run", tag_field="event"):
    """A run began: who asks whom, for how many items; times are seconds since 1970."""

    schema: str
    program: str
    at: float
    engine: dict[str, Any]
    items: int


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="end", tag_field="event"):
    """A run ended by itself, or was stopped where that could still be told."""

    at: float
    done: int
    failed: int


class Result(msgspec.Struct, frozen=True, kw_only=True, tag="item", tag_field="event"):
    """What became of an item."""

    id: str
    key: str
    parts: Parts
    state: State
    at: float
    error: str = ""
    answer: dict[str, Any] | None = None
    value: Any = None
    evidence: tuple[Evidence, ...] = ()
    calls: int = 0
    wall_s: float = 0.0


class Step(msgspec.Struct, frozen=True, kw_only=True, tag="step", tag_field="event"):
    """What a step of an item gave; see `longctx.steps`."""

    key: str
    answer: dict[str, Any]


class _Citation(msgspec.Struct):
    """What every reader of a saved citation counts on."""

    n: int
    status: str
    path: str
    place: str
    quote: str


class _Answer(msgspec.Struct):
    """What every reader of a saved answer counts on."""

    question: str
    found: bool
    answer_markdown: str
    citations: list[_Citation]
    tokens: dict[str, int]
    timing: dict[str, float]
    engine: dict[str, str]
    corpus: dict[str, Any]
    notice: str
    ending: str
    warnings: list[str]


Record = Began | Ended | Result | Step


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What earlier runs left: the last result of each key, the last done one of each item, and when they ran."""

    results: dict[str, Result]
    done: dict[str, Result]
    begun: tuple[float, ...] = ()
    wall_s: float = 0.0


def read(journal: Journal, path: str) -> Past:
    """The records of a journal; raises StoreError where one is none of ours."""
    results: dict[str, Result] = {}
    done: dict[str, Result] = {}
    begun, spent, last = list[float](), 0.0, 0.0
    for number, row in enumerate(journal.records, start=1):
        match record := _record(row, f"{show(path)}:{number}"):
            case Began(at=at):
                begun.append(at)
                last = at
            case Result():
                results[record.key] = record
                if record.state is State.DONE:
                    done[record.id] = record
        if isinstance(record, Result | Ended):
            spent, last = spent + max(0.0, record.at - last), record.at
    return Past(results=results, done=done, begun=tuple(begun), wall_s=spent)


def plain(record: Record) -> dict[str, Any]:
    """A record as JSON values that any program can read."""
    found: dict[str, Any] = whole(msgspec.to_builtins(record))
    return found


def _record(row: Mapping[str, Any], where: str) -> Record:
    try:
        record: Record = msgspec.convert(row, Record)
        if isinstance(record, Result) and record.answer is not None:
            msgspec.convert(record.answer, _Answer)
    except msgspec.ValidationError as error:
        raise _unknown(where, show(str(error))) from error
    if isinstance(record, Began) and record.schema != SCHEMA:
        raise _unknown(where, show(record.schema))
    if isinstance(record, Result) and record.key != record.parts.key:
        raise _unknown(where, "its key is not that of its parts")
    return record


def _unknown(where: str, why: str) -> StoreError:
    return StoreError(
        f"{where}: not a record that this version knows: {why}", "update longctx, or name another folder with -o"
    )
