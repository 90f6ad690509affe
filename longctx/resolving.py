"""What a model cites, looked up in what it was sent: in the document that it named, else in the others.

See docs/decisions/010 for the states, and for what never counts.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import islice

from ingest.document import Document, Kind
from ingest.naming import show
from longctx.citations import Citation, CitationStatus, placed
from longctx.folding import NEAR_MOST, Folded, find, folded_quote, has_enough, words_of
from longctx.markers import Marker
from longctx.sent import Sent, SentText

NEAR_LEAST = 12  # folded characters of a quote that may be near
RELOCATED_LEAST = 20  # folded characters of a quote that is looked for in other documents
OTHERS_MOST = 40  # documents that are looked at for it
FOLDED_MOST = 4_000_000  # characters of them that are folded for it: about half a second
GAPS_MOST = 2  # in a quote
PART_LEAST = 12  # folded characters of each part around a gap
PART_WORDS_LEAST = 3
SPAN_MOST = 500  # characters from the first to the last part
OCCURRENCES_MOST = 100
FOLDED_KEPT = 64
MARKUP = (Kind.MARKDOWN, Kind.NOTEBOOK)


def resolve(n: int, marker: Marker, sent: Sent, claim: str = "") -> Citation:
    """What a marker cites, looked up in the text that was sent."""
    return Resolver(sent).resolve(n, marker, claim)


class Resolver:
    """Looks up the markers of one answer; documents that had to be folded are kept for the next marker."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self._folded: Callable[[str], Folded] = lru_cache(maxsize=FOLDED_KEPT)(self._fold)
        self._folded_as_it_is: Callable[[str], Folded] = lru_cache(maxsize=FOLDED_KEPT)(self._fold_as_it_is)

    def resolve(self, n: int, marker: Marker, claim: str = "") -> Citation:
        """The citation of a marker.

        A whole quote in another document beats most of it in the cited one: it is what was quoted, and the place is
        certain.
        """
        cited = self._sent.get(marker.document_id)
        citation = _unverified(n, marker, cited, claim) if cited else _unknown(n, marker, claim)
        if not has_enough(marker.quote):
            return citation
        if cited and (place := self._whole(marker.quote, cited)):
            return _found(citation, cited, place, CitationStatus.VERIFIED)
        if elsewhere := self._elsewhere(marker.quote, marker.document_id):
            return _found(citation, *elsewhere, CitationStatus.RELOCATED)
        if cited and (near := self._near(marker.quote, cited)):
            return _found(citation, cited, near[:2], CitationStatus.NEAR, near[2])
        return citation

    def _whole(self, quote: str, text: SentText) -> tuple[int, int] | None:
        """Where all of a quote stands, without an ellipsis at its ends: as it is, or folded."""
        for form in dict.fromkeys((quote, _trimmed(quote))):
            if has_enough(form) and (place := _exact(form, text) or self._as_folded(form, text)):
                return place
        return None

    def _as_folded(self, quote: str, text: SentText) -> tuple[int, int] | None:
        """As it is folded; else with hyphens that were copied from a line's end, and a blank for the line's end.

        A quote that begins or ends within emphasis or code has marks without their twins: it is looked for with them.
        """
        markup = text.document.kind in MARKUP
        if place := self._parted_too(quote, text, self._folded(text.document_id), markup=markup):
            return place
        if markup and _MARK.search(quote):
            return self._parted_too(quote, text, self._folded_as_it_is(text.document_id), markup=False)
        return None

    def _parted_too(self, quote: str, text: SentText, folded: Folded, *, markup: bool) -> tuple[int, int] | None:
        for form in dict.fromkeys((quote, _PARTED.sub("-", quote))):
            if place := _first(text, folded.find(folded_quote(form, markup=markup))):
                return place
        return None

    def _gapped(self, quote: str, text: SentText) -> tuple[int, int, float] | None:
        """From the first to the last of a quote's parts, where they follow within SPAN_MOST characters."""
        parts = [folded_quote(part, markup=text.document.kind in MARKUP) for part in _GAP.split(quote)]
        if len(parts) > GAPS_MOST + 1 or not all(map(_is_part, parts)):
            return None
        folded = self._folded(text.document_id)
        for start, end in islice(folded.find(parts[0]), OCCURRENCES_MOST):
            found = end - start
            for part in parts[1:]:
                first, end = next(folded.find(part, end), (0, 0)) if end else (0, 0)
                found += end - first
            if 0 < end <= start + SPAN_MOST and text.holds(start, end):
                return start, end, min(found / (end - start), NEAR_MOST)
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
        if _GAP.search(_trimmed(quote)):
            return self._gapped(_trimmed(quote), text)
        folded = folded_quote(quote, markup=text.document.kind in MARKUP)
        if len(folded) < NEAR_LEAST:
            return None
        runs = islice(self._folded(text.document_id).near(folded), OCCURRENCES_MOST)
        held = [run for run in runs if text.holds(run[0], run[1])]
        return max(held, key=lambda run: run[2], default=None)

    def _fold(self, document_id: str) -> Folded:
        document = self._document(document_id)
        return Folded(document.text, markup=document.kind in MARKUP)

    def _fold_as_it_is(self, document_id: str) -> Folded:
        return Folded(self._document(document_id).text)

    def _document(self, document_id: str) -> Document:
        text = self._sent.get(document_id)
        assert text is not None, "only documents that were sent are folded"
        return text.document


_ELLIPSIS = r"\s*[\[(]?(?:\.{3,}|…)[\])]?\s*"
_GAP = re.compile(rf"{_ELLIPSIS}|[\"”“]\s*[,;]\s*[\"“„]")
_ENDS = re.compile(rf"^{_ELLIPSIS}|{_ELLIPSIS}$")
_PARTED = re.compile(r"(?<=[^\W\d_])[-\u2010][^\S\n]+(?=[^\W\d_])")
_MARK = re.compile(r"[`*]")
_WORD = re.compile(r"[^\W_]{3,}")


def _trimmed(quote: str) -> str:
    return _ENDS.sub("", quote)


def _is_part(part: str) -> bool:
    return len(part) >= PART_LEAST and len(words_of(part)) >= PART_WORDS_LEAST


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
    return placed(named, text.document, place[0])
