"""The events of an answer as replies: what came before it stays where nothing came after."""

from longctx import events
from longctx.answer import Answer, CorpusSummary, Mode, Reading
from longctx.backend.replies import Answered, Delta, Evidence, Notice, Place, Planned, Reply, TurnIs
from longctx.backend.telling import Answering
from longctx.engines.base import Identity

TURN = Answered(TurnIs(id="t", question="q", answer={}, created_s=0.0), None)


PLAN = events.Planned(
    reading=Reading(mode=Mode.FULL, read_tokens=9, corpus_tokens=9),
    prompt_tokens=20,
    limit_tokens=None,
    passages=(("sha", 3, 7),),
)


def told(*happened: events.AnswerEvent) -> list[Reply]:
    """What is told of these events."""
    replies = list[Reply]()
    answering = Answering(replies.append, lambda: TURN)
    for event in happened:
        answering.tell(event)
    assert answering.is_ended
    return replies


def answered(text: str) -> events.Answered:
    """An answer without citations."""
    corpus = CorpusSummary("c", 1, 9, (), ())
    return events.Answered(Answer("q", bool(text), text, (), Identity(kind="scripted"), corpus))


def test_an_answer_without_a_word_leaves_the_evidence() -> None:
    replies = told(PLAN, answered(""))
    assert [type(reply) for reply in replies] == [Planned, Evidence, Answered]
    assert replies[1] == Evidence((Place("sha", 3, 7),))


def test_an_answer_that_comes_whole_is_told_with_its_text() -> None:
    assert told(answered("Seven."))[:2] == [Evidence(()), Delta("Seven.")]


def test_an_answer_that_came_in_parts_is_not_told_again() -> None:
    replies = told(PLAN, events.TextDelta("Seven."), answered("Seven."))
    assert [reply for reply in replies if isinstance(reply, Delta)] == [Delta("Seven.")]


def test_of_many_calls_some_are_told() -> None:
    few = told(*(events.Stepped(n, 3, "a.md") for n in range(3)), answered("Seven."))
    assert few[:3] == [Notice(f"call {n} of 3: a.md") for n in (1, 2, 3)]
    many = told(*(events.Stepped(n, 1000, "a.md") for n in range(1000)), answered("Seven."))
    assert sum(isinstance(reply, Notice) for reply in many) == 20
