"""A turn's id is made of all it holds, and of nothing else."""

from array import array
from dataclasses import fields, replace
from typing import Any

import pytest

from longctx.session import Exchange, Order, Turn

EXCHANGE = Exchange(array("I", [1, 2]), array("I", [3]))
TURN = Turn(
    parent="0123456789abcdef",
    question="how high?",
    answer={"answer_markdown": "38 metres", "tokens": {"prompt": 7}},
    corpus="c0",
    order=Order(2, "d1"),
    plan="p0",
    settings={"temperature": 0.0},
    exchange=EXCHANGE,
    created_s=1.5,
)
OTHERWISE: dict[str, list[Any]] = {
    "parent": [None, "f123456789abcdef"],
    "question": ["how high? "],
    "answer": [{}, {"answer_markdown": "38 metres", "tokens": {"prompt": 8}}],
    "corpus": ["c1"],
    "order": [Order(3, "d1"), Order(2, "d2")],
    "plan": ["p1"],
    "settings": [{}, {"temperature": 0.1}],
    "exchange": [
        None,
        replace(EXCHANGE, opens_window=True),
        Exchange(array("I", [1]), array("I", [2, 3])),
        Exchange(array("I", [1, 2, 3]), array("I")),
    ],
    "created_s": [1.25],
}


def test_the_id_is_sixteen_hex_digits() -> None:
    assert len(TURN.id) == 16 and set(TURN.id) <= set("0123456789abcdef")


@pytest.mark.parametrize("name", [field.name for field in fields(Turn)])
def test_whatever_is_changed_changes_the_id(name: str) -> None:
    ids = {replace(TURN, **{name: value}).id for value in OTHERWISE[name]}
    assert len(ids) == len(OTHERWISE[name])
    assert TURN.id not in ids


def test_the_order_of_names_and_the_kind_of_list_change_nothing() -> None:
    same = replace(TURN, answer=dict(reversed(TURN.answer.items())), exchange=replace(EXCHANGE))
    assert same.id == TURN.id
    assert replace(TURN, answer={"warnings": ("a",)}).id == replace(TURN, answer={"warnings": ["a"]}).id


def test_names_that_are_no_unicode_have_an_id_too() -> None:
    assert replace(TURN, question="\udcff").id != replace(TURN, question="?").id
