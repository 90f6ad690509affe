"""An engine that is asked in a thread, so that several prompts are on their way while one thread does all the rest.

Prompts are composed and answers are resolved where the stores are open: there events are only handed out that the
thread has collected. What is stopped ends as soon as the engine says anything more.
"""

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from longctx.engines.base import EngineEvent, Prefilled, Prompt, Sampling, Text, Token

if TYPE_CHECKING:
    from longctx.engines.base import Engine, Identity, Limits


class Lane:
    """An engine for one item. Right after a prompt was given to it, it tells that nothing is read yet; who hears
    that while it `is_busy` turns to something else until it is not. `timing` is of what it was asked last."""

    def __init__(self, engine: "Engine", ended: threading.Condition) -> None:
        self._engine = engine
        self._ended = ended
        self._call: _Call | None = None
        self.timing: dict[str, float] = {}

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        """As the engine does, once all of it has come."""
        call = self._call = _Call(self._engine, prompt, sampling, self._ended)
        try:
            yield Prefilled(done=0, total=len(prompt.ids), cached=0)
            yield from call.outcome()
            self.timing = call.timing
        finally:
            call.stop()
            self._call = None

    @property
    def is_busy(self) -> bool:
        """Whether the engine has not ended what it was asked last."""
        return self._call is not None and not self._call.has_ended

    @property
    def read(self) -> tuple[int, int]:
        """How much of the prompt the engine has read, of how much."""
        return self._call.read if self._call is not None else (0, 0)

    def limits(self) -> "Limits":
        return self._engine.limits()

    def identity(self) -> "Identity":
        return self._engine.identity()

    def describe(self) -> str:
        """One line: what it is and where it runs."""
        return self._engine.describe()

    def close(self) -> None:
        """The engine is not this lane's."""


class _Call:
    """One prompt in a thread of its own, which ends with the process at the latest."""

    def __init__(self, engine: "Engine", prompt: Prompt, sampling: Sampling, ended: threading.Condition) -> None:
        self._ended = ended
        self._events: list[EngineEvent] = []
        self._error: BaseException | None = None
        self._is_stopped = False
        self._begun_s = time.monotonic()
        self._first_s = self._ended_s = 0.0
        self.has_ended = False
        self.read = (0, len(prompt.ids))
        threading.Thread(target=self._run, args=(engine, prompt, sampling), name="lane", daemon=True).start()

    def outcome(self) -> Iterator[EngineEvent]:
        """All events when they have come; raises what the engine raised after those that came before."""
        with self._ended:
            self._ended.wait_for(lambda: self.has_ended)
        yield from self._events
        if self._error is not None:
            raise self._error

    @property
    def timing(self) -> dict[str, float]:
        """Seconds as an answer tells them: in the thread, not when they were handed out."""
        seconds = {"total_s": self._ended_s - self._begun_s}
        if self._first_s:
            seconds |= {"ttft_s": self._first_s - self._begun_s, "decode_s": self._ended_s - self._first_s}
        return seconds

    def stop(self) -> None:
        """Nothing of it is wanted any more."""
        self._is_stopped = True

    def _run(self, engine: "Engine", prompt: Prompt, sampling: Sampling) -> None:
        try:
            self._collect(engine.generate(prompt, sampling))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asked
            self._error = error
        self._ended_s = time.monotonic()
        with self._ended:
            self.has_ended = True
            self._ended.notify_all()

    def _collect(self, events: Iterator[EngineEvent]) -> None:
        for event in events:
            if isinstance(event, Prefilled):
                self.read = event.done, event.total
            elif isinstance(event, Token | Text) and not self._first_s:
                self._first_s = time.monotonic()
            self._events.append(event)
            if self._is_stopped:
                if (close := getattr(events, "close", None)) is not None:
                    close()
                return


def first_free(lanes: "list[Lane]", ended: threading.Condition, wait_s: float) -> "Lane | None":
    """A lane that is not busy, waiting so long for one; None where all still are."""
    stop = time.monotonic() + wait_s
    with ended:
        while True:
            if (free := next((lane for lane in lanes if not lane.is_busy), None)) is not None:
                return free
            if (left := stop - time.monotonic()) <= 0:
                return None
            ended.wait(left)
