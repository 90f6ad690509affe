"""The citations of an answer with the text around them, from the documents as they were read when they were cited.

It opens no source. A citation that was not found, or whose text is no longer stored, has no context: nothing is
guessed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ingest.document import Document
from longctx.corpus import Corpus
from longctx.reports.report import Evidence

LINES = 3  # around a quote, on either side
CHARS_MOST = 400  # on either side


def evidence_of(
    corpus: Corpus, item_id: str, answer_json: Mapping[str, Any], documents: dict[str, Document | None] | None = None
) -> tuple[Evidence, ...]:
    """Each citation of an answer, `longctx.answer/1`, in its context; in `documents` is what was looked up before."""
    documents = {} if documents is None else documents
    found = []
    for row in answer_json["citations"]:
        cited = _cited(item_id, row)
        if cited.chars is not None and cited.sha256 not in documents:
            documents[cited.sha256] = cited_document(corpus, cited.sha256, cited.path)
        found.append(_with_context(cited, documents.get(cited.sha256)))
    return tuple(found)


def to_lines(items: Iterable[Evidence]) -> str:
    """A line of JSON for each; the same values give the same text."""
    return "".join(f"{json.dumps(msgspec.to_builtins(each), separators=(',', ':'))}\n" for each in items)


def cited_document(corpus: Corpus, digest: str, path: str) -> Document | None:
    """The text that was made of the bytes with this digest, also one that its file has no longer; None where it is not
    stored any more, or has secrets in it that the corpus leaves out."""
    record = corpus.files.get(path)
    keys = [entry.key for entry in corpus.entries if entry.digest == digest]
    if record is not None and record.digest == digest:
        keys.insert(0, record.key)
    for key in dict.fromkeys(keys):
        if (shelved := corpus.shelf.get(*key)) is not None and shelved.document is not None:
            return shelved.document
    return _earlier(corpus, digest, path)


def around(document: Document, start: int, end: int) -> tuple[str, str]:
    """The text before and after a range: whole lines within the page, cut at a word where they are long."""
    first, last = document.page_at(start), document.page_at(max(start, end - 1))
    lowest = first.start if first else 0
    highest = last.end if last else len(document.text)
    return _before(document.text, lowest, start), _after(document.text, end, max(end, highest))


def _earlier(corpus: Corpus, digest: str, path: str) -> Document | None:
    shelved = corpus.shelf.find(digest)
    selection = corpus.request.selection
    if shelved is None or (shelved.has_secrets and not (selection.secrets or selection.includes(path))):
        return None
    return shelved.document


def _cited(item_id: str, row: Mapping[str, Any]) -> Evidence:
    named = {name: row[name] for name in ("n", "status", "path", "place", "quote", "sha256", "page")}
    return Evidence(
        item=item_id,
        **named,
        lines=_pair(row["lines"]),
        chars=_pair(row["chars"]),
        kind=row["kind"],
        name=row.get("name", ""),
        claim=row.get("claim", ""),
        share=row.get("share", 1.0),
        is_current=row.get("is_current", True),
    )


def _pair(row: Sequence[int] | None) -> tuple[int, int] | None:
    return (row[0], row[1]) if row else None


def _with_context(cited: Evidence, document: Document | None) -> Evidence:
    """As it is where the quote does not stand in the document at its place."""
    if document is None or cited.chars is None or not cited.quote:
        return cited
    if document.text[slice(*cited.chars)] != cited.quote:
        return cited
    before, after = around(document, *cited.chars)
    return msgspec.structs.replace(cited, before=before, after=after)


def _before(text: str, lowest: int, start: int) -> str:
    begin = text.rfind("\n", lowest, start) + 1 or lowest
    for _ in range(LINES):
        begin = text.rfind("\n", lowest, max(lowest, begin - 1)) + 1 or lowest
    if start - begin <= CHARS_MOST:
        return text[begin:start].lstrip("\r\n")
    cut = text[start - CHARS_MOST : start]
    if not text[start - CHARS_MOST - 1].isspace():
        cut = _from_word(cut)
    return cut.lstrip()


def _from_word(cut: str) -> str:
    """Without the rest of the word that it begins in; as it is where it is all one word."""
    blank = next((i for i, character in enumerate(cut) if character.isspace()), -1)
    return cut[blank:] if 0 <= blank < len(cut) - 1 else cut


def _after(text: str, end: int, highest: int) -> str:
    stop = end
    for _ in range(LINES + 1):  # what is left of the quote's own line, too
        line_end = text.find("\n", stop, highest)
        stop = highest if line_end < 0 else line_end + 1
    if stop - end <= CHARS_MOST:
        return text[end:stop].rstrip("\r\n")
    cut = text[end : end + CHARS_MOST]
    if not text[end + CHARS_MOST].isspace():
        cut = _from_word(cut[::-1])[::-1]
    return cut.rstrip()
