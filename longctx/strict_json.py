"""JSON as strangers write it: what others could not read back is refused, and nothing in it can break writing."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from ingest.naming import safe_text, show

DEEPEST = 64
LONGEST_LINE = 300  # characters


def clean(value: Any, depth: int = 0) -> Any:
    """The same with strings that can be encoded; raises ValueError where it is too deep."""
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} levels deep")
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {clean(str(name)): clean(each, depth + 1) for name, each in value.items()}
    return [clean(each, depth + 1) for each in value] if isinstance(value, list | tuple) else value


def said(error: Exception) -> str:
    """What is wrong with a text, in one short line; of JSON without its place."""
    if isinstance(error, RecursionError):
        return f"more than {DEEPEST} levels deep"
    return short_line(error.msg if isinstance(error, json.JSONDecodeError) else str(error))


def short_line(text: str) -> str:
    """One short line that is safe to show."""
    line = show(" ".join(safe_text(text).split()))
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise ValueError(f"{name!r} stands twice in one object")
        made[name] = value
    return made


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _whole(digits: str) -> int:
    """A whole number that others can read too: many take no more than 64 bits."""
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
        raise ValueError(f"a whole number of {len(digits):,} digits")
    return int(digits)


def _finite(digits: str) -> float:
    if not math.isfinite(float(digits)):
        raise ValueError("a number that is too large")
    return float(digits)


DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_whole, parse_float=_finite)
_SURROGATE = re.compile("[\ud800-\udfff]")
