"""What is there, what is missing and what is bad, each with the command that mends it; changes nothing.

Checks are apart from one another: one that fails says so and costs only itself. What is `bad` was configured and
can't work; what is only `missing` nobody may need.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping

from ingest.naming import show
from longctx import doctor_engine, doctor_machine
from longctx.diagnosis import Case, Check, Status
from longctx.doctor_machine import ram_bytes
from longctx.engines.choice import pick
from longctx.engines.opening import QUOTES
from longctx.errors import LongctxError
from longctx.gpu import has_gpu
from longctx.software import install, is_installed, pip
from longctx.terminal import readable_bytes

CHECKS: Mapping[str, Callable[[Case], Iterator[Check]]] = {
    "python": doctor_machine.python,
    "sqlite": doctor_machine.sqlite,
    "vocabulary": doctor_machine.vocabulary,
    "office": doctor_machine.office,
    "torch": doctor_machine.torch,
    "vllm": doctor_machine.vllm,
    "gpu": doctor_machine.gpu,
    "memory": doctor_machine.memory,
    "disk": doctor_machine.disk,
    "folders": doctor_machine.folders,
    "terminal": doctor_machine.terminal,
    "model": doctor_engine.model,
    "server": doctor_engine.server,
    "engine": doctor_engine.engine,
}


def diagnose(case: Case) -> Iterator[Check]:
    """One check after the other, as each is done."""
    for name, look in CHECKS.items():
        try:
            yield from look(case)
        except LongctxError as error:
            yield Check(name, Status.BAD, str(error), error.hint)
        except Exception as error:  # noqa: BLE001 - a check that fails is told, and costs only itself
            yield Check(name, Status.NOTE, f"could not be checked: {type(error).__name__}: {show(str(error))}")


def next_step(case: Case) -> list[str]:
    """From what is there to a conversation: the lines to type."""
    chosen = pick(case.engine, case.setup, ports=case.ports)
    if chosen.name != QUOTES:
        return ["next:", f"  longctx chat PATH {shlex.join(case.typed)}".rstrip()]
    folder, config = "~/models/scout", show(str(case.paths.config_file))
    return [
        "no model yet: questions are answered with quotes that search finds. Three ways to one:",
        "  1. a server that is there, here or elsewhere (its key goes into LONGCTX_API_KEY):",
        "       longctx chat PATH --base-url http://HOST:8000/v1",
        "  2. a small model through Ollama (ollama.com), which longctx finds by itself:",
        "       OLLAMA_CONTEXT_LENGTH=32768 ollama serve &",
        "       ollama pull qwen3:8b",
        "       longctx chat PATH --model qwen3:8b",
        f"  3. Llama 4 Scout on this machine: 217 GB of weights, its memory is {readable_bytes(ram_bytes())};",
        "     Meta's licence is accepted on huggingface.co first:",
        *(f"       {line}" for line in _installing()),
        f"       hf auth login && {doctor_engine.DOWNLOAD} {folder}",
        f"       longctx engine doctor --model {folder}",
        f"       longctx chat PATH --model {folder}",
        f"what is to hold for good goes into {config}: model = …, base_url = …",
    ]


def _installing() -> Iterator[str]:
    """The commands for what is still missing on the way to a model of one's own."""
    if not is_installed("huggingface_hub"):
        yield pip("huggingface_hub")
    extra, package = ("vllm", "vllm") if has_gpu() else ("scout", "torch")
    if not is_installed(package):
        yield install(extra)
