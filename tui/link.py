"""The app's end of the backend: who asked for what, so that each reply reaches the one that wanted it."""

from collections.abc import Callable
from dataclasses import dataclass

from textual.dom import DOMNode
from textual.message import Message

from longctx.backend.client import Backend
from longctx.backend.replies import Done, Failed, Reply
from longctx.backend.requests import AnyRequest

Told = Callable[[Reply], None]


@dataclass
class Replied(Message):
    """The backend has told something."""

    number: int
    reply: Reply


@dataclass
class BackendDied(Message):
    """The backend has ended by itself."""

    reason: str


@dataclass(frozen=True, slots=True)
class Asker:
    """Who gets the replies to a request: `told`, while `owner` is on a screen."""

    owner: DOMNode
    told: Told


class Link:
    """Requests on their way. Nothing is told to whoever has gone."""

    def __init__(self) -> None:
        self.backend: Backend | None = None
        self._askers: dict[int, Asker] = {}

    def request(self, owner: DOMNode, request: AnyRequest, told: Told) -> int | None:
        """Send a request; every reply goes to `told`, Done or Failed as the last one. None without a backend."""
        if self.backend is None:
            return None
        number = self.backend.send(request)
        self._askers[number] = Asker(owner, told)
        return number

    def deliver(self, replied: Replied) -> None:
        """Hand a reply to the one that asked."""
        asker = self._askers.get(replied.number)
        if asker is None:
            return
        if isinstance(replied.reply, Done | Failed):
            del self._askers[replied.number]
        if asker.owner.is_attached:
            asker.told(replied.reply)

    def lost(self, reason: Failed) -> None:
        """The backend has ended: whatever was on its way has failed."""
        self.backend = None
        for number in list(self._askers):
            self.deliver(Replied(number, reason))
