"""An engine's run as a user sees it: the text on stdout as it comes, what it took on stderr, or one JSON document."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from longctx.commands.output import open_output, outputs_are_one, stdout_is_tty
from longctx.counted import counted
from longctx.errors import EngineError

if TYPE_CHECKING:
    from longctx.completion import Delta
    from longctx.engines.base import EngineEvent, Finished, Prefilled
    from longctx.narration import ProgressLine


def write(events: "Iterator[Delta | EngineEvent]", engine: str, *, as_json: bool, quiet: bool) -> None:
    """The text on stdout as it comes, or all in one JSON document; on stderr a line on what it took."""
    from longctx.narration import ProgressLine

    with (
        open_output(None) as stream,
        ProgressLine(quiet=quiet, quiet_for_s=0) as progress,
        Answer(None if as_json else stream) as answer,
    ):
        written = _follow(events, answer, progress)
        if as_json:
            stream.write(json.dumps(_json(written, engine), indent=2) + "\n")
        _say(summary(written.finished), answer, progress)


def _follow(events: "Iterator[Delta | EngineEvent]", answer: "Answer", progress: "ProgressLine") -> "Written":
    from ingest.naming import show
    from longctx.completion import Delta
    from longctx.engines.base import Finished, Prefilled, Warned

    deltas: list[Delta] = []
    warnings: list[str] = []
    for event in events:
        match event:
            case Delta():
                deltas.append(event)
                answer.put(event.text)
                if not answer.is_shown:
                    progress.tell(len(deltas), f"answering: {counted(len(deltas), 'token')}")
            case Prefilled() if not deltas:
                _tell(event, progress)
            case Warned(message):
                warnings.append(message)
                _say(f"longctx: {show(message)}", answer, progress)
            case Finished():
                return Written(deltas, warnings, event)
    raise EngineError("the engine stopped without saying why", "try again with --no-cache")


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a run."""

    deltas: "list[Delta]"
    warnings: list[str]
    finished: "Finished"


class Answer(AbstractContextManager["Answer"]):
    """Text on a stream as it comes, or nowhere; on a terminal without control characters, and the last line is ended.

    Where what is said on stderr goes to the same place, it begins on a line of its own.
    """

    def __init__(self, stream: IO[str] | None) -> None:
        self.is_shown = stream is not None
        self._stream = stream
        self._terminal = stdout_is_tty()
        self._shared = outputs_are_one()
        self._is_open = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal or error is not None:
            self.end_line()

    def put(self, text: str) -> None:
        """Show text at once."""
        from ingest.naming import safe_text

        if self._stream is not None and text:
            self._stream.write(safe_text(text) if self._terminal else text)
            self._stream.flush()
            self._is_open = not text.endswith("\n")

    def end_line(self) -> None:
        """Begin a new line, unless the text alone goes to where it goes."""
        if self._is_open and (self._terminal or self._shared):
            self.put("\n")


def _say(line: str, answer: Answer, progress: "ProgressLine") -> None:
    if not progress.quiet:
        answer.end_line()
        progress.say(line)


def _tell(event: "Prefilled", progress: "ProgressLine") -> None:
    """How far the prompt is; nothing any more when it is read."""
    if event.done < event.total:
        progress.tell(event.done, f"reading: {event.done:,} of {event.total:,} tokens", event.total)
    else:
        progress.stop()


def summary(finished: "Finished") -> str:
    """What a run took, in one line."""
    from longctx.completion import speeds

    prefill, decode = speeds(finished)
    skipped = f"; sparse attention left out at most {finished.skipped_mass:.1%}" if finished.skipped_mass else ""
    return (
        f"{counted(finished.prompt_tokens, 'prompt token')}, {finished.cached_tokens:,} cached,"
        f" prefill {_rate(prefill)}; {counted(finished.answer_tokens, 'token')} ({finished.reason}),"
        f" decode {_rate(decode)}{skipped}"
    )


def _rate(tokens_per_s: float | None) -> str:
    return "-" if tokens_per_s is None else f"{tokens_per_s:,.{1 if tokens_per_s < 100 else 0}f} tokens/s"


def _json(written: "Written", engine: str) -> dict[str, Any]:
    from dataclasses import asdict

    from longctx.completion import speeds

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
