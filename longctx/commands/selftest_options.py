"""What was typed after `longctx engine selftest`: put together, or refused where an option would do nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from longctx.errors import DoesNotFit, UsageError

if TYPE_CHECKING:
    from longctx.settings import Settings

SERVER, SCOUT, VLLM = "openai", "scout", "vllm"
TOKENS, DEPTHS = "65536", 11
MACHINE = ("--attention", "--dtype", "--device", "--threads", "--kv-budget")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be tested: an engine, with a text of about `tokens` of `files` or of what there is everywhere."""

    engine: str
    tokens: int
    depths: int
    files: tuple[str, ...]
    quiet: bool


def engine_of(configured: "Settings", typed: Mapping[str, object]) -> str:
    """The engine to test: the one that was named, the one that is set if it takes a model, else our own.

    Raises UsageError where it has no model, and for options among those `typed` that mean nothing to it.
    """
    from longctx.engines.choice import AUTO
    from longctx.engines.opening import QUOTES
    from longctx.settings import FLAG

    name = configured.engine
    if name in (AUTO, QUOTES, "scripted"):
        if configured.origins.get("engine", "").startswith(FLAG) and name != AUTO:
            raise UsageError(f"the engine {name} has no model to test", f"--engine {SCOUT}, {VLLM} or {SERVER}")
        name = SCOUT
    if name == SERVER:
        _refuse(typed, MACHINE, f"for {name}: a server runs as it was started")
    else:
        _refuse(typed, ("--model", "--base-url"), f"for {name}: it is tested with a model that is made here")
    if name == VLLM:
        _refuse(typed, ["--attention"], f"for {name}: it computes dense attention")
    return name


def check_write(typed: Mapping[str, object]) -> None:
    """Raises UsageError where something else was typed beside --write, which tests nothing."""
    _refuse(typed, typed, "for --write: it only writes the checkpoint")


def count_of(text: str) -> int:
    """The tokens that --tokens means; raises UsageError, and DoesNotFit for more than the model has positions."""
    from longctx.needle.tokenizer import POSITIONS
    from longctx.packing import WINDOW_TOKENS
    from longctx.settings import parse_count

    try:
        count = parse_count(text)
    except ValueError as error:
        raise UsageError(f"--tokens {text!r} {error}", "as in 131072, 200k, 10M") from error
    if count < WINDOW_TOKENS:
        raise UsageError(f"--tokens {count:,} is less than a window", f"{WINDOW_TOKENS:,} or more")
    if count > POSITIONS:
        raise DoesNotFit(f"--tokens {count:,} is more than the model's {POSITIONS:,} positions", "--tokens 10M")
    return count


def _refuse(typed: Mapping[str, object], idle: Iterable[str], why: str) -> None:
    for option in idle:
        if typed.get(option):
            raise UsageError(f"{option} is not {why}", "longctx engine selftest --help")
