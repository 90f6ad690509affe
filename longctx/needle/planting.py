"""Facts planted in a text: one inside every window, in place of as many tokens, and one over each edge that is to cut.

A fact inside a window stands at a place drawn for it, clear of the window's ends. One that is cut has its key as the
last token of a window and its answer at the beginning of the next: local attention, which ends where the window does,
can't join them. Packing never makes such a fact of a line or of a document's part: it cuts where the text breaks.
"""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random

from longctx.engines.base import Prompt
from longctx.needle.fact import FACT_TOKENS, Fact, invented
from longctx.needle.grid import tokens_of
from longctx.packing import WINDOW_TOKENS

SEED = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """A fact and the position of its key in the text."""

    fact: Fact
    at: int


@dataclass(frozen=True, slots=True)
class Planted:
    """A text of full windows with the fact `inside` each of them, and those `cut` at the end of some."""

    ids: "array[int]"
    inside: tuple[Placed, ...]
    cut: Mapping[int, Placed]

    def prompt(self, windows: int, question: "array[int]") -> Prompt:
        """The first windows of the text, then the question in a window of its own."""
        size = tokens_of(windows)
        return Prompt(self.ids[:size] + question, tuple(range(0, size + 1, WINDOW_TOKENS)), WINDOW_TOKENS)


def plant(text: "array[int]", edges: Iterable[int], seed: int = SEED) -> Planted:
    """A copy of `text` with facts in it; it has whole windows only, `edges` names those whose end cuts a fact.

    Raises CorpusError where the text leaves too few words for them.
    """
    assert text and len(text) % WINDOW_TOKENS == 0, "facts are planted in whole windows"
    windows, cut_at = len(text) // WINDOW_TOKENS, tuple(edges)
    facts = invented(windows + len(cut_at), text, seed)
    draw = Random(seed)
    inside = tuple(Placed(facts[each], tokens_of(each) + _place(draw)) for each in range(windows))
    ends = (tokens_of(edge + 1) - 1 for edge in cut_at)
    cut = {edge: Placed(fact, at) for edge, fact, at in zip(cut_at, facts[windows:], ends, strict=True)}
    ids = array("I", text)
    for placed in (*inside, *cut.values()):
        ids[placed.at : placed.at + FACT_TOKENS] = array("I", placed.fact.ids)
    return Planted(ids, inside, cut)


def _place(draw: Random) -> int:
    """Where in its window a fact begins: behind an answer that was cut before it, and before the key of the next."""
    return draw.randrange(FACT_TOKENS, WINDOW_TOKENS - 1 - FACT_TOKENS)
