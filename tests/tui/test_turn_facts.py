"""What is said of an answer below it, and while it has not begun."""

from typing import Any

import pytest

from longctx.answer import Mode
from longctx.backend.replies import Planned, Prefill
from longctx.digest_answer import NOTICE
from tui.cited import citations_of, footnote, is_doubtful, state
from tui.fitting import one_line
from tui.turn_facts import Weight, facts
from tui.waiting import waiting

CITATION: dict[str, Any] = {
    "n": 1,
    "status": "verified",
    "path": "src/a.py",
    "page": None,
    "lines": [41, 88],
    "chars": [3, 9],
    "quote": "the words\nas they are",
    "sha256": "ab",
    "place": "src/a.py:41-88",
    "kind": "code",
    "name": "",
    "also": [],
    "document_id": None,
    "claim": "",
    "share": 1.0,
    "is_current": True,
}
ANSWER: dict[str, Any] = {
    "answer_markdown": "x [^1]",
    "citations": [CITATION, {**CITATION, "n": 2, "status": "near", "share": 0.914, "path": "b.md", "place": "b.md"}],
    "ending": "stop",
    "tokens": {"prompt": 1_420_118, "output": 212, "cached": 1_310_000},
    "timing": {"ttft_s": 4.1, "decode_tokens_per_s": 31.2},
    "coverage": {"sentences": 6, "cited": 5, "verified": 3},
    "reading": {"mode": "full", "read_tokens": 9, "corpus_tokens": 9},
}


def said(**fields: Any) -> list[str]:
    return [fact.text for fact in facts({**ANSWER, **fields})]


def test_what_it_took_and_how_it_is_cited() -> None:
    assert said() == [
        "2 sources · 1 verified, 1 near · 5 of 6 sentences cited",
        "1.42M prompt tokens, 92% cached · first word after 4.1 s · 212 tokens at 31/s",
    ]


def test_a_cache_that_is_not_reported_is_not_zero() -> None:
    lines = said(tokens={"prompt": 2000, "output": 1})
    assert "2.0K prompt tokens, cache: not reported" in lines[1]
    assert "not reported" not in " ".join(said(tokens={"prompt": 2000}, ending="failed"))


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"ending": "interrupted"}, "stopped by you: this is not the whole answer"),
        ({"ending": "failed", "error": "out of\nmemory"}, "failed: this is not the whole answer (out of memory)"),
        ({"ending": "length", "notice": "cut at 4,096 tokens"}, "cut at 4,096 tokens"),
        ({"ending": "[/red]"}, "not whole: [/red]"),
        ({"engine": {"kind": "evidence"}}, "no model wrote this: quotations found by search"),
        (
            {"engine": {"kind": "evidence"}, "notice": NOTICE},
            "no model wrote this: quotations chosen by their words and places",
        ),
        ({"warnings": ["\x1b[31m hot"]}, "␛[31m hot"),
    ],
)
def test_what_must_be_known_comes_first(fields: dict[str, Any], line: str) -> None:
    first = facts({**ANSWER, **fields})[0]
    assert (first.text, first.weight) == (line, Weight.WARNING)


def test_what_was_not_read_is_named() -> None:
    reading = {
        "mode": "focus",
        "read_tokens": 118_032,
        "corpus_tokens": 3_204_118,
        "unread": ["a\n.md", "b", "c", "d"],
        "partly": ["p"],
    }
    assert said(reading=reading)[-1] == (
        r"read 118K of 3.20M tokens · 4 documents left out: a\n.md, b, c and 1 more · 1 document read in part: p"
    )
    counted = said(reading={**reading, "unread_count": 3_000, "partly_count": 1})[-1]
    assert "3,000 documents left out: a\\n.md, b, c and 2,997 more · 1 document read" in counted


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"citations": "x"},
        {"citations": [None, 3, {"n": "x"}, {**CITATION, "lines": "no"}, {**CITATION, "status": "made up"}]},
        {"tokens": [1], "timing": {"ttft_s": float("inf")}, "coverage": {"cited": "x"}, "reading": {"read_tokens": -1}},
        {"ending": None, "warnings": {"a": 1}, "engine": 3},
    ],
)
def test_a_stored_answer_may_be_anything(broken: dict[str, Any]) -> None:
    assert all(isinstance(fact.text, str) for fact in facts(broken))
    assert citations_of(broken) == {}


def test_a_citation_comes_back_as_it_was() -> None:
    citation = citations_of(ANSWER)[1]
    assert (citation.lines, citation.chars, citation.document_id, citation.place) == (
        (41, 88),
        (3, 9),
        "",
        "src/a.py:41-88",
    )


def test_a_footnote_is_one_line() -> None:
    first, second = citations_of(ANSWER).values()
    assert footnote(first).plain == '¹✓ src/a.py:41-88 verified "the words as they are"'
    assert footnote(second).plain.startswith("²≈ b.md near 91 % ")
    assert state(first) == "verified"
    assert [is_doubtful(first), is_doubtful(second)] == [False, True]


def test_a_hostile_footnote_is_one_safe_line() -> None:
    hostile = {**CITATION, "place": "[/red]\x1b\n" + "x" * 10_000, "quote": "[bold\u202e\udcff" + "y" * 10_000}
    line = footnote(citations_of({"citations": [hostile]})[1]).plain
    assert len(line) < 700
    assert not set("\x1b\n\u202e\udcff") & set(line)


def test_an_old_text_is_said_to_be_old() -> None:
    (citation,) = citations_of({"citations": [{**CITATION, "is_current": False}]}).values()
    assert state(citation) == "verified, out of date"
    assert is_doubtful(citation)


def test_messages_are_bounded() -> None:
    assert len(one_line("x" * 10_000)) == 401
    assert one_line("a\n\n b") == "a b"


def planned(prompt: int = 1_420_000, rate: float | None = None) -> Planned:
    return Planned(
        prompt_tokens=prompt,
        limit_tokens=None,
        mode=Mode.FULL,
        read_tokens=0,
        corpus_tokens=0,
        recap_tokens=0,
        conversation_tokens=0,
        prefill_tokens_per_s=rate,
    )


@pytest.mark.parametrize(
    ("plan", "prefill", "elapsed", "line"),
    [
        (None, None, 0.2, "looking up what bears on the question"),
        (None, Prefill(done=5, total=10, cached=0), 0.5, "reading 5 of 10 tokens (50%)"),
        (planned(0), None, 2, "looking up what bears on the question · 2.0 s"),
        (planned(), None, 2, "1.42M tokens sent, waiting for the first word · 2.0 s"),
        (planned(rate=27_000), None, 10, "reading about 270K of 1.42M tokens (19%) · 43 s left (estimated) · 10 s"),
        (planned(rate=27_000), None, 60, "1.42M tokens sent, waiting longer than estimated · 1 min 0 s"),
        (
            planned(),
            Prefill(done=412_000, total=1_420_000, cached=142_000),
            10,
            "reading 412K of 1.42M tokens (29%) · 37 s left · 27.0K/s · 142K cached · 10 s",
        ),
        (planned(), Prefill(done=9, total=9, cached=9), 3, "read 9 tokens, waiting for the first word · 3.0 s"),
        (planned(), Prefill(done=5, total=9, cached=9), 3, "reading 5 of 9 tokens (56%) · 9 cached · 3.0 s"),
    ],
)
def test_how_far_it_is(plan: Planned | None, prefill: Prefill | None, elapsed: float, line: str) -> None:
    assert waiting(plan, prefill, elapsed) == line
