"""The passages of a corpus that bear on a question, and the quotes that answer it. No model, no network.

Search ranks passages by their words (FTS5); the best are then read, and the sentences, rows and functions in them
scored by how much of the question they hold. It quotes, word for word; it never writes an answer.
"""

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ingest.document import Document, Kind
from ingest.segments import Strength, breaks
from longctx.index import Index
from longctx.query import Query, read, stem, tokens
from longctx.spans import Span, grown, runs, spans

QUOTE_WORDS = 60
CANDIDATES = 40
SHARPENED_BY = 20
LoadDocument = Callable[[str], Document]


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that search ranked: `text[start:end]` of a document, with a score from 0 to 1."""

    digest: str
    path: str
    start: int
    end: int
    score: float
    name: str
    kind: str = ""
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """`text[start:end]` of a document, worth showing; `name` is the function, sheet or section it is from."""

    path: str
    digest: str
    start: int
    end: int
    score: float
    name: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What search found for a question by words alone, best first."""

    query: Query
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the corpus says to a question, the best quote first; not `found` where it says too little."""

    found: bool
    quotes: tuple[Quote, ...]


def search(index: Index, question: str, limit: int = CANDIDATES, within: Collection[str] | None = None) -> Found:
    """The passages that bear on `question` by their words, best first: of all texts, or of those whose digests are
    `within`. Reads the index only."""
    query = read(index, question)
    if not query.expression:
        return Found(query, ())
    hits = {(hit.digest, hit.start): hit for hit in _hits(index, query.expression, limit, within)}
    for hit in _hits(index, query.within, limit, within) if query.within else ():
        if query.names(hit.path):
            hits[hit.digest, hit.start] = hit
    return Found(query, tuple(sorted(hits.values(), key=lambda hit: (-hit.score, hit.path, hit.start))))


def quotes(found: Found, load_document: LoadDocument, limit: int = 10) -> Evidence:
    """The quotes that answer, best first, from the text of the passages found; equal input gives equal output."""
    if not found.hits:
        return Evidence(found=False, quotes=())
    pairs = [(hit, load_document(hit.digest)) for hit in found.hits]
    texts = [document.text[hit.start : hit.end] for hit, document in pairs]
    query, sharp = found.query, found.query.sharpened(texts[:SHARPENED_BY])
    scored = [
        _quote(query if document.kind is Kind.CODE else sharp, hit, document, hit.score) for hit, document in pairs
    ]
    ranked = sorted(scored, key=lambda quote: (-quote.score, quote.path, quote.start))
    kept = _distinct(ranked, limit)
    return Evidence(found=_says_enough(found, texts), quotes=tuple(kept))


def _hits(index: Index, expression: str, limit: int, within: Collection[str] | None) -> list[Hit]:
    matches = index.match(expression, limit, within)
    best = max((match.score for match in matches), default=0.0) or 1.0
    return [Hit(m.digest, m.path, m.start, m.end, m.score / best, m.name, m.kind, m.heading) for m in matches]


# Declining an answerable question is the worse mistake, so little is asked for.
LEAST_SHARE = 0.25


def _says_enough(found: Found, texts: Sequence[str]) -> bool:
    """Whether one of the best passages, with its place, holds enough of the question's weight."""
    shares = (
        found.query.share(found.query.found_in(text, hit.heading, hit.path, hit.name))
        for text, hit in zip(texts[:SHARPENED_BY], found.hits, strict=False)
    )
    return max(shares, default=0.0) >= LEAST_SHARE


# Of the score of the best: what bears on the question much less is no help to who reads the best.
KEPT_FROM = 0.5


def _distinct(ranked: Sequence[Quote], limit: int) -> list[Quote]:
    """The first `limit` quotes that do not overlap a better one, while they come near the best."""
    kept: list[Quote] = []
    for quote in ranked:
        if kept and quote.score < KEPT_FROM * ranked[0].score:
            break
        if not any(q.digest == quote.digest and q.start < quote.end and quote.start < q.end for q in kept):
            kept.append(quote)
        if len(kept) == limit:
            break
    return kept


def _quote(query: Query, hit: Hit, document: Document, base: float) -> Quote:
    if document.kind is Kind.CODE:
        (start, end), score = _code(query, hit, document.text, base)
    else:
        (start, end), score = _prose(query, hit, document, base)
    return Quote(hit.path, hit.digest, start, end, score - _demotion(query, hit), hit.name, hit.kind)


