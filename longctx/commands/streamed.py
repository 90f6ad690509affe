"""An engine's run as a user sees it: the text on stdout as it comes, what it took on stderr, or one JSON document."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import typer

from longctx.commands.output import open_output, stdout_is_terminal
from longctx.errors import EngineError

if TYPE_CHECKING:
    from longctx.completion import Delta
    from longctx.engines.base import EngineEvent, Finished, Prefilled
    from longctx.narration import Narrator


def write(events: "Iterator[Delta | EngineEvent]", engine: str, *, as_json: bool, quiet: bool) -> None:
    """The text on stdout as it comes, or all in one JSON document; on stderr a line on what it took."""
    from longctx.narration import Narrator

    with open_output(None) as stream, Narrator(quiet=quiet) as narrator:
        written = _follow(events, None if as_json else stream, narrator, tell=not quiet and sys.stderr.isatty())
        if as_json:
            stream.write(json.dumps(_json(written, engine), indent=2) + "\n")
        narrator.say(summary(written.finished))


def _follow(
    events: "Iterator[Delta | EngineEvent]", stream: IO[str] | None, narrator: "Narrator", *, tell: bool
) -> "Written":
    from ingest.naming import show
    from longctx.completion import Delta
    from longctx.engines.base import Finished, Prefilled, Warned

    deltas: list[Delta] = []
    warnings: list[str] = []
    with _shown_on(stream) as put:
        for event in events:
            match event:
                case Delta():
                    deltas.append(event)
                    put(event.text)
                case Prefilled() if tell:
                    _progress(event)
                case Warned(message):
                    warnings.append(message)
                    narrator.say(f"longctx: {show(message)}")
                case Finished():
                    return Written(deltas, warnings, event)
    raise EngineError("the engine stopped without saying why", "try again with --no-cache")


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a run."""

    deltas: "list[Delta]"
    warnings: list[str]
    finished: "Finished"


@contextmanager
def _shown_on(stream: IO[str] | None) -> Iterator[Callable[[str], None]]:
    """A function that shows text at once; on a terminal without control characters, and the last line is ended."""
    from ingest.naming import safe_text

    terminal = stdout_is_terminal()

    def put(text: str) -> None:
        if stream is not None and text:
            stream.write(safe_text(text) if terminal else text)
            stream.flush()

    try:
        yield put
    finally:
        if terminal:
            put("\n")


def _progress(event: "Prefilled") -> None:
    """How far the prompt is, over itself on a terminal; gone when it is read."""
    line = "" if event.done >= event.total else f"reading: {event.done:,} of {event.total:,} tokens"
    typer.echo(f"\r\x1b[K{line}", nl=False, err=True)


def summary(finished: "Finished") -> str:
    """What a run took, in one line."""
    prefill, decode = speeds(finished)
    skipped = f"; sparse attention left out at most {finished.skipped_mass:.1%}" if finished.skipped_mass else ""
    return (
        f"{finished.prompt_tokens:,} prompt tokens, {finished.cached_tokens:,} cached, prefill {_rate(prefill)};"
        f" {finished.answer_tokens:,} tokens ({finished.reason}), decode {_rate(decode)}{skipped}"
    )


def speeds(finished: "Finished") -> tuple[float | None, float | None]:
    """Tokens a second of prefill, those from the store not counted, and of decode; None where nothing was done."""
    computed = finished.prompt_tokens - finished.cached_tokens
    prefill = computed / finished.prefill_s if computed and finished.prefill_s > 0 else None
    decode = finished.answer_tokens / finished.decode_s if finished.answer_tokens and finished.decode_s > 0 else None
    return prefill, decode


def _rate(tokens_per_s: float | None) -> str:
    return "-" if tokens_per_s is None else f"{tokens_per_s:,.{1 if tokens_per_s < 100 else 0}f} tokens/s"


def _json(written: "Written", engine: str) -> dict[str, Any]:
    from dataclasses import asdict

    prefill, decode = speeds(written.finished)
    return {
        "schema": "longctx.completion/1",
        "text": "".join(delta.text for delta in written.deltas),
        "ids": [delta.id for delta in written.deltas if delta.id is not None],
        **asdict(written.finished),
        "prefill_tokens_per_s": prefill,
        "decode_tokens_per_s": decode,
        "engine": engine,
        "warnings": written.warnings,
    }
