"""The Python API, in the words of the command line: open sources, ask, plan."""

import os
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from ingest.rules import Selection
from longctx import analysis, paths, plan
from longctx.answer import Answer
from longctx.corpus import Corpus
from longctx.events import Event
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

    def ask(self, question: str) -> Answer:
        """Answer a question by quoting the corpus; every citation has been checked."""
        return analysis.ask(self._corpus, question)

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


def _each(sources: Iterable[str | os.PathLike[str] | Iterable[str | os.PathLike[str]]]) -> Iterator[str]:
    """The sources one by one, given singly or as a list."""
    for source in sources:
        if isinstance(source, str | os.PathLike):
            yield os.fspath(source)
        else:
            yield from (os.fspath(each) for each in source)
