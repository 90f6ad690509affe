"""What the first line says: what is open, who answers, what is going on. Pure: values in, text out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from textual.content import Content

from ingest.naming import show
from longctx.backend.replies import CorpusOpened, EngineOpened, Planned, ReadingFiles, SessionIs
from tui.marks import short
from tui.turn_facts import is_extracted

PROGRAM = "longctx"
NOTHING = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is to be said; empty where there is nothing yet."""

    corpus: str = ""
    session: str = ""
    engine: str = ""
    doing: str = "starting"


def first_line(status: Status, width: int) -> Content:
    """`longctx  corpus ▸ session            engine · doing`; what does not fit is cut."""
    room = max(0, width - len(PROGRAM) - 3)
    doing = _cut(status.doing, room)
    engine = _cut(_line(status.engine), max(0, room // 2 - Content(doing).cell_length))
    right = " · ".join(part for part in (engine, doing) if part)
    room -= Content(right).cell_length
    left = _cut(" ▸ ".join(part for part in (_line(status.corpus), _line(status.session)) if part), room)
    content = Content.assemble((PROGRAM, "bold $text-accent"), "  " * bool(left), (left, "$text"))
    gap = max(1, width - content.cell_length - Content(right).cell_length)
    return Content.assemble(content, " " * gap, (right, "$text-muted"))


def _line(text: str) -> str:
    return show(" ".join(text.split()))


def _cut(text: str, cells: int) -> str:
    """The text in at most so many cells."""
    content = Content(text)
    if content.cell_length <= cells:
        return text
    return content.truncate(cells, ellipsis=True).plain if cells > 1 else NOTHING[:cells]


def reading_words(reading: ReadingFiles) -> str:
    """`reading 41 of 120`."""
    of = f" of {reading.total:,}" if reading.total is not None else ""
    return f"{reading.doing} {reading.done:,}{of}"


def engine_words(engine: EngineOpened) -> str:
    """`scout Llama-4-Scout`, `openai qwen at http://127.0.0.1:8000/v1`."""
    model = engine.model.rstrip("/").rpartition("/")[2]
    return " ".join(part for part in (engine.name, model if model != engine.name else "") if part)


def plan_lines(corpus: CorpusOpened | None, engine: EngineOpened | None, planned: Planned | None) -> Iterator[str]:
    """What a question sends, and whether it fits."""
    if corpus is None:
        yield "nothing is read yet"
        return
    stale = f", {short(corpus.stale)} of them out of date" if corpus.stale else ""
    yield f"corpus: {corpus.files:,} files, {corpus.tokens:,} tokens{stale}; {corpus.skipped:,} left out"
    if engine is not None:
        yield _fit(corpus, engine)
    if planned is not None:
        limit = f" of {planned.limit_tokens:,}" if planned.limit_tokens else ""
        yield f"the last question: {planned.prompt_tokens:,}{limit} tokens, {planned.mode}"


def _fit(corpus: CorpusOpened, engine: EngineOpened) -> str:
    name = engine_words(engine)
    if engine.name == "evidence":
        return f"{show(name)}: quotes what search finds; no model reads it"
    if engine.context_tokens is None:
        return f"{show(name)}: it does not say what fits"
    free = engine.context_tokens - corpus.tokens
    fits = f"all of it fits, {free:,} are free" if free > 0 else "a question reads what bears on it"
    return f"{show(name)}: {engine.context_tokens:,} tokens fit; {fits}"


def token_lines(planned: Planned | None, answer: Mapping[str, Any] | None, session: SessionIs | None) -> Iterator[str]:
    """What the last question's prompt was made of, and what its answer took; `answer` is its JSON form."""
    if planned is not None:
        yield _prompt_line(planned)
    if answer is not None:
        yield _answer_line(answer)
    if planned is None and answer is None:
        yield "no question was asked yet"
    elif session is not None:
        yield f"session {session.id}: {session.turns} turn{'s' * (session.turns != 1)}; ctrl+n begins a new one"


def _prompt_line(planned: Planned) -> str:
    rest = planned.prompt_tokens - planned.corpus_tokens - planned.recap_tokens - planned.conversation_tokens
    return (
        f"prompt: {planned.prompt_tokens:,} tokens = corpus {planned.corpus_tokens:,} + "
        f"conversation {planned.conversation_tokens:,} + passages {planned.recap_tokens:,} + rest {rest:,}"
    )


def _answer_line(answer: Mapping[str, Any]) -> str:
    tokens = answer.get("tokens")
    tokens = tokens if isinstance(tokens, Mapping) else {}
    counts = {name: count for name, count in tokens.items() if isinstance(count, int)}
    if is_extracted(answer):
        return "the last answer: quotations found by search, no model read anything"
    if not counts.get("prompt"):
        return "the last answer: its engine did not count tokens"
    cached = f"{counts['cached']:,} of them cached" if "cached" in counts else "cache: not reported"
    return (
        f"the last answer: {counts['prompt']:,} prompt tokens, {cached}; {counts.get('output', 0):,} tokens of answer"
    )
