"""One selftest from an engine's name to a result in files: the checkpoint, the text, the engine, what it is asked."""

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ingest.naming import show
from longctx import paths
from longctx.commands.options import Chosen
from longctx.commands.selftest_options import SCOUT, SERVER, VLLM, Order
from longctx.counted import counted
from longctx.engines.availability import engine as availability
from longctx.engines.base import Engine
from longctx.engines.choice import choose
from longctx.engines.compatible import CompatibleEngine
from longctx.engines.opening import EngineSetup, check, open_engine
from longctx.errors import DoesNotFit, EngineError, Interrupted, LongctxError, UsageError
from longctx.narration import ProgressLine
from longctx.needle.folder import PREFIX, is_whole, needle_folder, needle_path, sweep
from longctx.needle.grid import Grid, tokens_of
from longctx.needle.heat_map import heat_map
from longctx.needle.heat_map_svg import to_svg
from longctx.needle.own_store import own_store
from longctx.needle.planting import plant
from longctx.needle.result import Result, Subject
from longctx.needle.selftest import Asked, Reading, Said, SelftestEvent, Started, Through, selftest
from longctx.needle.text import Text, gathered, standard_library
from longctx.needle.tokenizer import POSITIONS
from longctx.needle.trial import QUESTION_TOKENS
from longctx.packing import WINDOW_TOKENS
from longctx.terminal import readable_bytes
from longctx.tokens import Tokenizer
from longctx.whole_file import whole_file

BYTES_PER_TOKEN = 520  # stored of the checkpoint's one NoPE layer: keys and values, bounds of pages, headers
SLACK_BYTES = 64 << 20
CHECKPOINT_BYTES = 370_000_000
LIBRARY = "the sources of Python's library"
HOME_HINT = "longctx paths shows where it keeps things"
UNFINISHED = "not all is asked yet"


@dataclass(frozen=True, slots=True)
class Ended:
    """What was found, what broke it off, and what stood in the way of saving it."""

    result: Result
    failure: LongctxError | None = None
    unsaved: LongctxError | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """The files of a result."""

    json: Path
    svg: Path


def run(order: Order, setup: EngineSetup, files: Places) -> Ended:
    """Test it, and save what is found after every length; raises LongctxError for what goes wrong before that.

    What costs nothing is looked at first, and a server before any text is gathered.
    """
    with ExitStack() as stack:
        progress = stack.enter_context(ProgressLine(quiet=order.quiet))
        tokenizer = Tokenizer()
        if order.engine == SERVER:
            engine = stack.enter_context(open_engine(SERVER, choose(SERVER, setup).setup))
            whole = _text(order, tokens_of(_fitting(order.tokens, engine)), tokenizer, progress)
        else:
            windows = _windows(order.tokens, POSITIONS)
            home = _checked_home(order.engine, setup, windows)
            whole = _text(order, tokens_of(windows), tokenizer, progress)
            engine = _opened(stack, order.engine, setup, home, windows, progress)
        grid = Grid(_fitting(len(whole.ids), engine), order.depths)
        text = whole.beginning(grid.tokens)
        subject = Subject(
            identity=engine.identity(),
            description=engine.describe(),
            attention=setup.attention if order.engine == SCOUT else "the engine's own",
            source=text.source,
            own_tokens=text.own_tokens,
            grid=grid,
        )
        findings = Findings(subject, files, progress)
        findings.say(_another_model(engine))
        return findings.follow(selftest(engine, plant(text.ids, grid.edges), grid, tokenizer))


def places(engine: str, folder: Path | None, picture: Path | None) -> Places:
    """Where a result is to go: into `folder`, or among what this program keeps of its runs; raises LongctxError.

    It is tried now whether they can be written: hours later would be late to hear that they can't.
    """
    home = folder or paths.locate(os.environ).state / "selftest"
    name = "selftest" if folder else f"{re.sub('[^a-z0-9]', '-', engine.lower())}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    found = Places(home / f"{name}.json", picture or home / f"{name}.svg")
    for place in (found.json, found.svg):
        with _told(place):
            _try(Path(os.path.realpath(place)))
    if os.path.realpath(found.json) == os.path.realpath(found.svg):
        raise UsageError(f"{show(str(found.svg))} is where the JSON goes", "--svg FILE with another name")
    return found


