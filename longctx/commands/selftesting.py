"""One selftest from an engine's name to a result in files: the checkpoint, the text, the engine, what it is asked."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ingest.naming import show
from longctx import paths
from longctx.commands.options import Chosen
from longctx.counted import counted
from longctx.engines.base import Engine
from longctx.engines.choice import choose
from longctx.engines.compatible import CompatibleEngine
from longctx.engines.opening import EngineSetup, check, open_engine
from longctx.engines.scout_opening import read_shape
from longctx.errors import DoesNotFit, EngineError, Interrupted, LongctxError
from longctx.narration import ProgressLine
from longctx.needle.folder import needle_folder
from longctx.needle.grid import Grid, tokens_of
from longctx.needle.heat_map import heat_map
from longctx.needle.heat_map_svg import to_svg
from longctx.needle.own_store import own_store
from longctx.needle.planting import plant
from longctx.needle.result import Result, Subject
from longctx.needle.selftest import Asked as Answered
from longctx.needle.selftest import Reading, Said, SelftestEvent, Started, selftest
from longctx.needle.text import Text, gathered, standard_library
from longctx.needle.trial import QUESTION_TOKENS
from longctx.packing import WINDOW_TOKENS
from longctx.terminal import readable_bytes
from longctx.tokens import Tokenizer
from longctx.whole_file import whole_file

SERVER, SCOUT, VLLM = "openai", "scout", "vllm"
BYTES_PER_TOKEN = 520  # stored of the checkpoint's one NoPE layer: keys and values, bounds of pages, headers
SLACK_BYTES = 64 << 20
LIBRARY = "the sources of Python's library"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be tested: an engine, with a text of about `tokens` of `files` or of what there is everywhere."""

    engine: str
    tokens: int
    depths: int
    files: tuple[str, ...]
    quiet: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """What was found, and what broke it off; a result is worth saving either way."""

    result: Result
    failure: LongctxError | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """The files of a result."""

    json: Path
    svg: Path


def run(asked: Asked, setup: EngineSetup) -> Ended:
    """Test it; raises LongctxError for what goes wrong before the first answer."""
    with ExitStack() as stack:
        progress = stack.enter_context(ProgressLine(quiet=asked.quiet))
        setup, windows = _prepared(stack, asked, setup)
        tokenizer = Tokenizer()
        whole = _text(asked, tokens_of(windows), tokenizer, progress)
        progress.tell(0, "opening the engine")
        engine = _opened(stack, asked.engine, setup)
        grid = Grid(_fitting(tokens_of(windows), engine), asked.depths)
        text = whole.beginning(grid.tokens)
        planted = plant(text.ids, grid.edges)
        subject = Subject(
            identity=engine.identity(),
            description=engine.describe(),
            attention=setup.attention if asked.engine == SCOUT else "the engine's own",
            source=text.source,
            own_tokens=text.own_tokens,
            grid=grid,
        )
        return _followed(selftest(engine, planted, grid, tokenizer), subject, progress)


def places(engine: str, folder: Path | None, picture: Path | None) -> Places:
    """Where a result is to go: into `folder`, or among what this program keeps of its runs; raises LongctxError.

    The folders are made now: hours later would be late to hear that they can't be.
    """
    home = folder or paths.locate(os.environ).state / "selftest"
    name = "selftest" if folder else f"{re.sub('[^a-z0-9]', '-', engine.lower())}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    found = Places(home / f"{name}.json", picture or home / f"{name}.svg")
    for place in (found.json, found.svg):
        with _told(place):
            paths.ensure(place.absolute().parent)
    return found


def save(result: Result, found: Places) -> None:
    """Write the result as JSON and as a picture; raises LongctxError."""
    contents = {found.json: json.dumps(result.to_json(), indent=2) + "\n", found.svg: to_svg(heat_map(result))}
    for place, content in contents.items():
        with _told(place), whole_file(place) as stream:
            stream.write(content)


