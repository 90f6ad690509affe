"""The Python API, in the words of the command line: open sources, ask, plan."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from ingest.rules import Selection
from longctx import analysis, paths, plan
from longctx.analysis import Asking
from longctx.answer import Answer
from longctx.corpus import Corpus
from longctx.engines.base import Engine
from longctx.engines.opening import EngineSetup
from longctx.engines.opening import open_engine as _open_engine
from longctx.events import Answered, AnswerEvents, Event
from longctx.refresh import refresh
from longctx.request import Request


class OpenCorpus:
    """Sources that were read and can be asked; close it, or use it in a `with`."""

    def __init__(self, request: Request) -> None:
        self._corpus = Corpus(request, paths.locate(os.environ))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def refresh(self) -> Iterator[Event]:
        """Bring the corpus up to date with its sources, telling of each file that is new or changed."""
        return refresh(self._corpus)

    def ask(self, question: str, *, engine: Engine | None = None, asking: Asking | None = None) -> Answer:
        """Answer a question, by quoting the corpus where no engine is given; every citation has been checked.

        Raises DoesNotFit and EngineError.
        """
        *_, last = self.stream(question, engine=engine, asking=asking)
        assert isinstance(last, Answered), "an answer is the last event"
        return last.answer

    def stream(self, question: str, *, engine: Engine | None = None, asking: Asking | None = None) -> AnswerEvents:
        """The events of an answer as they come; the last one is Answered."""
        return analysis.ask(self._corpus, question, engine, asking or Asking())

    def plan(self) -> plan.PromptPlan:
        """What one prompt over the corpus would be."""
        return plan.build(self._corpus)

    def close(self) -> None:
        """Close the stores."""
        self._corpus.close()


def open(
    *sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    only: Sequence[str] = (),
) -> OpenCorpus:
    """Open folders, files, globs or git URLs as one corpus, read what is new, and return it ready to be asked.

    Raises CorpusError where a source is missing or nothing is readable.
    """
    selection = Selection(include=tuple(include), exclude=tuple(exclude), only=tuple(only))
    corpus = OpenCorpus(Request(tuple(_each(sources)), selection))
    try:
        for _ in corpus.refresh():
            pass
    except BaseException:
        corpus.close()
        raise
    return corpus


def open_engine(
    name: str,
    *,
    model: str | os.PathLike[str] | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    context_tokens: int | None = None,
    timeout_s: float = 3600.0,
) -> AbstractContextManager[Engine]:
    """An engine by its name (`scout`, `vllm`, `openai`, `scripted` or a plugin's) to ask with, for a `with` block.

    `model` is a folder of weights or a name at the server, `context_tokens` what fits it where a server does not say.
    Prefixes are stored where the command line has them.
    """
    places = paths.locate(os.environ)
    setup = EngineSetup(
        logs=places.state / "logs",
        model=None if model is None else os.fspath(model),
        base_url=base_url,
        api_key=api_key,
        context_tokens=context_tokens,
        timeout_s=timeout_s,
        store=places.cache / "prefix",
    )
    return _open_engine(name, setup)


def _each(sources: Iterable[str | os.PathLike[str] | Iterable[str | os.PathLike[str]]]) -> Iterator[str]:
    """The sources one by one, given singly or as a list."""
    for source in sources:
        if isinstance(source, str | os.PathLike):
            yield os.fspath(source)
        else:
            yield from (os.fspath(each) for each in source)
