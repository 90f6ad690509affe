"""`longctx engine list` and `engine doctor`: which engines there are, what is missing, and what mends it."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longctx.commands.machine import named_engine
from longctx.errors import ExitCode

if TYPE_CHECKING:
    from longctx.diagnosis import Check
    from longctx.engines.availability import Availability
    from longctx.engines.choice import Chosen
    from longctx.engines.loopback import Server
    from longctx.settings import Settings

Engine = Annotated[
    str | None, typer.Option("-e", "--engine", metavar="NAME", help="The engine in question.", show_default=False)
]
Model = Annotated[
    str | None,
    typer.Option("-m", "--model", metavar="DIR|NAME", help="A model's folder or name.", show_default=False),
]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="An OpenAI-compatible server, as http://…/v1.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


def list_engines(as_json: Json = False) -> None:
    """Show each engine, what it lacks, the servers found on this machine, and which engine answers.

    longctx engine list
    """
    from longctx.engines.availability import engines
    from longctx.engines.choice import pick
    from longctx.engines.loopback import servers
    from longctx.setup import engine_setup

    configured = settings_with(None, None, None)
    setup = engine_setup(configured)
    found, seen = list(engines()), list(servers())
    chosen = pick(configured.engine, setup)
    if as_json:
        typer.echo(json.dumps(_listing(found, seen, chosen), indent=2))
        return
    for line in _lines(found, seen, chosen, setup.model):
        typer.echo(line)


def doctor(engine: Engine = None, model: Model = None, base_url: BaseUrl = None, as_json: Json = False) -> None:
    """Look at everything that an answer needs, and say how to mend what is missing.

    Exits 5 where something that was set can't work, else 0. A server that is set is asked for one token.

    longctx engine doctor

    longctx engine doctor --model ~/models/scout
    """
    from longctx import paths
    from longctx.diagnosis import Case, Status
    from longctx.doctor import diagnose, next_step
    from longctx.setup import engine_setup

    configured = settings_with(engine, model, base_url)
    case = Case(
        engine=configured.engine,
        setup=engine_setup(configured),
        paths=paths.locate(os.environ),
        typed=tuple(_typed(engine, model, base_url)),
    )
    checks: list[Check] = []
    for check in diagnose(case):
        checks.append(check)
        if not as_json:
            _show(check)
    is_bad = any(check.status is Status.BAD for check in checks)
    after = [] if is_bad else next_step(case)
    if as_json:
        document = {"schema": "longctx.doctor/1", "checks": [asdict(check) for check in checks], "next": after}
        typer.echo(json.dumps(document, indent=2))
    else:
        typer.echo("\n" + "\n".join(after or ["what is bad above was set, and can't work: mend that first"]))
    if is_bad:
        raise typer.Exit(ExitCode.ENGINE)


def settings_with(engine: str | None, model: str | None, base_url: str | None) -> "Settings":
    """The settings in force with what was typed above all."""
    from longctx.commands.options import settings

    configured = settings({"engine": named_engine(engine, base_url), "model": model, "base_url": base_url})
    for warning in configured.warnings:
        typer.echo(f"longctx: {warning}", err=True)
    return configured


def _typed(engine: str | None, model: str | None, base_url: str | None) -> Iterator[str]:
    for option, value in (("--engine", engine), ("--model", model), ("--base-url", base_url)):
        if value is not None:
            yield from (option, value)


def _show(check: "Check") -> None:
    """A check as its status, name and finding, and below it what mends it."""
    typer.echo(f"{check.status:<8} {check.name:<11} {check.text}")
    if check.fix:
        typer.echo(f"{'':<21}→ {check.fix}")


def _lines(found: "list[Availability]", seen: "list[Server]", chosen: "Chosen", model: str | None) -> Iterator[str]:
    from longctx.engines.choice import passed

    for each in found:
        yield f"{each.name:<10} {'missing: ' + each.missing if each.missing else each.about}"
        if each.missing and each.fix:
            yield f"{'':<10} → {each.fix}"
    for server in seen:
        remark = passed(server, model)
        text = ", ".join(server.models) or "no models"
        yield f"server     {server.base_url} ({server.usual}'s usual port): {remark or text}"
    yield chosen.why


def _listing(found: "list[Availability]", seen: "list[Server]", chosen: "Chosen") -> dict[str, Any]:
    return {
        "schema": "longctx.engines/1",
        "engines": [{**asdict(each), "available": not each.missing} for each in found],
        "servers": [{**asdict(server), "base_url": server.base_url} for server in seen],
        "chosen": {
            "engine": chosen.name,
            "model": chosen.setup.model,
            "base_url": chosen.setup.base_url,
            "why": chosen.why,
        },
    }
