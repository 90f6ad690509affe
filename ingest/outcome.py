"""How reading a file ended: exactly one named status for each file, never silence."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The one way in which a file ended; the value is what people and JSON see."""

    READ = "read"
    PARTLY_READ = "partly read"
    NO_TEXT = "no text"
    PASSWORD = "password"
    BROKEN = "broken"
    BINARY = "binary"
    TOO_LARGE = "too large"
    DUPLICATE = "duplicate of"
    SECRET = "secret"
    IGNORED = "ignored by default rule"
    UNREADABLE = "unreadable"
    SPECIAL = "special file"
    CHANGED = "changed while reading"
    NOT_READ_YET = "not read yet"
    NEEDS_EXTRA = "needs an extra"
    WRAPPER = "contains this corpus's wrapper"

    @property
    def has_text(self) -> bool:
        """Whether the file's text can be sent and cited (a duplicate is cited through its twin)."""
        return self in (Status.READ, Status.PARTLY_READ, Status.DUPLICATE)


# A user who wants every file read (--strict) is not satisfied with these.
FAILED = frozenset(
    {
        Status.PARTLY_READ,
        Status.NO_TEXT,
        Status.PASSWORD,
        Status.BROKEN,
        Status.TOO_LARGE,
        Status.UNREADABLE,
        Status.CHANGED,
        Status.NEEDS_EXTRA,
    }
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the file at `path`; `detail` says what a person needs to know (pages, lines, sizes)."""

    path: str
    status: Status
    detail: str = ""


class ReadFailure(Exception):
    """Raised by a reader that can't give a document; it becomes the file's outcome."""

    def __init__(self, status: Status, detail: str = "") -> None:
        super().__init__(f"{status}: {detail}" if detail else str(status))
        self.status = status
        self.detail = detail
