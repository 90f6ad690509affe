"""CPU seconds of the UI's process from its start to its first painted screen: `python -m benchmarks.tui_paint ours`.

Run it on a terminal; the last line is JSON. Nothing is imported that the UI does not import. `floor` is an app with
nothing on it.
"""

import asyncio
import json
import sys
import time
from typing import Any


class Silent:
    """A backend that says nothing."""

    def send(self, _request: object) -> int:
        """Take it."""
        return 1

    async def close(self) -> None:
        """Nothing was begun."""


def ours(taken: dict[str, float]) -> Any:
    """The application over a backend that says nothing."""
    from longctx.analysis import Asking
    from longctx.backend.requests import Open
    from longctx.request import Request
    from longctx.settings import Settings
    from tui.app import LongctxApp

    async def start(tell: object, died: object) -> Any:  # noqa: ARG001 - nothing is told
        app.call_after_refresh(end, app, taken)
        return Silent()

    app = LongctxApp(Open(request=Request(("/c",)), settings=Settings(), asking=Asking()), start)
    return app


def floor(taken: dict[str, float]) -> Any:
    """An app with nothing on it."""
    from textual.app import App

    class Empty(App[None]):
        def on_mount(self) -> None:
            self.call_after_refresh(end, self, taken)

    return Empty()


async def run(app: Any) -> None:
    """As `longctx tui` does."""
    from tui.garbage import collected_when_idle

    async with collected_when_idle(app):
        await app.run_async()


def end(app: Any, taken: dict[str, float]) -> None:
    """The screen is painted."""
    taken["cpu_s"] = time.process_time()
    app.exit()


def main() -> None:
    """Run one of them."""
    taken: dict[str, float] = {}
    if sys.argv[1] == "ours":
        asyncio.run(run(ours(taken)))
    else:
        floor(taken).run()
    print(f"\n{json.dumps(taken)}")


if __name__ == "__main__":
    main()
