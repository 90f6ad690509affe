"""What the questions of a manifest say of one another: unique ids, references that lead somewhere and in no circle."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from longctx.reports.manifest_shape import near, shown
from longctx.reports.manifest_values import Fault, Place

NEAR_MOST = 30  # ids that are no question's for which one like it is looked for, and
NEAR_AMONG = 1_000  # among how many: each is held against each
CIRCLES_MOST = 30  # that are told
REFERENCE = re.compile(r"\{\{\s*answers\.([^{}\s]*)\s*\}\}")


def references(text: str) -> tuple[str, ...]:
    """The ids of the questions whose answers a text has a place for, each once."""
    return tuple(dict.fromkeys(REFERENCE.findall(text)))


def question_faults(questions: object) -> Iterator[Fault]:
    """Faults between questions; what is not of the right type is passed over, since others tell it."""
    rows = list(enumerate(questions)) if isinstance(questions, list) else []
    tables = {i: row for i, row in rows if isinstance(row, dict)}
    yield from _twice(tables)
    ids = {i: row["id"] for i, row in tables.items() if isinstance(row.get("id"), str)}
    first = {name: i for i, name in reversed(ids.items())}
    before: dict[str, list[str]] = {}
    known, wrong = list(first)[:NEAR_AMONG], 0
    for i, table in tables.items():
        own = ids.get(i)
        for place, name, told in _named(table):
            at: Place = ("question", i, *place)
            if name == own:
                yield Fault(at, f"{told}: a question can't wait for its own answer")
            elif name not in first:
                wrong += 1
                yield Fault(at, f"{told}: no question has this id{near(name, known) if wrong <= NEAR_MOST else ''}")
            elif own is not None:
                before.setdefault(own, []).append(name)
    yield from (
        Fault(("question", first[circle[0]]), _told(circle)) for circle in islice(_circles(before), CIRCLES_MOST)
    )


def _twice(tables: Mapping[int, Mapping[str, object]]) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    for i, table in tables.items():
        name = table.get("id")
        if isinstance(name, str) and seen.setdefault(name, i) != i:
            yield Fault(("question", i, "id"), f"{shown(name)} is the id of question[{seen[name] + 1}] too")


def _named(table: Mapping[str, object]) -> Iterator[tuple[Place, str, str]]:
    """What a question refers to: where, which id, and how it is written."""
    depends, text = table.get("depends_on"), table.get("text")
    for i, name in enumerate(depends if isinstance(depends, list) else ()):
        if isinstance(name, str):
            yield ("depends_on", i), name, shown(name)
    for name in references(text) if isinstance(text, str) else ():
        yield ("text",), name, f"{{{{answers.{shown(name)[1:-1]}}}}}"


def _circles(before: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Circles of questions that wait for each other; enough of them that none is left when these are undone."""
    done: set[str] = set()
    for name in before:
        path: list[str] = []
        work = [(name, False)]
        while work:
            name, is_left = work.pop()
            if is_left:
                done.add(path.pop())
            elif name in path:
                yield (*path[path.index(name) :], name)
            elif name not in done:
                path.append(name)
                work += [(name, True), *((each, False) for each in reversed(before.get(name, ())))]


def _told(circle: Sequence[str]) -> str:
    names = [shown(name)[1:-1] for name in circle]
    shortened = [*names[:8], "…", *names[-2:]] if len(names) > 11 else names
    return f"waits for its own answer: {' -> '.join(shortened)}"
