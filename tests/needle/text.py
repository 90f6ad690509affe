"""Windows of a stand-in for text, with facts in it: frequent tokens mostly, a rare one now and then, as in prose."""

import random
from array import array

from longctx.engines.base import Prompt
from longctx.needle.construction import RARE_FROM
from longctx.vocabulary import ORDINARY_TOKENS

WINDOW = 8192
QUESTION = (791, 4339, 430, 1833)


def text(windows: int, facts: dict[int, list[int]], seed: int = 0) -> "array[int]":
    """Full windows of ids; `facts` are written at their positions, and none of their tokens stands elsewhere."""
    draw = random.Random(seed)
    kept = {token for fact in facts.values() for token in fact}
    ids = array("I")
    while len(ids) < windows * WINDOW:
        token = draw.randrange(RARE_FROM, ORDINARY_TOKENS) if draw.random() < 0.03 else draw.randrange(20_000)
        ids.extend([] if token in kept else [token])
    for at, fact in facts.items():
        ids[at : at + len(fact)] = array("I", fact)
    return ids


def asking(ids: "array[int]", key: int) -> Prompt:
    """The prompt that ends with a key."""
    return Prompt(ids + array("I", [*QUESTION, key]), (*range(0, len(ids), WINDOW), len(ids)))
