"""`longctx cache warm`: a corpus is read by a model once and what it leaves is stored, before anybody asks."""

import json
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    read_shape,
)
from longctx.commands.options import OUTPUT, Chosen, with_corpus_options
from longctx.errors import CorpusError, DoesNotFit, EngineError

if TYPE_CHECKING:
    from cache.store import DiskStore
    from longctx.corpus import Corpus
    from longctx.engines.base import Prompt
    from longctx.scout.config import ScoutConfig


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
    from longctx.commands.warming import Warming

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

    shape = read_shape(model)
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
    from longctx.capacity import BYTES_PER_VALUE
    from longctx.terminal import readable_bytes as size

    each = BYTES_PER_VALUE[shape.dtype if machine.dtype == "auto" else machine.dtype]
    needed = int(shape.kv_bytes_per_token(each)) * len(prompt.ids)
    if needed > store.limit_bytes:
        raise DoesNotFit(
            f"{len(prompt.ids):,} tokens take {size(needed)}, stored prefixes may take {size(store.limit_bytes)}",
            "the setting cache_limit_gb allows more; --exclude leaves out what need not be read",
        )