# Chosen over 280 development questions, where both halves of them agree; half as much or more of any one weight
# costs cite@1 at most 0.03. AROUND is what counts as context, MARGIN where a quote may begin or end.
W_BASE, W_COVER, W_PAIR, W_CONTEXT, W_LENGTH = 0.8, 1.0, 0.4, 0.45, 0.003
W_INSIDE = 0.2
AROUND, MARGIN = 500, 300
W_FUNCTION, STUB_LINES = 0.25, 3
W_NAMED = 1.0


def _prose(query: Query, hit: Hit, document: Document, base: float) -> tuple[tuple[int, int], float]:
    """The best run of sentences in and about a passage, with its score; grown to a full quote by its neighbours."""
    text = document.text
    parts = _sentences(query, hit, document)
    if not parts:
        return (hit.start, hit.end), 0.0
    best, first, last = _best_run(query, parts, rows=hit.kind == "row")
    if hit.kind != "row":
        first, last = grown(parts, first, last, QUOTE_WORDS)
    around = text[max(0, hit.start - AROUND) : hit.end + AROUND]
    context = query.density(f"{hit.heading} {hit.path} {hit.name} {around}")
    return (parts[first].start, parts[last].end), W_BASE * base + best + W_CONTEXT * context


def _sentences(query: Query, hit: Hit, document: Document) -> list[Span]:
    """The rows of a passage, or its sentences and those about it in its section and page; those cut off by the
    margin are left out."""
    if hit.kind == "row":
        return spans(query, document.text, hit.start, hit.end, by_line=True)
    floor, roof = _bounds(hit, document)
    start, end = max(floor, hit.start - MARGIN), min(roof, hit.end + MARGIN)
    parts = spans(query, document.text, start, end)
    cut_off = {parts[0].start} if parts and start > floor and parts[0].start < hit.start else set[int]()
    if parts and end < roof and parts[-1].end > hit.end:
        cut_off.add(parts[-1].start)
    kept = [part for part in parts if part.start not in cut_off]
    return kept or parts


def _bounds(hit: Hit, document: Document) -> tuple[int, int]:
    """How far about a passage its page and section reach."""
    page = document.page_at(hit.start)
    floor, roof = (page.start, max(page.end, hit.end)) if page else (0, len(document.text))
    for place, strength in breaks(document, max(0, hit.start - MARGIN - 1), hit.end + MARGIN + 1):
        if strength is Strength.SECTION and place <= hit.start:
            floor = max(floor, place)
        elif strength is Strength.SECTION and place >= hit.end:
            return floor, min(roof, place)
    return floor, roof


def _best_run(query: Query, parts: Sequence[Span], *, rows: bool = False) -> tuple[float, int, int]:
    """Score, first and last of the best run; of equal ones the first. Rows stand alone or with rows that match."""
    scored = (
        (_run_score(query, parts[i : j + 1], size), -i, -j)
        for i, j, size in runs(parts, QUOTE_WORDS)
        if i == j or not rows or all(row.terms for row in parts[i : j + 1])
    )
    score, first, last = max(scored)
    return score, -first, -last


def _run_score(query: Query, run: Sequence[Span], size: float) -> float:
    """What a run tells counts; what it only asks itself, or lists, counts in part."""
    score, held = 0.0, frozenset[int]()
    for tells in sorted({span.tells for span in run}, reverse=True):
        terms = frozenset[int]().union(*(span.terms for span in run if span.tells == tells)) - held
        score += W_COVER * tells * query.share(terms)
        held |= terms
    pairs = frozenset[int]().union(*(span.pairs for span in run if span.tells == 1.0))
    return score + W_PAIR * query.pair_share(pairs) - W_LENGTH * size


def _code(query: Query, hit: Hit, text: str, base: float) -> tuple[tuple[int, int], float]:
    """A function counts for its name and signature, or where it says more to the question, for its lines, as prose."""
    definition = _definition_line(text, hit)
    lines = spans(query, text, hit.start, hit.end, by_line=True)
    if not lines:
        return (hit.start, hit.end), 0.0
    bonus = _bonus(query, hit, len(lines))
    score = _as_definition(query, hit, text, definition, base) + bonus
    if query.wants_code:
        return _head(lines, text, definition), score
    best, first, last = _best_run(query, lines)
    context = query.density(f"{hit.heading} {hit.path} {hit.name} {text[hit.start : hit.end]}")
    score = max(score, W_BASE * base + best + W_CONTEXT * context + bonus)
    return _block(query, lines, text, definition, (best, first, last)), score


