"""An answer read back from its JSON form, `longctx.answer/1`, as this program has written it down for itself."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from ingest.document import Kind
from longctx.answer import Answer, CorpusSummary, Coverage, Ending, Mode, Reading, to_json
from longctx.citations import Citation, CitationStatus
from longctx.engines.base import Identity

Value = TypeVar("Value", Coverage, Identity)


def from_json(row: Mapping[str, Any]) -> Answer:
    """The answer; raises ValueError where the JSON is no answer of ours."""
    try:
        return _answer(row)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not an answer: {error}") from error


def brief(answer: Answer) -> dict[str, Any]:
    """An answer's JSON form without the lists of files that every answer over a corpus has alike."""
    row = to_json(answer)
    return {**row, "corpus": {**row["corpus"], "skipped": [], "partly_read": [], "remarks": []}}


def _answer(row: Mapping[str, Any]) -> Answer:
    return Answer(
        question=row["question"],
        found=row["found"],
        answer_markdown=row["answer_markdown"],
        citations=tuple(_citation(each) for each in row["citations"]),
        engine=_known(Identity, row["engine"]),
        corpus=_corpus(row["corpus"]),
        notice=row["notice"],
        question_id=row.get("question_id"),
        tokens=row["tokens"],
        timing=row["timing"],
        raw=row.get("raw", ""),
        ending=Ending(row["ending"]),
        error=row.get("error", ""),
        reading=_reading(row["reading"]) if row["reading"] else None,
        coverage=_known(Coverage, row["coverage"]) if row["coverage"] else None,
        warnings=tuple(row["warnings"]),
        session=row["session"],
        calls=row["calls"],
    )


def _known(kind: type[Value], row: Mapping[str, Any]) -> Value:
    return kind(**{each.name: row[each.name] for each in fields(kind) if each.name in row})


def _corpus(row: Mapping[str, Any]) -> CorpusSummary:
    skipped, partly, remarks = (
        tuple((each["path"], each["reason"], each["detail"]) for each in row[name])
        for name in ("skipped", "partly_read", "remarks")
    )
    return CorpusSummary(row["id"], row["files"], row["tokens"], skipped, partly, remarks)


def _reading(row: Mapping[str, Any]) -> Reading:
    return Reading(
        mode=Mode(row["mode"]),
        read_tokens=row["read_tokens"],
        corpus_tokens=row["corpus_tokens"],
        unread=tuple(row["unread"]),
        partly=tuple(row["partly"]),
    )


def _citation(row: Mapping[str, Any]) -> Citation:
    lines, chars = row["lines"], row["chars"]
    return Citation(
        n=row["n"],
        status=CitationStatus(row["status"]),
        path=row["path"],
        page=row["page"],
        lines=(lines[0], lines[1]) if lines else None,
        chars=(chars[0], chars[1]) if chars else None,
        quote=row["quote"],
        sha256=row["sha256"],
        place=row["place"],
        kind=Kind(row["kind"]),
        name=row["name"],
        also=tuple(row["also"]),
        document_id=row["document_id"] or "",
        claim=row["claim"],
        share=row["share"],
        is_current=row["is_current"],
    )