@contextmanager
def _told(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LongctxError(f"{show(str(place))} can't be written: {error.strerror}", "--out DIR, --svg FILE") from error


def _prepared(stack: ExitStack, asked: Asked, setup: EngineSetup) -> tuple[EngineSetup, int]:
    """The setup with the checkpoint and a store of its own, and the windows that the model has room for."""
    if asked.engine == SERVER:
        return choose(SERVER, setup).setup, asked.tokens // WINDOW_TOKENS
    home = paths.ensure(paths.locate(os.environ).cache)
    check(asked.engine, replace(setup, model=str(home)))
    folder = needle_folder(home)
    windows = _windows(asked.tokens, read_shape(folder).max_positions)
    tokens = tokens_of(windows) + QUESTION_TOKENS
    needed = tokens * BYTES_PER_TOKEN + SLACK_BYTES
    if asked.engine == SCOUT:
        _check_disk(home, needed, tokens)
    store = stack.enter_context(own_store(home))
    made = replace(setup, model=str(folder), store=store, store_limit_bytes=needed)
    return (replace(made, context_tokens=tokens) if asked.engine == VLLM else made), windows


def _check_disk(home: Path, needed: int, tokens: int) -> None:
    free = shutil.disk_usage(home).free
    if needed > free:
        raise DoesNotFit(
            f"{tokens:,} tokens take {readable_bytes(needed)} in {show(str(home))}, {readable_bytes(free)} are free",
            "fewer --tokens, or LONGCTX_HOME on a larger disk",
        )


def _opened(stack: ExitStack, name: str, setup: EngineSetup) -> Engine:
    try:
        return stack.enter_context(open_engine(name, setup))
    except DoesNotFit as error:
        raise DoesNotFit(str(error), "fewer --tokens") from error


def _fitting(tokens: int, engine: Engine) -> int:
    """The windows of so many tokens that the open engine has room for."""
    if isinstance(engine, CompatibleEngine) and not engine.server.takes_ids:
        raise EngineError(
            f"{show(engine.server.base)} takes no token ids, and only ids can end with the word that is asked for",
            "vLLM, SGLang, llama.cpp and longctx engine serve take them",
        )
    return _windows(tokens, engine.limits().context_tokens)


def _windows(tokens: int, limit: int | None) -> int:
    """The full windows in `tokens`: one fewer where the limit leaves no room for the question. Raises DoesNotFit."""
    most = tokens if limit is None else limit
    if tokens > most or most < WINDOW_TOKENS + QUESTION_TOKENS:
        fits = max(most - QUESTION_TOKENS, 0) // WINDOW_TOKENS * WINDOW_TOKENS
        raise DoesNotFit(
            f"{tokens:,} tokens of text and a question do not fit: the engine takes {most:,}",
            f"--tokens {fits}" if fits else "a server with a longer context",
        )
    return min(tokens, most - QUESTION_TOKENS) // WINDOW_TOKENS if limit is not None else tokens // WINDOW_TOKENS


def _text(asked: Asked, tokens: int, tokenizer: Tokenizer, progress: ProgressLine) -> Text:
    progress.tell(0, f"tokenising {tokens:,} tokens of text")
    if not asked.files:
        tokenizer.expect_much()
        return gathered(standard_library(tokenizer), tokens, LIBRARY)
    with _pieces(asked.files, quiet=asked.quiet) as pieces:
        return gathered(pieces, tokens, ", ".join(asked.files))


@contextmanager
def _pieces(files: Sequence[str], *, quiet: bool) -> "Iterator[Iterator[Sequence[int]]]":
    """The ids of each text of these files, read as any corpus is."""
    with Chosen(quiet=quiet).corpus(list(files), index=False) as (corpus, _):
        yield (corpus.tokens.get(*entry.key) or () for entry in corpus.current)


def _followed(events: Iterator[SelftestEvent], subject: Subject, progress: ProgressLine) -> Ended:
    """What comes of the test; one that is broken off has what was found until then."""
    answered, said = list[Answered](), dict[str, None]()
    failure: LongctxError | None = None
    try:
        _follow(events, answered, said, progress)
    except KeyboardInterrupt:
        failure = Interrupted("interrupted; what was found is kept")
    except LongctxError as error:
        failure = error
    if failure is not None and not answered:
        raise failure
    return Ended(
        Result(subject, tuple(answered), tuple(said), stopped="" if failure is None else str(failure)), failure
    )


def _follow(
    events: Iterator[SelftestEvent], answered: list[Answered], said: dict[str, None], progress: ProgressLine
) -> None:
    questions = 0
    for event in events:
        match event:
            case Started():
                questions = event.questions
            case Reading():
                asking = f"question {len(answered) + 1} of {questions}"
                over = f"{counted(event.length, 'window')} ({tokens_of(event.length):,} tokens)"
                progress.tell(event.done, f"{asking} over {over}: {event.done:,} tokens read", event.total)
            case Said():
                if event.message not in said:
                    progress.say(f"longctx: {show(event.message)}")
                said[event.message] = None
            case Answered():
                answered.append(event)
