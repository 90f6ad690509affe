"""The settings of one run: built once, never changed, and each knows where its value came from.

From strongest to weakest: what was typed as a flag, LONGCTX_* in the environment, `--config FILE`, the
project's `longctx.toml` or `[tool.longctx]` in pyproject.toml (nearest parent of the current directory), the
user's own config.toml, NO_COLOR, defaults.

A project's file comes with the project, so it may not say where text is sent, what is run, what this machine spends
on a model, or that what is left out by default (keys, for one) be read: such keys are left out with a warning. No
file is looked for beside the documents that are analysed.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from os.path import isfile  # Path.is_file raises below a folder that may not be entered
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from longctx.errors import ConfigError

PREFIX = "LONGCTX_"
PROJECT_FILE = "longctx.toml"
PYPROJECT = "pyproject.toml"
COLORS = ("auto", "always", "never")
MODES = ("auto", "full", "focus")
DTYPES = ("auto", "float32", "bfloat16", "float16")
HIDDEN = "(set; not shown)"
LARGEST_FILE = 1024 * 1024
LEAST_SPARSE = 128  # tokens; sparse attention always reads the first page of 64 and the last
FLAG, ENVIRONMENT = "flag ", "environment "

# Variables that are read elsewhere or not settings at all.
OTHER_VARIABLES = frozenset({"LONGCTX_HOME", "LONGCTX_PASSWORD", "LONGCTX_SERVER_TOKEN", "LONGCTX_VLLM"})

HARMLESS = "evidence"
# What a project's file may never say, whether or not an engine of this version reads it.
PERSONAL = frozenset(
    {
        *("api_key", "base_url", "command", "headers", "include", "key", "plugins", "url"),
        *("model", "device", "threads", "timeout_s"),
        *("kv_budget_mb", "cache_limit_gb"),  # a small limit would drop what other projects have stored
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one key somewhere; a warning leaves the key out, an error stops the run."""

    where: str
    key: str
    message: str
    is_error: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True, slots=True)
class Setting:
    """One value and where it came from."""

    value: object
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of a run. `budget` counts tokens; `include` and `exclude` are ignore-file patterns.

    `engine` is an engine's name, or "auto" for the best that is there. `model` is a folder, or a model's name at the
    server that `base_url` names; `context` is how many tokens fit it, where a server does not say. `mode` is how much
    of a corpus is sent: all of it ("full"), what fits ("focus"), or what can be ("auto").
    `attention` is "dense", or "sparse:N" where NoPE layers read whole pages of N tokens at most for each query.
    `kv_budget_mb` bounds the keys and values in memory, `cache_limit_gb` the stored prefixes on disk, both in powers
    of 1024; None leaves them to the engine and the store. `theme` is one of the terminal UI's, or "auto" for the one
    that was taken last.
    """

    engine: str = "auto"
    model: str | None = None
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    timeout_s: int = 3600
    context: int | None = None
    mode: str = "auto"
    max_tokens: int = 1024
    temperature: float = 0.0
    dtype: str = "auto"
    device: str = "auto"
    threads: int | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_file_mb: int = 32
    index: bool = True
    budget: int | None = None
    attention: str = "dense"
    kv_budget_mb: int | None = None
    cache_limit_gb: int | None = None
    color: str = "auto"
    theme: str = "auto"
    origins: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()

    def shown(self) -> dict[str, Setting]:
        """Each key with its value and origin, in a fixed order."""
        return {name: Setting(self._shown(name), self.origins.get(name, "default")) for name in KEYS}

    def _shown(self, name: str) -> object:
        value: object = getattr(self, name)
        return HIDDEN if name == "api_key" and value else value


@dataclass(frozen=True, slots=True)
class Layer:
    """The values of one origin, already checked, and what was wrong with the others."""

    values: Mapping[str, Setting] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def load(
    *,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    directory: Path,
    user_file: Path,
    config_file: Path | None = None,
) -> Settings:
    """The settings in force in `directory`; flags that are None were not typed. Raises ConfigError."""
    layers = [
        _no_color(environ),
        read_file(user_file) if isfile(user_file) else Layer(),
        read_project(directory),
        read_file(config_file) if config_file else Layer(),
        read_environment(environ),
        read_flags(flags),
    ]
    problems = tuple(problem for layer in layers for problem in layer.problems)
    _refuse(problem for problem in problems if problem.is_error)
    chosen: dict[str, Setting] = {}
    for layer in layers:
        chosen |= layer.values
    values: dict[str, Any] = {name: setting.value for name, setting in chosen.items()}
    origins = {name: setting.origin for name, setting in chosen.items()}
    return Settings(**values, origins=origins, warnings=problems)


def validate(file: Path) -> list[Problem]:
    """What is wrong with `file`; a project's file is known by its name."""
    return list(read_file(file, trusted=file.name not in (PROJECT_FILE, PYPROJECT)).problems)


