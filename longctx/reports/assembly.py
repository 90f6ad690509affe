"""A report put together: what is the same all through a run, and the items as they are by now."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ingest.source import LEFT_OUT
from longctx.answer import corpus_json, summarise
from longctx.reports.plain import whole
from longctx.reports.report import Item, Made, Report
from longctx.reports.windows import Windows, documents

if TYPE_CHECKING:
    from longctx.corpus import Corpus
    from longctx.engines.base import Identity
    from longctx.reports.manifest import LoadedManifest
    from longctx.reports.records import Past


class Frame:
    """All of a report but its items; what is known of the corpus is looked up once."""

    def __init__(
        self,
        loaded: "LoadedManifest",
        corpus: "Corpus",
        engine: "Identity",
        settings: Mapping[str, Any],
        wording: str,
    ) -> None:
        self._loaded = loaded
        self._sources = tuple(whole(corpus.request.public_inputs))
        self._corpus = whole(_told(corpus))
        self._documents = documents(corpus)
        self._windows = Windows(corpus)
        self._engine = whole({name: text for name, text in asdict(engine).items() if text})
        self._settings, self._wording = dict(settings), wording

    def report(self, items: Sequence[Item], made: Made) -> Report:
        """The report with its items as they are."""
        manifest = self._loaded.manifest
        return Report(
            title=whole(manifest.title or self._loaded.name),
            description=whole(manifest.description),
            manifest=whole(os.path.basename(self._loaded.path)),
            manifest_sha256=self._loaded.sha256,
            sources=self._sources,
            corpus=self._corpus,
            documents=self._documents,
            windows=self._windows.cited(items),
            engine=self._engine,
            settings=self._settings,
            wording=self._wording,
            items=tuple(items),
            made=made,
        )


def _told(corpus: "Corpus") -> dict[str, Any]:
    """What was read and what was left out, file by file: how many files patterns have left out changes with what the
    report itself has written by then."""
    fields = corpus_json(summarise(corpus.record.id, corpus.files))
    return fields | {"skipped": [row for row in fields["skipped"] if LEFT_OUT not in row["detail"]]}


def made(program: str, past: "Past", begun: float, now: float) -> Made:
    """How a report was made: by all its runs until `now`, the last of which began at `begun`."""
    first = past.begun[0] if past.begun else begun
    return Made(
        program=program,
        begun=_written(first),
        written=_written(now),
        runs=len(past.begun) + 1,
        wall_s=round(past.wall_s + max(0.0, now - begun), 3),
    )


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
