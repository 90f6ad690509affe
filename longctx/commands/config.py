"""`longctx config` and `longctx paths`: the settings in force, where each comes from, where things are kept."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from longctx.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Settings, and where each comes from.")
Json = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]
UNSET = {
    "model": "none",
    "base_url": "a server found on this machine",
    "api_key": "none",
    "context": "what the engine says",
    "threads": "torch's choice",
    "budget": "none",
    "kv_budget_mb": "half of the free memory",
    "cache_limit_gb": "half of the free disk, at most 200 GiB",
}


@app.command()
def show(
    as_json: Json = False,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With the settings in FILE.", show_default=False)
    ] = None,
) -> None:
    """Show each setting, its value and where that comes from.

    longctx config show
    """
    from longctx.commands.options import settings

    shown = settings({}, config).shown()
    if as_json:
        rows = {name: {"value": each.value, "origin": each.origin} for name, each in shown.items()}
        typer.echo(json.dumps(rows, indent=2))
        return
    for name, each in shown.items():
        typer.echo(f"{name:<14} {UNSET[name] if each.value is None else each.value!s:<38} {each.origin}")


@app.command()
def validate(
    file: Annotated[
        Path | None, typer.Argument(help="A settings file; without it the user's own.", show_default=False)
    ] = None,
) -> None:
    """Check a settings file; each problem is named with its key. Exits 2 where there is one.

    longctx config validate longctx.toml
    """
    from longctx import paths
    from longctx.settings import validate as problems_of

    checked = file or paths.locate(os.environ).config_file
    if file is None and not checked.exists():
        typer.echo(f"{checked}: not there; the defaults hold")
        return
    problems = problems_of(checked)
    for problem in problems:
        typer.echo(str(problem))
    if any(problem.is_error for problem in problems):
        raise ConfigError(f"{checked} has problems", "see above")
    typer.echo(f"{checked}: good")


def paths_command(as_json: Json = False) -> None:
    """Show where longctx keeps settings, corpora, stored texts and logs.

    longctx paths
    """
    from dataclasses import asdict

    from longctx import paths

    located = asdict(paths.locate(os.environ))
    if as_json:
        typer.echo(json.dumps({name: str(path) for name, path in located.items()}, indent=2))
        return
    for name, path in located.items():
        typer.echo(f"{name:<7} {path}")
