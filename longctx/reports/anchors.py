"""Names for the parts of a report that can be led to: safe in an attribute, none of them twice."""

import re
from collections.abc import Iterable

LONGEST = 40  # characters taken of an id


def anchors(ids: Iterable[str]) -> tuple[str, ...]:
    """A name for each id, of small letters, digits and single hyphens; an id that comes again has a number behind it.

    A number behind a name and a hyphen never makes the name of another: see `evidence_anchor`.
    """
    taken: set[str] = set()
    names = []
    for each in ids:
        name = _free(_plain(each), taken)
        taken.add(name)
        names.append(name)
    return tuple(names)


def item_anchor(name: str) -> str:
    """Where an item stands."""
    return f"i-{name}"


def mark_anchor(name: str, n: int) -> str:
    """Where an answer has its first mark of a footnote."""
    return f"m-{name}-{n}"


def evidence_anchor(name: str, n: int) -> str:
    """Where the evidence of a footnote stands."""
    return f"e-{name}-{n}"


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text[: 4 * LONGEST].lower()).strip("-")[:LONGEST].strip("-") or "x"


def _free(name: str, taken: set[str]) -> str:
    count, candidate = 1, name
    while candidate in taken:
        count += 1
        candidate = f"{name}-{count}"
    return candidate