def read_file(file: Path, *, trusted: bool = True) -> Layer:
    """The settings in a TOML file; in a pyproject.toml, those under [tool.longctx]."""
    try:
        table = _table(file)
    except (OSError, ValueError, RecursionError) as error:
        # Somebody else's pyproject.toml is not ours to complain about so loudly that nothing runs.
        return Layer(problems=(Problem(str(file), "", _reading_error(error), file.name != PYPROJECT),))
    return _checked(table, str(file), trusted=trusted)


def read_project(directory: Path) -> Layer:
    """The settings of the project that `directory` belongs to, which is not trusted with everything."""
    for folder in (directory, *directory.parents):
        if isfile(folder / PROJECT_FILE):
            return read_file(folder / PROJECT_FILE, trusted=False)
        layer = _read_pyproject(folder / PYPROJECT)
        if layer is not None:
            return layer
    return Layer()


def read_environment(environ: Mapping[str, str]) -> Layer:
    """The settings in LONGCTX_* variables; an empty one counts as unset, an unknown one is only a warning."""
    values: dict[str, Setting] = {}
    problems: list[Problem] = []
    for variable in sorted(environ):
        text = environ[variable]
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES or not text:
            continue
        name = variable.removeprefix(PREFIX).lower()
        where = f"{ENVIRONMENT}{variable}"
        if name not in KEYS:
            problems.append(Problem(where, name, _unknown(name), is_error=False))
            continue
        _take(name, text, where, KEYS[name].from_text, values, problems)
    return Layer(values, tuple(problems))


def read_flags(flags: Mapping[str, object]) -> Layer:
    """The settings typed on the command line; a flag without a setting is a defect, not a user's error."""
    values: dict[str, Setting] = {}
    problems: list[Problem] = []
    for name, value in flags.items():
        if value is not None:
            where = f"{FLAG}--{name.replace('_', '-')}"
            _take(name, value, where, KEYS[name].check, values, problems)
    return Layer(values, tuple(problems))


def _refuse(problems: Iterable[Problem]) -> None:
    refused = list(problems)
    if refused:
        in_file = any(not problem.where.startswith((FLAG, ENVIRONMENT)) for problem in refused)
        hint = "longctx config validate FILE shows every problem of a file" if in_file else ""
        raise ConfigError("\n".join(map(str, refused)), hint)


def _no_color(environ: Mapping[str, str]) -> Layer:
    """no-color.org: any non-empty value; a user's own settings and flags are stronger."""
    if not environ.get("NO_COLOR"):
        return Layer()
    return Layer({"color": Setting("never", f"{ENVIRONMENT}NO_COLOR")})


def _read_pyproject(file: Path) -> Layer | None:
    """The settings in `file`, or None where it has none."""
    try:
        if not isfile(file) or b"longctx" not in _content(file):
            return None
        if not _has_table(file):
            return None
    except (OSError, ValueError, RecursionError):
        pass  # read_file says what is wrong with it
    return read_file(file, trusted=False)


def _has_table(file: Path) -> bool:
    tools = tomllib.loads(_content(file).decode()).get("tool")
    return isinstance(tools, dict) and "longctx" in tools


def _table(file: Path) -> dict[str, Any]:
    table: Any = tomllib.loads(_content(file).decode())
    if file.name == PYPROJECT:
        table = table.get("tool", {})
        table = table.get("longctx", {}) if isinstance(table, dict) else {}
    if not isinstance(table, dict):
        raise ValueError("[tool.longctx] is not a table")
    return table


def _content(file: Path) -> bytes:
    with file.open("rb") as stream:
        content = stream.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ValueError("larger than 1 MiB, which no settings file is")
    return content


def _reading_error(error: Exception) -> str:
    match error:
        case OSError():
            return f"can't be read: {error.strerror}"
        case UnicodeDecodeError():
            return "is not UTF-8"
        case RecursionError():
            return "is nested too deeply"
        case _:
            return f"is not valid: {error}"


