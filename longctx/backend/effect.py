"""What leaving out files would change, worked out without doing it.

A corpus is named by its sources and rules, and its name marks each document's wrapper. So one that leaves out more is
another corpus, of whose prompt no window is like one of this one's: none is kept, however little is left out, but for
those that the other corpus has in the store from an earlier time. What this one has there is not deleted, and is of
use again when the files come back.
"""

from collections.abc import Collection, Mapping

from longctx.backend.desk import Shown
from longctx.backend.replies import EffectIs
from longctx.backend.windows import Packed
from longctx.corpora import FileRecord
from longctx.corpus import Corpus
from longctx.files import cost, marked
from longctx.manifest import Entry, Present, repack, total_tokens
from longctx.request import Request


def effect(
    corpus: Corpus, packed: Packed, shown: Shown, wanted: Request, whole: Request, left_out: Collection[str]
) -> EffectIs:
    """What would change if `wanted`, which leaves out these paths of `whole`, were read instead of this corpus.

    Where it was open before, its prompt is as it was left then; else new texts stand in the order they have now.
    """
    cached = packed.stored(shown.identity, shown.setup)
    with Corpus(wanted, corpus.paths) as other:
        is_same = other.record.id == corpus.record.id
        entries = corpus.entries if is_same else other.entries or _left(corpus, _files(corpus, whole), left_out)
        after = packed if is_same else Packed(other, entries)
        before, now = len(packed.windows), len(after.windows)
        kept = before if is_same else after.stored(shown.identity, shown.setup) or 0
    return EffectIs(
        tokens_before=total_tokens(corpus.entries),
        tokens_after=total_tokens(entries),
        windows_before=before,
        windows_after=now,
        windows_kept=kept,
        cached_lost=None if cached is None else 0 if is_same else max(0, cached - kept),
    )


def _files(corpus: Corpus, whole: Request) -> dict[str, FileRecord]:
    """The files of the sources as far as they were ever read, those that are left out now among them."""
    with Corpus(whole, corpus.paths) as everything:
        return {**everything.records, **corpus.records}


def _left(corpus: Corpus, files: Mapping[str, FileRecord], left_out: Collection[str]) -> tuple[Entry, ...]:
    """The manifest of the files that stay."""
    order = {entry.key: index for index, entry in enumerate(corpus.entries)}
    first: dict[tuple[str, str], Present] = {}
    for record in marked({path: record for path, record in files.items() if not is_below(path, left_out)}).values():
        if cost(record):
            place = order.get(record.key, len(order))
            first.setdefault(record.key, Present(record.path, *record.key, record.tokens, place))
    return repack(first.values())


def is_below(path: str, paths: Collection[str]) -> bool:
    """Whether a path is one of these, or in a folder among them (which ends in a slash)."""
    return path in paths or any(path[: at + 1] in paths for at, letter in enumerate(path) if letter == "/")
