"""When Python looks for cyclic garbage: through everything only while nobody waits for the screen.

Widgets hold their parents and are held by them, so whatever leaves the screen is such garbage. To look through all
there is takes 60 to 120 ms, longer than a frame may; to look through what is new takes 2 ms, and stays as it was.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

LOOK_S = 1.0
CALM_LOOKS = 4
PAINTED_S = 10.0  # there is something to see by then
LAST_RESORT = 500  # looks at what is new after which Python looks through all even so: 15 long answers, 90 MB at most


class Watched(Protocol):
    """What is drawn: `painted` once there is something to see, `idle_s` since anybody waited for it."""

    painted: asyncio.Event

    @property
    def idle_s(self) -> float:
        """Zero while something is done for a person."""


@asynccontextmanager
async def collected_when_idle(app: Watched) -> AsyncIterator[None]:
    """Collect so in the block, where what there is at the first paint stays; Python's own ways are back after it."""
    was_enabled, thresholds = gc.isenabled(), gc.get_threshold()
    gc.disable()
    collecting = asyncio.create_task(_collect(app))
    try:
        yield
    finally:
        collecting.cancel()
        with suppress(asyncio.CancelledError):
            await collecting
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        if was_enabled:
            gc.enable()


async def _collect(app: Watched) -> None:
    """Once each time that nobody waits any more."""
    with suppress(TimeoutError):
        await asyncio.wait_for(app.painted.wait(), PAINTED_S)
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], LAST_RESORT)
    gc.enable()
    calm = 0
    while True:
        await asyncio.sleep(LOOK_S)
        calm = calm + 1 if app.idle_s >= LOOK_S else 0
        if calm == CALM_LOOKS:
            gc.collect()
