"""The files of a corpus, what becomes of each in the prompt, and why. What only counts files is passed over."""

from collections.abc import Iterator, Mapping

from ingest.outcome import Status
from ingest.source import is_count
from longctx.backend.parts import in_parts
from longctx.backend.replies import FileIs, FilesAre, Sending
from longctx.corpora import FileRecord
from longctx.corpus import Corpus
from longctx.files import cost, sent


def files(corpus: Corpus) -> Iterator[FilesAre]:
    """Every file in order of paths, in parts; `position` is the index of its text in the manifest."""
    places = {entry.key: index for index, entry in enumerate(corpus.entries)}
    rows = (_file(record, places) for record in corpus.files.values() if not is_count(record.outcome))
    for part, is_last in in_parts(rows, lambda row: len(row.path) + len(row.why)):
        yield FilesAre(part, is_last)


def _file(record: FileRecord, places: Mapping[tuple[str, str], int]) -> FileIs:
    outcome = record.outcome
    return FileIs(
        path=record.path,
        tokens=cost(record),
        sending=_sending(record),
        status=str(outcome.status),
        why=_why(record),
        position=places.get(record.key) if sent(record) else None,
    )


def _sending(record: FileRecord) -> Sending:
    if not sent(record):
        return Sending.LEFT_OUT
    return Sending.TWIN if record.outcome.status is Status.DUPLICATE else Sending.SENT


def _why(record: FileRecord) -> str:
    """What is known beyond the status: of a twin the other path."""
    detail = record.outcome.detail
    return "empty" if sent(record) and not record.tokens and not detail else detail
