"""How long a summary is, and in what form it is written."""

from enum import StrEnum


class Length(StrEnum):
    """How long a summary is."""

    SHORT = "short"
    MEDIUM = "medium"
    LONG = "long"

    @property
    def statements(self) -> int:
        """About how many statements it has."""
        return {Length.SHORT: 5, Length.MEDIUM: 12, Length.LONG: 30}[self]

    @property
    def tokens(self) -> int:
        """What a model may write for it at the least, each statement with a quote."""
        return {Length.SHORT: 768, Length.MEDIUM: 1536, Length.LONG: 4096}[self]


class Style(StrEnum):
    """In what form a summary is written."""

    BULLETS = "bullets"
    PROSE = "prose"
    OUTLINE = "outline"
