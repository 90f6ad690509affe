"""`longctx cache warm`: a corpus is read by a model once and what it leaves is stored, before anybody asks."""

import json
import time
from array import array
from bisect import bisect_right
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longctx.commands.engine import checkpoint
from longctx.commands.machine import (
    Attention,
    Device,
    Devices,
    Dtype,
    Dtypes,
    KvBudget,
    Machine,
    Model,
    Threads,
    kv_budget_bytes,
    open_engine,
    open_store,
)
from longctx.commands.options import OUTPUT, Chosen, with_corpus_options
from longctx.errors import CorpusError, DoesNotFit, EngineError, Interrupted, StoreError

if TYPE_CHECKING:
    from cache.store import DiskStore
    from longctx.commands.progress import ProgressLine
    from longctx.corpus import Corpus
    from longctx.engines.base import EngineEvent, Prefilled, Prompt
    from longctx.engines.scout import ScoutEngine
    from longctx.scout.config import ScoutConfig

BYTES_PER_VALUE = {"float32": 4, "bfloat16": 2, "float16": 2}


@with_corpus_options
def warm(
    chosen: Chosen,
    model: Model,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Folders, files, globs, git URLs, or -.", show_default=False),
    ] = None,
    dtype: Dtypes = Dtype.AUTO,
    device: Devices = Device.AUTO,
    threads: Threads = None,
    attention: Attention = None,
    kv_budget: KvBudget = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is stored and what is not, and compute nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.", rich_help_panel=OUTPUT)] = False,
) -> None:
    """Let a model read the one prompt over the sources and store it by window, so that a first question is quick.

    Ctrl-C keeps the windows that are done; the same command goes on from there.

    longctx cache warm ./repo --model ~/models/scout
    """
    configured = chosen.settings(attention=attention)
    budget = kv_budget_bytes(kv_budget, configured)
    machine = Machine(str(dtype), str(device), threads, configured.attention, budget)
    shape = _fitting(model)
    with chosen.corpus(sources or [], index=False) as (corpus, _):
        prompt = _prompt(corpus)
    with open_store(configured) as store:
        _check_room(store, prompt, shape, machine)
        with open_engine(model, machine, store) as engine:
            done = Warming(engine, prompt).dry_run() if dry_run else Warming(engine, prompt).run(quiet=chosen.quiet)
    typer.echo(json.dumps(done.json(dry_run), indent=2) if as_json else done.text(dry_run))


def _fitting(model: Path) -> "ScoutConfig":
    """The shape of a model that can read prompts over a corpus; raises EngineError for another one."""
    from longctx.packing import WINDOW_TOKENS
    from longctx.vocabulary import VOCABULARY_TOKENS, llama4, of_model

    shape = checkpoint(model)
    if shape.chunk != WINDOW_TOKENS:
        raise EngineError(f"{model}: its chunk is {shape.chunk:,} tokens, prompts have windows of {WINDOW_TOKENS:,}")
    if shape.vocab < VOCABULARY_TOKENS:
        raise EngineError(
            f"{model}: it knows {shape.vocab:,} tokens, prompts are made of Llama 4's {VOCABULARY_TOKENS:,}"
        )
    if of_model(model).fingerprint != llama4().fingerprint:
        raise EngineError(f"{model}: its tokenizer is not Llama 4's, of which prompts are made")
    return shape


def _prompt(corpus: "Corpus") -> "Prompt":
    from longctx import plan
    from longctx.engines.base import Prompt
    from longctx.packing import WINDOW_TOKENS

    ids, starts = array("I"), list[int]()
    for window in plan.pack(corpus):
        starts.append(len(ids))
        ids.extend(plan.window_ids(corpus, window))
    if not starts:
        raise CorpusError("nothing readable was found", "longctx corpora show names what was left out")
    return Prompt(ids, tuple(starts), WINDOW_TOKENS)


def _check_room(store: "DiskStore", prompt: "Prompt", shape: "ScoutConfig", machine: Machine) -> None:
    """Refuse what could never be stored whole, before hours are spent on it."""
    from longctx.terminal import readable_bytes as size

    each = BYTES_PER_VALUE[shape.dtype if machine.dtype == "auto" else machine.dtype]
    needed = int(shape.kv_bytes_per_token(each)) * len(prompt.ids)
    if needed > store.limit_bytes:
        raise DoesNotFit(
            f"{len(prompt.ids):,} tokens take {size(needed)}, stored prefixes may take {size(store.limit_bytes)}",
            "the setting cache_limit_gb allows more; --exclude leaves out what need not be read",
        )


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
            return f"{whole}: all were stored already"
        took = f"{_duration(self.prefill_s)}, {self.tokens_per_s:,.0f} tokens/s"
        cached = (
            f"{self.cached_tokens / self.tokens:.0%} were stored already, the rest took " if self.cached_tokens else ""
        )
        return f"{whole}, are stored: {cached}{took}"

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
        from longctx.commands.progress import ProgressLine
        from longctx.engines.base import Finished

        try:
            with ProgressLine(len(self._prompt.ids), quiet=quiet) as progress, closing(self._events()) as events:
                for event in self._told(events, progress):
                    if isinstance(event, Finished):
                        return self._warmed(event.prompt_tokens, event.cached_tokens, event.prefill_s)
        except KeyboardInterrupt:
            kept = bisect_right(self._ends, self._stored_tokens())
            message = f"interrupted; {kept:,} of {len(self._ends):,} windows are stored"
            raise Interrupted(message, "the same command goes on from there") from None
        raise EngineError("the engine stopped without saying why", "the same command goes on from what is stored")

    def _told(
        self, events: "Generator[EngineEvent, None, None]", progress: "ProgressLine"
    ) -> "Generator[EngineEvent, None, None]":
        """The events; after a warning it is made sure that what is computed is still stored."""
        from ingest.naming import show
        from longctx.engines.base import Prefilled, Warned

        warning = ""
        for event in events:
            match event:
                case Prefilled():
                    if warning and self._stored_tokens() < event.done:
                        raise StoreError(warning, "longctx cache ls shows the room; prune makes some")
                    progress.tell(event.done, self._state(event))
                case Warned(message):
                    warning = message
                    progress.say(f"longctx: {show(message)}")
            yield event

    def _state(self, prefilled: "Prefilled") -> str:
        """`window 13 of 40, 1,150 tokens/s, 3 min left, 30% were stored`."""
        done = bisect_right(self._ends, prefilled.done)
        computed, elapsed = prefilled.done - prefilled.cached, time.monotonic() - self._begun
        parts = [f"window {min(done + 1, len(self._ends)):,} of {len(self._ends):,}"]
        if computed > 0:
            parts.append(f"{computed / elapsed:,.0f} tokens/s")
            parts.append(f"{_duration((prefilled.total - prefilled.done) * elapsed / computed)} left")
        if prefilled.cached:
            parts.append(f"{prefilled.cached / prefilled.total:.0%} were stored")
        return ", ".join(parts)

    def _stored_tokens(self) -> int:
        """What the store has of the prompt: the first that a run says, before it computes anything."""
        from longctx.engines.base import Prefilled

        with closing(self._events()) as events:
            return next((event.done for event in events if isinstance(event, Prefilled)), 0)

    def _events(self) -> "Generator[EngineEvent, None, None]":
        yield from self._engine.warm(self._prompt)

    def _warmed(self, stored: int, cached: int, seconds: float) -> Warmed:
        return Warmed(
            windows=len(self._ends),
            tokens=len(self._prompt.ids),
            stored_windows=bisect_right(self._ends, stored),
            stored_tokens=stored,
            cached_tokens=cached,
            prefill_s=seconds,
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
