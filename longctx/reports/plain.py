"""Values that any program can read: strings without the halves of characters that names on a disk may have."""

from collections.abc import Mapping
from typing import Any


def whole(value: Any) -> Any:
    """The same JSON values with lone surrogates spelled out (`\\udce9`)."""
    match value:
        case str():
            return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
        case Mapping():
            return {whole(key): whole(each) for key, each in value.items()}
        case list() | tuple():
            return [whole(each) for each in value]
    return value
