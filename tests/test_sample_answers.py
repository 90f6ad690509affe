"""The sample questions, asked through the whole program: the places it cites are those where the answers stand."""

import json
from pathlib import Path
from typing import Any

import pytest

import longctx
from ingest.document import Document
from longctx.answer import Answer, to_json

SAMPLES = Path(__file__).parent.parent / "sample_corpora"
ROWS = [json.loads(line) for line in (SAMPLES / "questions.jsonl").read_text("utf-8").splitlines()]


def cites(citation: dict[str, Any], row: dict[str, Any]) -> bool:
    if citation["path"] != row["path"] or (row["page"] and citation["page"] != row["page"]):
        return False
    if row["lines"] is None:
        return True
    return bool(citation["lines"][0] <= row["lines"][1] and citation["lines"][1] >= row["lines"][0])


@pytest.mark.parametrize(("corpus", "first", "in_three"), [("repository", 0.5, 0.7), ("library", 0.75, 0.85)])
def test_most_sample_questions_are_answered_at_their_place(corpus: str, first: float, in_three: float) -> None:
    pytest.importorskip("unstructured")
    rows = [row for row in ROWS if row["corpus"] == corpus and row.get("answerable", True)]
    with longctx.open(SAMPLES / corpus) as opened:
        answers = [to_json(opened.ask(row["question"])) for row in rows]
    hits = [[cites(c, row) for c in answer["citations"]] for row, answer in zip(rows, answers, strict=True)]
    assert sum(any(each[:1]) for each in hits) >= first * len(rows)
    assert sum(any(each[:3]) for each in hits) >= in_three * len(rows)


def test_every_citation_is_verified_and_stands_where_it_says() -> None:
    rows = [row for row in ROWS if row["corpus"] == "repository"]
    with longctx.open(SAMPLES / "repository") as opened:
        answers: list[Answer] = [opened.ask(row["question"]) for row in rows]
    citations = [citation for answer in answers for citation in answer.citations]
    assert len(citations) > 30
    for citation in citations:
        text = (SAMPLES / "repository" / citation.path).read_text("utf-8")
        assert citation.status == "verified" and citation.chars is not None and citation.lines is not None
        assert text[slice(*citation.chars)] == citation.quote
        assert Document(text, citation.kind).anchor(*citation.chars).lines == citation.lines


def test_what_the_samples_do_not_answer_is_mostly_declined() -> None:
    declined = 0
    for corpus in ("repository", "library"):
        rows = [row for row in ROWS if row["corpus"] == corpus and not row.get("answerable", True)]
        with longctx.open(SAMPLES / corpus) as opened:
            declined += sum(not opened.ask(row["question"]).found for row in rows)
    assert declined >= 3
