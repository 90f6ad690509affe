"""One question on its way through an engine: its tokens become text, its citations are looked up as they come.

What came before an engine failed or was stopped is kept, and is marked as not whole.
"""

import time
from array import array
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from longctx import completion
from longctx.answer import Answer, Coverage, Ending, summarise
from longctx.cited import CitedText
from longctx.coverage import coverage
from longctx.engines.base import Engine, EngineEvent, Finished, Prefilled, Sampling, Warned
from longctx.errors import EngineError, LongctxError
from longctx.events import Answered, AnswerEvents, Notice, PrefillProgress, TextDelta
from longctx.quoting import NOT_FOUND
from longctx.session import Exchange
from longctx.vocabulary import llama4

if TYPE_CHECKING:
    from longctx.composing import Composed
    from longctx.corpus import Corpus
    from longctx.structured import Schema
    from longctx.structured_text import StructuredText


@dataclass(slots=True)
class _Heard:
    """What has come from the engine until now."""

    ids: "array[int]" = field(default_factory=lambda: array("I"))
    warnings: list[str] = field(default_factory=list)
    finished: Finished | None = None
    begun_s: float = field(default_factory=time.perf_counter)
    first_s: float | None = None


class Answering:
    """A question that was composed, and what becomes of it; `events` may be followed once.

    With a `schema` the answer is JSON, of which nothing is shown before it has ended.
    """

    def __init__(
        self,
        corpus: "Corpus",
        question: str,
        composed: "Composed",
        engine: Engine,
        sampling: Sampling,
        question_id: str | None = None,
        schema: "Schema | None" = None,
    ) -> None:
        self._corpus = corpus
        self._question = question
        self._composed = composed
        self._engine = engine
        self._sampling = sampling
        self._question_id = question_id
        self._structured = _structured(composed, schema)
        self._cited: CitedText | StructuredText = self._structured or CitedText(composed.sent)
        self._heard = _Heard()

    def events(self) -> AnswerEvents:
        """The answer as it comes, and in the end Answered; raises what the engine raises after what there is of it."""
        try:
            yield from self._followed()
            if self._heard.finished is None:
                raise EngineError("the engine stopped without saying why", "ask again")
        except LongctxError as error:
            yield from self._broken(Ending.FAILED, str(error))
            raise
        except KeyboardInterrupt:
            yield from self._broken(Ending.INTERRUPTED, "interrupted")
            raise
        yield self._answered(Ending(self._heard.finished.reason))

    def _followed(self) -> AnswerEvents:
        with closing(self._deltas()) as events:
            for event in events:
                match event:
                    case completion.Delta(text, token):
                        yield from self._hear(text, token)
                    case Prefilled():
                        yield PrefillProgress(done=event.done, total=event.total, cached=event.cached)
                    case Warned(message):
                        yield self._warn(message)
                    case Finished():
                        self._heard.finished = event
                        if event.not_reported:
                            yield Notice(f"cached tokens: not reported ({event.not_reported})")
        yield from self._cited.finish()
        if self._says_only_none:
            yield TextDelta(NOT_FOUND)
        if self._structured and self._structured.lost:
            yield self._warn(f"pieces of evidence that have no document or quote of words: {self._structured.lost:,}")
        if self._heard.finished and (left_out := self._heard.finished.skipped_mass):
            yield self._warn(f"sparse attention left out at most {left_out:.1%} of what this answer could read")

    @property
    def _says_only_none(self) -> bool:
        """Whether all that the model said is that the documents do not hold the answer."""
        return not self._cited.found and not self._cited.markdown.strip()

    def _deltas(self) -> Generator[completion.Delta | EngineEvent, None, None]:
        return completion.complete(self._engine, self._composed.prompt, self._sampling, llama4())

    def _hear(self, text: str, token: int | None) -> AnswerEvents:
        if self._heard.first_s is None:
            self._heard.first_s = time.perf_counter()
        if token is not None:
            self._heard.ids.append(token)
        if text:
            yield from self._cited.feed(text)

    def _warn(self, message: str) -> Notice:
        self._heard.warnings.append(message)
        return Notice(message)

    def _broken(self, ending: Ending, reason: str) -> AnswerEvents:
        """What there is of an answer that was broken off; nothing where none of it had come."""
        if self._cited.raw:
            yield from self._cited.finish()
            yield self._answered(ending, reason)

    def _said(self) -> "array[int]":
        """The answer until now in token ids; encoded anew where the engine gave only text, or control tokens.

        Those would stand in the next prompt as turns that nobody took.
        """
        ordinary = llama4().ordinary_tokens
        if self._heard.ids and max(self._heard.ids) < ordinary:
            return self._heard.ids
        return array("I", self._corpus.tokenizer.encode(self._cited.raw))

    def _answered(self, ending: Ending, error: str = "") -> Answered:
        exchange = Exchange(self._composed.question, self._said(), self._composed.opens_window)
        composed = self._composed
        return Answered(self._answer(ending, error), exchange, composed.plan, composed.topic, composed.left_out)

    def _answer(self, ending: Ending, error: str) -> Answer:
        cited = self._cited
        summary = summarise(self._corpus.record.id, self._corpus.files)
        return Answer(
            question=self._question,
            found=cited.found,
            answer_markdown=NOT_FOUND if self._says_only_none else cited.markdown,
            citations=tuple(cited.citations),
            engine=self._engine.identity(),
            corpus=summary,
            notice=_notice(ending, self._sampling.max_tokens),
            question_id=self._question_id,
            tokens=self._tokens(summary.tokens),
            timing=self._timing(),
            raw=cited.raw,
            ending=ending,
            error=error,
            reading=self._composed.reading,
            coverage=self._coverage(),
            warnings=tuple(self._heard.warnings),
            **self._value(ending),
        )

    def _coverage(self) -> Coverage:
        if self._structured and not self._structured.invalid:
            return self._structured.coverage()
        return coverage(self._cited.markdown, self._cited.citations)

    def _value(self, ending: Ending) -> dict[str, Any]:
        """What an answer has beside its text where JSON was asked for."""
        if self._structured is None:
            return {}
        invalid = self._structured.invalid
        if invalid and ending is Ending.LENGTH:
            invalid = f"it was cut at {self._sampling.max_tokens:,} tokens"
        elif invalid and ending is not Ending.STOP:
            invalid = "it is not whole"
        return {"is_structured": True, "value": self._structured.value, "invalid": invalid}

    def _tokens(self, of_corpus: int) -> dict[str, int]:
        """Counts of tokens; "cached" only where the engine reports it."""
        ours, finished = len(self._composed.prompt.ids), self._heard.finished
        counts = {"corpus": of_corpus, "prompt": ours, "counted_locally": ours, "output": len(self._said())}
        if finished is not None:
            counts |= {"prompt": finished.prompt_tokens, "output": finished.answer_tokens}
            if finished.cached_tokens is not None:
                counts["cached"] = finished.cached_tokens
        if (limit := self._engine.limits().context_tokens) is not None:
            counts["window"] = limit
        return counts

    def _timing(self) -> dict[str, float]:
        """Seconds to the first token, of the rest and in all; and tokens a second where something was measured."""
        heard, now = self._heard, time.perf_counter()
        seconds = {"total_s": now - heard.begun_s}
        if heard.first_s is not None:
            seconds |= {"ttft_s": heard.first_s - heard.begun_s, "decode_s": now - heard.first_s}
        if (finished := heard.finished) is not None:
            prefill, decode = completion.speeds(finished)
            seconds |= {} if prefill is None else {"prefill_tokens_per_s": prefill}
            seconds |= {} if decode is None else {"decode_tokens_per_s": decode}
        return seconds


def _structured(composed: "Composed", schema: "Schema | None") -> "StructuredText | None":
    if schema is None:
        return None
    from longctx.structured_text import StructuredText

    return StructuredText(composed.sent, schema)


def _notice(ending: Ending, max_tokens: int) -> str:
    match ending:
        case Ending.LENGTH:
            return f"The answer was cut at {max_tokens:,} tokens; --max-tokens allows more."
        case Ending.INTERRUPTED | Ending.FAILED:
            return "This answer is not whole."
        case _:
            return ""
