"""Requests and replies as lines of JSON. A line is ASCII, so that names of undecodable bytes come through as they are.

What comes in is checked against the types: a line that is none of ours is an error, never an object of its choosing.
"""

import json
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from longctx.backend.replies import Reply
from longctx.backend.requests import AnyRequest

LONGEST_LINE = 64 << 20  # bytes, of a reply

REQUESTS: Mapping[str, type] = {kind.__name__: kind for kind in get_args(AnyRequest)}
REPLIES: Mapping[str, type] = {kind.__name__: kind for kind in get_args(Reply)}


class Malformed(ValueError):
    """A line that says nothing we know."""


def write(number: int, message: AnyRequest | Reply) -> bytes:
    """A message as a line: of the request with that number, or of what answers it."""
    fields = msgspec.to_builtins(message)
    return json.dumps([number, type(message).__name__, fields], separators=(",", ":")).encode() + b"\n"


def read_request(line: bytes) -> tuple[int, AnyRequest]:
    """The request in a line and its number; raises Malformed."""
    number, message = _read(line, REQUESTS)
    return number, message


def read_reply(line: bytes) -> tuple[int, Reply]:
    """The reply in a line and the number of the request it answers; raises Malformed."""
    number, message = _read(line, REPLIES)
    return number, message


def _read(line: bytes, kinds: Mapping[str, type]) -> tuple[int, Any]:
    try:
        number, kind, fields = json.loads(line)
        return int(number), msgspec.convert(fields, type=kinds[kind])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed(f"a line of {len(line)} bytes is no message: {error}") from error
