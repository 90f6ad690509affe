"""`longctx engine selftest`: whether an engine really reads at length, with a model that was built to remember."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingest.naming import show
from longctx.commands.engine_checks import BaseUrl, Engine, Json
from longctx.commands.machine import (
    Attention,
    Device,
    Devices,
    Dtype,
    Dtypes,
    KvBudget,
    Threads,
    machine_options,
    named_engine,
)
from longctx.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from longctx.needle.result import Result
    from longctx.settings import Settings

Model = Annotated[
    str | None,
    typer.Option("-m", "--model", metavar="NAME", help="A server's model (openai).", show_default=False),
]
Tokens = Annotated[str, typer.Option("--tokens", metavar="N", help="The longest text (131072, 200k, 10M).")]
Depths = Annotated[int, typer.Option("--depths", min=2, max=101, help="Depths at which facts are asked for.")]
Texts = Annotated[
    list[str] | None,
    typer.Option(
        "--text",
        metavar="PATH",
        help="Plant facts in these files; else in the sources of Python's own library.",
        show_default=False,
    ),
]
Write = Annotated[
    Path | None,
    typer.Option(
        "--write", metavar="DIR", help="Only write the checkpoint into DIR, for any server.", show_default=False
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Put selftest.json and selftest.svg there.", show_default=False, file_okay=False
    ),
]
Svg = Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Draw the map there.", show_default=False)]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress on stderr.")]

QUOTES, SCRIPTED, OURS, SERVER = "evidence", "scripted", "scout", "openai"


def selftest(
    engine: Engine = None,
    model: Model = None,
    base_url: BaseUrl = None,
    tokens: Tokens = "65536",
    depths: Depths = 11,
    text: Texts = None,
    attention: Attention = None,
    dtype: Dtypes = Dtype.AUTO,
    device: Devices = Device.AUTO,
    threads: Threads = None,
    kv_budget: KvBudget = None,
    write: Write = None,
    out: Out = None,
    svg: Svg = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Test whether an engine really reads at length: facts are planted in real text and asked for at many depths.

    The model is built here by formula: it can do nothing but say what followed a word, wherever that stood. A fact that
    is not found is the engine's mistake. Exits 5 where one is missed. Facts that a window's edge cuts are asked for
    too: those can't be found, and need not be. What is stored meanwhile is not kept.

    longctx engine selftest

    longctx engine selftest --tokens 1M --attention sparse:4096

    A server of any kind that takes token ids: start it on what --write DIR writes, then --base-url URL.
    """
    from longctx.commands.selftesting import Asked, places, run, save

    if write is not None:
        _write(write)
        return
    configured = _settings(engine, model, base_url, attention)
    asked = Asked(_engine(configured, model), _count(tokens), depths, tuple(text or ()), quiet)
    found = places(asked.engine, out, svg)
    ended = run(asked, machine_options(configured, dtype, device, threads, kv_budget))
    _show(ended.result, configured.color, as_json=as_json)
    save(ended.result, found)
    if not quiet:
        typer.echo(f"saved: {show(str(found.json))}\nsaved: {show(str(found.svg))}", err=True)
    if ended.failure is not None:
        raise ended.failure
    if not ended.result.is_sound:
        raise typer.Exit(ExitCode.ENGINE)


def _settings(engine: str | None, model: str | None, base_url: str | None, attention: str | None) -> "Settings":
    from longctx.commands.options import settings

    flags = {"engine": named_engine(engine, base_url), "model": model, "base_url": base_url, "attention": attention}
    configured = settings(flags)
    for warning in configured.warnings:
        typer.echo(f"longctx: {warning}", err=True)
    return configured


def _engine(configured: "Settings", model: str | None) -> str:
    """The engine to test: the one that was named, the one that is set if it takes a model, else our own."""
    from longctx.engines.choice import AUTO
    from longctx.settings import FLAG

    name = configured.engine
    if name in (AUTO, QUOTES, SCRIPTED):
        if configured.origins.get("engine", "").startswith(FLAG) and name != AUTO:
            raise UsageError(f"the engine {name} has no model to test", "--engine scout, vllm or openai")
        name = OURS
    if model is not None and name != SERVER:
        raise UsageError(
            f"--model is not for {name}: it is tested with a model that is made here", "longctx engine bench takes any"
        )
    return name


def _count(text: str) -> int:
    from longctx.packing import WINDOW_TOKENS
    from longctx.settings import parse_count

    try:
        count = parse_count(text)
    except ValueError as error:
        raise UsageError(f"--tokens {text!r} {error}", "as in 131072, 200k, 10M") from error
    if count < WINDOW_TOKENS:
        raise UsageError(f"--tokens {count:,} is less than a window", f"{WINDOW_TOKENS:,} or more")
    return count


def _write(folder: Path) -> None:
    """Write the checkpoint and say how servers are started on it."""
    from longctx.needle.folder import needle_folder

    written = needle_folder(folder)
    quoted = shlex.quote(show(str(written)))
    typer.echo(f"checkpoint: {quoted}")
    typer.echo("start a server on it, with one of")
    typer.echo(f"  longctx engine serve --model {quoted}")
    typer.echo(f"  longctx engine serve --engine vllm --model {quoted}")
    typer.echo(
        f"  longctx engine serve --engine vllm --model {quoted} --print   (only shows the command of vllm serve)"
    )
    typer.echo("and test it with")
    typer.echo("  longctx engine selftest --base-url http://127.0.0.1:8000/v1   (8010 for the first)")


def _show(result: "Result", color: str, *, as_json: bool) -> None:
    from longctx.commands.selftest_lines import print_result

    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
    else:
        print_result(result, color)
