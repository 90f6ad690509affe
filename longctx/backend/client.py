"""The backend as a face has it: a process to which requests are sent and whose replies are told, on one event loop."""

from collections.abc import Callable
from typing import Protocol

from longctx.backend.replies import Reply
from longctx.backend.requests import AnyRequest

Tell = Callable[[int, Reply], object]


class Backend(Protocol):
    """What a face needs of the backend."""

    def send(self, request: AnyRequest) -> int:
        """Send a request; its number, which its replies have too."""
        ...

    async def close(self) -> None:
        """End it, and all that it began. Nothing is told any more."""
        ...


class Starter(Protocol):
    """Begins a backend. `tell` is called for each reply, `died` once where it ends without being closed."""

    async def __call__(self, tell: Tell, died: Callable[[str], object]) -> Backend: ...