def _checked(table: Mapping[str, Any], where: str, *, trusted: bool) -> Layer:
    values: dict[str, Setting] = {}
    problems: list[Problem] = []
    for name, value in table.items():
        if not trusted and _is_personal(name, value):
            message = f"{name!r} is left out: only your own settings, the environment or a flag may set it"
            problems.append(Problem(where, name, message, is_error=False))
        elif name not in KEYS:
            problems.append(Problem(where, name, _unknown(name)))
        else:
            _take(name, value, where, KEYS[name].check, values, problems)
    return Layer(values, tuple(problems))


def _is_personal(name: str, value: object) -> bool:
    """Of engines a project may ask only for the one that sends nothing anywhere and runs nothing."""
    return name.lower() in PERSONAL or (name == "engine" and value != HARMLESS)


def _take(
    name: str,
    value: Any,
    where: str,
    check: Callable[[Any], object],
    values: dict[str, Setting],
    problems: list[Problem],
) -> None:
    """Adds the checked value to `values`, or what is wrong with it to `problems`."""
    try:
        values[name] = Setting(check(value), where)
    except ValueError as error:
        problems.append(Problem(where, name, f"{name!r} {error}"))


def _unknown(name: str) -> str:
    near = get_close_matches(name.lower().replace("-", "_"), KEYS, n=1)
    return f"unknown key {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


@dataclass(frozen=True, slots=True)
class Key:
    """How the value of a key is checked, and how it is read from a string in the environment."""

    check: Callable[[Any], object]
    from_text: Callable[[str], object]


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a name")
    return value


def _patterns(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of patterns")
    return tuple(value)


def _patterns_from_text(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("must be a whole number, 1 or more")
    return value


def parse_count(text: str) -> int:
    """A whole number, perhaps with k or M behind it; raises ValueError."""
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    digits = text[:-1] if factor > 1 else text
    if not digits.isascii() or not digits.replace("_", "").isdigit():
        raise ValueError("must be a whole number, 1 or more")
    return _count(int(digits) * factor)


def _tokens(value: object) -> int:
    return parse_count(value) if isinstance(value, str) and value else _count(value)


def _attention(value: object) -> str:
    if value == "dense":
        return "dense"
    kind, _, budget = value.partition(":") if isinstance(value, str) else ("", "", "")
    with suppress(ValueError):
        if kind == "sparse" and (tokens := _tokens(budget)) >= LEAST_SPARSE:
            return f"sparse:{tokens}"
    raise ValueError(f"must be dense, or sparse:N for a budget of N tokens, {LEAST_SPARSE} or more (sparse:32k)")


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _switch_from_text(text: str) -> bool:
    known = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if text.lower() not in known:
        raise ValueError("must be true or false")
    return known[text.lower()]


def _one_of(choices: tuple[str, ...]) -> Key:
    def check(value: object) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return str(value)

    return Key(check, check)


def _url(value: object) -> str:
    parts = urlsplit(_name(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address such as http://127.0.0.1:8000/v1")
    if parts.username or parts.password:
        raise ValueError("must not hold a password; set LONGCTX_API_KEY")
    return str(value).rstrip("/")


def _temperature(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise ValueError("must be a number from 0 to 100")
    return float(value)


def _temperature_from_text(text: str) -> float:
    try:
        return _temperature(float(text))
    except ValueError as error:
        raise ValueError("must be a number from 0 to 100") from error


KEYS: Mapping[str, Key] = {
    "engine": Key(_name, _name),
    "model": Key(_name, _name),
    "base_url": Key(_url, _url),
    "api_key": Key(_name, _name),
    "timeout_s": Key(_count, parse_count),
    "context": Key(_tokens, _tokens),
    "mode": _one_of(MODES),
    "max_tokens": Key(_tokens, _tokens),
    "temperature": Key(_temperature, _temperature_from_text),
    "dtype": _one_of(DTYPES),
    "device": Key(_name, _name),
    "threads": Key(_count, parse_count),
    "include": Key(_patterns, _patterns_from_text),
    "exclude": Key(_patterns, _patterns_from_text),
    "max_file_mb": Key(_count, parse_count),
    "index": Key(_switch, _switch_from_text),
    "budget": Key(_tokens, _tokens),
    "attention": Key(_attention, _attention),
    "kv_budget_mb": Key(_count, parse_count),
    "cache_limit_gb": Key(_count, parse_count),
    "color": _one_of(COLORS),
    "theme": Key(_name, _name),
}

assert set(KEYS) == {f.name for f in fields(Settings)} - {"origins", "warnings"}
