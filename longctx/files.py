"""The files of a corpus side by side: which text is sent under which path, and which are only its twins."""

from collections.abc import Mapping
from dataclasses import replace

from ingest.outcome import Outcome, Status
from longctx.corpora import FileRecord


def sent(record: FileRecord) -> bool:
    """Whether the file's text is in the prompt, by itself or through its twin."""
    return record.outcome.status.has_text


def cost(record: FileRecord) -> int:
    """The tokens that a file adds to the prompt: none where its text is sent under another path."""
    return record.tokens if sent(record) and record.outcome.status is not Status.DUPLICATE else 0


def marked(files: Mapping[str, FileRecord]) -> dict[str, FileRecord]:
    """The files in order of their paths; of those with the same text the first is read, the others its duplicates.

    A link to a file of the corpus is always the duplicate, and shares its target's fate where that wasn't read.
    """
    first: dict[tuple[str, str], str] = {}
    ordered = sorted(files)
    for path in ordered:
        record = files[path]
        if sent(record) and record.tokens:
            first.setdefault(record.key, path)
    return {path: _marked(_with_target(files[path], files), first) for path in ordered}


def _marked(record: FileRecord, first: Mapping[tuple[str, str], str]) -> FileRecord:
    twin = first.get(record.key, record.path)
    if not sent(record) or twin == record.path:
        return record
    return replace(record, outcome=Outcome(record.path, Status.DUPLICATE, twin))


def _with_target(record: FileRecord, files: Mapping[str, FileRecord]) -> FileRecord:
    """A link to a file of the corpus has that file's text, or the reason why it has none."""
    if record.outcome.status is not Status.DUPLICATE:
        return record
    target = files.get(record.outcome.detail)
    if target is None:
        return replace(record, outcome=Outcome(record.path, Status.SPECIAL, f"link to {record.outcome.detail}"))
    if not sent(target):
        return replace(record, outcome=replace(target.outcome, path=record.path))
    return replace(record, digest=target.digest, reader=target.reader, tokens=target.tokens)
