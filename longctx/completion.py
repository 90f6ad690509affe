"""A text goes to an engine as token ids and what the engine adds comes back as text, while it comes.

No documents, no citations: this is the model alone. Control tokens are set here, never taken from the text.
"""

from array import array
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from longctx import vocabulary as llama4
from longctx.engines.base import (
    Engine,
    EngineEvent,
    Finish,
    Finished,
    Prompt,
    Sampling,
    Text,
    Token,
    contiguous,
)
from longctx.errors import EngineError
from longctx.streaming import TextStream
from longctx.tokens import Tokenizer
from longctx.vocabulary import Vocabulary, message_head


@dataclass(frozen=True, slots=True)
class Delta:
    """The text that a token made certain, perhaps none; the last one has no token."""

    text: str
    id: int | None = None


def plain_ids(text: str, vocabulary: Vocabulary, *, begun: bool = False) -> "array[int]":
    """The ids of a text to go on with; after the begin of text, unless packed windows before it have `begun`."""
    begin = [] if begun else [vocabulary.special(llama4.BEGIN_OF_TEXT)]
    return array("I", [*begin, *Tokenizer(vocabulary).encode(text)])


def chat_ids(text: str, vocabulary: Vocabulary, *, begun: bool = False) -> "array[int]":
    """The ids of a user's message and of the head of the answer to it, as Llama 4's chat models have them.

    Packed windows before it have `begun` the user's message, so that only its end is missing.
    """
    encode, special = Tokenizer(vocabulary).encode, vocabulary.special
    begin = [] if begun else [special(llama4.BEGIN_OF_TEXT), *message_head("user", encode, special)]
    answer = message_head("assistant", encode, special)
    return array("I", [*begin, *encode(text), special(llama4.END_OF_TURN), *answer])


def following(windows: "Sequence[array[int]]", ids: "array[int]", window_tokens: int) -> Prompt:
    """A prompt of packed windows and, in windows of its own, what follows them."""
    joined, starts = array("I"), list[int]()
    for window in (*windows, *contiguous(ids, window_tokens).windows()):
        starts.append(len(joined))
        joined.extend(window)
    return Prompt(joined, tuple(starts), window_tokens)


def stop_ids(vocabulary: Vocabulary) -> frozenset[int]:
    """The special tokens at which a Llama 4 model ends what it says."""
    ends = (llama4.END_OF_TEXT, llama4.END_OF_MESSAGE, llama4.END_OF_TURN)
    return frozenset(map(vocabulary.special, ends))


def check_ids(ids: "array[int]", vocabulary_size: int, folder: Path) -> None:
    """Refuse ids that the model has no embedding for; raises EngineError."""
    highest = max(ids, default=0)
    if highest >= vocabulary_size:
        raise EngineError(
            f"{folder}: the prompt has token {highest:,}, but the model knows only {vocabulary_size:,}",
            "put the model's own tokenizer.model or tokenizer.json into its folder",
        )


def complete(
    engine: Engine, prompt: Prompt, sampling: Sampling, vocabulary: Vocabulary
) -> Generator[Delta | EngineEvent, None, None]:
    """The engine's events, each token as the text it makes certain; the text of a token that ends it is left out.

    Closing this closes the engine's run.
    """
    text = TextStream(vocabulary)
    with closing(_events(engine, prompt, sampling)) as events:
        for event in events:
            if isinstance(event, Finished):
                yield Delta(text.finish())
            if isinstance(event, Text):
                yield Delta(event.text)
            elif not isinstance(event, Token):
                yield event
            elif event.id not in sampling.stop_ids:
                yield Delta(text.feed(event.id), event.id)


def speeds(finished: Finished) -> tuple[float | None, float | None]:
    """Tokens a second of prefill, those from the store not counted, and of decode; None where nothing was done.

    Prefill chose the first token, and `decode_s` holds the steps to all others, a stop token among them.
    """
    computed = finished.prompt_tokens - (finished.cached_tokens or 0)
    prefill = computed / finished.prefill_s if computed and finished.prefill_s > 0 else None
    steps = finished.answer_tokens - (finished.reason is not Finish.STOP)
    decode = steps / finished.decode_s if steps > 0 and finished.decode_s > 0 else None
    return prefill, decode


def _events(engine: Engine, prompt: Prompt, sampling: Sampling) -> Generator[EngineEvent, None, None]:
    yield from engine.generate(prompt, sampling)
