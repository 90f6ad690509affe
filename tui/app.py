"""The application: a screen over a backend of its own. It draws, and asks; it reads no document and runs no model."""

from dataclasses import dataclass

from textual import on
from textual.app import App

from longctx.backend.client import Starter
from longctx.backend.replies import Failed, SessionIs
from longctx.backend.requests import Open
from tui.link import BackendDied, Link, Replied
from tui.screens.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Ended:
    """How the application ended: the session that can be gone on with, None where none was kept."""

    session: SessionIs | None


class LongctxApp(App[Ended]):
    """Asks, reads and summarises one corpus after another."""

    CSS_PATH = "app.tcss"
    TITLE = "longctx"

    def __init__(self, opening: Open, start: Starter) -> None:
        super().__init__()
        self._start = start
        self.link = Link()
        self.workspace = Workspace(self.link, opening)

    async def on_mount(self) -> None:
        await self.push_screen(self.workspace)
        self.call_after_refresh(self._begin)

    async def _begin(self) -> None:
        self.link.backend = await self._start(
            lambda number, reply: self.post_message(Replied(number, reply)),
            lambda reason: self.post_message(BackendDied(reason)),
        )
        self.workspace.begin()

    @on(Replied)
    def _replied(self, event: Replied) -> None:
        self.link.deliver(event)

    @on(BackendDied)
    def _died(self, event: BackendDied) -> None:
        self.link.lost(Failed(event.reason, "start it again", 5))

    async def on_unmount(self) -> None:
        if self.link.backend is not None:
            await self.link.backend.close()
