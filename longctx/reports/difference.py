"""What differs between two reports, as values and as JSON, `longctx.report-diff/1`.

Times, cached tokens and the number of runs never count; nor do pictures, which follow from the citations.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from dataclasses import fields as fields_of
from itertools import islice
from typing import Any

from longctx.reports.report import DocumentRow, Evidence, Item, Report

SCHEMA = "longctx.report-diff/1"
ABSENT = object()  # where one side has no value, which is not the same as null
PIECES_MOST = 2000  # of an answer; longer ones are compared as a whole, since comparing costs their square
FACTS = ("found", "ending", "notice", "invalid", "warnings", "coverage", "reading")  # of an answer
_PIECE = re.compile(r"(?<=[.!?\]])[ \t]+(?=[^\s\[])|\n")  # footnote marks stay with their sentence


@dataclass(frozen=True, slots=True)
class Change:
    """A value that was and is another: `name` is what people call it, a path, or a JSON pointer."""

    name: str
    was: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Cited:
    """A citation of an item; `status` also says where the file is not the one that was cited any more."""

    path: str
    place: str
    quote: str
    status: str


@dataclass(frozen=True, slots=True)
class Rechecked:
    """A citation that both have, with what the check of it gave."""

    path: str
    place: str
    quote: str
    was: str
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemChange:
    """An item that both have. `asked` is how it was asked, `became` what came of it, `answer` the lines of a unified
    diff, a line for each sentence; `values` are changes in the structured answer."""

    id: str
    title: str
    asked: tuple[Change, ...] = ()
    became: tuple[Change, ...] = ()
    answer: tuple[str, ...] = ()
    values: tuple[Change, ...] = ()
    gained: tuple[Cited, ...] = ()
    lost: tuple[Cited, ...] = ()
    rechecked: tuple[Rechecked, ...] = ()

    @property
    def is_any(self) -> bool:
        """Whether anything differs."""
        return any((self.asked, self.became, self.answer, self.values, self.gained, self.lost, self.rechecked))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What differs. `made` is how the reports were made: title, sources, engine, settings, wording; `added` and
    `removed` are items as id and title, `same` how many items do not differ."""

    made: tuple[Change, ...] = ()
    documents: tuple[Change, ...] = ()
    skipped: tuple[Change, ...] = ()
    added: tuple[tuple[str, str], ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    order: tuple[Change, ...] = ()
    items: tuple[ItemChange, ...] = ()
    same: int = 0

    @property
    def is_any(self) -> bool:
        """Whether anything differs."""
        return any((self.made, self.documents, self.skipped, self.added, self.removed, self.order, self.items))


def compare(old: Report, new: Report) -> Difference:
    """What is another in `new`. Raises RecursionError for values nested hundreds deep."""
    before, after = ({item.id: item for item in report.items} for report in (old, new))
    both = [identity for identity in after if identity in before]
    compared = [_item(before[identity], after[identity]) for identity in both]
    items = tuple(change for change in compared if change.is_any)
    return Difference(
        made=tuple(changes(_made(old), _made(new))),
        documents=tuple(_entries(_documents(old.documents), _documents(new.documents))),
        skipped=tuple(_entries(_skipped(old), _skipped(new))),
        added=tuple((identity, item.title) for identity, item in after.items() if identity not in before),
        removed=tuple((identity, item.title) for identity, item in before.items() if identity not in after),
        order=tuple(_order([identity for identity in before if identity in after], both)),
        items=items,
        same=len(both) - len(items),
    )


def changes(was: Any, now: Any, pointer: str = "") -> Iterator[Change]:
    """The places at which two JSON values differ, as JSON pointers."""
    if isinstance(was, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*was, *now]):
            place = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            yield from changes(was.get(name, ABSENT), now.get(name, ABSENT), place)
    elif isinstance(was, list) and isinstance(now, list):
        for i in range(max(len(was), len(now))):
            before, after = (side[i] if i < len(side) else ABSENT for side in (was, now))
            yield from changes(before, after, f"{pointer}/{i}")
    elif was != now or isinstance(was, bool) is not isinstance(now, bool):  # True == 1
        yield Change(pointer, was, now)


