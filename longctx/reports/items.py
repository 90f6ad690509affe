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

from ingest.naming import show
from longctx.errors import UsageError
from longctx.reports.manifest import LoadedManifest, Question, SummaryPart
from longctx.reports.plain import whole
from longctx.reports.report import Kind, shared_folder
from longctx.summary_form import Scope, Style, Summary

if TYPE_CHECKING:
    from longctx.corpus import Corpus

SUMMARY = "summary"  # of all; that of a document has a slash and its path behind it, as no question's id has
TITLE_MOST = 120
PRINTED_MOST = 60
EARLIER_MOST = 8000  # characters of an answer in a question that refers to it
REFERENCE = re.compile(r"\{\{\s*answers\.([A-Za-z0-9][A-Za-z0-9._-]{0,63})\s*\}\}")
MARK = re.compile(r"[ \t]*\[\^\d+\]")


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """An item that is to be answered after those that it `needs`; `text` has a place for the answer to each that it
    `refers` to, and is `shown` with their names there."""

    id: str
    kind: Kind
    title: str
    text: str
    path: str = ""
    schema: Any = None
    require_verified: bool = False
    needs: tuple[str, ...] = ()
    refers: tuple[str, ...] = ()
    summary: Summary | None = None

    @property
    def shown(self) -> str:
        """The text as people read it."""
        return named(self.text)

    @property
    def sought(self) -> str:
        """The text to search for: without the places of answers, unless nothing else is in it."""
        return REFERENCE.sub(" ", self.text).strip() or self.shown


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

    def differing(self, before: "Parts") -> list[str]:
        """The parts that are not as they were."""
        return [name for name in CHANGED if getattr(self, name) != getattr(before, name)]

    def changed(self, before: "Iterable[Parts]") -> str:
        """Why no answer that was given `before` counts, in a few words: by what the likest of them differs in."""
        fewest = min((self.differing(each) for each in before), key=len)
        return " and ".join(CHANGED[name] for name in fewest[:2])


CHANGED = {
    "corpus": "the corpus has changed",
    "engine": "another model answers",
    "asked": "it is asked differently",
    "settings": "the settings have changed",
    "wording": "longctx itself asks differently now",
}


def on_paper(loaded: LoadedManifest, corpus: "Corpus", *, require_verified: bool = False) -> tuple[Work, ...]:
    """The items of a report in its order: the summary of all, the questions, each document by its path. Where that is
    required nothing but verified citations will do. Raises UsageError where two have one id."""
    part, questions = loaded.manifest.summary, loaded.manifest.question
    works = [*_whole(part), *(_asked(each, loaded) for each in questions), *_of_documents(part, corpus)]
    if works and works[0].id in {each.id for each in questions} and works[0].kind is Kind.SUMMARY:
        raise UsageError(f"{show(loaded.path)}: a question has the id {SUMMARY}, which the summary has", "rename it")
    if require_verified:
        works = [msgspec.structs.replace(work, require_verified=True) for work in works]
    return tuple(works)


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
    """The ids that were asked for. An item may be named as it is printed, and a document by its path or title, where
    only one is called so. Raises UsageError for one that there is not."""
    called = _called(works)
    found = set[str]()
    for name in map(whole, wanted):
        identities = called.get(name) or called.get(f"{SUMMARY}/{name.removeprefix('./')}") or ()
        if not identities:
            raise _unknown(name, works)
        if len(identities) > 1:
            listed = ", ".join(map(show, identities[:8]))
            raise UsageError(f"{len(identities):,} items are called {show(name)}", f"name one of {listed}")
        found.update(identities)
    return frozenset(found)


def printed(identity: str, kind: Kind, title: str) -> str:
    """An item's name in a line: its id, of a document with its path as the title has it; of a long one its end, where
    paths differ."""
    shown = show(f"{SUMMARY}/{title}" if kind is Kind.DOCUMENT else identity)
    return shown if len(shown) <= PRINTED_MOST else f"…{shown[1 - PRINTED_MOST :]}"


def filled(work: Work, answers: Mapping[str, str], tag: str) -> str:
    """The text with the answers it refers to, each in a wrapper that says that it is data."""
    from longctx.wording import earlier

    def put(found: re.Match[str]) -> str:
        name = found[1]
        return earlier(tag, name, _told(answers[name], tag)) if name in answers else found[0]

    return REFERENCE.sub(put, work.text)


def named(text: str) -> str:
    """The text with `[answer to ID]` where it refers to an answer."""
    return REFERENCE.sub(lambda found: f"[answer to {found[1]}]", text)


def said(markdown: str) -> str:
    """An answer without its footnote marks."""
    return MARK.sub("", markdown).strip()


def asked_digest(work: Work, answers: Mapping[str, str]) -> str:
    """Names the item and what is asked, with the answers it refers to."""
    summary = asdict(work.summary) if work.summary else None
    referred = [[name, said(answers[name])] for name in work.refers if name in answers]
    return digest([work.id, work.kind, work.text, work.schema, summary, referred])


