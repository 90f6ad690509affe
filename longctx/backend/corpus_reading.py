"""Bringing a corpus up to date for a face, and what is told of it then."""

import os
from collections.abc import Callable
from contextlib import closing

from ingest import git
from ingest.source import is_count
from longctx.answer import summarise
from longctx.backend.replies import CorpusOpened, Reply
from longctx.backend.telling import Reading
from longctx.corpus import Corpus
from longctx.manifest import stale_tokens, total_tokens
from longctx.refresh import refresh
from longctx.request import discover_sources

Tell = Callable[[Reply], None]


def read(corpus: Corpus, tell: Tell) -> int:
    """Bring a corpus up to date; how many files are new, other or gone since it was read the last time."""
    before = _texts(corpus)
    reading = Reading(tell, None if before else _total(corpus))
    with closing(refresh(corpus)) as events:
        for event in events:
            reading.tell(event)
    after = _texts(corpus)
    return sum(before.get(path) != after.get(path) for path in before.keys() | after.keys()) if before else 0


def corpus_opened(corpus: Corpus, *, changed: int, excluded: tuple[str, ...]) -> CorpusOpened:
    """What there is to ask."""
    summary, record = summarise(corpus.record.id, corpus.files), corpus.record
    return CorpusOpened(
        id=record.id,
        name=name_of(record.inputs, record.folder),
        folder=record.folder,
        sources=record.inputs,
        files=summary.files,
        skipped=len(summary.skipped) - sum(is_count(record.outcome) for record in corpus.files.values()),
        tokens=total_tokens(corpus.entries),
        stale=stale_tokens(corpus.entries),
        changed=changed,
        excluded=excluded,
    )


def name_of(inputs: tuple[str, ...], folder: str) -> str:
    """A short name of some sources: of the first one, and how many more there are."""
    if not inputs:
        return os.path.basename(folder) or folder
    first, more = inputs[0], len(set(inputs)) - 1
    if git.is_remote(first):
        name = git.short_name(first)
    else:
        path = os.path.normpath(os.path.join(folder, first))
        name = os.path.basename(path) or path
    return f"{name} and {more} more" if more else name


def _texts(corpus: Corpus) -> dict[str, tuple[str, ...]]:
    """What there is to say of each file, but for when it was last seen."""
    return {
        path: (*record.key, record.outcome.status, record.outcome.detail) for path, record in corpus.records.items()
    }


def _total(corpus: Corpus) -> int | None:
    """How many files there are to read; None where only a server could say."""
    if any(map(git.is_remote, corpus.request.inputs)):
        return None
    return sum(1 for _ in discover_sources(corpus.request, corpus.paths))
