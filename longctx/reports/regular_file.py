"""The bytes of a regular file within a bound: nothing that would wait for a writer, or never end."""

import os
import stat
from pathlib import Path

from longctx.reports.manifest_values import NotRead


def regular_content(path: Path, most: int) -> bytes:
    """What is in the file; raises NotRead."""
    try:
        with open(path, "rb", opener=_opened) as stream:
            content = stream.read(most + 1)
    except OSError as error:
        raise NotRead(error.strerror or str(error)) from error
    except ValueError as error:
        raise NotRead("no file can have such a name") from error
    if len(content) > most:
        raise NotRead(f"more than {most >> 10:,} KiB")
    return content


def _opened(path: str, flags: int) -> int:
    """A descriptor of a regular file; opening a pipe does not wait for its other end."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise NotRead("not a regular file")
