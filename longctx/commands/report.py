"""`longctx report`: a manifest's questions and summaries over one corpus, written as a report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from longctx.commands.engine_options import ENGINE, EngineOptions
from longctx.commands.options import CORPUS, OUTPUT, Chosen, Patterns, with_shared_options
from longctx.commands.report_diff import diff
from longctx.errors import UsageError

DEFAULT = "write"
FIRST_MANIFEST = "report.toml"
HELP = "Answer a manifest's questions over one corpus, and write them as a report."


def _named(text: str) -> Path:
    """A folder as it was typed; an empty name would be the current one."""
    if not text:
        raise UsageError("-o names no folder", "name one, or . for the current one")
    return Path(text)


class Writing(TyperCommand):
    """The command that `longctx report` itself is; it stands in the group's place."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """A context named as the group is."""
        assert info_name == DEFAULT and parent is not None, "it is reached through its group"
        return super().make_context(parent.info_name, args, parent.parent, **extra)


class WithDefault(TyperGroup):
    """A group whose words go to its default command unless the first of them is another command of it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name the default command where none is named."""
        return super().parse_args(ctx, args if args[:1] and args[0] in self.commands else [DEFAULT, *args])


app = typer.Typer(cls=WithDefault, help=HELP, add_help_option=False)
app.command()(diff)


@app.callback()
def report() -> None:
    """Answer a manifest's questions over one corpus, and write them as a report."""


@dataclass(frozen=True, slots=True)
class Reading(Chosen):
    """The shared options; --only names items here."""

    only: Annotated[
        Patterns,
        typer.Option("--only-files", metavar="PATTERN", help="Read only what matches.", rich_help_panel=CORPUS),
    ] = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be answered, and where the report goes."""

    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            parser=_named,
            metavar="FOLDER",
            help="Where the report goes; else as the manifest says, or NAME-report beside it.",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    form: Annotated[
        list[str] | None,
        typer.Option(
            "--format", metavar="md|html|json", help="Only these forms, beside report.json.", rich_help_panel=OUTPUT
        ),
    ] = None
    corpus: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Read this in place of what the manifest names.", rich_help_panel=CORPUS),
    ] = None
    named: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="ID", help="Answer only this item (or document) and what it refers to."),
    ] = None
    force: Annotated[
        bool, typer.Option("--force", help="Ask all anew, or with --only those, also where nothing has changed.")
    ] = False
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first item that fails.")] = False
    require_verified: Annotated[
        bool, typer.Option("--require-verified", help="An item fails unless all that it cites is verified.")
    ] = False
    jobs: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Ask so many at once, where the engine can.", rich_help_panel=ENGINE),
    ] = None
    as_json: Annotated[
        bool, typer.Option("--json", help="Write on stdout what became of it.", rich_help_panel=OUTPUT)
    ] = False


@app.command(DEFAULT, cls=Writing, hidden=True)
@with_shared_options
def write(
    chosen: Reading,
    engines: EngineOptions,
    wanted: Wanted,
    manifest: Annotated[
        Path | None,
        typer.Argument(metavar="MANIFEST", help="A .toml or .yaml, or questions as .txt or .csv.", show_default=False),
    ] = None,
    init: Annotated[
        bool, typer.Option("--init", help=f"Write a manifest to start from to MANIFEST ({FIRST_MANIFEST}).")
    ] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of manifests.")] = False,
) -> None:
    """Answer a manifest's questions over one corpus, and write them as a report.

    It is a folder: report.md, report.html, report.json, evidence.jsonl, run.jsonl, pages/.

    After a stop the same command goes on. What was answered is asked again only if it changed.

    Exits 7 if items failed, and 130 if it was stopped, with what is finished in the report.

    longctx report --init filings.toml

    longctx report filings.toml

    longctx report questions.txt --corpus ./repo -o out --engine evidence

    longctx report filings.toml --only covenants --force

    longctx report diff last-month filings-report
    """
    if schema:
        _print_schema()
    elif init:
        _write_first(manifest or Path(FIRST_MANIFEST))
    elif manifest is None:
        raise UsageError("no manifest", "longctx report --init writes one to start from")
    else:
        from longctx.commands.reporting import carry_out

        carry_out(manifest, chosen, engines, wanted)


def _print_schema() -> None:
    from longctx.reports.manifest_schema import published

    typer.echo(published(), nl=False)


def _write_first(path: Path) -> None:
    """A commented manifest; never over a file that is there."""
    from ingest.naming import show
    from longctx.reports.manifest_first import FORMS, WITHOUT_CORPUS

    shown, ending = show(str(path)), path.suffix.lower()
    if ending not in FORMS:
        raise UsageError(f"{shown}: a manifest ends in {', '.join(FORMS)}", "name another file")
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(FORMS[ending])
    except FileExistsError as error:
        raise UsageError(f"{shown} is there already", "name another file") from error
    except OSError as error:
        raise UsageError(f"{shown}: {error.strerror}", "name a file that you can write") from error
    corpus = " --corpus PATH" * (ending in WITHOUT_CORPUS)
    typer.echo(f"{shown} is written: edit it, then longctx report {shown}{corpus}", err=True)
