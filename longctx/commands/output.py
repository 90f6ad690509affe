"""Where data goes: stdout, or a file that appears whole or not at all."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from longctx.errors import UsageError


def stdout_is_terminal() -> bool:
    """Whether a person is likely to read stdout as it comes."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def open_output(path: Path | None) -> Iterator[IO[str]]:
    """stdout, or a text stream whose content replaces `path` when the block ends well."""
    if path is None or str(path) == "-":
        yield sys.stdout
        return
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "give -o a file in a folder you can write to") from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            yield stream
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
