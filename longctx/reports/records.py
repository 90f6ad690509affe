"""What stands in a run's journal, `longctx.run/1`: how each run began, what became of each item, steps, how it ended.

Nothing in it is believed before its shape is checked, and nothing is passed over: what is not known here was written by
a newer version, or by something else.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from ingest.naming import show
from longctx.errors import StoreError
from longctx.journal import NO_RECORD, Journal, parsed
from longctx.reports.items import Parts
from longctx.reports.plain import whole
from longctx.reports.report import Evidence, State
from longctx.steps import BEGINS as STEP

SCHEMA = "longctx.run/1"
LATEST_S = 253_402_300_799  # the end of the year 9999

Seconds = Annotated[float, msgspec.Meta(ge=0, le=LATEST_S)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Began(msgspec.Struct, frozen=True, kw_only=True, tag="run", tag_field="event"):
    """A run began: who asks whom, for how many items; times are seconds since 1970."""

    schema: str
    program: str
    at: Seconds
    engine: dict[str, Any]
    items: Count


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="end", tag_field="event"):
    """A run ended by itself, or was stopped where that could still be told."""

    at: Seconds
    done: Count
    failed: Count


class Result(msgspec.Struct, frozen=True, kw_only=True, tag="item", tag_field="event"):
    """What became of an item."""

    id: str
    key: str
    parts: Parts
    state: State
    at: Seconds
    error: str = ""
    answer: dict[str, Any] | None = None
    value: Any = None
    evidence: tuple[Evidence, ...] = ()
    calls: Count = 0
    wall_s: Seconds = 0.0


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


Record = Began | Ended | Result


class Results:
    """Results by their keys, made of their lines when they are asked for: only few of a long journal's are."""

    def __init__(self) -> None:
        self._lines: dict[str, list[tuple[bytes, str]]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._lines

    def of(self, key: str) -> Iterator[Result]:
        """The results of a key, the last first."""
        for line, where in reversed(self._lines.get(key, ())):
            found = _record(line, where)
            assert isinstance(found, Result), "what is kept is one"
            yield found

    def put(self, key: str, line: bytes, where: str) -> None:
        """Remember where a result stands."""
        self._lines.setdefault(key, []).append((line, where))


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What earlier runs left: the results, what the done ones of each item were of, and when the runs were."""

    results: Results
    parts: Mapping[str, Sequence[Parts]]
    begun: tuple[float, ...] = ()
    wall_s: float = 0.0


def read(journal: Journal, path: str) -> Past:
    """The records of a journal; raises StoreError where one is none of ours."""
    results, parts = Results(), dict[str, list[Parts]]()
    begun, spent, last = list[float](), 0.0, 0.0
    for number, line in enumerate(journal.lines, start=1):
        if line.startswith(STEP):  # see `longctx.steps`
            continue
        where = f"{show(path)}:{number}"
        match record := _record(line, where):
            case Began(at=at):
                begun.append(at)
                last = at
            case Result():
                results.put(record.key, line, where)
                if record.state is State.DONE:
                    parts.setdefault(record.id, []).append(record.parts)
        if isinstance(record, Result | Ended):
            spent, last = spent + max(0.0, record.at - last), record.at
    return Past(results=results, parts=parts, begun=tuple(begun), wall_s=spent)


def plain(record: Record) -> dict[str, Any]:
    """A record as JSON values that any program can read."""
    found: dict[str, Any] = whole(msgspec.to_builtins(record))
    return found


def _record(line: bytes, where: str) -> Record:
    try:
        record = _decoded(line)
        if isinstance(record, Result) and record.answer is not None:
            msgspec.convert(record.answer, _Answer)
    except msgspec.ValidationError as error:
        raise _unknown(where, show(str(error))) from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{where}: {NO_RECORD}", "name another folder with -o") from error
    if isinstance(record, Began) and record.schema != SCHEMA:
        raise _unknown(where, show(record.schema))
    if isinstance(record, Result) and record.key != record.parts.key:
        raise _unknown(where, "its key is not that of its parts")
    return record


def _decoded(line: bytes) -> Record:
    """A line that the journal has taken for a record, in one go; what has halves of characters takes a longer way."""
    record: Record
    try:
        record = _DECODER.decode(line)
    except (msgspec.DecodeError, RecursionError):
        record = msgspec.convert(whole(parsed(line)), Record)
    return record


_DECODER = msgspec.json.Decoder(Record)


def _unknown(where: str, why: str) -> StoreError:
    return StoreError(
        f"{where}: not a record that this version knows: {why}", "update longctx, or name another folder with -o"
    )
