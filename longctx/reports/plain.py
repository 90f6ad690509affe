"""Values that any program can read: strings without the halves of characters that names on a disk may have, numbers
that are finite and have no more than 64 bits."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

INTEGERS = 1 << 63


def whole(value: Any) -> Any:
    """The same JSON values with lone surrogates spelled out (`\\udce9`); a number that no program reads alike is the
    nearest one, or null."""
    match value:
        case str():
            return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
        case Mapping():
            return {whole(key): whole(each) for key, each in value.items()}
        case list() | tuple():
            return [whole(each) for each in value]
        case float():
            return value if isfinite(value) else None
        case int() if not -INTEGERS <= value < INTEGERS:
            return _nearest(value)
    return value


def _nearest(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None
