"""What `longctx engine serve` starts: our own server or vLLM, attached or in the background, and what it says of it."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from longctx.errors import EngineError, UsageError

if TYPE_CHECKING:
    from longctx.engines.opening import EngineSetup
    from longctx.serving.process import Launch
    from longctx.serving.record import Records, ServerRecord
    from longctx.serving.vllm_command import Nodes
    from longctx.settings import Settings

PORTS = {"scout": 8010, "vllm": 8000}


class Kind(StrEnum):
    """What can be served."""

    SCOUT = "scout"
    VLLM = "vllm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be served, and how; `token` is never shown."""

    engine: Kind
    host: str
    port: int
    name: str
    token: str | None = field(repr=False)
    attached: bool
    quiet: bool

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/v1"


def asked_for(
    engine: Kind, host: str, port: int | None, token_file: Path | None, name: str | None, *, attached: bool, quiet: bool
) -> Asked:
    from longctx.serving.guard import check_exposure, read_token
    from longctx.serving.record import checked_name

    token, number = read_token(token_file), port or PORTS[engine]
    check_exposure(host, token)
    chosen = checked_name(name or f"{engine}-{number}")
    return Asked(engine=engine, host=host, port=number, name=chosen, token=token, attached=attached, quiet=quiet)


def settings_in_force(flags: Mapping[str, object], config: Path | None, *, quiet: bool) -> "Settings":
    """The settings in force; what is wrong with them without stopping the run is said, unless `quiet`."""
    from longctx.commands.options import settings

    configured = settings(flags, config)
    for warning in () if quiet else configured.warnings:
        typer.echo(f"longctx: {warning}", err=True)
    return configured


def folder_of(typed: Path | None, configured: str | None) -> str:
    if typed is None and configured is None:
        raise UsageError("no model is named", "--model DIR, or the setting model")
    return str((typed or Path(configured or "")).expanduser().absolute())


def refuse(asked: Asked, options: Mapping[str, object]) -> None:
    """Say of what the chosen engine has no use for that it won't be heeded."""
    other = Kind.SCOUT if asked.engine is Kind.VLLM else Kind.VLLM
    for words, value in options.items():
        if value:
            raise UsageError(f"{words} is for --engine {other} only", f"leave it out, or take --engine {other}")


def serve_scout(asked: Asked, setup: "EngineSetup") -> None:
    from longctx.engines.scout_opening import read_shape
    from longctx.serving import foreground
    from longctx.serving.process import Launch

    if asked.attached:
        foreground.serve_scout(setup, asked.host, asked.port, asked.token)
        return
    foreground.check_installed()
    read_shape(Path(setup.model or ""))
    launch = Launch(
        name=asked.name,
        command=(sys.executable, "-P", "-m", "longctx", *sys.argv[1:], "--foreground"),
        environment={},
        url=asked.url,
        engine=str(asked.engine),
        model=setup.model or "",
    )
    _start(launch, asked, lambda: foreground.bound(asked.host, asked.port).close())


def vllm_launch(
    asked: Asked,
    setup: "EngineSetup",
    nodes: "Nodes",
    tensor_parallel: int | None,
    extra: tuple[str, ...],
    *,
    is_sketch: bool,
) -> "Launch":
    """What starts vLLM; a sketch needs none here."""
    from longctx.engines.scout_opening import check_fits_corpora
    from longctx.engines.vllm_options import Launch as VllmLaunch
    from longctx.scout.memory import free_ram_bytes
    from longctx.serving import vllm_command as vllm
    from longctx.serving.process import Launch

    folder = Path(setup.model or "")
    shape = check_fits_corpora(folder, quantized=True)
    program = _program(is_sketch=is_sketch)
    machine = vllm.Machine(gpus=_gpus(setup.device, tensor_parallel), free_ram_bytes=free_ram_bytes())
    words = vllm.command(
        program,
        VllmLaunch.of(setup, folder),
        shape,
        machine,
        host=asked.host,
        port=asked.port,
        tensor_parallel=tensor_parallel,
        nodes=nodes,
        extra=extra,
    )
    return Launch(
        name=asked.name if not nodes.is_helper else f"{asked.name}-node{nodes.rank}",
        command=words,
        environment=vllm.environment(asked.token, setup.device, setup.threads),
        url=asked.url,
        engine=str(asked.engine),
        model=str(folder),
        answers=not nodes.is_helper,
    )


