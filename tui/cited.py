"""The citations of an answer's JSON form as values, and as the lines below the answer. Nothing in it is trusted."""

from collections.abc import Mapping
from typing import Any

import msgspec
from textual.content import Content

from ingest.naming import show
from longctx.citations import Citation, CitationStatus
from tui.fitting import end_of, one_line
from tui.marks import CITATION_COLORS, CITATION_SIGNS, superscript

QUOTE_MOST = 300  # characters, of which a line shows what fits
PLACE_MOST = 200
FOUND = (CitationStatus.VERIFIED, CitationStatus.RELOCATED)


def citations_of(answer: Mapping[str, Any]) -> dict[int, Citation]:
    """The citations of an answer by their numbers, in order; rows that are none are left out."""
    rows = answer.get("citations")
    found = (_citation(row) for row in (rows if isinstance(rows, list | tuple) else ()))
    return {citation.n: citation for citation in found if citation is not None and citation.n >= 0}


def is_doubtful(citation: Citation) -> bool:
    """Whether its quote was not found whole, or is out of date."""
    return citation.status not in FOUND or not citation.is_current


def footnote(citation: Citation) -> Content:
    """`¹✓ path:41-88 verified "quote…"`, on one line."""
    quote = one_line(citation.quote, QUOTE_MOST)
    quoted = f' "{quote}"' if quote else ""
    return Content.assemble(
        (superscript(citation.n) + CITATION_SIGNS[citation.status], CITATION_COLORS[citation.status]),
        f" {end_of(show(citation.place or citation.path or citation.document_id or '?'), PLACE_MOST)} ",
        (state(citation), CITATION_COLORS[citation.status]),
        (quoted, "$text-muted"),
    )


def state(citation: Citation) -> str:
    """What the check of a citation gave, in words: `verified`, `near 91 %`, `verified, out of date`."""
    share = f" {int(citation.share * 100)} %" if citation.status is CitationStatus.NEAR else ""
    return f"{citation.status}{share}{'' if citation.is_current else ', out of date'}"


def _citation(row: object) -> Citation | None:
    if not isinstance(row, Mapping):
        return None
    fields = {name: value for name, value in row.items() if value is not None or name in ("page", "lines", "chars")}
    try:
        return msgspec.convert(fields, type=Citation)
    except (msgspec.ValidationError, TypeError, RecursionError):
        return None
