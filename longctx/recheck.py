"""Whether what saved answers cite still stands in the files as they are now.

A saved answer is a file like any other and may be forged: its paths only name files of the corpus, they open none. It
reads no source itself; the corpus must be up to date.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import Any

from ingest.document import Document
from longctx import answer, citations, export, resolving
from longctx.citations import CitationStatus
from longctx.corpora import FileRecord
from longctx.corpus import Corpus
from longctx.errors import UsageError
from longctx.files import sent
from longctx.folding import Folded, find, folded_quote, has_enough
from longctx.reports.plain import whole

OCCURRENCES_MOST = 10_000
FOUND = (CitationStatus.VERIFIED, CitationStatus.RELOCATED, CitationStatus.NEAR)
REPORT_SCHEMA = "longctx.report/1"
HINT = "give a report's folder, or what `longctx ask --json -o FILE` or `longctx sessions export --as json` wrote"


class Standing(StrEnum):
    """What became of a citation.

    verified    its quote stands where it stood
    moved       the same text stands at another place
    changed     the file no longer has that text
    gone        the file is no longer there
    near        the text shown stands, but it never was all that the answer had quoted
    unverified  the quote had not been found when the answer was saved
    """

    VERIFIED = "verified"
    MOVED = "moved"
    CHANGED = "changed"
    GONE = "gone"
    NEAR = "near"
    UNVERIFIED = "unverified"

    @property
    def stands(self) -> bool:
        """Whether what was quoted is still there."""
        return self in (Standing.VERIFIED, Standing.MOVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedCitation:
    """A citation as it was saved; nothing in it is to be trusted."""

    n: int
    status: str
    path: str
    place: str
    quote: str
    sha256: str
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedAnswer:
    """What is needed of a saved answer to check it again; `item` is its id in a report."""

    corpus: str
    question: str
    citations: tuple[SavedCitation, ...]
    item: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """A citation checked again; `place` is where it stands now, "" where it does not."""

    saved: SavedCitation
    standing: Standing
    place: str = ""


def read_saved(content: bytes) -> list[SavedAnswer]:
    """The answers in a saved file: an answer, a session, a report, or lines of answers or events. Raises UsageError."""
    try:
        values = _values(content.decode("utf-8-sig"))
        found = [_answer(row, item) for value in values for item, row in _answers(value)]
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else "no JSON"
        raise UsageError(f"not a saved answer: {what}", HINT) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError("not a saved answer: a field is missing or of another kind", HINT) from error
    if not found:
        raise UsageError("no saved answer in it", HINT)
    return found


def recheck(corpus: Corpus, saved: SavedAnswer) -> Iterator[Checked]:
    """Each citation of an answer, looked up in the corpus as it is now."""
    texts = _Texts(corpus)
    for citation in saved.citations:
        if citation.status not in FOUND or not has_enough(citation.quote):
            yield Checked(citation, Standing.UNVERIFIED)
        else:
            yield _as_saved(texts.check(citation))


def gone(saved: SavedAnswer) -> list[Checked]:
    """The citations of an answer whose corpus has no source any more."""
    return [Checked(c, Standing.GONE if c.status in FOUND else Standing.UNVERIFIED) for c in saved.citations]


def _as_saved(checked: Checked) -> Checked:
    """A saved quote is the document's own text: that it stands says nothing for a claim that was only near it."""
    is_near = checked.saved.status == CitationStatus.NEAR and checked.standing.stands
    return replace(checked, standing=Standing.NEAR) if is_near else checked


class _Texts:
    """The corpus's files and their present texts."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._entries = {entry.key: entry for entry in corpus.entries}
        self._spelled = {whole(path): record for path, record in corpus.files.items() if not path.isascii()}
        self._folded: dict[tuple[str, str], Folded] = {}

    def check(self, saved: SavedCitation) -> Checked:
        record = self._corpus.files.get(saved.path) or self._spelled.get(saved.path) or self._renamed(saved)
        if record is None:
            return Checked(saved, Standing.GONE)
        if not sent(record) or record.key not in self._entries:
            return Checked(saved, Standing.CHANGED)
        document = self._corpus.document(self._entries[record.key])
        places = self._places(saved, record, document)
        if not places:
            return Checked(saved, Standing.CHANGED)
        if whole(saved.place) in map(whole, places.values()):
            return Checked(saved, Standing.VERIFIED, saved.place)
        nearest = min(places, key=lambda start: abs(start - saved.start))
        return Checked(saved, Standing.MOVED, places[nearest])

    def _renamed(self, saved: SavedCitation) -> FileRecord | None:
        """A file with the very bytes that were cited, under another name."""
        files = self._corpus.files.values()
        return next((file for file in files if saved.sha256 and file.digest == saved.sha256 and sent(file)), None)

    def _places(self, saved: SavedCitation, record: FileRecord, document: Document) -> dict[int, str]:
        """Where the quote stands, each place by its offset."""
        found = find(document.text, saved.quote, 0, len(document.text))
        spans = list(islice(found, OCCURRENCES_MOST)) or self._as_folded(saved, record, document)
        return {start: citations.place_of(record.path, document, start, end) for start, end in spans}

    def _as_folded(self, saved: SavedCitation, record: FileRecord, document: Document) -> list[tuple[int, int]]:
        markup = document.kind in resolving.MARKUP
        if record.key not in self._folded:
            self._folded[record.key] = Folded(document.text, markup=markup)
        found = self._folded[record.key].find(folded_quote(saved.quote, markup=markup))
        return list(islice(found, OCCURRENCES_MOST))


def _values(text: str) -> list[Any]:
    """One JSON value, or one on each line."""
    try:
        return [json.loads(text)]
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def _answers(value: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The answers in a value, each with the id of its item in a report; events that are none hold none."""
    schema = value.get("schema")
    if schema == REPORT_SCHEMA:
        return [(_text(item["id"]), item["answer"]) for item in value["items"] if item["answer"] is not None]
    if schema == export.SCHEMA:
        return [("", turn["answer"]) for turn in value["turns"]]
    return [("", value)] if schema == answer.SCHEMA else []


def _answer(row: Mapping[str, Any], item: str) -> SavedAnswer:
    found = tuple(_citation(each) for each in row["citations"])
    return SavedAnswer(corpus=_text(row["corpus"]["id"]), question=_text(row["question"]), citations=found, item=item)


def _citation(row: Mapping[str, Any]) -> SavedCitation:
    chars = row.get("chars") or [0]
    texts = {name: _text(row[name]) for name in ("status", "path", "place", "quote", "sha256")}
    return SavedCitation(n=_number(row["n"]), start=_number(chars[0]), **texts)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value))
    return value


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(type(value))
    return value
