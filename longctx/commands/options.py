"""The options that several commands share, worded once and given to a command as one `Chosen`."""

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from longctx.errors import CorpusError, UsageError

if TYPE_CHECKING:
    from longctx.corpus import Corpus
    from longctx.narration import Narrator
    from longctx.request import Request
    from longctx.settings import Settings

CORPUS, OUTPUT = "Corpus", "Output"
STDIN_LIMIT_BYTES = 32 << 20
Patterns = list[str] | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the user chose of the shared options."""

    include: Annotated[
        Patterns,
        typer.Option(
            metavar="PATTERN",
            help="Bring back what a default rule, a secret or .longctxignore leaves out (gitignore pattern).",
            rich_help_panel=CORPUS,
        ),
    ] = None
    exclude: Annotated[
        Patterns, typer.Option(metavar="PATTERN", help="Leave out what matches.", rich_help_panel=CORPUS)
    ] = None
    only: Annotated[
        Patterns, typer.Option(metavar="PATTERN", help="Read only what matches.", rich_help_panel=CORPUS)
    ] = None
    from_file: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Read the paths in LIST, one a line or NUL-separated; - for standard input.",
            rich_help_panel=CORPUS,
        ),
    ] = None
    no_gitignore: Annotated[
        bool,
        typer.Option("--no-gitignore", help="Read what .gitignore files leave out too.", rich_help_panel=CORPUS),
    ] = False
    allow_secrets: Annotated[
        bool,
        typer.Option("--allow-secrets", help="Read files that seem to hold secrets.", rich_help_panel=CORPUS),
    ] = False
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The password of encrypted documents (or set LONGCTX_PASSWORD).",
            rich_help_panel=CORPUS,
        ),
    ] = None
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit 3 if a file could not be read.", rich_help_panel=CORPUS),
    ] = False
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A settings file for this run.", rich_help_panel=OUTPUT),
    ] = None
    quiet: Annotated[
        bool,
        typer.Option("-q", "--quiet", help="No progress and no notices on stderr.", rich_help_panel=OUTPUT),
    ] = False

    def settings(self, **flags: object) -> "Settings":
        """The settings in force, what was typed above all; raises ConfigError."""
        return settings({"include": self.include or None, "exclude": self.exclude or None, **flags}, self.config)

    def request(self, inputs: list[str], configured: "Settings") -> "Request":
        """What is to be read; raises UsageError where nothing is named or stdin is wanted twice."""
        from ingest.rules import Selection
        from longctx.request import Request

        listed = self._listed()
        if not inputs and listed is None:
            raise UsageError("nothing to read", "name a folder, a file, a glob or a git URL")
        if listed is not None and not listed.strip(b"\0\n\r "):
            raise CorpusError(f"{self.from_file}: the list of files is empty", "is the command before | right?")
        stdin = self._stdin_text() if "-" in inputs else None
        selection = Selection(
            include=configured.include,
            exclude=configured.exclude,
            only=tuple(self.only or ()),
            gitignore=not self.no_gitignore,
            secrets=self.allow_secrets,
        )
        return Request(
            tuple(inputs),
            selection,
            stdin=stdin,
            listed=listed,
            password=self._password(),
            text_limit_bytes=configured.max_file_mb * 2**20,
        )

    def _listed(self) -> bytes | None:
        if self.from_file is None:
            return None
        return _stdin("the list") if self.from_file == "-" else _file_bytes(Path(self.from_file))

    def _stdin_text(self) -> bytes:
        if self.from_file == "-":
            raise UsageError("- and --from-file - both want standard input", "give the list in a file")
        text = _stdin("standard input")
        if not text.strip() and not self.quiet:
            typer.echo("longctx: standard input was empty", err=True)
        return text

    def _password(self) -> str | None:
        if self.password_file is None:
            return os.environ.get("LONGCTX_PASSWORD")
        return _file_bytes(self.password_file).decode("utf-8", "surrogateescape").rstrip("\r\n")

    @contextmanager
    def corpus(
        self, inputs: "list[str] | Request", *, index: bool = True, retry: bool = False
    ) -> "Iterator[tuple[Corpus, Narrator]]":
        """The corpus of these inputs, or of an earlier request, up to date; what was left out has been named on
        stderr."""
        from longctx import paths
        from longctx.answer import summarise
        from longctx.corpus import Corpus
        from longctx.narration import Narrator
        from longctx.refresh import refresh
        from longctx.store_faults import explained

        configured = self.settings()
        request = self.request(inputs, configured) if isinstance(inputs, list) else inputs
        with (
            explained(),
            Narrator(quiet=self.quiet) as narrator,
            Corpus(request, paths.locate(os.environ)) as corpus,
        ):
            for warning in configured.warnings:
                narrator.say(f"longctx: {warning}")
            with closing(refresh(corpus, index=index, retry=retry)) as events:
                for event in events:
                    narrator.tell(event)
            narrator.stop()
            narrator.left_out(summarise(corpus.record.id, corpus.files))
            if self.strict:
                _check_strict(corpus)
            yield corpus, narrator


def settings(flags: Mapping[str, object], config_file: Path | None = None) -> "Settings":
    """The settings in force here, with `flags` above all; raises ConfigError. Warnings go to stderr."""
    from longctx import paths
    from longctx.settings import load

    user_file = paths.locate(os.environ).config_file
    return load(flags=flags, environ=os.environ, directory=Path.cwd(), user_file=user_file, config_file=config_file)


def with_shared_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of each dataclass that it takes (`chosen: Chosen`, …) on its command line."""
    own = inspect.signature(command, eval_str=True).parameters
    groups: dict[str, Any] = {name: each.annotation for name, each in own.items() if is_dataclass(each.annotation)}
    shared = {name: list(_parameters(kind)) for name, kind in groups.items()}

    def wrapper(**given: Any) -> None:
        chosen = {name: groups[name](**{each.name: given.pop(each.name) for each in shared[name]}) for name in groups}
        command(**chosen, **given)

    kept = [parameter for name, parameter in own.items() if name not in groups]
    everything = [*kept, *(parameter for parameters in shared.values() for parameter in parameters)]
    everything = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in everything]
    wrapper.__signature__ = inspect.Signature(everything)  # type: ignore[attr-defined]  # read by typer
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in everything}
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    return wrapper


def _parameters(kind: Any) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    for each in fields(kind):
        assert each.default is not MISSING, "every shared option has a default"
        keyword = inspect.Parameter.KEYWORD_ONLY
        yield inspect.Parameter(each.name, keyword, default=each.default, annotation=hints[each.name])


def _stdin(what: str) -> bytes:
    return _limited(sys.stdin.buffer, what)


def _file_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return _limited(stream, str(path))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}", "name a file that can be read") from error


def _limited(stream: IO[bytes], what: str) -> bytes:
    content = stream.read(STDIN_LIMIT_BYTES + 1)
    if len(content) > STDIN_LIMIT_BYTES:
        raise UsageError(
            f"{what} has more than {STDIN_LIMIT_BYTES >> 20} MiB", "put it into files and name their folder"
        )
    return content


def _check_strict(corpus: "Corpus") -> None:
    from ingest.naming import show
    from ingest.outcome import FAILED

    failed = [record.outcome for record in corpus.files.values() if record.outcome.status in FAILED]
    if failed:
        first = failed[0]
        raise CorpusError(
            f"{len(failed)} files could not be read; the first is {show(first.path)}: {first.status}",
            "leave out --strict to go on without them",
        )
