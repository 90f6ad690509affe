"""Packed windows, as `longctx pack --as ids` writes them: one JSON list of token ids a line, read for one model.

Nothing is guessed: a line that is no window of this model is refused with its number.
"""

import json
from array import array
from typing import TYPE_CHECKING

from longctx.commands.source import read_source
from longctx.errors import EngineError, UsageError

if TYPE_CHECKING:
    from longctx.scout.config import ScoutConfig

LARGEST_FILE = 256 << 20  # bytes; 10 million tokens take a third of it
WRITER = "longctx pack PATH --as ids writes them"


def read_windows(source: str, shape: "ScoutConfig", begin_of_text: int) -> "list[array[int]]":
    """The windows in a file, or in standard input for `-`. Raises UsageError, and EngineError for another model's."""
    name = "standard input" if source == "-" else source
    lines = enumerate(_content(source, name).splitlines(), start=1)
    windows = [_window(line, f"{name}, line {number:,}", shape) for number, line in lines if line.strip()]
    if not windows:
        raise UsageError(f"{name}: no windows", f"{WRITER}; is the command before | right?")
    if windows[0][0] != begin_of_text:
        message = f"{name}: the first window does not start with token {begin_of_text:,}, this model's begin of text"
        raise EngineError(message, WRITER)
    return windows


def _content(source: str, name: str) -> bytes:
    too_large = UsageError(f"{name}: more than {LARGEST_FILE >> 20} MiB", "no model reads that much")
    return read_source(source, name, LARGEST_FILE, too_large)


def _window(line: bytes, where: str, shape: "ScoutConfig") -> "array[int]":
    ids = _ids(line)
    if ids is None:
        raise UsageError(f"{where}: not a JSON list of token ids", WRITER)
    if not 0 < len(ids) <= shape.chunk:
        raise EngineError(f"{where}: a window of {len(ids):,} tokens, this model takes 1 to {shape.chunk:,}", WRITER)
    if (highest := max(ids)) >= shape.vocab:
        raise EngineError(f"{where}: token {highest:,}, but the model knows only {shape.vocab:,}", WRITER)
    return array("I", ids)


def _ids(line: bytes) -> list[int] | None:
    try:
        ids = json.loads(line)
    except (ValueError, RecursionError):
        return None
    are_ids = isinstance(ids, list) and set(map(type, ids)) <= {int} and min(ids, default=0) >= 0
    return ids if are_ids else None