def corpus_digest(corpus: "Corpus") -> str:
    """Names the texts of a corpus, in their order and under their names."""
    return digest([[e.document_id, e.path, corpus.paths_of(e), e.digest, e.reader] for e in corpus.current])


def wording_digest() -> str:
    """Names the words that every prompt has, and how passages and quotations are chosen."""
    from longctx import quoting, wording

    whole = [wording.preamble("TAG"), wording.opening("TAG", "ID", "PATH", "PLACE", (1, 2)), wording.closing("TAG")]
    whole += [wording.directive(), wording.directive(partial=True), wording.reminder(), wording.excerpts()]
    whole += [wording.excerpt_opening("TAG", "ID", "PATH", "PLACE"), wording.ledger(["NOTE"])]
    whole += [wording.is_also("ID", ["PATH"]), wording.is_renamed("ID", ["PATH"]), wording.is_deleted("ID")]
    whole += [wording.is_superseded("ID", "NEWER"), wording.is_superseded("ID", None)]
    whole += [wording.question("TEXT"), wording.structured("TEXT", "SCHEMA"), wording.earlier("TAG", "ID", "TEXT")]
    whole += [wording.notes_preamble("TAG"), wording.notes_opening("TAG", (1, 2), [("ID", "PATH")])]
    whole += [wording.notes_closing("TAG"), wording.notes_directive(), *_orders()]
    return digest([quoting.METHOD, *whole])


def _orders() -> Iterator[str]:
    """The orders for summaries, in each of their forms."""
    from longctx import wording

    for sections, focus in ((), ""), (("A", "B"), ""), ((), "FOCUS"), (("A",), "FOCUS"):
        yield wording.take_notes(1, sections, focus)
        yield wording.join_notes(1, sections, focus)
        for style in Style:
            yield wording.summary("", 1, style, sections, focus)
            yield wording.summary("WHICH", 1, style, sections, focus, of="OF")


def digest(values: Sequence[Any], most: int = 16) -> str:
    """A short name for plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode("ascii")).hexdigest()[:most]


def _whole(part: SummaryPart | None) -> Iterator[Work]:
    if part is not None and part.corpus:
        yield _summary(Kind.SUMMARY, part, SUMMARY, "The whole corpus", Scope())


def _of_documents(part: SummaryPart | None, corpus: "Corpus") -> Iterator[Work]:
    if part is None or not part.per_document:
        return
    paths = _documents(corpus)
    above = len(shared_folder(paths))
    for path in paths:
        yield _summary(Kind.DOCUMENT, part, f"{SUMMARY}/{path}", path[above:], Scope((path,)))


def _summary(kind: Kind, part: SummaryPart, identity: str, title: str, scope: Scope) -> Work:
    ordered = Summary(scope=scope, length=part.length, style=part.style, sections=part.sections, focus=part.focus)
    path = "".join(scope.paths)
    return Work(
        id=whole(identity), kind=kind, title=whole(title), text=whole(ordered.title), path=path, summary=ordered
    )


def _documents(corpus: "Corpus") -> list[str]:
    """The first path of each text that there is now, in order."""
    return sorted((corpus.paths_of(entry) or [entry.path])[0] for entry in corpus.current if entry.tokens)


def _asked(question: Question, loaded: LoadedManifest) -> Work:
    words = " ".join(named(question.text).split())
    refers = tuple(dict.fromkeys(REFERENCE.findall(question.text)))
    return Work(
        id=question.id,
        kind=Kind.QUESTION,
        title=words if len(words) <= TITLE_MOST else f"{words[: TITLE_MOST - 1].rstrip()}…",
        text=question.text.strip(),
        schema=loaded.schemas.get(question.id),
        require_verified=question.require_verified,
        needs=tuple(dict.fromkeys([*question.depends_on, *refers])),
        refers=refers,
    )


def _told(answer: str, tag: str) -> str:
    """An earlier answer as it is told: without its marks, no longer than it may be, and without the corpus's tag."""
    told = said(answer)
    return (told if len(told) <= EARLIER_MOST else f"{told[: EARLIER_MOST - 1].rstrip()}…").replace(tag, "…")


def _called(works: Sequence[Work]) -> dict[str, list[str]]:
    """The ids of items by what they may be called; what is one's id is no other's name."""
    names: dict[str, list[str]] = {}
    for work in works:
        title = f"{SUMMARY}/{work.title}"
        own = (title, show(title)) if work.kind is Kind.DOCUMENT else ()
        for name in {*own, printed(work.id, work.kind, work.title)}:
            names.setdefault(name, []).append(work.id)
    return names | {work.id: [work.id] for work in works}


def _unknown(name: str, works: Sequence[Work]) -> UsageError:
    from difflib import get_close_matches

    close = get_close_matches(name, [work.id for work in works][:2000], n=1)
    some = ", ".join(show(work.id) for work in works[:8]) + ", …" * (len(works) > 8)
    return UsageError(
        f"no item is called {show(name)}", f"did you mean {show(close[0])}?" if close else f"one of {some}"
    )
