"""What the backend says, on its way out: several threads put lines in, one writes them, so that none is ever torn.

A signal may interrupt whoever puts a line in, never the one that writes.
"""

import threading
from queue import SimpleQueue
from typing import BinaryIO

from longctx.backend import wire
from longctx.backend.replies import Reply


class Outbox:
    """Lines to the face, in the order in which they are put in."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._writer.start()

    def put(self, number: int, reply: Reply) -> None:
        """Send a reply. Raises ValueError for one that no reader takes."""
        line = wire.write(number, reply)
        if len(line) > wire.LONGEST_LINE:
            raise ValueError(f"a {type(reply).__name__} of {len(line):,} bytes is too long for a line")
        self._lines.put(line)

    def close(self, seconds: float) -> None:
        """Write what is left, for so long at most."""
        self._lines.put(None)
        self._writer.join(seconds)

    def _write(self) -> None:
        try:
            while (line := self._lines.get()) is not None:
                self._stream.write(line)
                self._stream.flush()
        except OSError:  # nobody reads any more: the reader of requests ends the process
            return
