"""What the backend tells a face; values only. Names and texts are as they are: a face shows them safely."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ingest.document import PageKind
from longctx.answer import Mode
from longctx.citations import Citation
from longctx.diagnosis import Check


class Sending(StrEnum):
    """What becomes of a file's text in the prompt."""

    SENT = "sent"
    TWIN = "twin"  # its text is sent under another path
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Done:
    """A request was done."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A request failed: what, what to do about it, and the exit code that the command line would have."""

    message: str
    hint: str = ""
    exit_code: int = 1


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a user should know that stops nothing."""

    message: str


# --- the corpus ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingFiles:
    """How far reading or indexing is; at most ten a second. `total` is None where it is not known yet."""

    doing: str  # "reading" or "indexing"
    done: int
    total: int | None
    path: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusOpened:
    """A corpus that can be asked. `tokens` are those of the texts, `stale` of them what no file says any more.

    `changed` counts files that are new, other or gone since the last time; `excluded` are the paths that Exclude left
    out.
    """

    id: str
    name: str
    folder: str
    sources: tuple[str, ...]
    files: int
    skipped: int
    tokens: int
    stale: int
    changed: int
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIs:
    """A file: `position` is that of its text in the prompt, None where it has none; `why` it is left out, or of what
    it is the twin, or what is to be said of it."""

    path: str
    tokens: int
    sending: Sending
    status: str
    why: str = ""
    position: int | None = None


@dataclass(frozen=True, slots=True)
class FilesAre:
    """Some files, in order of their paths; the last part has `is_last`."""

    files: tuple[FileIs, ...]
    is_last: bool


@dataclass(frozen=True, slots=True)
class PieceIs:
    """A part of a text in a window: the index of the text in WindowsAre, its characters (0, None for all of it)."""

    text: int
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class WindowIs:
    """A window: its tokens, and what stands in it."""

    tokens: int
    pieces: tuple[PieceIs, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextIs:
    """A text of the prompt, in order: its path and digest, whether it is stale (no file says it any more)."""

    path: str
    sha256: str
    tokens: int
    is_stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsAre:
    """Some of the windows of the corpus and of its texts, in order; the last part has `is_last`. `cached` counts the
    first windows of all whose KV is stored for this engine; None where that is not known."""

    windows: tuple[WindowIs, ...]
    texts: tuple[TextIs, ...]
    cached: int | None = None
    is_last: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectIs:
    """What leaving out would change: tokens before and after, the windows there would be, how many first ones stay
    as they are (and their KV good), and how many cached ones would be lost (None where that is not known)."""

    tokens_before: int
    tokens_after: int
    windows_before: int
    windows_after: int
    windows_kept: int
    cached_lost: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageIs:
    """A numbered part of a text: the range of its characters, the label printed on it."""

    number: int
    label: str
    start: int
    end: int
    kind: PageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPart:
    """Some of a text, in order; joined they are all of it. Pages and location come with the first part.

    `location` is the file on this machine, None where there is none any more; `first_lines` are (offset, line of the
    file) where the text was extracted from a file with lines, None where its lines are the file's own.
    """

    path: str
    text: str
    is_last: bool
    kind: str = ""
    pages: tuple[PageIs, ...] = ()
    first_lines: tuple[tuple[int, int], ...] | None = None
    location: str | None = None
    notes: tuple[str, ...] = ()
    is_current: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureIs:
    """A picture: rows of RGB bytes."""

    path: str
    page: int
    width: int
    height: int
    rgb: bytes


# --- engines ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOpened:
    """Who answers: `why` it is this one, in a line; `context_tokens` is what fits, None where it does not say."""

    name: str
    model: str
    why: str
    context_tokens: int | None
    base_url: str = ""


@dataclass(frozen=True, slots=True)
class EngineIs:
    """An engine that there is: what it is, what it lacks and the command that brings it."""

    name: str
    about: str
    missing: str = ""
    fix: str = ""
    needs_model: bool = False


@dataclass(frozen=True, slots=True)
class ServerIs:
    """A server found on this machine, with its models; `refused` says why it is not taken."""

    base_url: str
    models: tuple[str, ...]
    refused: str = ""


@dataclass(frozen=True, slots=True)
class EnginesAre:
    """Engines and servers."""

    engines: tuple[EngineIs, ...]
    servers: tuple[ServerIs, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """One check of the doctor."""

    check: Check


@dataclass(frozen=True, slots=True)
class NextSteps:
    """What to do next, a line each."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogIs:
    """Lines of the log, and the file."""

    file: str
    lines: tuple[str, ...]


# --- sessions and answers -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionIs:
    """A session; `found` is what a search found in it, `more_sources` how many there are beside those named."""

    id: str
    title: str
    corpus: str
    sources: tuple[str, ...]
    turns: int
    created_s: float
    used_s: float
    found: str = ""
    more_sources: int = 0


@dataclass(frozen=True, slots=True)
class SessionsAre:
    """Sessions."""

    sessions: tuple[SessionIs, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnIs:
    """A question and its answer as JSON, `longctx.answer/1`; `summary` of what, where it was no question."""

    id: str
    question: str
    answer: Mapping[str, Any]
    created_s: float
    summary_of: str = ""


@dataclass(frozen=True, slots=True)
class TurnsAre:
    """The turns of a session, oldest first."""

    turns: tuple[TurnIs, ...]


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The conversation that goes on; `session` is None where it has not begun, or is not kept."""

    session: SessionIs | None
    turns: tuple[TurnIs, ...]


@dataclass(frozen=True, slots=True)
class Exported:
    """A session was written to this file."""

    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What is about to be sent, as `longctx.events.Planned` has it."""

    prompt_tokens: int
    limit_tokens: int | None
    mode: Mode
    read_tokens: int
    corpus_tokens: int
    recap_tokens: int
    conversation_tokens: int
    unread: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()
    has_rolled: bool = False
    prefill_tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A range of characters of the text with that digest."""

    sha256: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where search finds what bears on the question; for the window map."""

    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefill:
    """The engine's own word on how much of the prompt it has read; at most ten a second."""

    done: int
    total: int
    cached: int


@dataclass(frozen=True, slots=True)
class Delta:
    """More of the answer as Markdown; a citation stands in it as its footnote mark `[^n]`. At most twenty a second."""

    text: str


@dataclass(frozen=True, slots=True)
class Cited:
    """A citation that was looked up; its mark is in the next Delta."""

    citation: Citation


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer as a turn, whole or as much as there is; `session` holds it, None where it is not kept."""

    turn: TurnIs
    session: SessionIs | None


Reply = (
    Done
    | Failed
    | Notice
    | ReadingFiles
    | CorpusOpened
    | FilesAre
    | WindowsAre
    | EffectIs
    | TextPart
    | PictureIs
    | EngineOpened
    | EnginesAre
    | Checked
    | NextSteps
    | LogIs
    | SessionsAre
    | TurnsAre
    | SessionOpened
    | Exported
    | Planned
    | Evidence
    | Prefill
    | Delta
    | Cited
    | Answered
)