def _program(*, is_sketch: bool) -> tuple[str, ...]:
    from longctx.serving.vllm_command import program

    try:
        return program(os.environ)
    except EngineError:
        if not is_sketch:
            raise
        return ("vllm", "serve")


def _gpus(device: str, tensor_parallel: int | None) -> int:
    """How many GPUs vLLM will see."""
    from longctx.gpu import gpus

    if device == "cpu":
        return 0
    if device.startswith("cuda:"):
        return 1
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        found = len([each for each in visible.split(",") if each.strip()]) if visible is not None else len(gpus())
    except OSError as error:
        raise EngineError(str(error), "--device cpu leaves the GPUs alone") from error
    return max(found, tensor_parallel or 0)


def tell_command(launch: "Launch", *, is_sketch: bool) -> None:
    """The command: it is what was asked for, or it is said beside what is done."""
    from ingest.naming import safe_text
    from longctx.serving.vllm_command import shown

    typer.echo(safe_text(shown(launch.command, launch.environment)), err=not is_sketch)
    if ("--max-model-len", "auto") in pairwise(launch.command):
        typer.echo("longest context: as much as fits the memory beside the weights; vLLM measures it", err=True)


def serve_vllm(asked: Asked, launch: "Launch") -> None:
    from longctx.engines.loopback import is_loopback
    from longctx.serving.foreground import bound

    if not is_loopback(asked.host) and launch.answers:
        typer.echo("vLLM asks for the token under /v1 only: /tokenize and /metrics answer anybody", err=True)
    if asked.attached:
        _become(launch)
    _start(launch, asked, lambda: bound(asked.host, asked.port).close() if launch.answers else None)


def _become(launch: "Launch") -> None:
    """Go on as that program, which then gets the signals itself."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(launch.command[0], launch.command, {**os.environ, **launch.environment})
    except OSError as error:
        raise EngineError(f"{launch.command[0]}: {error.strerror}", "is it there, and may it be run?") from error


def _start(launch: "Launch", asked: Asked, check: Callable[[], None]) -> None:
    """Start it in the background; `check` says beforehand what would end it at once."""
    from ingest.naming import safe_text, show
    from longctx.durations import duration
    from longctx.narration import ProgressLine
    from longctx.serving.process import StartFailed, check_free, start

    records = own_records()
    check_free(launch, records)
    check()
    with ProgressLine(quiet=asked.quiet) as progress:

        def tell(seconds: float, said: str) -> None:
            progress.tell(int(seconds), f"starting {launch.name}, {duration(seconds)}: {show(said)[:100]}")

        try:
            record = start(launch, records, tell)
        except StartFailed as failed:
            for line in failed.lines:
                progress.say(f"  {safe_text(line)}")
            raise
    _tell_started(record, asked, is_helper=not launch.answers)


def _tell_started(record: "ServerRecord", asked: Asked, *, is_helper: bool) -> None:
    from ingest.naming import show

    if is_helper:
        typer.echo(f"{record.name} helps the first node (pid {record.pid}); longctx engine logs {record.name}")
        return
    key = "LONGCTX_API_KEY=TOKEN " if asked.token else ""
    typer.echo(f"{record.name} serves {show(Path(record.model).name)} at {record.url} (pid {record.pid})")
    typer.echo(f'  {key}longctx ask PATH "QUESTION" --engine openai --base-url {record.url}')
    typer.echo(f"  longctx engine stop {record.name}")


def own_records() -> "Records":
    """The servers that were started here; what lies among them and is no record is named, and left alone."""
    from ingest.naming import show
    from longctx import paths
    from longctx.serving.record import Records

    records = Records.below(paths.locate(os.environ).state)
    for path in records.unreadable():
        typer.echo(f"longctx: {show(str(path))}: no record of a server; it is left alone", err=True)
    return records
