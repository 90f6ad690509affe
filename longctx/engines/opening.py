"""From what the settings say to an open engine: the engines there are by name, plugins among them.

A plugin is an entry point of the group `longctx.engines`: its name is the engine's, its object an `Opener`.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from longctx.engines.base import Engine
from longctx.errors import EngineError

GROUP = "longctx.engines"
QUOTES = "evidence"  # answers without a prompt: search is its engine
# Each module has a function `opened`, an Opener.
BUILT_IN = {
    "openai": "longctx.engines.compatible",
    "scout": "longctx.engines.scout_opening",
    "scripted": "longctx.engines.scripted",
    "vllm": "longctx.engines.vllm_backend",
}
# What their models are.
NEEDS_MODEL = {"scout": "DIR", "scripted": "FILE.toml", "vllm": "DIR"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSetup:
    """All that an engine is opened from; each takes what concerns it.

    `model` is a folder or a name at a server. `store` is the folder of stored prefixes, None where nothing is to be
    kept; `logs` a folder for what an engine says of itself, which need not be there yet. `found_port` is that of
    a server that was found and not named: whose it is is looked at before each prompt. With `is_guided` answers are to
    be held to schemas, for which some engines have to load more.
    """

    logs: Path
    model: str | None = None
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    timeout_s: float = 3600.0
    context_tokens: int | None = None
    dtype: str = "auto"
    device: str = "auto"
    threads: int | None = None
    attention: str = "dense"
    kv_budget_bytes: int | None = None
    store: Path | None = None
    store_limit_bytes: int | None = None
    found_port: int | None = None
    is_guided: bool = False


Opener = Callable[[EngineSetup], AbstractContextManager[Engine]]


def names() -> tuple[str, ...]:
    """The engines that can be named, `evidence` first."""
    return (QUOTES, *sorted({*BUILT_IN, *_plugins()}))


def check(name: str, setup: EngineSetup) -> None:
    """What can be said against an engine before anything is opened; raises EngineError."""
    if name not in names():
        raise _unknown(name)
    if name in NEEDS_MODEL and setup.model is None:
        raise EngineError(f"the engine {name} needs a model", f"--model {NEEDS_MODEL[name]}, or the setting model")
    if name in NEEDS_MODEL and not Path(str(setup.model)).expanduser().exists() and name != "vllm":
        raise EngineError(f"{setup.model}: no such file or folder", f"--model {NEEDS_MODEL[name]}")


@contextmanager
def open_engine(name: str, setup: EngineSetup) -> Iterator[Engine]:
    """The engine of that name, open until the block ends; raises EngineError."""
    with _opener(name)(setup) as engine:
        yield engine


def _opener(name: str) -> Opener:
    """How the engine of that name is opened; a plugin can't take a built-in engine's name."""
    if name in BUILT_IN:
        found: Opener = import_module(BUILT_IN[name]).opened
        return found
    plugin = _plugins().get(name)
    if plugin is None:
        raise _unknown(name)
    try:  # a plugin's defect is told to its user and costs only itself
        loaded: Opener = plugin.load()
    except Exception as error:
        raise EngineError(f"the engine {name!r} can't be loaded: {error}", f"it comes from {plugin.value}") from error
    return loaded


def _unknown(name: str) -> EngineError:
    return EngineError(f"there is no engine {name!r}", f"one of {', '.join(names())}; longctx engine list")


def _plugins() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
