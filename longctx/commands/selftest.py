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
from longctx.commands.output import open_output
from longctx.commands.selftest_options import DEPTHS, TOKENS, Order, check_write, count_of, engine_of
from longctx.errors import ExitCode
from longctx.narration import report_error

if TYPE_CHECKING:
    from longctx.commands.selftesting import Ended
    from longctx.engines.opening import EngineSetup
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


def selftest(
    engine: Engine = None,
    model: Model = None,
    base_url: BaseUrl = None,
    tokens: Tokens = TOKENS,
    depths: Depths = DEPTHS,
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

    The model is built here by formula: it can do nothing but say what followed a word, wherever that stood.

    A fact that is not found is the engine's mistake; in sparse attention it can also be the budget's, if that is small.

    Facts that a window's edge cuts are asked for too: no engine may find those. What is stored meanwhile is not kept.

    Exits 5 where a fact is missed, a cut one found or the engine fails, as a server that can't be reached.

    longctx engine selftest

    longctx engine selftest --tokens 1M --attention sparse:4096

    A server of any kind that takes token ids: start it on what --write DIR writes, then --base-url URL.
    """
    typed = {
        "--engine": engine,
        "--model": model,
        "--base-url": base_url,
        "--tokens": tokens != TOKENS,
        "--depths": depths != DEPTHS,
        "--text": text,
        "--attention": attention,
        "--dtype": dtype is not Dtype.AUTO,
        "--device": device is not Device.AUTO,
        "--threads": threads,
        "--kv-budget": kv_budget,
        "--out": out,
        "--svg": svg,
        "--json": as_json,
    }
    if write is not None:
        check_write(typed)
        _write(write)
        return
    configured = _settings(engine, model, base_url, attention)
    order = Order(engine_of(configured, typed), count_of(tokens), depths, tuple(text or ()), quiet)
    setup = machine_options(configured, dtype, device, threads, kv_budget)
    _test(order, setup, out, svg, configured.color, as_json=as_json)


def _test(order: Order, setup: "EngineSetup", out: Path | None, svg: Path | None, color: str, *, as_json: bool) -> None:
    """Run it, save what is found, then show it: hours of work are not lost to a closed terminal."""
    from longctx.commands.selftesting import places, run

    files = places(order.engine, out, svg)
    ended = run(order, setup, files)
    if ended.unsaved is None and not order.quiet:
        typer.echo(f"saved: {show(str(files.json))}\nsaved: {show(str(files.svg))}", err=True)
    _show(ended.result, color, as_json=as_json)
    _end(ended)


def _end(ended: "Ended") -> None:
    """End with what matters most: what broke it off, an engine that is not sound, files that were not written."""
    if ended.failure is not None or not ended.result.is_sound:
        if ended.unsaved is not None:
            report_error(ended.unsaved)
        raise ended.failure or typer.Exit(ExitCode.ENGINE)
    if ended.unsaved is not None:
        raise ended.unsaved


def _settings(engine: str | None, model: str | None, base_url: str | None, attention: str | None) -> "Settings":
    from longctx.commands.options import settings

    flags = {"engine": named_engine(engine, base_url), "model": model, "base_url": base_url, "attention": attention}
    configured = settings(flags)
    for warning in configured.warnings:
        typer.echo(f"longctx: {warning}", err=True)
    return configured


def _write(folder: Path) -> None:
    """Write the checkpoint and say how servers are started on it."""
    from longctx.needle.folder import needle_folder

    written = needle_folder(folder.absolute())
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

    with open_output(None) as stream:  # in UTF-8 from here on, whatever the locale
        if as_json:
            stream.write(json.dumps(result.to_json(), indent=2) + "\n")
        else:
            print_result(result, color)
