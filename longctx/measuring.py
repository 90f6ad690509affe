"""How fast an engine is: one prompt that nobody has seen, sent twice, and what came when.

The prompt has the shape of every other here: whole windows of text, then a short question, so that what a follow-up
saves is measured as it will be. Its words are drawn from a seed; they mean nothing, and the answer is not looked at.
"""

import time
from array import array
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from random import Random

from longctx.engines.base import (
    Engine,
    EngineEvent,
    Finished,
    Prefilled,
    Prompt,
    Sampling,
    Text,
    Token,
    Warned,
)
from longctx.errors import EngineError
from longctx.packing import WINDOW_TOKENS
from longctx.tokens import Tokenizer
from longctx.vocabulary import BEGIN_OF_TEXT, END_OF_TURN, message_head

# Each is one token with the space before it, in Llama 4's vocabulary as in most others.
WORDS = """
water stone light river north house table paper green white black small large early later under over south
east west seven eight three four five six ten year month week day night hour minute second first last great little
long short high low new old good open close left right front back side line point part place
"""
QUESTION = "\n\nGo on with this text in the same manner for as long as you can."
LINE_WORDS = 12

Clock = Callable[[], float]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One answer as it was seen from outside; `first_s` lasts until the first piece of it."""

    prompt_tokens: int
    cached_tokens: int | None
    answer_tokens: int
    first_s: float
    total_s: float
    not_reported: str = ""

    @property
    def prefill_tokens_per_s(self) -> float | None:
        """Tokens that were not cached, a second; None where none were or no time passed."""
        read = self.prompt_tokens - (self.cached_tokens or 0)
        return read / self.first_s if read > 0 and self.first_s > 0 else None

    @property
    def decode_tokens_per_s(self) -> float | None:
        """Tokens a second after the first; None where there is no second."""
        seconds = self.total_s - self.first_s
        return (self.answer_tokens - 1) / seconds if self.answer_tokens > 1 and seconds > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The same prompt new and known."""

    sent_tokens: int
    windows: int
    cold: Run
    warm: Run

    @property
    def ratio(self) -> float | None:
        """Time to the first token of the known prompt as a share of the new one's."""
        return self.warm.first_s / self.cold.first_s if self.cold.first_s > 0 else None


def measure(
    engine: Engine,
    *,
    tokens: int,
    answer_tokens: int,
    seed: int,
    tell: Progress = lambda _name, _done, _total: None,
    clock: Clock = time.perf_counter,
) -> Measured:
    """Send a prompt of about `tokens` twice; raises EngineError and DoesNotFit. No two seeds share a window."""
    prompt = synthetic(tokens, seed)
    sampling = Sampling(max_tokens=answer_tokens, stop_ids=frozenset())
    cold = _run(engine, prompt, sampling, clock, lambda done, total: tell("cold", done, total))
    warm = _run(engine, prompt, sampling, clock, lambda done, total: tell("warm", done, total))
    return Measured(sent_tokens=len(prompt.ids), windows=len(prompt.starts), cold=cold, warm=warm)


def synthetic(tokens: int, seed: int) -> Prompt:
    """A user's message: windows of drawn words, `tokens` in all, and a short question in a window of its own."""
    encode, draw = Tokenizer().encode, Random(seed)
    known = [encode(f" {word}") for word in WORDS.split()]
    ends = encode(".\n")
    ids, starts = array("I", [BEGIN_OF_TEXT, *message_head("user", encode)]), [0]
    while len(ids) < tokens:
        line = [each for word in draw.choices(known, k=LINE_WORDS) for each in word] + list(ends)
        ids.extend(line[: tokens - len(ids)])
    starts = list(range(0, len(ids), WINDOW_TOKENS))
    starts.append(len(ids))
    ids.extend([*encode(QUESTION), END_OF_TURN, *message_head("assistant", encode)])
    return Prompt(ids, tuple(starts))


def _run(engine: Engine, prompt: Prompt, sampling: Sampling, clock: Clock, tell: Callable[[int, int], None]) -> Run:
    began, first, finished, warned = clock(), None, None, ""
    with closing(_events(engine, prompt, sampling)) as events:
        for event in events:
            match event:
                case Prefilled():
                    tell(event.done, event.total)
                case Token() | Text():
                    first = clock() if first is None else first
                case Warned():
                    warned = warned or event.message
                case Finished():
                    finished = event
    ended = clock()
    if finished is None:
        raise EngineError("the engine ended without saying so", "longctx engine doctor looks at it")
    return Run(
        prompt_tokens=finished.prompt_tokens,
        cached_tokens=finished.cached_tokens,
        answer_tokens=finished.answer_tokens,
        first_s=(ended if first is None else first) - began,
        total_s=ended - began,
        not_reported=finished.not_reported,
    )


def _events(engine: Engine, prompt: Prompt, sampling: Sampling) -> Generator[EngineEvent, None, None]:
    yield from engine.generate(prompt, sampling)
