"""The contract of every engine: a prompt of token ids in, events out; loads nothing.

An engine is a generator: cancelling is closing it, and what was done until then (stored windows, tokens already
given) stays done. A prompt is numbers only; no engine ever sees text, but for those that can take nothing else.
"""

import hashlib
import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids, and the index in `ids` at which each window begins; windows may be shorter than `window_tokens`.

    The first window begins at 0 and no window is empty. The window with index w holds the absolute positions
    w * window_tokens and on: a short window leaves positions unused, never tokens.
    """

    ids: "array[int]"
    starts: tuple[int, ...]
    window_tokens: int = 8192

    def __post_init__(self) -> None:
        sizes = [stop - start for start, stop in zip(self.starts, (*self.starts[1:], len(self.ids)), strict=True)]
        if self.starts[:1] != (0,) or not all(0 < size <= self.window_tokens for size in sizes):
            raise ValueError(f"windows of {sizes} tokens do not cut a prompt into 1 to {self.window_tokens} each")

    def windows(self) -> "list[array[int]]":
        """The ids of each window, in order."""
        return [self.ids[a:b] for a, b in zip(self.starts, (*self.starts[1:], len(self.ids)), strict=True)]


def contiguous(ids: "array[int]", window_tokens: int = 8192) -> Prompt:
    """A prompt without structure: cut into full windows, the last one as short as it comes."""
    return Prompt(ids, tuple(range(0, max(len(ids), 1), window_tokens)), window_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen. A temperature of 0 takes the likeliest; `seed` makes the rest repeatable.

    `schema` is a JSON schema as text, "" for free text. An engine that can holds the answer to it; one that can't
    leaves it out, with a warning where it could have been expected: who asks checks the answer in every case.
    """

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop_ids: frozenset[int] = field(default_factory=frozenset)
    schema: str = ""

    def __post_init__(self) -> None:
        if self.max_tokens < 0 or not (0 <= self.temperature < math.inf and 0 < self.top_p <= 1):
            raise ValueError(f"nothing can be sampled with {self}")
        if self.seed is not None and not -(2**63) <= self.seed < 2**64:
            raise ValueError(f"{self.seed} does not fit 64 bits")


class Finish(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefilled:
    """`done` of `total` prompt tokens are in the KV, of which `cached` came from the store."""

    done: int
    total: int
    cached: int


@dataclass(frozen=True, slots=True)
class Token:
    """The next token of the answer."""

    id: int


@dataclass(frozen=True, slots=True)
class Text:
    """More text of the answer, from an engine that gives no ids; it may end inside a word, never inside a character."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a user should know that did not stop the run: a block that was damaged, a disk that is full."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The end of an answer, and what it took; `answer_tokens` leaves out the stop token that ended it.

    `prompt_tokens` is the engine's own count; `cached_tokens` is None where an engine does not report it, and
    `not_reported` then says what would make it do so. `prefill_s` lasts until the first token.
    """

    reason: Finish
    prompt_tokens: int
    cached_tokens: int | None
    answer_tokens: int
    prefill_s: float
    decode_s: float
    skipped_mass: float = 0.0  # the most attention that sparse selection can have left out, of 1
    not_reported: str = ""


EngineEvent = Prefilled | Token | Text | Warned | Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What fits: tokens of prompt and answer together; None where a server does not say.

    `concurrent` is how many prompts are worth asking at once, from as many threads; where it is 1 `generate` is called
    by one thread at a time. `is_guided` says that decoding can be held to a schema.
    """

    context_tokens: int | None
    concurrent: int = 1
    is_guided: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What answers, as it is kept with every answer; `where` is a device or an address, never with a password in it.

    `digest` names what decides its answers beside the name of its model, as far as it can be known: the weights and how
    they are computed, a script. Two with the same `key` are taken to answer alike, wherever they run.
    """

    kind: str
    model: str = ""
    version: str = ""
    where: str = ""
    digest: str = ""

    @property
    def key(self) -> str:
        """Names what decides its answers."""
        named = json.dumps([self.kind, self.model, self.digest])
        return hashlib.sha256(named.encode("ascii")).hexdigest()[:16]


class Engine(Protocol):
    """What answers. Every call of `generate` stands alone; what a store keeps between calls only makes it sooner."""

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        """Prefill and decode; the last event is Finished. Raises EngineError or DoesNotFit."""
        ...

    def limits(self) -> Limits: ...

    def identity(self) -> Identity: ...

    def describe(self) -> str:
        """One line: what it is and where it runs."""
        ...

    def close(self) -> None: ...
