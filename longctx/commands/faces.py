"""The events of an answer as a person or a program reads them: text as it comes, JSON lines, or nothing until the end.

stdout is the answer; progress, notices and figures go to stderr. Whatever comes from a model or a document is made safe
first, also where it goes into a file, which somebody will show on a terminal. Only JSON has it as it came.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

from ingest.naming import safe_text, show
from longctx.commands.pulse import Pulse
from longctx.counted import counted
from longctx.durations import duration
from longctx.events import ROLLED, Answered, CitationResolved, Notice, Planned, PrefillProgress, Stepped, TextDelta

if TYPE_CHECKING:
    from longctx.answer import Answer, Reading
    from longctx.events import AnswerEvent
    from longctx.narration import ProgressLine
    from longctx.session import Session

UNREAD_SHOWN = 3


class Face(Protocol):
    """Shows the events of one question after another."""

    def tell(self, event: "AnswerEvent") -> None: ...


class Progress(AbstractContextManager["Progress"]):
    """How far an engine is with reading, on stderr: its own word, or a guess from how fast it was before."""

    def __init__(self, line: "ProgressLine") -> None:
        self._line = line
        self._pulse = Pulse(self._beat)
        self._planned: Planned | None = None
        self._told = False
        self._doing = ""
        self._begun_s = time.monotonic()

    def __enter__(self) -> Self:
        self._pulse.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pulse.__exit__(kind, error, trace)
        self._line.stop()

    def tell(self, event: "AnswerEvent") -> None:
        """Show what concerns progress and notices; nothing more once the answer has begun."""
        with self._pulse.lock:
            match event:
                case Planned():
                    self._planned, self._told, self._begun_s = event, False, time.monotonic()
                    self._say_plan(event)
                    self._beat()
                case Stepped(done, total, what):
                    self._begin(f"call {done + 1:,} of {total:,}: {what}")
                    self._line.say(self._doing)
                case PrefillProgress() if self._planned or self._doing:
                    self._told = bool(self._planned) or event.done < event.total
                    self._show(event)
                case Notice(message):
                    self._line.say(f"longctx: {show(message)}")
                case TextDelta() | Answered():
                    self.end()
            self._pulse.shown()

    def say(self, line: str) -> None:
        """One line that stays."""
        with self._pulse.lock:
            self._line.say(line)

    @contextmanager
    def during(self, doing: str) -> Iterator[None]:
        """Show that something is being done while the block runs, and for how long by now."""
        self._begin(doing)
        self._pulse.shown()
        try:
            yield
        finally:
            self.end()

    def end(self) -> None:
        """Nothing is on its way any more, however it ended."""
        with self._pulse.lock:
            self._planned, self._doing = None, ""
            self._line.stop()

    def _begin(self, doing: str) -> None:
        self._doing, self._told, self._begun_s = doing, False, time.monotonic()

    def _say_plan(self, planned: Planned) -> None:
        for line in plan_lines(planned):
            self._line.say(line)

    def _show(self, event: PrefillProgress) -> None:
        cached = f", {event.cached:,} cached" if event.cached else ""
        self._line.tell(
            event.done, f"reading: {event.done:,} of {event.total:,} tokens{cached}{self._left(event)}", event.total
        )

    def _left(self, event: PrefillProgress) -> str:
        """`, 3 min left`, from the engine's own progress."""
        computed, elapsed = event.done - event.cached, time.monotonic() - self._begun_s
        if computed <= 0 or elapsed < 1 or event.done >= event.total:
            return ""
        return f", {duration((event.total - event.done) * elapsed / computed)} left"

    def _beat(self) -> None:
        elapsed = time.monotonic() - self._begun_s
        if self._doing and not self._told:
            self._line.tell(0, f"{self._doing}: {duration(elapsed)}")
        if self._planned is None or self._told:
            return
        total, rate = self._planned.prompt_tokens, self._planned.prefill_tokens_per_s
        if not rate:
            self._line.tell(0, f"waiting for the first word: {total:,} tokens sent, {duration(elapsed)}")
            return
        done, needed = min(total, int(elapsed * rate)), total / rate
        known = f"of about {duration(needed)} (estimated)" if elapsed <= needed else "longer than estimated"
        self._line.tell(done, f"waiting for the first word: {duration(elapsed)} {known}", total)


class TextFace:
    """The answer as Markdown on a stream as it comes, its footnotes after it; figures on stderr."""

    def __init__(self, stream: IO[str], progress: Progress, ending: "Callable[[Answer], None]") -> None:
        self._stream = stream
        self._progress = progress
        self._ending = ending
        self._is_open = False

    def tell(self, event: "AnswerEvent") -> None:
        """Show an event."""
        if isinstance(event, Notice | Answered):
            self.end_line()
        self._progress.tell(event)
        match event:
            case TextDelta(text):
                self._put(text)
            case Answered(answer):
                self._ending(answer)

    def _put(self, text: str) -> None:
        self._stream.write(safe_text(text))
        self._stream.flush()
        self._is_open = not text.endswith("\n") if text else self._is_open

    def end_line(self) -> None:
        """Begin a new line where the text has not."""
        if self._is_open:
            self._put("\n")


