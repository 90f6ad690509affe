"""A file that a user names, or standard input for `-`, read whole within a bound."""

import sys
from pathlib import Path

from longctx.errors import LongctxError, UsageError


def read_source(source: str, name: str, most: int, too_large: LongctxError) -> bytes:
    """The bytes of `source`, which people call `name`; raises `too_large` beyond `most`, else UsageError."""
    try:
        if source == "-" and sys.stdin is None:
            raise UsageError("standard input is closed", "as with <&- in a shell")
        if source == "-":
            content = sys.stdin.buffer.read(most + 1)
        else:
            with Path(source).open("rb") as stream:
                content = stream.read(most + 1)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror or error}", "name a file that can be read") from error
    if len(content) > most:
        raise too_large
    return content
