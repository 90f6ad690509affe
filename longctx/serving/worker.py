"""The one thread that holds a model: runs follow one another, and one that nobody waits for any more is given up.

All of torch's work is done there, so that the event loop can answer while it lasts. A run is given up between two
events of the engine: after the window that it reads, or the token that it makes.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress

from longctx.engines.base import Finished
from longctx.errors import EngineError
from longctx.serving.asked import Asked
from longctx.serving.generation import Said, generated
from longctx.serving.refusal import Refused
from longctx.serving.served import Served

log = logging.getLogger(__name__)
MOST_RUNS = 16  # the one that runs, and those that wait


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


class Run:
    """One request, from its admission on; its methods are for the event loop that made it."""

    def __init__(self, release: "Callable[[Run], None]") -> None:
        self.asked: Asked | None = None
        self.unwanted = threading.Event()
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._said: asyncio.Queue[Said | Exception] = asyncio.Queue()

    async def next(self, patience_s: float) -> Said | None:
        """The next event, or None where none comes for so long; raises what the run died of."""
        try:
            async with asyncio.timeout(patience_s):
                said = await self._said.get()
        except TimeoutError:
            return None
        if isinstance(said, Exception):
            raise said
        return said

    def say(self, said: Said | Exception) -> None:
        """Pass on what the worker has; called from its thread."""
        with suppress(RuntimeError):  # the loop is closed when the server ends
            self._loop.call_soon_threadsafe(self._said.put_nowait, said)

    def abandon(self) -> None:
        """The client is gone: `next` says so too."""
        self.unwanted.set()
        self._said.put_nowait(ClientGone())

    def close(self) -> None:
        """Give up what is left of the run, and its place in the line; may be called again."""
        self.unwanted.set()
        self._release(self)


class Worker:
    """A model that is being opened, is open, or could not be."""

    def __init__(
        self,
        opener: Callable[[], AbstractContextManager[Served]],
        *,
        ended: Callable[[], None],
        most_runs: int = MOST_RUNS,
    ) -> None:
        """`ended` is called from the thread when it has nothing left to do, having failed or been stopped."""
        self.served: Served | None = None
        self.failure: Exception | None = None
        self._opener = opener
        self._ended = ended
        self._most_runs = most_runs
        self._active: set[Run] = set()
        self._waiting: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        # A daemon: a window that is being read must not keep a server alive that was told to end.
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    def start(self) -> None:
        """Open the model."""
        self._thread.start()

    def admit(self) -> Run:
        """A place in the line, to be closed; raises Refused where too many wait, or there is no model yet."""
        if self.served is None:
            raise Refused("the model is being loaded", status=503, code="loading")
        if len(self._active) >= self._most_runs:
            raise Refused(f"{len(self._active)} requests are waiting already; try again soon", status=429, code="busy")
        run = Run(self._active.discard)
        self._active.add(run)
        return run

    def submit(self, run: Run, asked: Asked) -> None:
        """Carry it out when its turn comes."""
        run.asked = asked
        self._waiting.put(run)

    def halt(self) -> None:
        """Give up all runs, and tell who waits for them; may be called in a handler of a signal."""
        self._stopping.set()
        for run in tuple(self._active):
            run.say(EngineError("the server is ending"))

    def stop(self, patience_s: float) -> bool:
        """Give up what runs and close the model; whether it is closed by now."""
        self._stopping.set()
        self._waiting.put(None)
        if self._thread.ident is not None:
            self._thread.join(patience_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            with self._opener() as served:
                log.info("ready: %s", served.engine.describe())
                self.served = served
                for run in iter(self._waiting.get, None):
                    self._carry_out(served, run)
                    self._active.discard(run)  # its place is free, although its answer may not have been read yet
        except Exception as error:  # noqa: BLE001 - the wall of this thread; whoever runs the server tells it
            self.failure = error
        self._ended()

    def _carry_out(self, served: Served, run: Run) -> None:
        if run.asked is None or self._is_unwanted(run):
            return
        try:
            with closing(generated(served, run.asked)) as events:
                for said in events:
                    run.say(said)
                    if isinstance(said, Finished) or self._is_unwanted(run):
                        return
        except Exception as error:  # noqa: BLE001 - told to the client that asked; the next one is served all the same
            run.say(error)

    def _is_unwanted(self, run: Run) -> bool:
        return run.unwanted.is_set() or self._stopping.is_set()
