"""Blocks that the user wants kept: one file per key, so that pins outlive the index; the label is its text."""

import contextlib
from pathlib import Path

from cache.keys import BlockKey, is_key

MAX_LABEL = 200


def pinned_keys(folder: Path) -> dict[BlockKey, str]:
    """The label of every pinned key."""
    pins = {}
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if is_key(path.name):
                pins[BlockKey(path.name)] = path.read_text("utf-8", errors="replace")[:MAX_LABEL]
    return pins


def write(folder: Path, key: BlockKey, label: str) -> None:
    """Pin `key`, or change its label."""
    path = folder / key
    path.touch(mode=0o600)
    path.write_text(label[:MAX_LABEL], "utf-8")


def remove(folder: Path, key: BlockKey) -> None:
    """Unpin `key`."""
    (folder / key).unlink(missing_ok=True)
