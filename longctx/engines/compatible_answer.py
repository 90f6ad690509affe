"""The answer of a server while it comes: chunks in, events out, and a tally for its end.

A server that sends more than it was asked for is cut off; a model's reasoning is no part of its answer.
"""

import time
from collections.abc import Iterator

from ingest.naming import show
from longctx.engines.base import EngineEvent, Finish, Prefilled, Sampling, Text, Token, Warned
from longctx.engines.compatible_stream import NOT_WHOLE, Chunk, Progress, Usage
from longctx.errors import EngineError

SLACK_PIECES = 64
TOKEN_CHARACTERS = 64  # far more than tokens have on average
SLACK_CHARACTERS = 4096
WHOLE = {"stop", "eos", "end_turn", "eos_token", "stop_sequence"}
BROKEN = {"abort", "error", "cancelled"}


class Incoming:
    """One answer; `is_over` says that nothing more of it is wanted."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._begun_s = time.monotonic()
        self._first_s: float | None = None
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
        """The events of one more chunk."""
        if chunk.progress:
            self._progress = chunk.progress
            yield Prefilled(done=chunk.progress.done, total=chunk.progress.total, cached=chunk.progress.cached)
        self.usage = _merged(self.usage, chunk.usage)
        self.reason = chunk.reason or self.reason
        self._ended_by_mark = self._ended_by_mark or chunk.is_end
        if chunk.text or chunk.ids or chunk.is_reasoning:
            self._first_s = self._first_s or time.monotonic()
            self._pieces += 1
            yield from self._content(chunk)
            yield from self._bound()

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
        return self._pieces if self.usage.answer_tokens is None else self.usage.answer_tokens

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
        """The time until the first token, and from there to now."""
        now = time.monotonic()
        first = now if self._first_s is None else self._first_s
        return first - self._begun_s, now - first

    def finish(self, where: str) -> Iterator[Warned]:
        """What is to be said of how it ended; raises EngineError where it is not whole."""
        if not self.is_whole:
            raise EngineError(f"{where}: the stream stopped short; {NOT_WHOLE}", "the server's own log says why")
        if self.reason in BROKEN:
            raise EngineError(f"{where}: the server broke off ({self.reason}); {NOT_WHOLE}")
        if self.reason not in WHOLE | {"", "length"}:
            yield Warned(f"the server ended the answer for a reason of its own: {show(self.reason[:80])}")
        if self._has_reasoning and not self.has_answer:
            yield Warned(
                "all tokens went into the model's reasoning, which is not shown; a higher max_tokens leaves more"
            )

    def ending(self) -> Finish:
        """Why it ended."""
        return Finish.STOP if self.reason in WHOLE or not (self.reason or self.is_over) else Finish.LENGTH

    def _content(self, chunk: Chunk) -> Iterator[EngineEvent]:
        if chunk.is_reasoning and not self._has_reasoning:
            self._has_reasoning = True
            yield Warned("the model's reasoning is left out of the answer")
        if chunk.ids is not None:
            self._has_ids = True
            yield from self._of_ids(chunk.ids)
        elif chunk.text and not self._has_ids:
            yield from self._of_text(chunk.text)

    def _of_ids(self, ids: tuple[int, ...]) -> Iterator[Token]:
        for token in ids:
            if token not in self._sampling.stop_ids and self._tokens < self._sampling.max_tokens:
                self._tokens += 1
                yield Token(token)

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