def _try(target: Path) -> None:
    """Raises OSError where a file can't be written there; pipes and devices are taken as they are."""
    paths.ensure(target.parent)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if target.is_file() or not target.exists():
        with tempfile.NamedTemporaryFile(prefix=".longctx-", dir=target.parent):
            pass


def save(result: Result, found: Places) -> None:
    """Write the result as JSON and as a picture, each if the other can't be written too; raises LongctxError."""
    failure: LongctxError | None = None
    contents = {found.json: json.dumps(result.to_json(), indent=2) + "\n", found.svg: to_svg(heat_map(result))}
    for place, content in contents.items():
        try:
            with _told(place), whole_file(place) as stream:
                stream.write(content)
        except LongctxError as error:
            failure = failure or error
    if failure is not None:
        raise failure


@contextmanager
def _told(place: Path, hint: str = "--out DIR, --svg FILE") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LongctxError(f"{show(str(place))} can't be written: {error.strerror or error}", hint) from error


def _checked_home(name: str, setup: EngineSetup, windows: int) -> Path:
    """Our own folder for the checkpoint, and all that can be said against the engine before that is made."""
    home = paths.locate(os.environ).cache
    with _told(home, HOME_HINT):
        paths.ensure(home)
        sweep(home)
        missing = 0 if is_whole(needle_path(home)) else CHECKPOINT_BYTES
    check(name, replace(setup, model=str(home)))
    found = availability(name)
    if found is not None and found.missing:
        raise EngineError(f"the engine {name}: {found.missing}", found.fix)
    _check_disk(home, windows, missing + (_store_bytes(windows) if name == SCOUT else 0))
    return home


def _store_bytes(windows: int) -> int:
    return _prompt_tokens(windows) * BYTES_PER_TOKEN + SLACK_BYTES


def _prompt_tokens(windows: int) -> int:
    return tokens_of(windows) + QUESTION_TOKENS


def _check_disk(home: Path, windows: int, needed: int) -> None:
    free = shutil.disk_usage(home).free
    if needed > free:
        raise DoesNotFit(
            f"{tokens_of(windows):,} tokens take {readable_bytes(needed)} in {show(str(home))}, "
            f"{readable_bytes(free)} are free",
            "fewer --tokens, or LONGCTX_HOME on a larger disk",
        )


def _opened(
    stack: ExitStack, name: str, setup: EngineSetup, home: Path, windows: int, progress: ProgressLine
) -> Engine:
    """An engine of this machine, with the checkpoint and a store of its own; raises LongctxError."""
    progress.tell(0, "making the checkpoint")
    folder = needle_folder(home)
    with _told(home, HOME_HINT):
        store = stack.enter_context(own_store(home))
    made = replace(setup, model=str(folder), store=store, store_limit_bytes=_store_bytes(windows))
    progress.tell(0, "opening the engine")
    try:
        tokens = _prompt_tokens(windows) if name == VLLM else made.context_tokens
        return stack.enter_context(open_engine(name, replace(made, context_tokens=tokens)))
    except DoesNotFit as error:
        raise DoesNotFit(str(error), "; ".join(filter(None, ["fewer --tokens", error.hint]))) from error


def _fitting(tokens: int, engine: Engine) -> int:
    """The windows of so many tokens that the open engine has room for."""
    if not isinstance(engine, CompatibleEngine):
        return _windows(tokens, engine.limits().context_tokens)
    if not engine.server.takes_ids:
        raise EngineError(
            f"{show(engine.server.base)} takes no token ids, and only ids can end with the word that is asked for",
            "vLLM, SGLang, llama.cpp and longctx engine serve take them",
        )
    return _windows(tokens, engine.limits().context_tokens, "a server with a longer context")


