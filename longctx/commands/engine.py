"""`longctx engine`: what a model's folder holds, what it needs, and how long a context fits on this machine.

The other commands on engines have modules of their own and are only named here.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longctx.commands import bench, engine_checks, selftest, serve
from longctx.errors import UsageError

if TYPE_CHECKING:
    from longctx.capacity import Capacity, WeightFiles
    from longctx.scout.config import ScoutConfig

app = typer.Typer(no_args_is_help=True, help="Models that answer, and what they need.")
Json = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]
Rows = Iterator[tuple[str, str]]

app.command("list")(engine_checks.list_engines)
app.command()(engine_checks.doctor)
app.command()(bench.bench)
app.command()(selftest.selftest)
for command in (serve.serve, serve.stop, serve.logs):
    app.command()(command)


@app.callback()
def engine() -> None:
    """Models that answer, and what they need."""


@app.command()
def describe(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL_DIR", help="A Llama 4 folder as Hugging Face has it.", show_default=False),
    ],
    context: Annotated[
        str | None,
        typer.Option(metavar="TOKENS", help="Say what a context of so many tokens needs (200k, 10M)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a model's shape, parameters, memory, KV per token, and the longest context that fits here.

    Only config.json is read; weights are counted by the sizes of their files.

    longctx engine describe ~/models/Llama-4-Scout-17B-16E-Instruct --context 1M
    """
    from longctx.capacity import Capacity, room, weight_files
    from longctx.commands.options import settings
    from longctx.engines.scout_opening import read_shape
    from longctx.setup import store_place

    tokens = None if context is None else _tokens(context)
    config = read_shape(model)
    capacity, weights = Capacity(config=config, room=room(*store_place(settings({})))), weight_files(model)
    if as_json:
        typer.echo(json.dumps(_json(model, capacity, weights, tokens), indent=2))
        return
    for name, text in _rows(model, capacity, weights, tokens):
        typer.echo(f"{name:<27}{text}")


def _tokens(text: str) -> int:
    from longctx.settings import parse_count

    try:
        return parse_count(text)
    except ValueError as error:
        raise UsageError(f"--context {text!r} {error}", "as in 131072, 200k, 10M") from error


def _rows(folder: Path, capacity: "Capacity", weights: "WeightFiles", tokens: int | None) -> Rows:
    from ingest.naming import show
    from longctx.terminal import readable_bytes

    yield "model", show(str(folder))
    yield from _shape(capacity.config)
    yield from _sizes(capacity, weights)
    yield from _fit(capacity, weights)
    if tokens is not None:
        needed = f"{tokens:,} tokens take {readable_bytes(capacity.kv_bytes(tokens))} of KV"
        yield "context", f"{needed}: {_verdict(capacity, weights, tokens)}"


def _shape(config: "ScoutConfig") -> Rows:
    nope, local, mixtures = len(config.nope_layers), len(config.local_layers), sum(config.moe_layers)
    dense = f", {config.layers - mixtures} layers are dense" if mixtures < config.layers else ""
    extras = (", qk-norm" if config.qk_norm else "") + (", temperature tuning" if config.temperature_tuning else "")
    yield "layers", f"{config.layers}: {nope} NoPE see everything, {local} RoPE see their chunk of {config.chunk:,}"
    yield "attention", f"{config.heads} heads of {config.head_dim}, {config.kv_heads} KV heads{extras}"
    yield "experts", f"{config.experts} in {mixtures} layers, {config.top_k} chosen and 1 shared{dense}"
    yield "window", f"{config.max_positions:,} tokens; vocabulary {config.vocab:,}"
    yield "parameters", f"{_count(config.parameters)}, {_count(config.active_parameters)} active in a token"


def _sizes(capacity: "Capacity", weights: "WeightFiles") -> Rows:
    from longctx.terminal import readable_bytes as size

    nope, every = capacity.kv_bytes_per_token, capacity.all_kv_bytes_per_token
    yield "weights on disk", _stored(weights)
    yield "weights in memory", f"{size(capacity.weight_bytes)} in {capacity.config.dtype}"
    yield "KV", f"{size(nope)} a token in the NoPE layers; in all layers it would be {size(every)}"
    yield "open window", f"{size(capacity.open_window_bytes)} of RoPE layers' KV, however long the context"


def _stored(weights: "WeightFiles") -> str:
    from ingest.naming import show
    from longctx.terminal import readable_bytes as size

    if not weights.files and not weights.missing:
        return "no weights: no *.safetensors in this folder"
    held = f"{size(weights.bytes)} in {weights.files} file{'s' * (weights.files != 1)}"
    if weights.whole:
        return held
    return f"{held}; {len(weights.missing)} missing, the first is {show(weights.missing[0])}"


def _fit(capacity: "Capacity", weights: "WeightFiles") -> Rows:
    from ingest.naming import show
    from longctx.terminal import readable_bytes as size

    free = capacity.room
    ram = f"{capacity.longest_in_ram:,} tokens{'' if weights.whole else ', were the weights here'}"
    if free.ram_bytes < capacity.base_bytes:
        ram = "no context: the weights are larger, and would be read from disk for every token"
    yield "longest context in memory", f"{ram} ({size(free.ram_bytes)} free)"
    yield (
        "longest context on disk",
        f"{capacity.longest_on_disk:,} tokens ({size(free.disk_bytes)} for {show(str(free.store))})",
    )


def _verdict(capacity: "Capacity", weights: "WeightFiles", tokens: int) -> str:
    if tokens > capacity.config.max_positions:
        return "more than the model's window"
    if tokens <= capacity.longest_in_ram:
        return "fits in memory" if weights.whole else "would fit in memory, were the weights here"
    if tokens <= capacity.longest_on_disk:
        return "fits on disk, not in memory"
    return "does not fit here"


def _count(parameters: int) -> str:
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6)):
        if parameters >= size:
            return f"{parameters / size:.4g} {unit}"
    return f"{parameters:,}"


def _json(folder: Path, capacity: "Capacity", weights: "WeightFiles", tokens: int | None) -> dict[str, Any]:
    from dataclasses import asdict

    config = capacity.config
    return {
        "schema": "longctx.model/1",
        "model": str(folder),
        "config": asdict(config),
        "nope_layers": len(config.nope_layers),
        "local_layers": len(config.local_layers),
        "parameters": config.parameters,
        "active_parameters": config.active_parameters,
        "weights": {**asdict(weights), "whole": weights.whole},
        "weight_memory_bytes": capacity.weight_bytes,
        "kv_bytes_per_token": capacity.kv_bytes_per_token,
        "all_layers_kv_bytes_per_token": capacity.all_kv_bytes_per_token,
        "open_window_bytes": capacity.open_window_bytes,
        "free": {"ram_bytes": capacity.room.ram_bytes, "disk_bytes": capacity.room.disk_bytes},
        "longest_context": {"ram_tokens": capacity.longest_in_ram, "disk_tokens": capacity.longest_on_disk},
        "context": _context_json(capacity, weights, tokens) if tokens is not None else None,
    }


def _context_json(capacity: "Capacity", weights: "WeightFiles", tokens: int) -> dict[str, Any]:
    return {"tokens": tokens, "kv_bytes": capacity.kv_bytes(tokens), "verdict": _verdict(capacity, weights, tokens)}
