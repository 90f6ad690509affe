"""`longctx complete`: a model's folder goes on with a text, streamed to stdout; no corpus, no citations."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longctx.commands.machine import (
    MACHINE,
    Attention,
    Device,
    Devices,
    Dtype,
    Dtypes,
    KvBudget,
    Model,
    Threads,
    machine_options,
    open_store,
    option,
)
from longctx.commands.options import OUTPUT, settings
from longctx.commands.streamed import write
from longctx.commands.warming import interrupted
from longctx.commands.windows import read_windows
from longctx.errors import UsageError

if TYPE_CHECKING:
    from longctx.engines.base import Engine, Prompt, Sampling
    from longctx.engines.opening import EngineSetup
    from longctx.engines.scout import ScoutEngine
    from longctx.settings import Settings
    from longctx.vocabulary import Vocabulary

SAMPLING = "Sampling"
LARGEST_PROMPT = 256 << 20

Text = Annotated[
    str, typer.Argument(metavar="PROMPT", help="The text to go on with; - for standard input.", show_default=False)
]
Windows = Annotated[
    str | None,
    option("--windows", metavar="FILE", help="Put PROMPT behind the windows that `pack --as ids` wrote; - for stdin."),
]
Chat = Annotated[bool, option("--chat", help="Send PROMPT as a user's message to a chat model.")]
MaxTokens = Annotated[int, option(min=1, help="Stop after so many tokens.", panel=SAMPLING, show_default=True)]
Temperature = Annotated[
    float, option(min=0, max=100, help="0 takes the likeliest token.", panel=SAMPLING, show_default=True)
]
TopP = Annotated[
    float, option(min=0, max=1, help="Draw from the likeliest that have this share.", panel=SAMPLING, show_default=True)
]
Seed = Annotated[int | None, option(min=0, max=2**63 - 1, help="The same seed draws the same.", panel=SAMPLING)]
StopId = Annotated[list[int] | None, option(min=0, metavar="ID", help="Stop at this token too.", panel=SAMPLING)]
NoCache = Annotated[bool, option("--no-cache", help="Neither use nor keep stored prefixes.", panel=MACHINE)]
Config = Annotated[Path | None, option(metavar="FILE", help="A settings file for this run.", panel=OUTPUT)]
Quiet = Annotated[bool, option("-q", "--quiet", help="No progress and no notices on stderr.", panel=OUTPUT)]
Json = Annotated[bool, option("--json", help="Write one JSON document.", panel=OUTPUT)]


def complete(
    model: Model,
    prompt: Text,
    windows: Windows = None,
    chat: Chat = False,
    max_tokens: MaxTokens = 256,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
    seed: Seed = None,
    stop_id: StopId = None,
    dtype: Dtypes = Dtype.AUTO,
    device: Devices = Device.AUTO,
    threads: Threads = None,
    attention: Attention = None,
    kv_budget: KvBudget = None,
    no_cache: NoCache = False,
    config: Config = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Let a Llama 4 model on this machine go on with a text.

    longctx complete --model ~/models/scout --chat "What is a spring tide?"

    longctx complete --model ~/models/scout --max-tokens 64 - < chapter.txt

    With --windows, what `cache warm` has stored of the same sources is not read again:

    longctx pack ./repo --as ids | longctx complete --model ~/models/scout --windows - --chat "Who holds the lock?"
    """
    configured = settings({"attention": attention}, config)
    for warning in () if quiet else configured.warnings:
        typer.echo(f"longctx: {warning}", err=True)
    setup = machine_options(configured, dtype, device, threads, kv_budget)
    asked = _asked(model, prompt, windows, chat=chat)
    sampling = _sampling(max_tokens, temperature, top_p, seed, asked.stops | set(stop_id or ()))
    with _engine(model, setup, configured, stored=not no_cache) as engine:
        try:
            _answer(engine, asked, sampling, as_json=as_json, quiet=quiet)
        except KeyboardInterrupt:
            if no_cache or len(asked.prompt.starts) == 1:
                raise
            raise interrupted(engine, _closed(asked.prompt)) from None


@dataclass(frozen=True, slots=True)
class Asked:
    """What is sent, and the vocabulary that reads the answer; `stops` are the ids that end it."""

    prompt: "Prompt"
    vocabulary: "Vocabulary"
    stops: frozenset[int]


def _asked(model: Path, prompt: str, windows: str | None, *, chat: bool) -> Asked:
    from longctx.completion import chat_ids, check_ids, following, plain_ids, stop_ids
    from longctx.engines.scout_opening import read_shape
    from longctx.vocabulary import BEGIN_OF_TEXT, of_model

    if windows == prompt == "-":
        raise UsageError("- and --windows - both want standard input", "give the windows in a file")
    shape = read_shape(model)
    vocabulary = of_model(model)
    packed = read_windows(windows, shape, vocabulary.special(BEGIN_OF_TEXT)) if windows else []
    ids = (chat_ids if chat else plain_ids)(_text(prompt), vocabulary, begun=bool(packed))
    check_ids(ids, shape.vocab, model)
    if not ids:
        raise UsageError("the prompt is empty", "say what is to follow the windows")
    return Asked(following(packed, ids, shape.chunk), vocabulary, stop_ids(vocabulary) | set(shape.eos_ids))


def _answer(engine: "Engine", asked: Asked, sampling: "Sampling", *, as_json: bool, quiet: bool) -> None:
    from longctx.completion import complete as completed

    with closing(completed(engine, asked.prompt, sampling, asked.vocabulary)) as events:
        write(events, engine.describe(), as_json=as_json, quiet=quiet)


def _closed(prompt: "Prompt") -> "Prompt":
    """All windows but the last, which is never stored."""
    from longctx.engines.base import Prompt

    return Prompt(prompt.ids[: prompt.starts[-1]], prompt.starts[:-1], prompt.window_tokens)


def _text(prompt: str) -> str:
    """The prompt itself, or standard input."""
    if prompt == "-" and sys.stdin is None:
        raise UsageError("standard input is closed", "as with <&- in a shell")
    given = prompt.encode("utf-8", "surrogateescape") if prompt != "-" else sys.stdin.buffer.read(LARGEST_PROMPT + 1)
    if len(given) > LARGEST_PROMPT:
        raise UsageError(f"the prompt has more than {LARGEST_PROMPT >> 20} MiB", "no model reads that much")
    try:
        return given.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"the prompt is not UTF-8: {error.reason} at byte {error.start:,}", "recode it") from error


def _sampling(max_tokens: int, temperature: float, top_p: float, seed: int | None, stops: frozenset[int]) -> "Sampling":
    from longctx.engines.base import Sampling

    if not 0 < top_p <= 1:
        raise UsageError(f"--top-p {top_p} is not above 0 and at most 1", "as in --top-p 0.9")
    return Sampling(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed, stop_ids=stops)


@contextmanager
def _engine(model: Path, setup: "EngineSetup", configured: "Settings", *, stored: bool) -> "Iterator[ScoutEngine]":
    """The model, open, with the stored prefixes or without."""
    from longctx.engines.scout_opening import open_model

    with ExitStack() as stack:
        hint = "--no-cache goes on without stored prefixes"
        store = stack.enter_context(open_store(configured, hint)) if stored else None
        yield stack.enter_context(open_model(model, setup, store))
