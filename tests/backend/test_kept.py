"""Turns as they are told: lists of files are cut, and say how long they were."""

from typing import Any

from longctx.backend.kept import LISTED_MOST, turn_is
from longctx.session import Order, Turn


def told(answer: dict[str, Any]) -> Any:
    turn = Turn(parent=None, question="?", answer=answer, corpus="c", order=Order(0, ""), plan="p")
    return turn_is(turn).answer


def test_long_lists_of_what_was_not_read_are_cut() -> None:
    paths = [f"{n}.md" for n in range(3_000)]
    answer: dict[str, Any] = {
        "reading": {"mode": "focus", "unread": paths, "partly": ["p.md"]},
        "corpus": {"skipped": paths},
    }
    reading = told(answer)["reading"]
    assert (reading["mode"], len(reading["unread"]), reading["unread_count"]) == ("focus", LISTED_MOST, 3_000)
    assert (reading["partly"], reading["partly_count"]) == (["p.md"], 1)
    assert len(told(answer)["corpus"]["skipped"]) == LISTED_MOST
    assert len(answer["reading"]["unread"]) == 3_000, "what is kept stays whole"


def test_an_answer_that_says_nothing_of_it_stays_as_it_is() -> None:
    for answer in ({}, {"answer_markdown": "x"}, {"reading": None, "corpus": None}, {"reading": {"unread": "x"}}):
        assert told(answer) == answer
