"""`longctx engine serve|stop|logs`: servers of a model, in the background or attached to this terminal."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longctx.commands.machine import (
    MACHINE,
    Attention,
    Device,
    Devices,
    Dtype,
    Dtypes,
    KvBudget,
    Threads,
    machine_options,
    option,
)
from longctx.commands.options import OUTPUT
from longctx.commands.serving import (
    Kind,
    asked_for,
    folder_of,
    own_records,
    refuse,
    serve_scout,
    serve_vllm,
    settings_in_force,
    tell_command,
    vllm_launch,
)
from longctx.errors import UsageError

if TYPE_CHECKING:
    from longctx.serving.record import Records, ServerRecord

SERVER, VLLM = "Server", "vLLM"

Engines = Annotated[Kind, option("-e", "--engine", help="Our own engine, or vLLM.", show_default=True)]
Models = Annotated[Path | None, option("-m", "--model", metavar="DIR", help="A Llama 4 folder as Hugging Face has it.")]
Host = Annotated[
    str, option(help="Listen there; anything but loopback needs a token.", panel=SERVER, show_default=True)
]
Port = Annotated[int | None, option(min=1, max=65535, help="8010 for scout, 8000 for vllm.", panel=SERVER)]
TokenFile = Annotated[
    Path | None,
    option(metavar="FILE", help="Ask for the token in FILE (or set LONGCTX_SERVER_TOKEN).", panel=SERVER),
]
Name = Annotated[str | None, option(help="Call it so; else by its engine and port.", panel=SERVER)]
Foreground = Annotated[bool, option("--foreground", help="Stay attached; Ctrl-C ends it.", panel=SERVER)]
Longest = Annotated[
    str | None, option("--max-model-len", metavar="TOKENS", help="Take prompts up to so many tokens (1M).")
]
NoCache = Annotated[bool, option("--no-cache", help="Keep prefixes in memory only (scout).", panel=MACHINE)]
TensorParallel = Annotated[int | None, option(min=1, help="GPUs that share each layer; else all.", panel=VLLM)]
NodeCount = Annotated[int, option("--nodes", min=1, max=1024, help="Machines that share the model.", panel=VLLM)]
NodeRank = Annotated[int, option(min=0, help="Which of them this one is, from 0.", panel=VLLM)]
MasterAddr = Annotated[str | None, option(metavar="ADDRESS", help="Where the first of them is.", panel=VLLM)]
Ray = Annotated[bool, option("--ray", help="Find them through Ray.", panel=VLLM)]
Print = Annotated[bool, option("--print", help="Print vLLM's command and start nothing.", panel=VLLM)]
Extra = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- VLLM_ARGS", help="Passed on to vLLM as it is.", show_default=False),
]
Config = Annotated[Path | None, option(metavar="FILE", help="A settings file for this run.", panel=OUTPUT)]
Quiet = Annotated[bool, option("-q", "--quiet", help="No progress on stderr.", panel=OUTPUT)]
ServerName = Annotated[str | None, typer.Argument(metavar="NAME", help="As serve called it.", show_default=False)]


def serve(
    extra: Extra = None,
    engine: Engines = Kind.SCOUT,
    model: Models = None,
    max_model_len: Longest = None,
    host: Host = "127.0.0.1",
    port: Port = None,
    token_file: TokenFile = None,
    name: Name = None,
    foreground: Foreground = False,
    dtype: Dtypes = Dtype.AUTO,
    device: Devices = Device.AUTO,
    threads: Threads = None,
    attention: Attention = None,
    kv_budget: KvBudget = None,
    no_cache: NoCache = False,
    tensor_parallel: TensorParallel = None,
    nodes: NodeCount = 1,
    node_rank: NodeRank = 0,
    master_addr: MasterAddr = None,
    ray: Ray = False,
    print_only: Print = False,
    config: Config = None,
    quiet: Quiet = False,
) -> None:
    """Offer a model on this machine to this and other programs, as an OpenAI-compatible server.

    longctx engine serve --model ~/models/scout

    With vLLM the right switches are chosen and shown; what follows -- is passed on:

    longctx engine serve --engine vllm --model ~/models/scout -- --kv-cache-dtype fp8
    """
    from longctx.serving.vllm_command import Nodes

    configured = settings_in_force({"attention": attention, "context": max_model_len}, config, quiet=quiet)
    setup = machine_options(configured, dtype, device, threads, kv_budget)
    setup = replace(setup, model=folder_of(model, setup.model), store=None if no_cache else setup.store)
    asked = asked_for(engine, host, port, token_file, name, attached=foreground, quiet=quiet)
    if engine is Kind.SCOUT:
        pinned = nodes > 1 or node_rank or master_addr or ray or tensor_parallel
        refuse(asked, {"--print": print_only, "-- VLLM_ARGS": extra, "--nodes and --tensor-parallel": pinned})
        serve_scout(asked, setup)
        return
    refuse(asked, {"--attention": attention, "--no-cache": no_cache})
    together = Nodes(count=nodes, rank=node_rank, master=master_addr, ray=ray)
    launch = vllm_launch(asked, setup, together, tensor_parallel, tuple(extra or ()), is_sketch=print_only)
    tell_command(launch, is_sketch=print_only)
    if not print_only:
        serve_vllm(asked, launch)


def stop(
    name: ServerName = None,
    every: Annotated[bool, option("--all", help="All that serve has started.")] = False,
) -> None:
    """End a server that `serve` has started.

    longctx engine stop scout-8010
    """
    from longctx.serving.process import stop as end

    records = own_records()
    for record in records.all() if every else [_one(records, name)]:
        was_alive = end(record, records)
        typer.echo(f"{record.name}: {'ended' if was_alive else 'had ended already'}")


def logs(
    name: ServerName = None,
    follow: Annotated[bool, option("-f", "--follow", help="Go on with what comes, until it ends or Ctrl-C.")] = False,
    lines: Annotated[int, option("-n", "--lines", min=0, help="So many of the last lines.", show_default=True)] = 100,
) -> None:
    """Show what a server has said; no text of a prompt is in it.

    longctx engine logs scout-8010 -f
    """
    from ingest.naming import safe_text
    from longctx.serving.logs import followed, last_lines

    records = own_records()
    log = records.log(name) if name else _only_log(records)
    if not log.exists():
        raise UsageError(f"no server {log.stem!a} has said anything", _known(records))

    def is_over() -> bool:
        record = records.get(log.stem)
        return record is None or not record.is_alive

    for line in followed(log, lines, is_over) if follow else last_lines(log, lines):
        typer.echo(safe_text(line))


def _one(records: "Records", name: str | None) -> "ServerRecord":
    """The server of that name, or the only one."""
    found = records.all()
    only = found[0] if len(found) == 1 else None
    record = only if name is None else records.get(name)
    if record is None:
        what = f"there is no server {name!a}" if name else "which server?" if found else "no server was started here"
        raise UsageError(what, _known(records))
    return record


def _only_log(records: "Records") -> Path:
    """That of the only server; where none runs, the one that was written last."""
    written = sorted(records.logs.glob("*.log"), key=lambda log: log.stat().st_mtime)
    return written[-1] if written and not records.all() else records.log(_one(records, None).name)


def _known(records: "Records") -> str:
    names = [record.name for record in records.all()]
    return f"there are {', '.join(names)}" if names else "longctx engine serve --model DIR starts one"
