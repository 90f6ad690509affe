"""A checkpoint's JSON: its objects, and their keys each read with its type and bounds; knows no key by name.

Files are not trusted: what is too large, not JSON, or says a key twice is refused, and a value from a file gets into
a message only as one short line.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import NoReturn, TypeGuard

from longctx.scout.errors import CheckpointError

Json = object
MAX_SIZE = 1 << 31


def read_json(path: Path, max_bytes: int) -> Mapping[str, Json]:
    """The JSON object in a file, which is refused if it is larger than `max_bytes`."""
    try:
        stat = path.stat()
        if not S_ISREG(stat.st_mode):
            raise CheckpointError(f"{path}: not a file")
        if stat.st_size > max_bytes:
            raise CheckpointError(f"{path}: larger than {max_bytes >> 20} MiB, so not what it is named for")
        return parse_json(path, path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not found; expected a folder as Hugging Face has it") from None
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror})") from None


def parse_json(path: Path, raw: bytes) -> Mapping[str, Json]:
    """The JSON object in `raw`, which `path` has; no object in it says a key twice."""
    try:
        read = json.loads(raw, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON ({shown(str(error))})") from None
    if not isinstance(read, dict):
        raise CheckpointError(f"{path}: not a JSON object")
    return read


def shown(value: Json) -> str:
    """A value from a file as one short line that no control character gets through."""
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a key is there twice")
    return read


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one JSON object, each read with its type, bounds and default; null is absent."""

    path: Path
    read: Mapping[str, Json]

    def refuse(self, name: str, value: Json, expected: str) -> NoReturn:
        raise CheckpointError(f"{self.path}: {name!r} is {shown(value)}; expected {expected}")

    def refuse_unknown(self, known: str) -> None:
        names = frozenset(known.split())
        for name, value in self.read.items():
            if name not in names and not name.startswith("_") and value:
                raise CheckpointError(
                    f"{self.path}: {shown(name)} ({shown(value)}) is not known and may change what the model computes;"
                    " take it out if it does not"
                )

    def value(self, name: str, default: Json = None) -> Json:
        found = self.read.get(name)
        return default if found is None else found

    def integer(self, name: str, default: int | None, low: int = 1, high: int = MAX_SIZE) -> int:
        value = self.value(name, default)
        if not _is_integer(value) or not low <= value <= high:
            self.refuse(name, value, f"a whole number from {low} to {high}")
        return value

    def number(self, name: str, default: float | None) -> float:
        value = self.value(name, default)
        if not (_is_integer(value) or isinstance(value, float)) or not 0 < value < 1e30:
            self.refuse(name, value, "a number above 0")
        return float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.value(name, default)
        if not isinstance(value, bool):
            self.refuse(name, value, "true or false")
        return value

    def integers(self, name: str, low: int, high: int) -> tuple[int, ...] | None:
        """A list of whole numbers (true and false are 1 and 0), or None where it is absent."""
        value = self.value(name)
        if value is None:
            return None
        numbers = [int(item) if isinstance(item, bool) else item for item in value] if isinstance(value, list) else []
        if not isinstance(value, list) or not all(_is_integer(item) and low <= item <= high for item in numbers):
            self.refuse(name, value, f"a list of whole numbers from {low} to {high}")
        return tuple(numbers)

    def ids(self, name: str, default: int) -> tuple[int, ...]:
        """One token id or several; here null says that there is none."""
        if isinstance(self.read.get(name, default), int):
            return (self.integer(name, default, 0),)
        return self.integers(name, 0, MAX_SIZE) or ()


def _is_integer(value: Json) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