def _bonus(query: Query, hit: Hit, lines: int) -> float:
    """What a function is worth as such; a setter or overload of a line or two says little."""
    stub = lines < STUB_LINES and not query.wants_code
    return W_FUNCTION if hit.kind in ("function", "part") and not stub else 0.0


def _as_definition(query: Query, hit: Hit, text: str, definition: int, base: float) -> float:
    """How well the function is the one asked about: by its name and signature first, then by its body."""
    body = text[hit.start : hit.end]
    in_name, whole = _name_shares(query, hit.name)
    score = 0.83 * base + 0.33 * whole + 0.25 * in_name + 0.17 * in_name * whole
    score += 0.25 * query.share(query.found_in(body)) + 0.08 * query.share(query.found_in(hit.heading))
    if hit.kind == "function":
        score += 0.5 * query.share(query.found_in(_signature(text, definition, hit.end)))
    return score - 0.1 * math.log(1 + len(body)) / 8


def _definition_line(text: str, hit: Hit) -> int:
    """Where the line that defines the passage's name begins, after decorators and comments."""
    named = re.compile(rf"^(?![ \t]*(?:#|//|\*|@))[^\n]*\b{re.escape(hit.name)}\b", re.MULTILINE)
    found = named.search(text, hit.start, hit.end) if hit.name and hit.kind != "part" else None
    return found.start() if found else hit.start


def _signature(text: str, start: int, end: int) -> str:
    """To the end of the line on which the parameters end, so with what it returns."""
    stop = text.find("\n", max(start, text.find(")", start, end)), end)
    return text[start : min(stop if stop >= 0 else end, start + 600)]


def _head(lines: Sequence[Span], text: str, definition: int) -> tuple[int, int]:
    """The head of a definition with the comment above it."""
    first, last = _head_lines(lines, definition)
    return _line_start(text, lines[first].start), lines[last].end


def _block(
    query: Query, lines: Sequence[Span], text: str, definition: int, best: tuple[float, int, int]
) -> tuple[int, int]:
    """The head of a definition, or the run of lines that holds clearly more of the question."""
    first, last = _head_lines(lines, definition)
    if best[0] > _run_score(query, lines[first : last + 1], 0.0) + W_INSIDE:
        first, last = grown(lines, best[1], best[2], QUOTE_WORDS)
    return _line_start(text, lines[first].start), lines[last].end


def _head_lines(lines: Sequence[Span], definition: int) -> tuple[int, int]:
    named = next((i for i, line in enumerate(lines) if line.end > definition), 0)
    return grown(lines, _lead(lines, named), named, QUOTE_WORDS)


def _line_start(text: str, start: int) -> int:
    """With the indentation before it, so that the lines of a quote stand to each other as in the file."""
    begin = text.rfind("\n", 0, start) + 1
    return begin if not text[begin:start].strip() else start


def _lead(lines: Sequence[Span], named: int) -> int:
    """The first of the lines above a definition that are quoted with it: its nearest, up to half a quote."""
    room, first = QUOTE_WORDS / 2, named
    while first > 0 and lines[first - 1].size <= room:
        first -= 1
        room -= lines[first].size
    return first


def _name_shares(query: Query, name: str) -> tuple[float, float]:
    """How much of the question a name holds, and how much of the name the question holds."""
    words = {stem(word) for word in tokens(name)}
    shared = frozenset(i for i, (term, _) in enumerate(query.terms) if term in words)
    return query.share(shared), len(shared) / max(1, len(words))


_TESTS = re.compile(
    r"(?:^|/)(?:tests?|testing|specs?|vendor|vendored|third_party|node_modules)/|(?:^|/)test_|_test\.|\.(?:test|spec)\."
)


# Lists of what changed hold every word of a project, and seldom say how it is now.
_CHANGES = re.compile(r"(?:^|/)(?:changes|changelog|history|news|release[-_]?notes?|releases)\b[^/]*$", re.IGNORECASE)
_ASKS_CHANGES = re.compile(
    r"\b(?:chang|since|added|removed|deprecat|introduc|history|fixed|release notes|(?:version|release)s? v?\d)", re.I
)


def _demotion(query: Query, hit: Hit) -> float:
    """Tests and vendored code repeat what the code says; a file the question names stands above all others."""
    demoted = 0.25 if _TESTS.search(hit.path) and "test" not in query.question.lower() else 0.0
    if _CHANGES.search(hit.path) and not _ASKS_CHANGES.search(query.question):
        demoted += 0.8
    if query.names(hit.path):
        demoted -= W_NAMED
    if query.wants_code and hit.kind not in ("function", "part", "class"):
        demoted += 0.4
    return demoted
