"""What widgets say to the screen that holds them: the vocabulary of this room on one page.

Widgets show values and say what a person wants; only screens send requests to the backend.
"""

from dataclasses import dataclass

from textual.message import Message

from longctx.citations import Citation


@dataclass
class QuestionAsked(Message):
    """A person asks; with `instead_of`, the id of a turn, that turn and what followed it is asked anew: so many turns
    `behind` it then leave the conversation."""

    question: str
    instead_of: str | None = None
    behind: int = 0


@dataclass
class CommandTyped(Message):
    """A line that begins with a slash was typed."""

    name: str
    words: str


@dataclass
class StopWanted(Message):
    """The answer that is on its way is to stop."""


@dataclass
class CitationChosen(Message):
    """A citation is to be shown where it stands."""

    citation: Citation


@dataclass
class CitationStep(Message):
    """The next (1) or previous (-1) citation is to be shown."""

    by: int


@dataclass
class FileChosen(Message):
    """A file is to be shown."""

    path: str


@dataclass
class ExclusionToggled(Message):
    """A file or folder (which ends in a slash) is to be left out, or is to come back."""

    path: str
    excluded: bool


@dataclass
class SummaryWanted(Message):
    """A summary of these files and folders is wanted; none means all."""

    paths: tuple[str, ...]


@dataclass
class PictureWanted(Message):
    """A page is to be shown as a picture of at most so many pixels."""

    path: str
    page: int
    width: int
    height: int


@dataclass
class OpenOutside(Message):
    """A file is to be opened in the person's editor or viewer."""

    location: str
    line: int | None = None
    page: int | None = None


@dataclass
class CopyWanted(Message):
    """This text is to be on the clipboard; `what` it is, for the word that says so."""

    text: str
    what: str


@dataclass
class QuestionTakenBack(Message):
    """An earlier question, that of the turn `turn`, is to be changed in the prompt and asked anew; the turns `behind`
    it then leave the conversation."""

    question: str
    turn: str
    behind: int = 0


@dataclass
class LettersTyped(Message):
    """Letters were typed where they mean nothing: they are the beginning of a question."""

    letters: str


@dataclass
class EditorWanted(Message):
    """The text of the prompt is to be written in the person's editor."""

    text: str


@dataclass
class PaneWanted(Message):
    """A pane is to be seen: `corpus`, `conversation` or `source`."""

    pane: str
