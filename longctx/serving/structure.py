"""How much a JSON body would hold, found without reading it: 60 MB of `[],` are gigabytes when they are read.

What stands in a text does not count, so a prompt may be any program. Nothing here says that a body is JSON.
"""

import re
from collections.abc import Iterator

from longctx.serving.refusal import Refused

MOST_CONTAINERS = 100_000  # lists and objects: two or three for each message of a chat
MOST_TEXTS = 1 << 20
TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def check_structure(body: bytes | bytearray, most_values: int) -> None:
    """Refuse a body with more lists, texts or other values than a request can have."""
    if _fits(*_marks(body, 0, len(body)), body.count(b'"') // 2, most_values):
        return  # although brackets, commas and quotes in texts were counted
    containers = commas = 0
    for texts, (start, end) in enumerate(_outside(body)):
        more = _marks(body, start, end)
        containers, commas = containers + more[0], commas + more[1]
        if not _fits(containers, commas, texts, most_values):
            raise Refused("the body holds more values than a request can have")


def _fits(containers: int, commas: int, texts: int, most_values: int) -> bool:
    return containers <= MOST_CONTAINERS and commas <= most_values and texts <= MOST_TEXTS


def _marks(body: bytes | bytearray, start: int, end: int) -> tuple[int, int]:
    """How many lists and objects begin there, and how many commas there are."""
    return body.count(b"[", start, end) + body.count(b"{", start, end), body.count(b",", start, end)


def _outside(body: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Where the parts between texts are; one that does not end is the last."""
    at = 0
    while (opening := body.find(b'"', at)) >= 0:
        yield at, opening
        text = TEXT.match(body, opening)
        if text is None:
            return
        at = text.end()
    yield at, len(body)
