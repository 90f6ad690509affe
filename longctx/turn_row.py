"""A turn as a row of the session store, and back; the row holds all that its id is made of, exactly.

What is kept beside that, to be searched and measured, is derived from it and can be made again.
"""

import json
import math
import sqlite3
import sys
import zlib
from array import array
from collections.abc import Mapping
from typing import Any

from longctx.session import Exchange, Order, Turn, canonical

UNREADABLE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    zlib.error,
    RecursionError,
)  # what `turn_of` raises for a broken row
LARGEST = 2**63 - 1  # that SQLite keeps as a whole number


def row_of(turn: Turn) -> dict[str, Any]:
    """The columns of a turn; raises ValueError where it would not come back as it is."""
    exchange = turn.exchange
    row: dict[str, Any] = {
        "id": turn.id,
        "parent": turn.parent,
        "body": zlib.compress(canonical(turn)),
        "question_ids": _packed(exchange.question) if exchange else None,
        "answer_ids": _packed(exchange.answer) if exchange else None,
        "opens_window": exchange.opens_window if exchange else None,
    }
    if turn_of(row).id != row["id"]:
        raise ValueError("a turn holds something that JSON or 32-bit ids do not keep as it is")
    return {**row, **derived(turn)}


def turn_of(row: Mapping[str, Any]) -> Turn:
    """The turn of a row; raises one of UNREADABLE."""
    fields = json.loads(zlib.decompress(row["body"]).decode("utf-8", "surrogatepass"))
    entries, digest = fields.pop("order")
    exchange = None
    if row["question_ids"] is not None:
        ids = _unpacked(row["question_ids"]), _unpacked(row["answer_ids"])
        exchange = Exchange(*ids, opens_window=bool(row["opens_window"]))
    return Turn(**fields, order=Order(entries, digest), exchange=exchange)


def derived(turn: Turn) -> dict[str, Any]:
    """The columns that are searched and measured.

    Where an engine does not say how many tokens it had cached, or more than there were, nobody knows how many were new.
    Of an answer in several calls nobody knows how long the reading took.
    """
    engine, tokens, timing = (_mapping(turn.answer, name) for name in ("engine", "tokens", "timing"))
    prompt, cached = _count(tokens.get("prompt")), _count(tokens.get("cached"))
    return {
        "question": plain(turn.question),
        "answer": _string(turn.answer, "answer_markdown"),
        "engine": _string(engine, "kind"),
        "model": _string(engine, "model"),
        "new_tokens": None if prompt is None or cached is None or cached > prompt else prompt - cached,
        "prefill_s": _seconds(timing.get("ttft_s")) if turn.answer.get("calls", 1) == 1 else None,
    }


def plain(text: str) -> str:
    """Text that SQLite takes: undecodable bytes of a command line and half surrogates are lost."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


def dicts(rows: sqlite3.Cursor) -> list[dict[str, Any]]:
    """Rows with the names of their columns."""
    names = [column[0] for column in rows.description]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _packed(ids: "array[int]") -> bytes:
    """Ids as little-endian 32-bit numbers, compressed."""
    return zlib.compress(_little_endian(array("I", ids)).tobytes())


def _unpacked(packed: bytes) -> "array[int]":
    return _little_endian(array("I", zlib.decompress(packed)))


def _little_endian(ids: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        ids.byteswap()
    return ids


def _mapping(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = answer.get(name)
    return found if isinstance(found, Mapping) else {}


def _string(values: Mapping[str, Any], name: str) -> str:
    found = values.get(name)
    return plain(found) if isinstance(found, str) else ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= LARGEST else None


def _seconds(value: object) -> float | None:
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if is_number and isinstance(value, int | float) else None