class LinesFace(AbstractContextManager["LinesFace"]):
    """Events as JSON, one a line, at least one every 2 s."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._pulse = Pulse(self._beat)
        self._begun_s = time.monotonic()

    def __enter__(self) -> Self:
        self._pulse.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pulse.__exit__(kind, error, trace)

    def tell(self, event: "AnswerEvent") -> None:
        """Write an event."""
        for fields in _fields(event):
            self.write(fields)

    def write(self, fields: dict[str, Any]) -> None:
        """Write one line."""
        with self._pulse.lock:
            self._stream.write(json.dumps(fields) + "\n")
            self._stream.flush()
            self._pulse.shown()

    def _beat(self) -> None:
        self.write({"event": "heartbeat", "elapsed_s": round(time.monotonic() - self._begun_s, 1)})


class LastFace:
    """Nothing on stdout until the answer is there; then what `ending` makes of it."""

    def __init__(self, progress: Progress, ending: "Callable[[Answer], None]") -> None:
        self._progress = progress
        self._ending = ending

    def tell(self, event: "AnswerEvent") -> None:
        """Show progress, and the answer at the end."""
        self._progress.tell(event)
        if isinstance(event, Answered):
            self._ending(event.answer)


def write_json(answer: "Answer", stream: IO[str], indent: int | None = None) -> None:
    """An answer as one JSON document, on one line unless it is to be indented."""
    from longctx.answer import to_json

    stream.write(json.dumps(to_json(answer), indent=indent) + "\n")
    stream.flush()


def _fields(event: "AnswerEvent") -> Iterator[dict[str, Any]]:
    from dataclasses import asdict

    from longctx.answer import citation_json, to_json

    match event:
        case Planned():
            yield {"event": "plan", **asdict(event)}
        case Stepped():
            yield {"event": "step", **asdict(event)}
        case PrefillProgress():
            yield {"event": "prefill_progress", **asdict(event)}
        case TextDelta(text):
            yield {"event": "delta", "text": text}
        case CitationResolved(citation):
            yield {"event": "citation", **citation_json(citation)}
        case Notice(message):
            yield {"event": "warning", "message": message}
        case Answered(answer):
            if not answer.raw:  # what only quotes has told nothing until now
                yield from ({"event": "citation", **citation_json(each)} for each in answer.citations)
            yield {"event": "result", **to_json(answer)}


def plan_lines(planned: Planned) -> Iterator[str]:
    """What is about to be sent, and what of the corpus is not."""
    yield reading_line(planned.reading, planned.prompt_tokens)
    if planned.rolled:
        yield f"longctx: {ROLLED}"


def reading_line(reading: "Reading", prompt_tokens: int) -> str:
    """`reading 118,032 of 3,204,118 tokens (4 %), 31 documents left out: a.py, b.py, c.py and 28 more`."""
    if reading.mode == "full":
        return f"reading all {reading.corpus_tokens:,} tokens ({prompt_tokens:,} with the question)"
    share = reading.read_tokens / max(1, reading.corpus_tokens)
    line = f"reading {reading.read_tokens:,} of {reading.corpus_tokens:,} tokens ({share:.0%})"
    for manner, paths in (("left out", reading.unread), ("read in part", reading.partly)):
        if paths:
            more = f" and {len(paths) - UNREAD_SHOWN:,} more" if len(paths) > UNREAD_SHOWN else ""
            count = f"{len(paths):,} document{'s' * (len(paths) != 1)}"
            line += f"; {count} {manner}: {', '.join(map(show, paths[:UNREAD_SHOWN]))}{more}"
    return line


def ending_lines(answer: "Answer", session: "Session | None") -> Iterator[str]:
    """What is said after an answer: what a reader must know of it, what it took, how the session goes on."""
    if answer.notice:
        yield answer.notice
    if answer.reading is None:
        return
    yield stats_line(answer)
    if session is not None:
        yield f'session {session.id}: longctx ask -c "…" goes on with it'


def stats_line(answer: "Answer") -> str:
    """What an answer took and how well it is cited, in one line."""
    tokens, timing = answer.tokens, answer.timing
    parts = [f"{tokens['prompt']:,} prompt tokens{_cached(answer)}"]
    if "ttft_s" in timing:
        parts.append(f"first word after {duration(timing['ttft_s'])}")
    rate = timing.get("decode_tokens_per_s")
    parts.append(counted(tokens["output"], "token") + (f" at {rate:,.0f}/s" if rate else ""))
    return "; ".join([*parts, citations_text(answer)])


def _cached(answer: "Answer") -> str:
    """How much of the prompt was not read again; nothing for an answer that broke off before that was known."""
    if "cached" in answer.tokens:
        return f" ({answer.tokens['cached'] / max(1, answer.tokens['prompt']):.0%} cached)"
    return " (cached: not reported)" if answer.ending in ("stop", "length") else ""


def citations_text(answer: "Answer") -> str:
    """`4 citations: 3 verified, 1 unverified; 5 of 6 sentences cited`."""
    from collections import Counter

    states = Counter(str(citation.status) for citation in answer.citations)
    text = counted(len(answer.citations), "citation") if answer.citations else "no citations"
    if states:
        text += ": " + ", ".join(f"{count} {state}" for state, count in states.items())
    covered = answer.coverage
    if covered is None or not covered.sentences:
        return text
    return f"{text}; {covered.cited} of {counted(covered.sentences, 'sentence')} cited"
