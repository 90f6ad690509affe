"""The body of a request on its way in: JSON by its type, no larger than a prompt can be, and not for ever.

What all bodies hold together is bounded too. A body that comes slowly holds nothing but its own connection.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from longctx.serving.refusal import Refused

JSON_TYPE = "application/json"
PATIENCE_S = 60.0  # for a body of any size, and
LEAST_RATE = 64 << 10  # bytes a second on top of it
ID_BYTES = 12  # of a token id in JSON, with what stands between two; text takes less for a token
TEXT_BYTES = 8 << 20  # what a body may have besides
SMALL = 1 << 20  # bytes; a body up to it always has room
MOST_HELD = 3  # of the largest bodies


def largest_body(context_tokens: int) -> int:
    """The bytes that a request can need whose prompt fits."""
    return ID_BYTES * context_tokens + TEXT_BYTES


class Bodies:
    """Those that are held at present."""

    def __init__(self) -> None:
        self._held = 0

    @asynccontextmanager
    async def received(self, request: Request, largest: int) -> AsyncIterator[bytearray]:
        """The whole body, while the block lasts; raises Refused."""
        _check_head(request, largest)
        body = bytearray()
        try:
            async for part in _parts(request):
                self._held += len(part)
                body += part
                self._check_room(len(body), largest)
            yield body
        finally:
            self._held -= len(body)

    def _check_room(self, size: int, largest: int) -> None:
        if size > largest:
            raise _too_large(largest)
        if size > SMALL and self._held > MOST_HELD * largest:
            raise Refused("other requests of this size are being read; try again soon", status=429, code="busy")


def _check_head(request: Request, largest: int) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON_TYPE:
        raise Refused(f"the body must be {JSON_TYPE}", status=415)
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > largest:
        raise _too_large(largest)


async def _parts(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes; there is one deadline for all of it, put off by what has come."""
    clock = asyncio.get_running_loop().time
    began, size = clock(), 0
    stream = request.stream()
    try:
        while part := await asyncio.wait_for(anext(stream, b""), began + PATIENCE_S + size / LEAST_RATE - clock()):
            size += len(part)
            yield part
    except TimeoutError as error:
        raise Refused("the body did not come in time", status=408) from error
    except ClientDisconnect as error:
        raise Refused("the client is gone") from error


def _too_large(largest: int) -> Refused:
    return Refused(f"the body is larger than {largest >> 20} MiB", status=413)
