"""A structured answer as Markdown that the program makes: lists and tables, with footnote marks behind what is cited.

Every name and text in it means itself: none can bring a mark, a link or HTML of its own.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from longctx.export import inert
from longctx.structured import step

COLUMNS_MOST = 8
NOTHING = "—"
INDENT = "  "
Marks = Mapping[str, Sequence[int]]


def to_markdown(value: Any, marks: Marks) -> str:
    """The value; `marks` are numbers of footnotes by the JSON pointer of what they support."""
    if not _is_container(value):
        return _inline(value) + _marked("", marks)
    lines = list(_block(value, "", marks))
    return "\n".join(lines + (["", _marked("", marks).strip()] if marks.get("") else []))


def leaves(value: Any, pointer: str = "") -> Iterator[str]:
    """The pointers to all that a value states: what is neither null nor empty nor has members."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in members:
        yield from leaves(each, step(pointer, name))
    if not isinstance(value, dict | list) and value not in (None, ""):
        yield pointer


def _block(value: Any, at: str, marks: Marks) -> Iterator[str]:
    """The lines of what has members."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _member(name, each, step(at, name), marks)
    elif columns := _columns(value):
        yield from _table(value, columns, at, marks)
    else:
        for number, each in enumerate(value):
            yield from _entry(number, each, step(at, number), marks)


def _member(name: str, value: Any, at: str, marks: Marks) -> Iterator[str]:
    shown = _inline(name)
    if not _is_container(value):
        yield f"- **{shown}:** {_inline(value)}{_marked(at, marks)}"
        return
    yield f"- **{shown}**{_marked(at, marks)}"
    yield from _indented(value, at, marks)


def _entry(number: int, value: Any, at: str, marks: Marks) -> Iterator[str]:
    if not _is_container(value):
        yield f"- {inert(_text(value))}{_marked(at, marks)}"
        return
    yield f"- **{number + 1}**{_marked(at, marks)}"
    yield from _indented(value, at, marks)


def _indented(value: Any, at: str, marks: Marks) -> Iterator[str]:
    """What stands below its name; a table needs a blank line before and behind it."""
    is_table = isinstance(value, list) and bool(_columns(value))
    yield from [""] if is_table else []
    yield from (INDENT + line for line in _block(value, at, marks))
    yield from [""] if is_table else []


def _columns(value: Sequence[Any]) -> tuple[str, ...]:
    """The names of a table's columns, where the value is one: flat objects that all have the same."""
    if not all(isinstance(row, dict) and row for row in value) or not value:
        return ()
    names = tuple(value[0])
    same = all(set(row) == set(names) and not any(map(_is_container, row.values())) for row in value)
    return names if same and len(names) <= COLUMNS_MOST else ()


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], at: str, marks: Marks) -> Iterator[str]:
    yield _row(map(_inline, columns))
    yield _row("---" for _ in columns)
    for number, row in enumerate(rows):
        place = step(at, number)
        places = [[step(place, name)] for name in columns]
        places[-1].append(place)  # what supports all of a row stands at its end
        yield _row(_inline(row[name]) + _marks(where, marks) for name, where in zip(columns, places, strict=True))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _marked(at: str, marks: Marks) -> str:
    return _marks([at], marks)


def _marks(places: Sequence[str], marks: Marks) -> str:
    """Those of these places, each once."""
    return "".join(f" [^{number}]" for number in dict.fromkeys(n for at in places for n in marks.get(at, ())))


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _text(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return NOTHING
    return value if isinstance(value, str) else json.dumps(value)


def _inline(value: Any) -> str:
    """A text that does not stand where a line begins, so that its first characters open nothing."""
    return inert(f". {_text(value)}")[2:] or NOTHING
