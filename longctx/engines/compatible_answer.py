"""The answer of a server while it comes: chunks in, events out, and a tally for its end.

A server that sends more than it was asked for is cut off; a model's reasoning is no part of its answer.
"""

import time
from collections.abc import Callable, Iterator

from longctx.engines.base import EngineEvent, Finish, Prefilled, Sampling, Text, Token, Warned
from longctx.engines.compatible_stream import NOT_WHOLE, Chunk, Progress, Usage
from longctx.engines.compatible_usage import most_believed
from longctx.errors import EngineError
from longctx.vocabulary import ORDINARY_TOKENS, VOCABULARY_TOKENS

SLACK_PIECES = 64
TOKEN_CHARACTERS = 64  # far more than tokens have on average
SLACK_CHARACTERS = 4096
LARGEST_REASON = 60  # characters
EMPTY_CHUNKS = 1024  # beyond what the answer's own tokens may need: signs of life while a prompt is read
READ_AT_ONCE = 16  # tokens; no server tells of smaller steps of a long prompt
WHOLE = {"stop", "eos", "end_turn", "eos_token", "stop_sequence", "complete"}
FULL = {"length", "max_tokens", "model_length", "max_output_tokens"}


class Incoming:
    """One answer to a prompt of `sent` tokens; `is_over` says that nothing more of it is wanted.

    Ids count only from a server that `takes_ids`: those of others are of another vocabulary.
    """

    def __init__(self, sampling: Sampling, sent: int, where: str, *, takes_ids: bool) -> None:
        self._sampling = sampling
        self._sent = sent
        self._where = where
        self._takes_ids = takes_ids
        self._empty = 0
        self._stages = 0
        self._has_specials = False
        self._begun_s = time.monotonic()
        self._first_s: float | None = None
        self._last_s: float | None = None
        self._pieces = 0
        self._tokens = 0
        self._characters = 0
        self._has_ids = False
        self._has_reasoning = False
        self._ended_by_mark = False
        self._progress: Progress | None = None
        self.reason = ""
        self.usage = Usage()
        self.is_over = False

    def take(self, chunk: Chunk) -> Iterator[EngineEvent]:
        """The events of one more chunk; raises EngineError where it can be no part of an answer."""
        is_news = self._is_news(chunk.progress)
        if is_news and (stage := chunk.progress):
            self._progress = stage
            yield Prefilled(done=stage.done, total=stage.total, cached=stage.cached)
        if chunk.has_content:
            self._last_s = time.monotonic()
            self._first_s = self._first_s or self._last_s
            self._pieces += 1
            yield from self._content(chunk)
            yield from self._bound()
        elif not is_news:
            self._count_empty()
        self.usage = _merged(self.usage, chunk.usage)
        self.reason = chunk.reason or self.reason
        self._ended_by_mark = self._ended_by_mark or chunk.is_end

    @property
    def has_answer(self) -> bool:
        """Whether a part of the answer has been given."""
        return bool(self._tokens or self._characters)

    @property
    def is_whole(self) -> bool:
        """Whether the server has said that this is all."""
        return bool(self.reason) or self._ended_by_mark or self.is_over

    @property
    def answer_tokens(self) -> int:
        """The tokens of the answer without the stop token, as far as the server lets them be told apart."""
        if self._has_ids:
            return self._tokens
        told = self.usage.answer_tokens
        return self._pieces if told is None or told > max(self._sampling.max_tokens, 1) else told

    @property
    def cached_tokens(self) -> int | None:
        """The tokens that the server did not have to read anew, None where it does not say."""
        by_progress = self._progress.cached if self._progress else None
        return by_progress if self.usage.cached_tokens is None else self.usage.cached_tokens

    @property
    def read_tokens(self) -> int | None:
        """The prompt's tokens by the server's count."""
        by_progress = self._progress.total if self._progress else None
        return by_progress if self.usage.prompt_tokens is None else self.usage.prompt_tokens

    def seconds(self) -> tuple[float, float]:
        """The time until the first token, and from there to the last: not to what a server says behind the end."""
        last = self._last_s or time.monotonic()
        first = last if self._first_s is None else self._first_s
        return first - self._begun_s, last - first

    def finish(self, safe: Callable[[str], str]) -> Iterator[Warned]:
        """What is to be said of how it ended; raises EngineError where it is not whole."""
        if not self.is_whole:
            raise self._broken("the stream stopped short")
        if self.reason.lower() not in WHOLE | FULL | {""}:
            raise self._broken(f"the server ended the answer: {safe(self.reason)[:LARGEST_REASON]}")
        if self._has_reasoning and not self.has_answer:
            yield Warned(
                "all tokens went into the model's reasoning, which is not shown; a higher max_tokens leaves more"
            )

    def ending(self) -> Finish:
        """Why it ended."""
        return Finish.LENGTH if self.is_over or self.reason.lower() in FULL else Finish.STOP

    def _is_news(self, stage: Progress | None) -> bool:
        """Whether a stage is further than the last one, and one that reading this prompt can have."""
        if stage is None or stage.total > most_believed(self._sent):
            return False
        self._stages += 1
        is_further = self._progress is None or stage.done > self._progress.done
        return is_further and self._stages <= self._sent // READ_AT_ONCE + EMPTY_CHUNKS

    def _count_empty(self) -> None:
        self._empty += 1
        if self._empty > 2 * self._sampling.max_tokens + EMPTY_CHUNKS:
            raise self._broken("chunks without an end, and nothing in them")

    def _broken(self, what: str) -> EngineError:
        return EngineError(f"{self._where}: {what}; {NOT_WHOLE}", "the server's own log says why")

    def _content(self, chunk: Chunk) -> Iterator[EngineEvent]:
        if chunk.is_reasoning and not self._has_reasoning:
            self._has_reasoning = True
            yield Warned("the model's reasoning is left out of the answer")
        if chunk.ids is not None and self._takes_ids:
            self._has_ids = True
            yield from self._of_ids(chunk.ids)
        elif chunk.text and not self._has_ids:
            yield from self._of_text(chunk.text)

    def _of_ids(self, ids: tuple[int, ...]) -> Iterator[Token | Warned]:
        for token in ids:
            if token >= VOCABULARY_TOKENS:
                raise self._broken(f"token {token:,} came, and the vocabulary ends at {VOCABULARY_TOKENS:,}")
            if token in self._sampling.stop_ids or self._tokens >= self._sampling.max_tokens:
                continue
            if token < ORDINARY_TOKENS:
                self._tokens += 1
                yield Token(token)
            elif not self._has_specials:
                self._has_specials = True
                yield Warned("the answer holds control tokens, which were left out")

    def _of_text(self, text: str) -> Iterator[Text]:
        given = text[: max(0, self._longest - self._characters)]
        self._characters += len(text)
        if given:
            yield Text(given)

    @property
    def _longest(self) -> int:
        asked = self._sampling.max_tokens
        return asked * TOKEN_CHARACTERS + SLACK_CHARACTERS if asked else 0

    def _bound(self) -> Iterator[Warned]:
        if self._pieces > 2 * self._sampling.max_tokens + SLACK_PIECES or self._characters > self._longest:
            self.is_over = True
            if self._sampling.max_tokens:
                yield Warned("the server sent more than it was asked for; the rest was cut off")


def _merged(old: Usage, new: Usage | None) -> Usage:
    """The newest of each count."""
    if new is None:
        return old
    return Usage(
        prompt_tokens=old.prompt_tokens if new.prompt_tokens is None else new.prompt_tokens,
        answer_tokens=old.answer_tokens if new.answer_tokens is None else new.answer_tokens,
        cached_tokens=old.cached_tokens if new.cached_tokens is None else new.cached_tokens,
    )
