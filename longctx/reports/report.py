"""A report as values, and its JSON form `longctx.report/1`, to which fields are only ever added.

Every other form is made of these values alone, so what is written twice from the same values is the same.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from os.path import commonpath, dirname
from typing import Any

import msgspec

SCHEMA = "longctx.report/1"


class Kind(StrEnum):
    """What an item of a report is."""

    SUMMARY = "summary"  # of the whole corpus
    DOCUMENT = "document"  # the summary of one document
    QUESTION = "question"


class State(StrEnum):
    """What became of an item."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A citation of an item in its context. `before` and `after` are the text around the quote (whole lines, empty
    where nothing was found); `picture` names a file in the folder `pages`, "" where there is none."""

    item: str
    n: int
    status: str
    path: str
    place: str
    quote: str
    sha256: str
    page: int | None = None
    lines: tuple[int, int] | None = None
    chars: tuple[int, int] | None = None
    kind: str = ""
    name: str = ""
    claim: str = ""
    share: float = 1.0
    is_current: bool = True
    before: str = ""
    after: str = ""
    picture: str = ""
    picture_note: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether it is verified in a text that its file still has."""
        return self.status == "verified" and self.is_current


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One question or summary. `title` is a line, `text` what was asked; `path` the document of a DOCUMENT. Where a
    question `refers` to the answers of other items, `[answer to ID]` stands in their place in `title` and `text`.

    `answer` is a `longctx.answer/1`, also that of a failed item where there was one; `error` is why it failed. `value`
    is the structured answer where `schema` was asked for. `calls` is how often the engine was asked for it.
    """

    id: str
    kind: Kind
    title: str
    text: str = ""
    path: str = ""
    state: State = State.PENDING
    error: str = ""
    answer: dict[str, Any] | None = None
    schema: Any = None
    value: Any = None
    evidence: tuple[Evidence, ...] = ()
    calls: int = 0
    key: str = ""
    wall_s: float = 0.0
    refers: tuple[str, ...] = ()


class DocumentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One document of the corpus: `id` as models are told it (d12), `tokens` of its text, `pages` where it has them."""

    id: str
    path: str
    kind: str
    tokens: int
    sha256: str
    pages: int | None = None
    also: tuple[str, ...] = ()
    status: str = "read"
    detail: str = ""


class WindowRow(msgspec.Struct, frozen=True, kw_only=True):
    """One window of 8,192 tokens of the corpus: what it holds and how many verified citations stand in it."""

    index: int
    tokens: int
    first: str
    documents: int
    cited: int = 0


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """How the report was made: what changes from run to run without the report saying anything else."""

    program: str
    begun: str
    written: str
    runs: int = 1
    wall_s: float = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report. `corpus` is what `answer.corpus_json` gives (files, tokens, what was skipped and why), `engine` what
    answered, `settings` how it was asked; `wording` a digest of the words that every prompt has."""

    schema: str = SCHEMA
    title: str
    description: str = ""
    manifest: str
    manifest_sha256: str
    sources: tuple[str, ...] = ()
    corpus: dict[str, Any]
    documents: tuple[DocumentRow, ...] = ()
    windows: tuple[WindowRow, ...] = ()
    engine: dict[str, Any]
    settings: dict[str, Any]
    wording: str = ""
    items: tuple[Item, ...]
    made: Made

    @property
    def done(self) -> int:
        """How many items are done, failed ones not counted."""
        return sum(item.state is State.DONE for item in self.items)

    @property
    def failed(self) -> int:
        """How many items have failed."""
        return sum(item.state is State.FAILED for item in self.items)


def to_json(report: Report) -> bytes:
    """The report as indented JSON; the same values give the same bytes."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def from_json(content: bytes) -> Report:
    """A saved report; raises msgspec.ValidationError or msgspec.DecodeError."""
    return msgspec.json.decode(content, type=Report)


def matrix(report: Report) -> Mapping[str, Mapping[str, int]]:
    """Verified citations by item id and path of the document; only what there is."""
    counts: dict[str, dict[str, int]] = {}
    for item in report.items:
        row = counts.setdefault(item.id, {})
        for each in item.evidence:
            if each.is_sound:
                row[each.path] = row.get(each.path, 0) + 1
    return counts


def shared_folder(paths: Sequence[str]) -> str:
    """The folder, with its slash, that all of these documents lie in where all paths are whole: titles leave it out."""
    if not paths or not all(path.startswith("/") for path in paths):
        return ""
    return commonpath([dirname(path) for path in paths]).rstrip("/") + "/"
