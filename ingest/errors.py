"""What can go wrong before a single file is read. A file that can't be read is an outcome, not an error.

IngestError
├── SourceNotFound   a path, glob or repository that the user named gives nothing
└── GitFailed        git could not list or clone what was asked
"""


class IngestError(Exception):
    """The root of this room's errors; `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SourceNotFound(IngestError):
    """A source the user named does not exist or matches nothing."""


class GitFailed(IngestError):
    """git refused to list or to clone."""
