"""Whether a quote stands where it is said to stand; the program decides this, never a model.

A quote is looked up in the very text that was read and sent. Found at its place it is verified; found only
elsewhere it is relocated, with the right place; else it is unverified and nothing is highlighted.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from itertools import islice

from ingest.document import Document, Kind
from ingest.naming import show
from longctx.folding import Folded, find, folded_quote, has_words
from longctx.markers import Marker
from longctx.sent import Sent, SentText

NEAR_LEAST = 12  # folded characters of a quote that may be near
RELOCATED_LEAST = 20  # folded characters of a quote that is looked for in other documents
OTHERS_MOST = 40  # documents that are looked at for it
FOLDED_MOST = 4_000_000  # characters of them that are folded for it: about half a second
SPAN_MOST = 1_000  # characters from the first to the last part of a quote with an ellipsis
OCCURRENCES_MOST = 100
FOLDED_KEPT = 64
MARKUP = (Kind.MARKDOWN, Kind.NOTEBOOK)


class CitationStatus(StrEnum):
    """What the check of a quote gave.

    verified    the quote stands in the document that was cited, letter for letter once white space, line-end hyphens
                and Unicode forms are folded
    relocated   it stands in another document that was sent; the citation names that one
    near        most of it stands in the document as one run (`Citation.share`), the rest does not
    unverified  it was not found; nothing is highlighted
    unknown     no document with that id was sent, and the quote was found in no other
    """

    VERIFIED = "verified"
    RELOCATED = "relocated"
    NEAR = "near"
    UNVERIFIED = "unverified"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Citation:
    """A quote and where it stands. `lines` are 1-based and inclusive, `page` counts from 1, `chars` are offsets
    into the document's text; what does not apply is None. `sha256` is of the file's bytes as they were read.

    `quote` is the document's own text where it was found, else what was claimed. `document_id` is what the model
    cited, `claim` the words it cited for; `share` is how much of the claimed quote was found. `is_current` is false
    for a text that its file no longer has.
    """

    n: int
    status: CitationStatus
    path: str
    page: int | None
    lines: tuple[int, int] | None
    chars: tuple[int, int] | None
    quote: str
    sha256: str
    place: str
    kind: Kind
    name: str = ""
    also: tuple[str, ...] = ()
    document_id: str = ""
    claim: str = ""
    share: float = 1.0
    is_current: bool = True


@dataclass(frozen=True, slots=True)
class Claimed:
    """A quote before it is checked: where it is said to stand, under which paths; `name` of the function or section."""

    paths: tuple[str, ...]
    digest: str
    start: int
    end: int
    quote: str
    name: str = ""


def check(n: int, claimed: Claimed, document: Document) -> Citation:
    """The citation of a claimed quote, checked against the document's text."""
    status, start = _locate(claimed, document.text)
    path, *also = claimed.paths
    citation = Citation(
        n=n,
        status=status,
        path=path,
        page=None,
        lines=None,
        chars=None,
        quote=claimed.quote,
        sha256=claimed.digest,
        place=path,
        kind=document.kind,
        name=claimed.name,
        also=tuple(also),
    )
    return citation if start is None else _placed(citation, document, start)


def resolve(n: int, marker: Marker, sent: Sent, claim: str = "") -> Citation:
    """What a marker cites, looked up in the text that was sent."""
    return Resolver(sent).resolve(n, marker, claim)


class Resolver:
    """Looks up the markers of one answer; documents that had to be folded are kept for the next marker."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self._folded: Callable[[str], Folded] = lru_cache(maxsize=FOLDED_KEPT)(self._fold)

    def resolve(self, n: int, marker: Marker, claim: str = "") -> Citation:
        """The citation of a marker.

        A whole quote in another document beats most of it in the cited one: it is what was quoted, and the place is
        certain.
        """
        cited = self._sent.get(marker.document_id)
        citation = _unverified(n, marker, cited, claim) if cited else _unknown(n, marker, claim)
        if not has_words(marker.quote):
            return citation
        if cited and (place := self._whole(marker.quote, cited)):
            return _found(citation, cited, place, CitationStatus.VERIFIED)
        if elsewhere := self._elsewhere(marker.quote, marker.document_id):
            return _found(citation, *elsewhere, CitationStatus.RELOCATED)
        if cited and (near := self._near(marker.quote, cited)):
            return _found(citation, cited, near[:2], CitationStatus.NEAR, near[2])
        return citation

    def _whole(self, quote: str, text: SentText) -> tuple[int, int] | None:
        """Where all of a quote stands: as it is, folded, or its parts one after the other around an ellipsis."""
        if place := _exact(quote, text) or self._as_folded(quote, text):
            return place
        parts = [part for part in _ELLIPSIS.split(quote) if has_words(part)]
        if len(parts) == 1 and parts[0] != quote:
            return _exact(parts[0], text) or self._as_folded(parts[0], text)
        return self._chain(parts, text) if len(parts) > 1 else None

    def _as_folded(self, quote: str, text: SentText) -> tuple[int, int] | None:
        folded = self._folded(text.document_id)
        return _first(text, folded.find(folded_quote(quote, markup=text.document.kind in MARKUP)))

    def _chain(self, parts: list[str], text: SentText) -> tuple[int, int] | None:
        """From the first to the last of a quote's parts, where they follow within SPAN_MOST characters."""
        folded = self._folded(text.document_id)
        first, *others = [folded_quote(part, markup=text.document.kind in MARKUP) for part in parts]
        for start, end in islice(folded.find(first), OCCURRENCES_MOST):
            for part in others:
                end = next(folded.find(part, end), (0, 0))[1] if end else 0
            if 0 < end <= start + SPAN_MOST and text.holds(start, end):
                return start, end
        return None

    def _elsewhere(self, quote: str, cited: str) -> tuple[SentText, tuple[int, int]] | None:
        """The first of the likely other documents in which all of the quote stands."""
        if len(folded_quote(quote)) < RELOCATED_LEAST:
            return None
        words, left = set(_WORD.findall(quote)), FOLDED_MOST
        for other in islice(self._sent.likely(quote), OTHERS_MOST):
            if other.document_id == cited:
                continue
            if place := _exact(quote, other):
                return other, place
            if left > len(other.document.text) and _may_hold(words, other.document.text):
                left -= len(other.document.text)
                if place := self._as_folded(quote, other):
                    return other, place
        return None

    def _near(self, quote: str, text: SentText) -> tuple[int, int, float] | None:
        folded = folded_quote(quote, markup=text.document.kind in MARKUP)
        if len(folded) < NEAR_LEAST:
            return None
        runs = islice(self._folded(text.document_id).near(folded), OCCURRENCES_MOST)
        held = [run for run in runs if text.holds(run[0], run[1])]
        return max(held, key=lambda run: run[2], default=None)

    def _fold(self, document_id: str) -> Folded:
        text = self._sent.get(document_id)
        assert text is not None, "only documents that were sent are folded"
        return Folded(text.document.text, markup=text.document.kind in MARKUP)


