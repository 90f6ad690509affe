"""An answer and its JSON form, `longctx.answer/1`. Fields are only ever added to that schema."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from ingest.outcome import Status
from longctx.citations import Citation
from longctx.corpora import FileRecord
from longctx.engines.base import Identity
from longctx.files import cost

SCHEMA = "longctx.answer/1"


@dataclass(frozen=True, slots=True)
class CorpusSummary:
    """What was read for an answer, every file that was not, and what is to be said of those that were."""

    id: str
    files: int
    tokens: int
    skipped: tuple[tuple[str, str, str], ...]
    partly: tuple[tuple[str, str, str], ...]
    remarks: tuple[tuple[str, str, str], ...] = ()


class Ending(StrEnum):
    """Why an answer ended; only the first is a whole answer."""

    STOP = "stop"
    LENGTH = "length"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class Mode(StrEnum):
    """How much of a corpus is sent: all of it, or the parts that bear most on the question within a limit."""

    FULL = "full"
    FOCUS = "focus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a model was given of a corpus, in tokens; `unread` are the paths of which it had nothing, `partly` those of
    which it had a part."""

    mode: Mode
    read_tokens: int
    corpus_tokens: int
    unread: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of an answer is cited: sentences that state something, those with a citation, those with a verified
    one."""

    sentences: int
    cited: int
    verified: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine said to a question. `notice` is what a reader must know of how it was made.

    `answer_markdown` has footnote marks where `raw`, what the model wrote, has citations of its own grammar.
    `tokens` has no "cached" where the engine reports none; `error` is why an answer failed on its way; `calls` is how
    often the engine was asked, whose tokens are sums.

    Where JSON was asked for, the answer `is_structured`: `value` obeys the schema, or is None where the documents do
    not hold it; `invalid` is why there is no such value.
    """

    question: str
    found: bool
    answer_markdown: str
    citations: tuple[Citation, ...]
    engine: Identity
    corpus: CorpusSummary
    notice: str = ""
    question_id: str | None = None
    tokens: Mapping[str, int] = field(default_factory=dict)
    timing: Mapping[str, float] = field(default_factory=dict)
    raw: str = ""
    ending: Ending = Ending.STOP
    error: str = ""
    reading: Reading | None = None
    coverage: Coverage | None = None
    warnings: tuple[str, ...] = ()
    session: str | None = None
    calls: int = 1
    is_structured: bool = False
    value: Any = None
    invalid: str = ""

    @property
    def id(self) -> str:
        """Names what was asked and answered; equal answers of one corpus have equal ids."""
        named = "\0".join([self.corpus.id, self.engine.kind, self.question, self.answer_markdown])
        return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def summarise(corpus: str, files: Mapping[str, FileRecord]) -> CorpusSummary:
    """What was read and what was left out, from the corpus's files."""
    outcomes = [record.outcome for record in files.values()]
    skipped = tuple((o.path, str(o.status), o.detail) for o in outcomes if not o.status.has_text)
    partly = tuple((o.path, str(o.status), o.detail) for o in outcomes if o.status is Status.PARTLY_READ)
    tokens = sum(cost(record) for record in files.values())
    remarks = tuple((o.path, str(o.status), o.detail) for o in outcomes if o.status is Status.READ and o.detail)
    return CorpusSummary(corpus, len(outcomes) - len(skipped), tokens, skipped, partly, remarks)


def to_json(answer: Answer) -> dict[str, Any]:
    """The answer as plain JSON values, `longctx.answer/1`."""
    fields: dict[str, Any] = {
        "schema": SCHEMA,
        "id": answer.id,
        "question": answer.question,
        "found": answer.found,
        "answer_markdown": answer.answer_markdown,
        "citations": [citation_json(citation) for citation in answer.citations],
        "notice": answer.notice,
        "tokens": dict(answer.tokens),
        "timing": {name: round(seconds, 3) for name, seconds in answer.timing.items()},
        "engine": _engine(answer),
        "corpus": corpus_json(answer.corpus),
        "ending": str(answer.ending),
        "coverage": asdict(answer.coverage) if answer.coverage else None,
        "reading": _reading(answer.reading) if answer.reading else None,
        "warnings": list(answer.warnings),
        "session": answer.session,
        "calls": answer.calls,
    }
    if answer.raw:
        fields["raw"] = answer.raw
    if answer.error:
        fields["error"] = answer.error
    if answer.is_structured:
        fields["value"] = answer.value
    if answer.invalid:
        fields["invalid"] = answer.invalid
    return fields if answer.question_id is None else {"question_id": answer.question_id, **fields}


def corpus_json(corpus: CorpusSummary) -> dict[str, Any]:
    """What was read and what was left out, as plain JSON values."""
    return {
        "id": corpus.id,
        "files": corpus.files,
        "tokens": corpus.tokens,
        "skipped": [_skip(*row) for row in corpus.skipped],
        "partly_read": [_skip(*row) for row in corpus.partly],
        "remarks": [_skip(*row) for row in corpus.remarks],
    }


def citation_json(citation: Citation) -> dict[str, Any]:
    """A citation as plain JSON values."""
    return {
        "n": citation.n,
        "status": str(citation.status),
        "path": citation.path,
        "page": citation.page,
        "lines": list(citation.lines) if citation.lines else None,
        "chars": list(citation.chars) if citation.chars else None,
        "quote": citation.quote,
        "sha256": citation.sha256,
        "place": citation.place,
        "kind": str(citation.kind),
        "name": citation.name,
        "also": list(citation.also),
        "document_id": citation.document_id or None,
        "claim": citation.claim,
        "share": round(citation.share, 3),
        "is_current": citation.is_current,
    }


def _engine(answer: Answer) -> dict[str, Any]:
    return {name: text for name, text in asdict(answer.engine).items() if text}


def _reading(reading: Reading) -> dict[str, Any]:
    return {
        "mode": str(reading.mode),
        "read_tokens": reading.read_tokens,
        "corpus_tokens": reading.corpus_tokens,
        "unread": list(reading.unread),
        "partly": list(reading.partly),
    }


def _skip(path: str, reason: str, detail: str) -> dict[str, str]:
    return {"path": path, "reason": reason, "detail": detail}
