"""What differs between two reports, as lines to read. What reports say is shown and never obeyed."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import Any, TypeVar

from ingest.naming import safe_text, show
from longctx.reports.difference import ABSENT, Change, Cited, Difference, ItemChange

SHOWN_MOST = 20  # rows of one kind; the JSON has all
LINE_MOST = 200  # characters of a text
VALUE_MOST = 80
BEFORE = 20  # characters that both have, before those that differ
DIGEST_SHOWN = 12
Row = TypeVar("Row")


def to_text(difference: Difference) -> str:
    """The difference in lines: a summary, how the reports were made, documents, items."""
    if not difference.is_any:
        return "no differences\n"
    parts = [[_summary(difference)], *(list(part) for part in _parts(difference))]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _parts(difference: Difference) -> Iterator[Iterator[str]]:
    yield _titled("made differently", difference.made, _change)
    yield _titled("documents", difference.documents, _document)
    yield _titled("left out", difference.skipped, _change)
    yield _titled("items added", difference.added, lambda item: f"+ {_item_name(*item)}")
    yield _titled("items removed", difference.removed, lambda item: f"- {_item_name(*item)}")
    for change in difference.items:
        yield _item(change)


def _summary(difference: Difference) -> str:
    """`items: 1 changed, 1 added, 4 the same; documents: 1 changed`."""
    counts = {"changed": len(difference.items), "added": len(difference.added), "removed": len(difference.removed)}
    items = [f"{count:,} {what}" for what, count in counts.items() if count] + [f"{difference.same:,} the same"]
    text = f"items: {', '.join(items)}{'; in another order' if difference.order else ''}"
    kinds = [_kind(change) for change in difference.documents]
    documents = [f"{kinds.count(kind):,} {kind}" for kind in ("changed", "added", "removed") if kind in kinds]
    return f"{text}; documents: {', '.join(documents)}" if documents else text


def _kind(change: Change) -> str:
    return "added" if change.was is ABSENT else "removed" if change.now is ABSENT else "changed"


def _titled(title: str, rows: Sequence[Row], line: Callable[[Row], str]) -> Iterator[str]:
    if rows:
        yield f"{title}:"
        yield from _indented(rows, line)


def _indented(rows: Sequence[Row], line: Callable[[Row], str]) -> Iterator[str]:
    yield from (f"  {line(row)}" for row in rows[:SHOWN_MOST])
    if len(rows) > SHOWN_MOST:
        yield f"  and {len(rows) - SHOWN_MOST:,} more"


def _item(change: ItemChange) -> Iterator[str]:
    yield f"item {_item_name(change.id, change.title)}:"
    yield from _indented(change.asked, lambda each: f"asked: {_change(each)}")
    yield from _indented(change.became, _change)
    yield from _indented(change.answer, _sentence)
    yield from _indented(change.values, lambda each: f"value: {_change(each)}")
    yield from _indented(change.gained, lambda each: f"+ cites {_cited(each)}")
    yield from _indented(change.lost, lambda each: f"- cites {_cited(each)}")
    yield from _indented(
        change.rechecked,
        lambda each: f"~ cites {show(each.place)} {_quote(each.quote)}: {show(each.was)} -> {show(each.now)}",
    )


def _item_name(identity: str, title: str) -> str:
    return f"{show(identity)} {_quote(title)}" if title and title != identity else show(identity)


def _change(change: Change) -> str:
    name = show(_cut(change.name.removeprefix("/") or "all of it", LINE_MOST))
    if change.was is ABSENT:
        return f"+ {name}: {_value(change.now)}"
    if change.now is ABSENT:
        return f"- {name}: {_value(change.was)}"
    was, now = _from_difference(change.was, change.now)
    return f"{name}: {_value(was)} -> {_value(now)}"


def _from_difference(was: Any, now: Any) -> tuple[Any, Any]:
    """Two texts without most of what long ones have in common at their beginning."""
    if not (isinstance(was, str) and isinstance(now, str)) or max(len(was), len(now)) <= VALUE_MOST:
        return was, now
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(was, now, strict=False)))
    cut = max(0, alike - BEFORE)
    return (f"…{was[cut:]}", f"…{now[cut:]}") if cut else (was, now)


def _document(change: Change) -> str:
    path = show(change.name)
    if change.was is ABSENT:
        return f"+ {path} ({change.now['tokens']:,} tokens)"
    if change.now is ABSENT:
        return f"- {path}"
    was, now = change.was, change.now
    parts = []
    if was["tokens"] != now["tokens"]:
        parts.append(f"{was['tokens']:,} -> {now['tokens']:,} tokens")
    if was["sha256"] != now["sha256"]:
        parts.append(f"sha256 {show(was['sha256'][:DIGEST_SHOWN])} -> {show(now['sha256'][:DIGEST_SHOWN])}")
    if was["status"] != now["status"]:
        parts.append(f"{show(was['status'])} -> {show(now['status'])}")
    return f"~ {path} ({'; '.join(parts)})"


def _cited(cited: Cited) -> str:
    return f"{show(cited.place)} {_quote(cited.quote)}: {show(cited.status)}"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return f'"{show(_cut(value, VALUE_MOST))}"'
    return show(_cut(json.dumps(value, ensure_ascii=False), VALUE_MOST))


def _quote(text: str) -> str:
    return f'"{show(_cut(" ".join(text.split()), VALUE_MOST))}"'


def _sentence(line: str) -> str:
    """`- The wall is 3 m.`"""
    shown = _cut(" ".join(safe_text(line).split("\n")), LINE_MOST)
    return "…" if shown == "@@" else f"{shown[0]} {shown[1:]}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
