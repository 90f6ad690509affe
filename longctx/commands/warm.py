"""`longctx cache warm`: a corpus is read by a model once and what it leaves is stored, before anybody asks."""

import json
from array import array
from typing import TYPE_CHECKING, Annotated

import typer

from longctx.commands.machine import (
    Attention,
    Device,
    Devices,
    Dtype,
    Dtypes,
    KvBudget,
    Model,
    Threads,
    machine_options,
    open_store,
)
from longctx.commands.options import OUTPUT, Chosen, with_shared_options
from longctx.errors import CorpusError, DoesNotFit

if TYPE_CHECKING:
    from cache.store import DiskStore
    from longctx.corpus import Corpus
    from longctx.engines.base import Prompt
    from longctx.engines.opening import EngineSetup
    from longctx.scout.config import ScoutConfig


@with_shared_options
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
    from longctx.engines.scout_opening import check_fits_corpora, open_model

    configured = chosen.settings(attention=attention)
    setup = machine_options(configured, dtype, device, threads, kv_budget)
    shape = check_fits_corpora(model)
    with chosen.corpus(sources or [], index=False) as (corpus, _):
        prompt = _prompt(corpus)
    with open_store(configured) as store:
        _check_room(store, prompt, shape, setup)
        with open_model(model, setup, store) as engine:
            done = Warming(engine, prompt).dry_run() if dry_run else Warming(engine, prompt).run(quiet=chosen.quiet)
    typer.echo(json.dumps(done.json(dry_run), indent=2) if as_json else done.text(dry_run))


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


def _check_room(store: "DiskStore", prompt: "Prompt", shape: "ScoutConfig", setup: "EngineSetup") -> None:
    """Refuse what could never be stored whole, before hours are spent on it."""
    from longctx.capacity import BYTES_PER_VALUE
    from longctx.terminal import readable_bytes as size

    each = BYTES_PER_VALUE[shape.dtype if setup.dtype == "auto" else setup.dtype]
    needed = int(shape.kv_bytes_per_token(each)) * len(prompt.ids)
    if needed > store.limit_bytes:
        raise DoesNotFit(
            f"{len(prompt.ids):,} tokens take {size(needed)}, stored prefixes may take {size(store.limit_bytes)}",
            "the setting cache_limit_gb allows more; --exclude leaves out what need not be read",
        )
