"""The evidence engine's answer: it quotes what search ranks best and writes nothing of its own."""

import time
from textwrap import dedent

from ingest.document import Document, Kind
from ingest.naming import show
from longctx import evidence
from longctx.answer import Answer, summarise
from longctx.citations import Citation, CitationStatus, Claimed, check
from longctx.corpus import Corpus, index_key
from longctx.engines.base import Identity
from longctx.errors import CorpusError
from longctx.manifest import Entry

QUOTES_SHOWN = 3
METHOD = (
    2  # of choosing passages and quotations, in summaries too: to be counted up with every change of what is chosen
)
NOT_FOUND = "Not found in this corpus."
NOTICE = (
    "These are quotations found by search: no model wrote this answer. `longctx engine doctor` says how to ask one."
)


def quote(corpus: Corpus, question: str, *, limit: int = QUOTES_SHOWN, question_id: str | None = None) -> Answer:
    """Answer from an up-to-date corpus by quoting it; each citation has been checked against the stored text."""
    begun = time.perf_counter()
    documents = _Documents(corpus)
    found = evidence.search(corpus.index, question)
    said = evidence.quotes(found, documents.load, limit)
    checked = [_citation(n, quote, corpus, documents) for n, quote in enumerate(said.quotes, start=1)]
    citations = tuple(c for c in checked if said.found and c.status is CitationStatus.VERIFIED)
    markdown = "\n\n".join(map(_quoted, citations))
    summary = summarise(corpus.record.id, corpus.files)
    return Answer(
        question=question,
        found=bool(citations),
        answer_markdown=markdown or NOT_FOUND,
        citations=citations,
        engine=Identity(kind="evidence"),
        corpus=summary,
        notice=NOTICE,
        question_id=question_id,
        tokens={"corpus": summary.tokens, "prompt": 0, "cached": 0, "output": 0},
        timing={"total_s": time.perf_counter() - begun},
    )


class _Documents:
    """Documents of the corpus by the key under which they are indexed, each loaded once."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._entries = {index_key(entry): entry for entry in corpus.entries}
        self._loaded: dict[str, Document] = {}

    def entry(self, key: str) -> Entry:
        """The manifest's entry of an indexed text; another process may just have indexed one that is new to this."""
        if key not in self._entries:
            raise CorpusError("the corpus has just been changed by another longctx", "ask again")
        return self._entries[key]

    def load(self, key: str) -> Document:
        """The document."""
        if key not in self._loaded:
            self._loaded[key] = self._corpus.document(self.entry(key))
        return self._loaded[key]


def _citation(n: int, quote: evidence.Quote, corpus: Corpus, documents: _Documents) -> Citation:
    document, entry = documents.load(quote.digest), documents.entry(quote.digest)
    paths = tuple(corpus.paths_of(entry)) or (entry.path,)
    text = document.text[quote.start : quote.end]
    return check(n, Claimed(paths, entry.digest, quote.start, quote.end, text, quote.name), document)


def _quoted(citation: Citation) -> str:
    """A quote as Markdown, with its footnote mark: code in a fence, prose as a block quote."""
    if citation.kind is Kind.CODE:
        name = f"`{citation.name}` in " if citation.name else ""
        text = dedent(citation.quote)
        fence = "`" * max(3, _longest_run(text, "`") + 1)
        return f"{name}`{show(citation.path)}` [^{citation.n}]\n\n{fence}\n{text}\n{fence}"
    lines = [line.rstrip() for line in dedent(citation.quote.strip("\n")).splitlines()]
    return "\n".join(f"> {line}" for line in [*lines[:-1], f"{lines[-1]} [^{citation.n}]"])


def _longest_run(text: str, character: str) -> int:
    longest = run = 0
    for each in text:
        run = run + 1 if each == character else 0
        longest = max(longest, run)
    return longest
