"""One fact asked for: what an engine gave, and how many tokens of it are right.

The question ends with the fact's key, so that what follows it is the answer: a model that has read the text has seen
the key followed by something once. Nothing else of an answer is looked at.
"""

import time
from array import array
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile

from longctx.engines.base import Engine, EngineEvent, Finished, Prefilled, Prompt, Sampling, Text, Token, Warned
from longctx.errors import EngineError
from longctx.needle.fact import Fact

WORDS = "\n\nWhich words came after this one in the text above? They came after the word"
QUESTION_TOKENS = 64  # no question takes more, with its answer

Decode = Callable[[Sequence[int]], str]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`right` tokens of the `wanted` came; `first_s` lasted until the first, `total_s` to the end.

    `cached_tokens` is None where the engine does not report it; `skipped_mass` is the most attention, of 1, that sparse
    selection can have left out.
    """

    wanted: int
    right: int
    first_s: float
    total_s: float
    prompt_tokens: int
    cached_tokens: int | None
    skipped_mass: float

    @property
    def is_found(self) -> bool:
        """Whether all of it is right."""
        return self.right == self.wanted

    @property
    def read_tokens(self) -> int | None:
        """What was read anew; None where the engine doesn't say."""
        return None if self.cached_tokens is None else self.prompt_tokens - self.cached_tokens


def question(fact: Fact, encode: Callable[[str], Sequence[int]]) -> "array[int]":
    """The ids of a question window: frequent words, and the key last."""
    return array("I", [*encode(WORDS), fact.key])


def ask(
    engine: Engine, prompt: Prompt, answer: tuple[int, ...], decode: Decode, clock: Clock = time.perf_counter
) -> Generator[Prefilled | Warned, None, Outcome]:
    """What the engine makes of a prompt that `answer` is to follow, greedily; raises EngineError and DoesNotFit.

    `decode` makes text of ids, for engines that give no ids.
    """
    began, first = clock(), None
    ids, text, finished = list[int](), "", None
    with closing(_events(engine, prompt, Sampling(max_tokens=len(answer)))) as events:
        for event in events:
            match event:
                case Prefilled() | Warned():
                    yield event
                case Token():
                    ids.append(event.id)
                    first = first or clock()
                case Text():
                    text += event.text
                    first = first or clock()
                case Finished():
                    finished = event
                    if event.not_reported:
                        yield Warned(f"cached tokens: not reported ({event.not_reported})")
    ended = clock()
    if finished is None:
        raise EngineError("the engine ended without saying so", "longctx engine doctor looks at it")
    return Outcome(
        wanted=len(answer),
        right=agreeing(ids, answer) if ids or not text else _right_text(text, answer, decode),
        first_s=(first or ended) - began,
        total_s=ended - began,
        prompt_tokens=finished.prompt_tokens,
        cached_tokens=finished.cached_tokens,
        skipped_mass=finished.skipped_mass,
    )


def agreeing(given: Sequence[object], wanted: Sequence[object]) -> int:
    """How many are the same, from the first on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(given, wanted, strict=False)))


def _events(engine: Engine, prompt: Prompt, sampling: Sampling) -> Generator[EngineEvent, None, None]:
    yield from engine.generate(prompt, sampling)


def _right_text(text: str, answer: Sequence[int], decode: Decode) -> int:
    """As many tokens as text can tell: white space before the first may be lost on the way."""
    given = text.lstrip()
    sizes = range(len(answer), 0, -1)
    return next((size for size in sizes if given.startswith(decode(answer[:size]).lstrip())), 0)