def to_json(difference: Difference) -> dict[str, Any]:
    """The difference as plain JSON values; `was` or `now` is left out where there was none."""
    fields: dict[str, Any] = _plain(difference)
    for name in ("added", "removed"):
        fields[name] = [{"id": identity, "title": title} for identity, title in fields[name]]
    return {"schema": SCHEMA, "is_same": not difference.is_any, **fields}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        named = {each.name: getattr(value, each.name) for each in fields_of(value)}
        return {name: _plain(each) for name, each in named.items() if each is not ABSENT}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _made(report: Report) -> dict[str, Any]:
    return {
        "title": report.title,
        "description": report.description,
        "sources": list(report.sources),
        "engine": report.engine,
        "settings": report.settings,
        "wording": report.wording,
    }


def _documents(rows: Iterable[DocumentRow]) -> dict[str, Any]:
    return {row.path: {"sha256": row.sha256, "tokens": row.tokens, "status": row.status} for row in rows}


def _skipped(report: Report) -> dict[str, Any]:
    """Why each path was left out; a saved report may hold anything there."""
    rows = report.corpus.get("skipped")
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return {
        str(row.get("path", "")): ": ".join(str(row[name]) for name in ("reason", "detail") if row.get(name))
        for row in found
    }


def _entries(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """Entries that are gone, new or others, by name."""
    for name in sorted({*was, *now}):
        if was.get(name, ABSENT) != now.get(name, ABSENT):
            yield Change(name, was.get(name, ABSENT), now.get(name, ABSENT))


def _order(was: list[str], now: list[str]) -> Iterator[Change]:
    if was != now:
        yield Change("order", was, now)


def _item(was: Item, now: Item) -> ItemChange:
    before, after = _cited(was.evidence), _cited(now.evidence)
    return ItemChange(
        id=now.id,
        title=now.title,
        asked=tuple(changes(_asked(was), _asked(now))),
        became=tuple(changes(_became(was), _became(now))),
        answer=tuple(_lines(_text(was), _text(now))),
        values=tuple(changes(was.value, now.value)),
        gained=tuple(each for key, each in after.items() if key not in before),
        lost=tuple(each for key, each in before.items() if key not in after),
        rechecked=tuple(
            Rechecked(each.path, each.place, each.quote, before[key].status, each.status)
            for key, each in after.items()
            if key in before and before[key].status != each.status
        ),
    )


def _asked(item: Item) -> dict[str, Any]:
    return {"kind": str(item.kind), "title": item.title, "text": item.text, "schema": item.schema}


def _became(item: Item) -> dict[str, Any]:
    answer = item.answer or {}
    facts = {name: answer[name] for name in FACTS if name in answer}
    return {"state": str(item.state), "error": item.error, **facts}


def _cited(evidence: Iterable[Evidence]) -> dict[tuple[str, str, str], Cited]:
    found: dict[tuple[str, str, str], Cited] = {}
    for each in evidence:
        status = each.status if each.is_current else f"{each.status}, in an earlier version of the file"
        found.setdefault((each.path, each.place, each.quote), Cited(each.path, each.place, each.quote, status))
    return found


def _text(item: Item) -> str:
    text = (item.answer or {}).get("answer_markdown")
    return text.strip() if isinstance(text, str) else ""


def _lines(was: str, now: str) -> Sequence[str]:
    """A unified diff of sentences with one of context, `@@` where some are passed over; blank lines don't count."""
    before, after = (tuple(filter(str.strip, _PIECE.split(text))) for text in (was, now))
    if max(len(before), len(after)) > PIECES_MOST:
        before, after = (was,), (now,)
    diff = difflib.unified_diff(before, after, n=1, lineterm="")
    return ["@@" if line.startswith("@@") else line for line in islice(diff, 3, None)]
