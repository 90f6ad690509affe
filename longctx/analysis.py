"""The one use case: a question over a corpus becomes an answer with checked citations.

Every face (command line, Python, terminal UI, reports) asks through this module and renders its events.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from longctx.errors import UsageError
from longctx.events import Answered, AnswerEvents, Notice, Planned
from longctx.quoting import QUOTES_SHOWN, quote

if TYPE_CHECKING:
    from longctx.composing import Subject
    from longctx.corpus import Corpus
    from longctx.engines.base import Engine, Sampling
    from longctx.session import Exchange
    from longctx.structured import Schema

NEEDS_MODEL = "a structured answer needs a model"
ASSUMED_CONTEXT = 8192  # of a server that does not say how much it takes: what the smallest of today's take


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How questions are asked: how much is sent, and how the answer is drawn; `quotes` is for the evidence engine.

    `max_tokens_set` says that somebody chose `max_tokens`: a summary, which has a figure of its own, takes it then.
    """

    mode: str = "auto"
    max_tokens: int = 1024
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    quotes: int = QUOTES_SHOWN
    max_tokens_set: bool = False


@dataclass(frozen=True, slots=True)
class Before:
    """What was asked before in the same conversation: as it stands in a prompt, and the questions' words.

    `topic` is the question for which parts of the corpus were chosen then; so many turns were `left_out` then.
    """

    exchanges: "Sequence[Exchange]" = ()
    questions: Sequence[str] = ()
    topic: str = ""
    left_out: int = 0


def ask(
    corpus: "Corpus",
    question: str,
    engine: "Engine | None",
    asking: Asking,
    *,
    before: Before | None = None,
    question_id: str | None = None,
    prefill_tokens_per_s: float | None = None,
    schema: "Schema | None" = None,
) -> AnswerEvents:
    """Answer from an up-to-date corpus; the last event is Answered. Without an engine the answer is quotes.

    With a `schema`, one that `structured.check_schema` finds nothing wrong with, the answer has a value that obeys it,
    or says why it has none.

    Raises DoesNotFit before anything is sent, and what the engine raises after what there is of its answer.
    """
    if not question.strip():
        raise UsageError("the question is empty", 'longctx ask PATH... "the question"')
    if engine is None:
        answer = quote(corpus, question, limit=asking.quotes, question_id=question_id)
        yield Answered(answer if schema is None else replace(answer, is_structured=True, invalid=NEEDS_MODEL))
    else:
        yield from asked(
            corpus,
            question,
            engine,
            asking,
            before=before or Before(),
            question_id=question_id,
            prefill_tokens_per_s=prefill_tokens_per_s,
            schema=schema,
        )


def asked(
    corpus: "Corpus",
    question: str,
    engine: "Engine",
    asking: Asking,
    *,
    before: Before,
    question_id: str | None = None,
    prefill_tokens_per_s: float | None = None,
    subject: "Subject | None" = None,
    schema: "Schema | None" = None,
) -> AnswerEvents:
    """As `ask` with a model; with a `subject`, its order is sent in the question's place."""
    from longctx.answering import Answering
    from longctx.composing import compose

    said = engine.limits().context_tokens
    limit = ASSUMED_CONTEXT if said is None and asking.mode != "full" else said
    if said is None and limit is not None:
        yield Notice(f"the engine does not say how many tokens it takes: {limit:,} are assumed (--context says better)")
    composed = compose(
        corpus,
        question,
        conversation=before.exchanges,
        earlier=before.questions,
        mode=asking.mode,
        limit_tokens=limit,
        answer_tokens=asking.max_tokens,
        topic=before.topic,
        left_out=before.left_out,
        subject=subject,
        schema=_told(schema),
    )
    if composed.left_out > before.left_out:
        yield Notice(f"turns no longer fit what the engine takes: the oldest {composed.left_out:,} left out")
    yield Planned(
        reading=composed.reading,
        prompt_tokens=len(composed.prompt.ids),
        limit_tokens=said,
        rolled=composed.opens_window and bool(before.exchanges),
        prefill_tokens_per_s=prefill_tokens_per_s,
        recap_tokens=len(composed.recap.ids),
        conversation_tokens=composed.conversation_tokens,
        passages=composed.recap.places,
    )
    if subject is not None and (missing := subject.missing(composed.reading)):
        yield Notice(missing)
    drawn = sampling(asking) if schema is None else replace(sampling(asking), schema=_held_to(schema))
    yield from Answering(corpus, question, composed, engine, drawn, question_id, schema).events()


def sampling(asking: Asking) -> "Sampling":
    """How an engine is to draw an answer."""
    from longctx.completion import stop_ids
    from longctx.engines.base import Sampling
    from longctx.vocabulary import llama4

    return Sampling(
        max_tokens=asking.max_tokens,
        temperature=asking.temperature,
        top_p=asking.top_p,
        seed=asking.seed,
        stop_ids=stop_ids(llama4()),
    )


def _told(schema: "Schema | None") -> str:
    """A schema as a model is told it."""
    if schema is None:
        return ""
    from longctx.structured import text_of

    return text_of(schema)


def _held_to(schema: "Schema") -> str:
    """What an engine is held to: the evidence, and the value."""
    from longctx.structured import text_of, wrapped

    return text_of(wrapped(schema))