def _windows(tokens: int, limit: int | None, hint: str = "") -> int:
    """The full windows in `tokens`: one fewer where the limit leaves no room for the question. Raises DoesNotFit."""
    if limit is None:
        return tokens // WINDOW_TOKENS
    if tokens > limit or limit < WINDOW_TOKENS + QUESTION_TOKENS:
        fits = max(limit - QUESTION_TOKENS, 0) // WINDOW_TOKENS * WINDOW_TOKENS
        raise DoesNotFit(
            f"{tokens:,} tokens of text and a question do not fit: the engine takes {limit:,}",
            f"--tokens {fits}" if fits else hint,
        )
    return min(tokens, limit - QUESTION_TOKENS) // WINDOW_TOKENS


def _another_model(engine: Engine) -> str:
    """What is to be said where a server's model can't well be the checkpoint, nothing where it can."""
    if not isinstance(engine, CompatibleEngine) or PREFIX in engine.server.model:
        return ""
    named = f"the server's model is called {engine.server.model}"
    return f"{named}: only the checkpoint that --write writes ({PREFIX}…) can find facts"


def _text(order: Order, tokens: int, tokenizer: Tokenizer, progress: ProgressLine) -> Text:
    progress.tell(0, f"tokenising {tokens:,} tokens of text")
    if not order.files:
        tokenizer.expect_much()
        return gathered(standard_library(tokenizer), tokens, LIBRARY)
    with _pieces(order.files, quiet=order.quiet) as pieces:
        return gathered(pieces, tokens, ", ".join(order.files))


@contextmanager
def _pieces(files: Sequence[str], *, quiet: bool) -> "Iterator[Iterator[Sequence[int]]]":
    """The ids of each text of these files, read as any corpus is."""
    with Chosen(quiet=quiet).corpus(list(files), index=False) as (corpus, _):
        yield (corpus.tokens.get(*entry.key) or () for entry in corpus.current)


class Findings:
    """What comes of a test as it goes on; it is saved after every length, so that nothing can lose all of it."""

    def __init__(self, subject: Subject, files: Places, progress: ProgressLine) -> None:
        self._subject = subject
        self._files = files
        self._progress = progress
        self._asked = list[Asked]()
        self._said = dict[str, None]()
        self._questions = 0

    def follow(self, events: Iterator[SelftestEvent]) -> Ended:
        """The end of it; raises LongctxError where it is broken off before the first answer."""
        failure: LongctxError | None = None
        try:
            for event in events:
                self._take(event)
        except KeyboardInterrupt:
            failure = Interrupted("interrupted; what was found is kept" if self._asked else "interrupted")
        except LongctxError as error:
            failure = error
        if failure is not None and not self._asked:
            raise failure
        result = self._result("" if failure is None else str(failure))
        return Ended(result, failure, self._unsaved(result))

    def say(self, message: str) -> None:
        """Tell it, once, and keep it with the result."""
        if message and message not in self._said:
            self._progress.say(f"longctx: {show(message)}")
            self._said[message] = None

    def _take(self, event: SelftestEvent) -> None:
        match event:
            case Started():
                self._questions = event.questions
            case Reading():
                asking = f"question {len(self._asked) + 1} of {self._questions}"
                over = f"{counted(event.length, 'window')} ({tokens_of(event.length):,} tokens)"
                self._progress.tell(event.done, f"{asking} over {over}: {event.done:,} tokens read", event.total)
            case Said():
                self.say(event.message)
            case Asked():
                self._asked.append(event)
            case Through() if len(self._asked) < self._questions:
                self.say(str(self._unsaved(self._result(UNFINISHED)) or ""))

    def _result(self, stopped: str) -> Result:
        return Result(self._subject, tuple(self._asked), tuple(self._said), stopped=stopped)

    def _unsaved(self, result: Result) -> LongctxError | None:
        try:
            save(result, self._files)
        except LongctxError as error:
            return error
        return None
