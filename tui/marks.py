"""The signs of this room: a state is always told by its sign and word, never by colour alone."""

from collections.abc import Mapping
from enum import StrEnum

from longctx.citations import CitationStatus

CITATION_SIGNS: Mapping[CitationStatus, str] = {
    CitationStatus.VERIFIED: "✓",
    CitationStatus.RELOCATED: "→",
    CitationStatus.NEAR: "≈",
    CitationStatus.UNVERIFIED: "?",
    CitationStatus.UNKNOWN: "!",
}
# The theme's variables that go with them.
CITATION_COLORS: Mapping[CitationStatus, str] = {
    CitationStatus.VERIFIED: "$text-success",
    CitationStatus.RELOCATED: "$text-accent",
    CitationStatus.NEAR: "$text-warning",
    CitationStatus.UNVERIFIED: "$text-error",
    CitationStatus.UNKNOWN: "$text-error",
}
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class FileSign(StrEnum):
    """What becomes of a file; SENT where nobody knows what is cached."""

    SENT = "·"
    CACHED = "●"
    PARTLY_CACHED = "◐"
    NEW = "○"
    TWIN = "="
    LEFT_OUT = "✗"
    EXCLUDED = "–"


def short(count: int) -> str:
    """A count in four characters or so: `812`, `41.2K`, `301K`, `1.42M`, `10.5M`."""
    for size, letter in ((10**6, "M"), (10**3, "K")):
        if count >= size * 0.9995:
            value = count / size
            digits = 0 if value >= 99.95 else 1 if value >= 9.995 or letter == "K" else 2
            return f"{value:.{digits}f}{letter}"
    return str(count)


def superscript(number: int) -> str:
    """`¹²`."""
    return str(number).translate(SUPERSCRIPTS)
