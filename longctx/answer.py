"""An answer and its JSON form, `longctx.answer/1`. Fields are only ever added to that schema."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest.outcome import Status
from longctx.citations import Citation
from longctx.corpora import FileRecord
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


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine said to a question. `notice` is what a reader must know of how it was made."""

    question: str
    found: bool
    answer_markdown: str
    citations: tuple[Citation, ...]
    engine: str
    corpus: CorpusSummary
    notice: str = ""
    question_id: str | None = None
    tokens: Mapping[str, int] = field(default_factory=dict)
    timing: Mapping[str, float] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Names what was asked and answered; equal answers of one corpus have equal ids."""
        named = "\0".join([self.corpus.id, self.engine, self.question, self.answer_markdown])
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
        "citations": [_citation(citation) for citation in answer.citations],
        "notice": answer.notice,
        "tokens": dict(answer.tokens),
        "timing": {name: round(seconds, 3) for name, seconds in answer.timing.items()},
        "engine": {"kind": answer.engine},
        "corpus": corpus_json(answer.corpus),
    }
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


def _citation(citation: Citation) -> dict[str, Any]:
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
    }


def _skip(path: str, reason: str, detail: str) -> dict[str, str]:
    return {"path": path, "reason": reason, "detail": detail}
