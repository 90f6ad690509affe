"""What a run tells while it works; the command line, the terminal UI and reports only render these."""

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ingest.outcome import Outcome

if TYPE_CHECKING:
    from longctx.answer import Answer, Reading
    from longctx.citations import Citation
    from longctx.session import Exchange


@dataclass(frozen=True, slots=True)
class FileDone:
    """A file that is new or changed ended in its outcome; `tokens` are those of its text."""

    outcome: Outcome
    tokens: int


@dataclass(frozen=True, slots=True)
class Indexed:
    """A document's passages can be searched now."""

    path: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The corpus is what its sources are: files in all, files whose outcome or text changed, files gone."""

    files: int
    changed: int
    gone: int


ROLLED = "the conversation has outgrown its window of 8,192 tokens and goes on in the next one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What is about to be sent: `prompt_tokens` in all, of which `reading` says what they hold of the corpus.

    `limit_tokens` is the engine's, None where it is not known. With `rolled` the conversation has outgrown its window
    and goes on in a new one. `prefill_tokens_per_s` is what this engine reached before, None where that is not known.
    `passages` are what search found and the recap before the question holds: digests of files and characters of their
    texts.
    """

    reading: "Reading"
    prompt_tokens: int
    limit_tokens: int | None
    rolled: bool = False
    prefill_tokens_per_s: float | None = None
    recap_tokens: int = 0
    conversation_tokens: int = 0
    passages: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillProgress:
    """The engine's own word on how much of the prompt it has read; `cached` came from what it had kept."""

    done: int
    total: int
    cached: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the answer as Markdown; a citation stands in it as its footnote mark, once it is resolved."""

    text: str


@dataclass(frozen=True, slots=True)
class CitationResolved:
    """A citation that was looked up; its mark is in the next TextDelta."""

    citation: "Citation"


@dataclass(frozen=True, slots=True)
class Stepped:
    """Of a summary that takes several calls of the engine so many are done, and the next is about to be made: of
    `what`, safe to show."""

    done: int
    total: int
    what: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a user should know that stops nothing."""

    message: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer, or as much of it as there is where it was interrupted or failed.

    `exchange` is what goes on in the next prompt, `plan` a digest of what stood before it, `topic` the question for
    which parts of the corpus were chosen, `left_out` how many of the oldest turns were not sent; none without a model.
    """

    answer: "Answer"
    exchange: "Exchange | None" = None
    plan: str = ""
    topic: str = ""
    left_out: int = 0


Event = FileDone | Indexed | Refreshed
AnswerEvent = Planned | Stepped | PrefillProgress | TextDelta | CitationResolved | Notice | Answered
AnswerEvents = Generator[AnswerEvent, None, None]


Changed = TypeVar("Changed")


def through(events: AnswerEvents, change: Callable[[AnswerEvent], Changed]) -> Generator[Changed, None, None]:
    """What `change` makes of each event. A Ctrl-C that comes while one is shown is thrown into the run, which then
    says what there is of its answer."""
    try:
        for event in events:
            yield change(event)
    except KeyboardInterrupt:
        event = events.throw(KeyboardInterrupt())  # raises it at once where nothing is left to be told
        while True:
            yield change(event)
            event = next(events)
    except BrokenPipeError:  # nobody reads any more: the run ends as if stopped, and keeps what there is
        with suppress(KeyboardInterrupt, StopIteration):
            events.throw(KeyboardInterrupt())
            while True:
                next(events)
        raise


def follow(events: AnswerEvents, tell: Callable[[AnswerEvent], None]) -> None:
    """Tell all events, as `through` does."""
    for _ in through(events, tell):
        pass
