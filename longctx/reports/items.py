"""What a manifest asks of a corpus, item by item: in the order on paper, in the order of work, and the key of each.

An item's key is a digest of all that its answer depends on: what has the same key need not be asked again.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from longctx.errors import UsageError
from longctx.manifest import State as TextState
from longctx.reports.manifest import LoadedManifest, Question, SummaryPart
from longctx.reports.plain import whole
from longctx.reports.report import Kind
from longctx.summary_form import Scope, Summary

if TYPE_CHECKING:
    from longctx.corpus import Corpus

SUMMARY = "summary/"  # with the document's path behind it; no question's id has a slash
TITLE_MOST = 120
REFERENCE = re.compile(r"\{\{\s*answers\.([A-Za-z0-9][A-Za-z0-9._-]{0,63})\s*\}\}")
MARK = re.compile(r"[ \t]*\[\^\d+\]")


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """An item that is to be answered. `text` may refer to the answers of `needs`, which are answered before."""

    id: str
    kind: Kind
    title: str
    text: str
    path: str = ""
    schema: Any = None
    require_verified: bool = False
    needs: tuple[str, ...] = ()
    summary: Summary | None = None


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """Digests of what an answer depends on; what differs says why it is asked anew."""

    asked: str
    corpus: str
    engine: str
    settings: str
    wording: str

    @property
    def key(self) -> str:
        """Names all of it."""
        return digest([self.asked, self.corpus, self.engine, self.settings, self.wording], most=64)

    def changed(self, before: "Parts") -> str:
        """Why an answer that was given `before` does not count any more, in a few words."""
        if self.corpus != before.corpus:
            return "the corpus has changed"
        if self.engine != before.engine:
            return "another model answers"
        if self.asked != before.asked:
            return "it is asked differently"
        return "the settings have changed" if self.settings != before.settings else "the prompt's words have changed"


def on_paper(loaded: LoadedManifest, corpus: "Corpus") -> tuple[Work, ...]:
    """The items of a report in its order: the summary of all, of each document, the questions."""
    return (*_summaries(loaded.manifest.summary, corpus), *(_asked(each, loaded) for each in loaded.manifest.question))


def to_be_done(works: Sequence[Work]) -> list[Work]:
    """The order of work: what is asked of the whole corpus first, what others need before them."""
    by_id, ordered = {work.id: work for work in works}, dict[str, Work]()
    for work in sorted(works, key=lambda work: work.kind is Kind.DOCUMENT):
        waiting = [work]
        while waiting:
            lacking = [by_id[need] for need in waiting[-1].needs if need not in ordered]
            if lacking:
                waiting.append(lacking[0])
            else:
                last = waiting.pop()
                ordered[last.id] = last
    return list(ordered.values())


def chosen(works: Sequence[Work], wanted: Iterable[str]) -> frozenset[str]:
    """The ids that were asked for; a document may be named by its path. Raises UsageError for one that there is not."""
    known = {work.id for work in works}
    found = {
        name if (name := whole(given)) in known else f"{SUMMARY}{name.removeprefix('./')}": name for given in wanted
    }
    for identity, name in found.items():
        if identity not in known:
            raise _unknown(name, works)
    return frozenset(found)


def filled(work: Work, said: Mapping[str, str]) -> str:
    """The text with the answers it refers to; those are data to a model as they stand in the question."""
    return REFERENCE.sub(lambda found: said.get(found[1], found[0]), work.text)


def said(markdown: str) -> str:
    """An answer as it stands in a question: without its footnote marks."""
    return MARK.sub("", markdown).strip()


def asked_digest(work: Work, text: str) -> str:
    """Names what is asked, with the answers it refers to."""
    summary = asdict(work.summary) if work.summary else None
    return digest([work.kind, text, work.schema, work.require_verified, summary])


def corpus_digest(corpus: "Corpus") -> str:
    """Names the texts of a corpus, in their order and under their names."""
    current = [entry for entry in corpus.entries if entry.state is TextState.CURRENT]
    return digest([[e.document_id, e.path, corpus.paths_of(e), e.digest, e.reader] for e in current])


def wording_digest() -> str:
    """Names the words that every prompt has."""
    from longctx import wording

    said = [wording.preamble("TAG"), wording.directive(), wording.directive(partial=True), wording.reminder()]
    said += [wording.excerpts(), wording.question("TEXT"), wording.structured("TEXT", "SCHEMA")]
    return digest([*said, *(wording.summary("", 1, style) for style in ("bullets", "prose", "outline"))])


def digest(values: Sequence[Any], most: int = 16) -> str:
    """A short name for plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode("ascii")).hexdigest()[:most]


def _summaries(part: SummaryPart | None, corpus: "Corpus") -> Iterator[Work]:
    if part is not None and part.corpus:
        yield _summary(Kind.SUMMARY, part, "")
    if part is not None and part.per_document:
        yield from (_summary(Kind.DOCUMENT, part, path) for path in _documents(corpus))


def _summary(kind: Kind, part: SummaryPart, path: str) -> Work:
    scope = Scope((path,) if path else ())
    ordered = Summary(scope=scope, length=part.length, style=part.style, sections=part.sections, focus=part.focus)
    return Work(
        id=whole(f"{SUMMARY}{path}"),
        kind=kind,
        title=f"Summary of {whole(path) or scope.label}",
        text=whole(ordered.title),
        path=path,
        summary=ordered,
    )


def _documents(corpus: "Corpus") -> list[str]:
    """The first path of each text that there is now, in the corpus's order."""
    current = (entry for entry in corpus.entries if entry.state is TextState.CURRENT and entry.tokens)
    return [(corpus.paths_of(entry) or [entry.path])[0] for entry in current]


def _asked(question: Question, loaded: LoadedManifest) -> Work:
    words = " ".join(question.text.split())
    return Work(
        id=question.id,
        kind=Kind.QUESTION,
        title=words if len(words) <= TITLE_MOST else f"{words[: TITLE_MOST - 1].rstrip()}…",
        text=question.text.strip(),
        schema=loaded.schemas.get(question.id),
        require_verified=question.require_verified,
        needs=tuple(dict.fromkeys([*question.depends_on, *REFERENCE.findall(question.text)])),
    )


def _unknown(name: str, works: Sequence[Work]) -> UsageError:
    from difflib import get_close_matches

    from ingest.naming import show

    close = get_close_matches(name, [work.id for work in works][:2000], n=1)
    some = ", ".join(show(work.id) for work in works[:8]) + ", …" * (len(works) > 8)
    return UsageError(
        f"no item is called {show(name)}", f"did you mean {show(close[0])}?" if close else f"one of {some}"
    )
