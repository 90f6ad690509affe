"""The body of a reply while it comes: bounded in size, and in the time that passes with nothing of use in it."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ingest.naming import show
from longctx.engines.compatible_deadline import Deadline
from longctx.errors import EngineError

LARGEST_REPLY = 8 << 20
BEHIND_END_S = 30.0  # for what is still to come once an answer is whole


@dataclass(slots=True)
class Reply:
    """A reply that begins to come. Who reads it says what was `heard`; all else counts as silence.

    `kind` is the type of its content, as the server names it; `raw` are its bytes.
    """

    url: str
    kind: str
    raw: Iterator[bytes]
    deadline: Deadline
    silence_s: float
    _left_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._left_s = self.silence_s

    def heard(self, *, is_last: bool = False) -> None:
        """Something of use came; behind what `is_last`, nothing is waited for long."""
        self._left_s = min(self.silence_s, BEHIND_END_S) if is_last else self.silence_s

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes, until the deadline has passed; while the caller is busy no time is counted."""
        while True:
            begun_s = time.monotonic()
            self.deadline.within(self._left_s)
            piece = next(self.raw, None)
            self.deadline.stop()
            self._left_s -= time.monotonic() - begun_s
            if self._left_s <= 0:
                self.deadline.passed = True
            if piece is None or self.deadline.passed:
                return
            yield piece

    def document(self) -> Any:
        """The JSON of a whole reply, which has one time in all; raises EngineError."""
        content = bytearray()
        for piece in self.pieces():
            content += piece
            if len(content) > LARGEST_REPLY:
                raise EngineError(f"{show(self.url)}: the reply is larger than {LARGEST_REPLY >> 20} MiB")
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            kind = "a web page" if content.lstrip()[:1] == b"<" else "no JSON"
            raise EngineError(f"{show(self.url)}: the reply is {kind}", "does the address lead to the API?") from error
