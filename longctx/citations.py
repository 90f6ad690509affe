"""Whether a quote stands where it is said to stand; the program decides this, never a model.

A quote is looked up in the very text that was read and sent. Found at its place it is verified; found only
elsewhere it is relocated, with the right place; else it is unverified and nothing is highlighted.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from ingest.document import Document, Kind


class CitationStatus(StrEnum):
    """What the check of a quote gave.

    verified    the quote stands in the document that was cited, letter for letter once white space, line-end hyphens
                and Unicode forms are folded
    relocated   it stands in another document that was sent; the citation names that one
    near        most of it stands in the document as one run (`Citation.share`), the rest does not; or its parts stand
                there, close and in order, with more between them than an ellipsis tells
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

    @property
    def is_sound(self) -> bool:
        """Whether it is verified in a text that its file still has."""
        return self.status is CitationStatus.VERIFIED and self.is_current


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
    return citation if start is None else placed(citation, document, start)


def placed(citation: Citation, document: Document, start: int) -> Citation:
    """The citation of a quote that stands at `start`."""
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
