"""What leaving out files would change, worked out without doing it.

A corpus is named by its sources and rules, so one that leaves out more is another corpus. It begins with the order and
the tag of the whole one, so that all windows before the first text left out are the same, and their KV is good. What
the present corpus has in the prefix store behind them is not deleted, and is of use again when the files come back.
"""

from longctx.backend.desk import Shown
from longctx.backend.replies import EffectIs
from longctx.backend.windows import Packed
from longctx.corpora import FileRecord
from longctx.corpus import Corpus
from longctx.manifest import Entry, total_tokens
from longctx.refresh import updated
from longctx.request import Request


def effect(corpus: Corpus, packed: Packed, shown: Shown, wanted: Request) -> EffectIs:
    """What would change if `wanted`, which leaves out more or less of the same sources, were read instead.

    Where it was open before, its prompt goes on from how it was left then.
    """
    cached = packed.stored(shown.identity, shown.setup)
    with Corpus(wanted, corpus.paths) as other:
        is_same = other.record.id == corpus.record.id
        entries = corpus.entries if is_same else _entries(other, _files(corpus, shown.whole))
        after = packed if is_same else Packed(other, entries, like=packed)
        kept = len(packed.windows) if is_same else after.shared
        stored = None if cached is None else after.stored(shown.identity, shown.setup) or 0
    return EffectIs(
        tokens_before=total_tokens(corpus.entries),
        tokens_after=total_tokens(entries),
        windows_before=len(packed.windows),
        windows_after=len(after.windows),
        windows_kept=kept,
        cached_lost=None if cached is None or stored is None else max(0, cached - stored),
    )


def _files(corpus: Corpus, whole: Request) -> dict[str, FileRecord]:
    """The files of the sources as far as they were ever read, those that are left out now among them."""
    with Corpus(whole, corpus.paths) as everything:
        return {**everything.records, **corpus.records}


def _entries(other: Corpus, files: dict[str, FileRecord]) -> tuple[Entry, ...]:
    """The manifest that another corpus of these files would have."""
    part = other.request.part
    other.show_files({path: record for path, record in files.items() if not (part and part.leaves_out(path))})
    return updated(other, other.entries or other.whole, other.present({}))