_ELLIPSIS = re.compile(r"\s*[\[(]?(?:\.{3,}|…)[\])]?\s*|[\"”“]\s*[,;]\s*[\"“„]")
_WORD = re.compile(r"[^\W_]{3,}")


def _exact(quote: str, text: SentText) -> tuple[int, int] | None:
    for start, end in text.ranges:
        if place := next(find(text.document.text, quote, start, end), None):
            return place
    return None


def _first(text: SentText, places: Iterator[tuple[int, int]]) -> tuple[int, int] | None:
    """The first place of which all was sent."""
    return next((place for place in places if text.holds(*place)), None)


def _may_hold(words: set[str], text: str) -> bool:
    """Whether nearly all words of a quote stand in a text as they are: a few may be parted at a line's end."""
    return sum(word not in text for word in words) <= 1 + len(words) // 8


def _unknown(n: int, marker: Marker, claim: str) -> Citation:
    return Citation(
        n=n,
        status=CitationStatus.UNKNOWN,
        path="",
        page=None,
        lines=None,
        chars=None,
        quote=marker.quote,
        sha256="",
        place=show(marker.document_id),
        kind=Kind.PROSE,
        document_id=marker.document_id,
        claim=claim,
        share=0.0,
    )


def _unverified(n: int, marker: Marker, text: SentText, claim: str) -> Citation:
    citation = replace(_unknown(n, marker, claim), status=CitationStatus.UNVERIFIED)
    return _named(citation, text)


def _named(citation: Citation, text: SentText) -> Citation:
    path, *also = text.paths
    return replace(
        citation,
        path=path,
        also=tuple(also),
        sha256=text.digest,
        place=path,
        kind=text.document.kind,
        is_current=text.is_current,
    )


def _found(
    citation: Citation, text: SentText, place: tuple[int, int], status: CitationStatus, share: float = 1.0
) -> Citation:
    quote = text.document.text[slice(*place)]
    named = replace(_named(citation, text), status=status, quote=quote, share=share)
    return _placed(named, text.document, place[0])


def _placed(citation: Citation, document: Document, start: int) -> Citation:
    chars = (start, start + len(citation.quote))
    anchor = document.anchor(*chars)
    page = anchor.page.number if anchor.page else None
    place = place_of(citation.path, document, *chars)
    return replace(citation, page=page, lines=anchor.lines, chars=chars, place=place)


def _locate(claimed: Claimed, text: str) -> tuple[CitationStatus, int | None]:
    if claimed.quote and text[claimed.start : claimed.end] == claimed.quote:
        return CitationStatus.VERIFIED, claimed.start
    found = text.find(claimed.quote) if claimed.quote else -1
    return (CitationStatus.RELOCATED, found) if found >= 0 else (CitationStatus.UNVERIFIED, None)


def place_of(path: str, document: Document, start: int, end: int) -> str:
    """Where a range stands, as people write it: `path:12-15`, `path, p. 4`, `path, slide 2`, `path § Heading`."""
    anchor = document.anchor(start, end)
    if anchor.page is not None:
        kind = "p." if anchor.page.kind == "page" else str(anchor.page.kind)
        printed = anchor.page.label
        means = "printed " if anchor.page.kind == "page" else ""
        label = f" ({means}{printed})" if printed and printed != str(anchor.page.number) else ""
        return f"{path}, {kind} {anchor.page.number}{label}"
    if anchor.lines is not None:
        first, last = anchor.lines
        return f"{path}:{first}" if first == last else f"{path}:{first}-{last}"
    return f"{path} § {anchor.heading}" if anchor.heading else path
