"""`longctx engine bench`: how long an engine takes to read a prompt, to read it again, and to answer."""

import json
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longctx.commands.engine_checks import BaseUrl, Engine, Json, Model, settings_with
from longctx.errors import UsageError

if TYPE_CHECKING:
    from longctx.engines.opening import EngineSetup
    from longctx.measuring import Measured, Run

Tokens = Annotated[str, typer.Option("--tokens", metavar="N", help="Tokens of the prompt (8k, 128k, 1M).")]
Answer = Annotated[int, typer.Option("--answer", min=1, max=100_000, help="Tokens of each answer.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress on stderr.")]
LEAST_TOKENS = 64


def bench(
    engine: Engine = None,
    model: Model = None,
    base_url: BaseUrl = None,
    tokens: Tokens = "8k",
    answer: Answer = 64,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure an engine: the time to the first token of a prompt that is new and of the same again, and speeds.

    The prompt is drawn anew for each run, so that nothing of it can have been stored before; what an engine in
    this process stores meanwhile is not kept.

    longctx engine bench --model ~/models/scout --tokens 32k
    """
    from longctx.engines.choice import choose
    from longctx.engines.opening import QUOTES, open_engine
    from longctx.measuring import measure
    from longctx.narration import ProgressLine
    from longctx.setup import engine_setup

    count = _count(tokens)
    configured = settings_with(engine, model, base_url)
    chosen = choose(configured.engine, engine_setup(configured))
    typer.echo(chosen.why, err=True)
    if chosen.name == QUOTES:
        raise UsageError("there is no model to measure", "--model DIR or --base-url URL; longctx engine doctor")
    seed = secrets.randbits(48)
    began = perf_counter()
    with (
        _own_store(chosen.setup) as setup,
        open_engine(chosen.name, setup) as opened,
        ProgressLine(quiet=quiet) as progress,
    ):
        opening_s = perf_counter() - began

        def tell(name: str, done: int, total: int) -> None:
            progress.tell(done, f"{name}: {done:,} of {total:,} tokens", total)

        measured = measure(opened, tokens=count, answer_tokens=answer, seed=seed, tell=tell)
        description = opened.describe()
    if as_json:
        typer.echo(json.dumps(_json(measured, description, opening_s, seed), indent=2))
        return
    typer.echo(f"{description}; opened in {opening_s:.1f} s")
    for line in _table(measured):
        typer.echo(line)


def _count(text: str) -> int:
    from longctx.settings import parse_count

    try:
        count = parse_count(text)
    except ValueError as error:
        raise UsageError(f"--tokens {text!r} {error}", "as in 8k, 131072, 1M") from error
    if count < LEAST_TOKENS:
        raise UsageError(f"--tokens {count} is too few to measure", f"{LEAST_TOKENS} or more")
    return count


@contextmanager
def _own_store(setup: "EngineSetup") -> "Iterator[EngineSetup]":
    """The setup with a store of its own beside the real one, which is gone afterwards and pushes nothing out of it."""
    from longctx import paths

    if setup.store is None:
        yield setup
        return
    beside = paths.ensure(setup.store.parent)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=beside, ignore_cleanup_errors=True) as folder:
        yield replace(setup, store=Path(folder) / "prefix")


def _table(measured: "Measured") -> Iterator[str]:
    cold, warm = measured.cold, measured.warm
    yield f"{measured.sent_tokens:,} tokens in {measured.windows} windows, sent twice"
    yield f"{'':<22}{'new':>12}{'again':>12}"
    for name, new, again in (
        ("prompt tokens counted", f"{cold.prompt_tokens:,}", f"{warm.prompt_tokens:,}"),
        ("cached tokens", _cached(cold), _cached(warm)),
        ("first token", _seconds(cold.first_s), _seconds(warm.first_s)),
        ("prefill tokens/s", _speed(cold.prefill_tokens_per_s), _speed(warm.prefill_tokens_per_s)),
        ("answer tokens", f"{cold.answer_tokens:,}", f"{warm.answer_tokens:,}"),
        ("decode tokens/s", _speed(cold.decode_tokens_per_s), _speed(warm.decode_tokens_per_s)),
        ("all of it", _seconds(cold.total_s), _seconds(warm.total_s)),
    ):
        yield f"{name:<22}{new:>12}{again:>12}"
    if measured.ratio is not None:
        yield f"again takes {measured.ratio:.1%} of the time to the first token"
    if not_reported := warm.not_reported or cold.not_reported:
        yield f"cached tokens are not reported: {not_reported}"


def _cached(run: "Run") -> str:
    return "not told" if run.cached_tokens is None else f"{run.cached_tokens:,}"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds < 1 else f"{seconds:,.2f} s"


def _speed(tokens_per_s: float | None) -> str:
    return "-" if tokens_per_s is None else f"{tokens_per_s:,.{1 if tokens_per_s < 100 else 0}f}"


def _json(measured: "Measured", description: str, opening_s: float, seed: int) -> dict[str, Any]:
    return {
        "schema": "longctx.bench/1",
        "engine": description,
        "seed": seed,
        "opening_s": round(opening_s, 3),
        "sent_tokens": measured.sent_tokens,
        "windows": measured.windows,
        "cold": _run_json(measured.cold),
        "warm": _run_json(measured.warm),
        "warm_to_cold": measured.ratio,
    }


def _run_json(run: "Run") -> dict[str, Any]:
    speeds = {"prefill_tokens_per_s": run.prefill_tokens_per_s, "decode_tokens_per_s": run.decode_tokens_per_s}
    return {**asdict(run), **speeds}
