"""What a summary is to be: of which documents, how long, in what form, under which headings. Values only."""

from dataclasses import dataclass
from enum import StrEnum

from ingest.naming import show

NAMES_SHOWN = 3
FOCUS_SHOWN = 80  # characters


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
        """What a model may write for it, where nobody says how much; each statement with a quote."""
        return {Length.SHORT: 768, Length.MEDIUM: 1536, Length.LONG: 4096}[self]


class Style(StrEnum):
    """In what form a summary is written."""

    BULLETS = "bullets"
    PROSE = "prose"
    OUTLINE = "outline"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which documents: files, and folders, which end in a slash; the whole corpus where there are none."""

    paths: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The scope in a few words, safe to show."""
        names = [show(path) for path in self.paths]
        if len(names) <= NAMES_SHOWN:
            return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "the whole corpus"
        return f"{', '.join(names[:NAMES_SHOWN])} and {len(names) - NAMES_SHOWN:,} more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A summary as it is ordered. Under each of `sections` stands what the documents say of it, in the order given;
    with a `focus`, a question, it is of what bears on that."""

    scope: Scope = Scope()
    length: Length = Length.MEDIUM
    style: Style = Style.BULLETS
    sections: tuple[str, ...] = ()
    focus: str = ""

    @property
    def title(self) -> str:
        """What stands in the question's place: `Summary of docs/ (medium, bullets)`."""
        form = [f"{self.length}, {self.style}"]
        if self.sections:
            form.append(f"sections: {', '.join(map(show, self.sections))}")
        if self.focus:
            form.append(f"focus: {_short(show(self.focus))}")
        return f"Summary of {self.scope.label} ({'; '.join(form)})"

    @property
    def statements(self) -> int:
        """About how many statements it has: two for each section at the least."""
        return max(self.length.statements, 2 * len(self.sections))


def _short(text: str) -> str:
    return text if len(text) <= FOCUS_SHOWN else f"{text[: FOCUS_SHOWN - 1].rstrip()}…"
