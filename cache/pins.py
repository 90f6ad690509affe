"""Blocks that the user wants kept: one file per key, so that pins outlive the index; the label is its text."""

import os
from pathlib import Path

from cache import files
from cache.keys import BlockKey, is_key

MAX_LABEL = 200
FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def pinned_keys(folder: Path) -> dict[BlockKey, str]:
    """The label of every pinned key; what is no regular file pins nothing."""
    pins = {}
    for path in folder.iterdir():
        if is_key(path.name):
            content = files.small(path, 4 * MAX_LABEL)
            if content is not None:
                pins[BlockKey(path.name)] = content.decode(errors="replace")[:MAX_LABEL]
    return pins


def write(folder: Path, key: BlockKey, label: str) -> None:
    """Pin `key`, or change its label: wholly or not at all. The caller holds the exclusive lock."""
    content = label[:MAX_LABEL].encode(errors="replace")
    temporary = folder / f"{files.TEMPORARY}{key}"
    temporary.unlink(missing_ok=True)
    try:
        with open(os.open(temporary, FLAGS, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / key)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove(folder: Path, key: BlockKey) -> None:
    """Unpin `key`."""
    (folder / key).unlink(missing_ok=True)
