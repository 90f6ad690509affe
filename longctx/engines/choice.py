"""Which engine answers where none was named, and why; looks around on this machine, opens nothing.

In this order: what is configured, a server on one of the usual ports, vLLM on a GPU with the configured model, and
`evidence`, which needs nothing. It is always said which one it is and why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ingest.naming import show
from longctx.engines.loopback import HOST, PORTS, Server, servers
from longctx.engines.opening import QUOTES, EngineSetup
from longctx.errors import EngineError
from longctx.gpu import has_gpu
from longctx.software import install, is_installed

AUTO = "auto"
DOCTOR = "longctx engine doctor says what is missing"


@dataclass(frozen=True, slots=True)
class Chosen:
    """An engine by name, what it is opened from, and one line for a person on why it is this one."""

    name: str
    setup: EngineSetup
    why: str


def choose(engine: str, setup: EngineSetup, *, ports: Mapping[int, str] = PORTS) -> Chosen:
    """The engine to ask, as `pick` has it; raises EngineError where a model was named that nothing here has.

    Quotes are no answer of that model.
    """
    picked = pick(engine, setup, ports=ports)
    if engine == AUTO and picked.name == QUOTES and setup.model is not None:
        raise EngineError(picked.why.removeprefix("engine: evidence: ").removesuffix(f"; {DOCTOR}"), DOCTOR)
    return picked


def pick(engine: str, setup: EngineSetup, *, ports: Mapping[int, str] = PORTS) -> Chosen:
    """The engine that was named, or for `auto` the one that there is; a server's key is never sent to a found one."""
    if engine == AUTO:
        return _configured(setup) or _around(setup, ports)
    if engine == "openai" and setup.base_url is None:
        for server in servers(ports):
            if there := _at(server, setup):
                return there
    return _taken(engine, setup, "it was named")


def passed(server: Server, wanted: str | None) -> str:
    """Why a server that was found is not taken; nothing where it could be."""
    where = f"port {server.port}"
    if server.refused:
        return f"the server on {where} is not taken: {server.refused}"
    if _model_of(server, wanted):
        return ""
    if wanted is not None:
        return f"the server on {where} does not have {show(wanted)}"
    listed = ", ".join(server.models[:3]) + ", …" * (len(server.models) > 3)
    return f"the server on {where} has {len(server.models)} models: name one with --model ({listed})"


def _taken(name: str, setup: EngineSetup, reason: str) -> Chosen:
    """`engine: openai at http://… (MODEL): REASON`, with as much of it as there is."""
    where = f" at {setup.base_url}" if name == "openai" and setup.base_url else ""
    model = f" ({show(setup.model)})" if name != QUOTES and setup.model else ""
    return Chosen(name, setup, f"engine: {name}{where}{model}: {reason}")


def _configured(setup: EngineSetup) -> Chosen | None:
    if setup.base_url is not None:
        return _taken("openai", setup, "base_url is set")
    if setup.model is None or not Path(setup.model).expanduser().is_dir():
        return None
    if has_gpu() and setup.device != "cpu" and is_installed("vllm"):
        return _taken("vllm", setup, "the model is a folder, a GPU and vLLM are here")
    if is_installed("torch"):
        return _taken("scout", setup, "the model is a folder")
    return None


def _around(setup: EngineSetup, ports: Mapping[int, str]) -> Chosen:
    """The first server that will do, else vLLM, else no model."""
    remarks = list[str]()
    for server in servers(ports):
        if there := _at(server, setup):
            return there
        remarks.append(passed(server, setup.model))
    if setup.model is not None and setup.device != "cpu" and has_gpu() and is_installed("vllm"):
        return _taken("vllm", setup, "a GPU, vLLM and a model are here")
    heard = "; ".join(remarks) or f"no server answers on {HOST} (ports {', '.join(map(str, ports))})"
    return _taken(QUOTES, setup, f"{_lacking(setup)} and {heard}; {DOCTOR}")


def _at(server: Server, setup: EngineSetup) -> Chosen | None:
    """The engine that asks this server, where it will do."""
    model = _model_of(server, setup.model)
    if model is None:
        return None
    there = replace(setup, base_url=server.base_url, model=model, api_key=None, found_port=server.port)
    return _taken("openai", there, f"a server was found on port {server.port}")


def _model_of(server: Server, wanted: str | None) -> str | None:
    """The model to ask there: the one wanted, or the only one; of several the only Llama 4."""
    if server.refused:
        return None
    if wanted is not None:
        return wanted if wanted in server.models else None
    llamas = [name for name in server.models if "llama-4" in name.lower() or "llama4" in name.lower()]
    names = server.models if len(server.models) == 1 else llamas
    return names[0] if len(names) == 1 else None


def _lacking(setup: EngineSetup) -> str:
    if setup.model is None:
        return "no engine is configured"
    if Path(setup.model).expanduser().is_dir():
        return f"{show(setup.model)} needs torch: {install('scout')}"
    return f"{show(setup.model)} is no folder"
