"""What a face asks of the backend; values only.

Each request is answered by replies of its own kind, then by just one `Done` or `Failed`. Jobs wait for the job before
them and can be stopped; all others are answered at once, also while a job runs. `Files`, `Text` and the like read the
corpus that is open.
"""

from dataclasses import dataclass

from longctx.analysis import Asking
from longctx.exported import Form as Form
from longctx.request import Request
from longctx.settings import Settings
from longctx.summary_form import Length as Length
from longctx.summary_form import Style as Style

# --- jobs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Bring a corpus up to date, then open the engine: ReadingFiles…, CorpusOpened, EngineOpened, SessionOpened.

    `request` is None where a session goes on over its own sources; `resume` names a session, `goes_on` means the last
    one (of these sources). An engine that can't be opened is a Notice, and `evidence` is opened in its place. The
    settings hold a key: they go through a pipe and nowhere else.
    """

    request: Request | None
    settings: Settings
    asking: Asking
    resume: str | None = None
    goes_on: bool = False
    is_kept: bool = True
    title: str = ""
    is_cached: bool = True


@dataclass(frozen=True, slots=True)
class Reread:
    """Read what changed in the sources: ReadingFiles…, CorpusOpened. The conversation goes on."""


@dataclass(frozen=True, slots=True)
class Exclude:
    """Leave out these paths (folders end in a slash) from now on, and only these of those left out by this request
    before: ReadingFiles…, CorpusOpened. The corpus becomes another one, the conversation begins anew: SessionOpened."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repack:
    """Order the corpus anew without what is stale: CorpusOpened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UseEngine:
    """Close the engine and open another, or the same one again after it died: EngineOpened."""

    name: str
    model: str | None = None
    base_url: str | None = None


@dataclass(frozen=True, slots=True)
class NewSession:
    """Begin a conversation over the same corpus: SessionOpened."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with a session: over the same corpus SessionOpened alone, else all that Open tells."""

    session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Ask a question: Planned, Evidence, Prefill…, Delta and Cited…, Notice…, Answered.

    With `instead_of`, the id of a turn, the conversation goes back to before that turn first.
    """

    question: str
    instead_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summarise:
    """Summarise the corpus, or the documents of these paths and folders (which end in a slash); told like Ask."""

    paths: tuple[str, ...] = ()
    length: Length = Length.MEDIUM
    style: Style = Style.BULLETS


Job = Open | Reread | Exclude | Repack | UseEngine | NewSession | Resume | Ask | Summarise


# --- at once ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the job with this number, running or waiting; an answer keeps what there is of it. No reply but Done."""

    job: int


@dataclass(frozen=True, slots=True)
class Files:
    """Every file of the corpus: FilesAre, in parts."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows that the corpus is packed into: WindowsAre, in parts."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What an Exclude of these paths would change: EffectIs."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A document's text as it was read: TextPart…. `sha256` names an older text of that path; empty means today's."""

    path: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A page of a PDF, `page` counting from 1, as a picture at most so wide and high: PictureIs."""

    path: str
    page: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions, the last used first; with `words` those in which they stand: SessionsAre."""

    words: str = ""


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns of a session: TurnsAre."""

    session: str


@dataclass(frozen=True, slots=True)
class Rename:
    """Give a session another title: SessionsAre with it alone."""

    session: str
    title: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Forget a session. No reply but Done."""

    session: str


@dataclass(frozen=True, slots=True)
class Export:
    """Write a session to a file: Exported. An existing file is replaced only with `replaces`."""

    session: str
    file: str
    form: Form
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Engines:
    """Which engines there are, and what each lacks: EnginesAre."""


@dataclass(frozen=True, slots=True)
class Doctor:
    """Look at all that an answer needs: Checked…, NextSteps."""


@dataclass(frozen=True, slots=True)
class Log:
    """The last lines that engine and backend have written: LogIs."""

    lines: int = 500


Query = (
    Stop
    | Files
    | Windows
    | Effect
    | Text
    | Picture
    | Sessions
    | Turns
    | Rename
    | Remove
    | Export
    | Engines
    | Doctor
    | Log
)
AnyRequest = Job | Query
