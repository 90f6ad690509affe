"""A prompt on its way into the store: progress, what Ctrl-C leaves, and when going on would be for nothing."""

import time
from bisect import bisect_right
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from longctx.durations import duration
from longctx.errors import EngineError, Interrupted, LongctxError, StoreError

if TYPE_CHECKING:
    from longctx.engines.base import EngineEvent, Prefilled, Prompt
    from longctx.engines.scout import ScoutEngine
    from longctx.narration import ProgressLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed:
    """What is stored of a prompt, in tokens and windows, and what a run took."""

    windows: int
    tokens: int
    stored_windows: int
    stored_tokens: int
    cached_tokens: int
    prefill_s: float = 0.0

    @property
    def tokens_per_s(self) -> float | None:
        """How fast it was; None where nothing was computed."""
        computed = self.stored_tokens - self.cached_tokens
        return computed / self.prefill_s if computed and self.prefill_s > 0 else None

    def text(self, dry_run: bool) -> str:
        """One line for people."""
        whole = f"{self.windows:,} window{'s' * (self.windows != 1)}, {self.tokens:,} tokens"
        if dry_run:
            left = f"{self.windows - self.stored_windows:,} to do, {self.tokens - self.stored_tokens:,} tokens"
            return f"{whole}: {self.stored_windows:,} stored, {left}"
        if self.tokens_per_s is None:
            return f"{whole}: all was stored already"
        took = f"{duration(self.prefill_s)} ({self.tokens_per_s:,.0f} tokens/s)"
        cached = f"{self.cached_tokens / self.tokens:.0%} was stored already, the rest took {took}"
        return f"{whole}: {cached}" if self.cached_tokens else f"{whole}: stored in {took}"

    def json(self, dry_run: bool) -> dict[str, Any]:
        """The same for machines."""
        from dataclasses import asdict

        return {"schema": "longctx.warmed/1", "dry_run": dry_run, **asdict(self), "tokens_per_s": self.tokens_per_s}


class Warming:
    """One prompt on its way into the store."""

    def __init__(self, engine: "ScoutEngine", prompt: "Prompt") -> None:
        self._engine = engine
        self._prompt = prompt
        self._ends = list(accumulate(map(len, prompt.windows())))
        self._begun = time.monotonic()

    def dry_run(self) -> Warmed:
        """What is stored now."""
        stored = self._stored_tokens()
        return self._warmed(stored, stored, 0.0)

    def run(self, *, quiet: bool) -> Warmed:
        """Store all of it; raises Interrupted, and StoreError as soon as no more can be stored."""
        from longctx.engines.base import Finished
        from longctx.narration import ProgressLine

        try:
            with (
                ProgressLine(len(self._prompt.ids), quiet=quiet, quiet_for_s=0) as progress,
                closing(self._events()) as events,
            ):
                for event in self._told(events, progress):
                    if isinstance(event, Finished):
                        return self._warmed(event.prompt_tokens, event.cached_tokens or 0, event.prefill_s)
        except KeyboardInterrupt:
            raise interrupted(self._engine, self._prompt) from None
        raise EngineError("the engine stopped without saying why", "the same command goes on from what is stored")

    def _told(
        self, events: "Generator[EngineEvent, None, None]", progress: "ProgressLine"
    ) -> "Generator[EngineEvent, None, None]":
        """The events; after a warning it is made sure that what is computed is still stored."""
        from ingest.naming import show
        from longctx.engines.base import Prefilled, Warned

        warnings: list[str] = []
        said = 0
        for event in events:
            match event:
                case Prefilled():
                    self._check_stored(event.done, warnings)
                    for message in warnings[said:]:
                        progress.say(f"longctx: {show(message)}")
                    said = len(warnings)
                    progress.tell(event.done, self._state(event))
                case Warned(message):
                    warnings.append(message)
            yield event

    def _check_stored(self, done: int, warnings: list[str]) -> None:
        """Raise StoreError where a warning meant that nothing more is stored: computing on would be for nothing."""
        if warnings and (stored := self._stored_tokens()) < done:
            message = f"stopped with {self._windows(stored):,} of {len(self._ends):,} windows stored: {warnings[-1]}"
            raise StoreError(message, "longctx cache prune makes room; the setting cache_limit_gb allows more")

    def _windows(self, tokens: int) -> int:
        """How many whole windows the first `tokens` are."""
        return bisect_right(self._ends, tokens)

    def _state(self, prefilled: "Prefilled") -> str:
        """`reading: window 13 of 40, 1,150 tokens/s, 3 min left, 30% was stored`."""
        done = self._windows(prefilled.done)
        computed, elapsed = prefilled.done - prefilled.cached, time.monotonic() - self._begun
        parts = [f"reading: window {min(done + 1, len(self._ends)):,} of {len(self._ends):,}"]
        if computed > 0:
            parts.append(f"{computed / elapsed:,.0f} tokens/s")
            parts.append(f"{duration((prefilled.total - prefilled.done) * elapsed / computed)} left")
        if prefilled.cached:
            parts.append(f"{prefilled.cached / prefilled.total:.0%} was stored")
        return ", ".join(parts)

    def _stored_tokens(self) -> int:
        return stored_tokens(self._engine, self._prompt)

    def _events(self) -> "Generator[EngineEvent, None, None]":
        return _run(self._engine, self._prompt)

    def _warmed(self, stored: int, cached: int, seconds: float) -> Warmed:
        return Warmed(
            windows=len(self._ends),
            tokens=len(self._prompt.ids),
            stored_windows=self._windows(stored),
            stored_tokens=stored,
            cached_tokens=cached,
            prefill_s=seconds,
        )


def stored_tokens(engine: "ScoutEngine", prompt: "Prompt") -> int:
    """What the store has of a prompt: the first that a run says, before it computes anything."""
    from longctx.engines.base import Prefilled

    with closing(_run(engine, prompt)) as events:
        return next((event.done for event in events if isinstance(event, Prefilled)), 0)


def interrupted(engine: "ScoutEngine", prompt: "Prompt") -> Interrupted:
    """What Ctrl-C leaves of a prompt, as an error for a user."""
    ends = list(accumulate(map(len, prompt.windows())))
    try:
        kept = bisect_right(ends, stored_tokens(engine, prompt))
    except LongctxError:  # a store that fails just now is no news to somebody who stops
        return Interrupted("interrupted; what was finished is kept")
    message = f"interrupted; {kept:,} of {len(ends):,} windows are stored"
    return Interrupted(message, "the same command goes on from there")


def _run(engine: "ScoutEngine", prompt: "Prompt") -> "Generator[EngineEvent, None, None]":
    yield from engine.warm(prompt)
