"""Connections that are given up: without a request, with half of one, or with an answer that nobody reads.

uvicorn waits for ever in these cases, and each takes a file descriptor, of which a process has a thousand or so. How
long the body of a request may take is the application's to say.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

LOOK_S = 5.0
HEAD_S = 20.0  # without a request, or with the rest of a refused one
READ_S = 60.0  # without as much of an answer being read as
LEAST_READ = 16 << 10  # bytes, or all that there is
MOST_CONNECTIONS = 256


class Connection(H11Protocol):
    """One connection of a client, looked at from time to time."""

    sends_since: float | None = None  # the client, a request or nothing; None while it has to wait for an answer
    _seen: object = None
    _unread = 0
    _unread_since = 0.0
    _look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take it; of too many connections the one is given up that has kept the server waiting longest."""
        super().connection_made(transport)
        self._look_again()
        kept = [each for each in self.connections if isinstance(each, Connection) and not each.transport.is_closing()]
        if len(kept) > MOST_CONNECTIONS:
            self._slowest(kept).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is not looked at any more."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def _look_again(self) -> None:
        now = self.loop.time()
        if self._is_unread(now) or self._is_silent(now):
            self.transport.abort()
            return
        self._look = self.loop.call_later(LOOK_S, self._look_again)

    def _is_unread(self, now: float) -> bool:
        """Whether the client has left an answer alone for too long."""
        unread = self.transport.get_write_buffer_size()
        if unread == 0 or unread <= self._unread - LEAST_READ:
            self._unread, self._unread_since = unread, now
        self._unread = max(unread, self._unread)
        return unread > 0 and now - self._unread_since > READ_S

    def _is_silent(self, now: float) -> bool:
        """Whether no request has begun for too long; while an answer is read, only that counts."""
        seen = (self.cycle, self._is_open())
        if not self._is_sending() or self._unread:
            self.sends_since = None
        elif self.sends_since is None or seen != self._seen:
            self.sends_since = now
        self._seen = seen
        return not self._is_open() and self.sends_since is not None and now - self.sends_since > HEAD_S

    def _is_open(self) -> bool:
        """Whether there is a request that is not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _is_sending(self) -> bool:
        """Whether it is for the client to send something."""
        return not self._is_open() or self.cycle.more_body

    def _slowest(self, kept: "list[Connection]") -> "Connection":
        """The connection that waits for its client longest, this one where none does."""
        sending = (each for each in kept if each._is_sending())
        return min(sending, key=lambda each: each.sends_since or self.loop.time(), default=self)
