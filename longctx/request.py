"""What a user asks to be a corpus: sources, the rules that select from them, and what reading them may need."""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, chdir, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import chain

from ingest import git
from ingest.errors import IngestError
from ingest.naming import show
from ingest.outcome import Outcome
from ingest.reader import TEXT_LIMIT_BYTES
from ingest.rules import Selection
from ingest.source import STDIN_PATH, Source, discover
from longctx.corpora import CorpusRecord, Part
from longctx.errors import CorpusError
from longctx.manifest import Entry, State
from longctx.paths import Paths

LISTED = "--from-file"


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks to be a corpus: sources and the rules that select from them; and what reading may need.

    `listed` is a list of further paths (`--from-file`), `folder` where relative paths start. A `part` of a corpus
    that was read before begins with the order and the tag of that one, so that windows they share are the same.
    """

    inputs: tuple[str, ...]
    selection: Selection = field(default_factory=Selection)
    stdin: bytes | None = None
    listed: bytes | None = None
    password: str | None = None
    text_limit_bytes: int = TEXT_LIMIT_BYTES
    folder: str = field(default_factory=os.getcwd)
    part: Part | None = None

    @property
    def public_inputs(self) -> tuple[str, ...]:
        """The inputs as they may be kept and shown: without the user and password of an address."""
        return tuple(git.public_url(each) if git.is_remote(each) else each for each in self.inputs)

    @property
    def name(self) -> list[str]:
        """What makes a corpus the same one: its sources, what shows their paths, and the selection."""
        sources = list(self.public_inputs)
        alone = len(sources) == 1 and self.listed is None
        if alone and not git.is_remote(sources[0]):
            sources = [os.path.join(self.folder, sources[0])]
            sources = [os.path.normpath(sources[0])] if os.path.isdir(sources[0]) else [self.folder, *self.inputs]
        elif not alone:
            sources = [self.folder, *sources]
        return [*sources, *([LISTED] if self.listed is not None else ()), self.selection_text]

    def carries(self, entry: Entry) -> bool:
        """Whether a text that is no longer current stays in the prompt: not what was piped in earlier, nor what
        only an earlier list named, nor what is left out of the whole."""
        if entry.path == STDIN_PATH or (self.part is not None and self.part.leaves_out(entry.path)):
            return False
        return self.listed is None or entry.state is not State.DELETED

    @property
    def selection_text(self) -> str:
        """The selection as JSON; a corpus whose reader writes nothing into it is named without that."""
        fields = asdict(self.selection)
        return json.dumps({name: value for name, value in fields.items() if name != "own" or value}, sort_keys=True)

    @property
    def has_relative_paths(self) -> bool:
        """Whether what it names depends on its folder."""
        given = (each for each in self.inputs if each != "-" and not git.is_remote(each))
        return self.listed is not None or not all(map(os.path.isabs, given))


def request_of(record: CorpusRecord) -> Request:
    """The request that made a stored corpus; text and lists that came from stdin are gone."""
    fields = json.loads(record.selection)
    patterns = {name: tuple(fields.get(name, ())) for name in ("include", "exclude", "only", "own")}
    selection = Selection(**patterns, gitignore=fields["gitignore"], secrets=fields["secrets"])
    return Request(record.inputs, selection, folder=record.folder, part=record.part)


def discover_sources(request: Request, paths: Paths, *, heat: bool = False) -> Iterator[Source | Outcome]:
    """The files that the request names, now, wherever this process is; raises CorpusError where a source is missing.

    Sources are found before the first is given, and each is named in full: only until then is it in their folder.
    """
    found = discover(
        request.inputs,
        request.selection,
        clone_root=os.path.abspath(paths.cache / "clones"),
        stdin=request.stdin,
        from_file=request.listed,
        heat=heat,
    )
    try:
        with _folder_of(request):
            first = next(found, None)
        yield from () if first is None else chain((first,), found)
    except IngestError as error:
        raise CorpusError(str(error), error.hint) from error


def _folder_of(request: Request) -> AbstractContextManager[None]:
    """Inside the block relative paths start where those of the request do; raises CorpusError where that is gone."""
    if not request.has_relative_paths or request.folder == os.getcwd():
        return nullcontext()
    if not os.path.isdir(request.folder):
        raise CorpusError(f"{show(request.folder)}: no such folder", "relative paths of this corpus start there")
    return chdir(request.folder)
