"""`longctx report diff`: what a report says that an earlier one did not. It reads two files and writes none."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longctx.commands.options import OUTPUT
from longctx.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from longctx.reports.difference import Difference

REPORT = "A report.json, or the folder of a report."


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help=REPORT)],
    new: Annotated[Path, typer.Argument(metavar="NEW", help=REPORT)],
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.", rich_help_panel=OUTPUT)] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 1 where anything differs.")] = False,
) -> None:
    """Show what differs between two reports: questions, answers, citations, documents, engine and settings.

    Times and cached tokens never count.

    longctx report diff old-report filings-report

    longctx report diff old.json new.json --json --exit-code
    """
    from longctx.reports.difference import to_json
    from longctx.reports.difference_text import to_text

    found = _compared(old, new)
    typer.echo(json.dumps(to_json(found), indent=2) if as_json else to_text(found), nl=as_json)
    if exit_code and found.is_any:
        raise typer.Exit(ExitCode.FAILED)


def _compared(old: Path, new: Path) -> "Difference":
    from longctx.reports.difference import compare
    from longctx.reports.report_file import read_report

    before, after = read_report(old), read_report(new)
    try:
        return compare(before, after)
    except RecursionError:
        raise UsageError("values in these reports are nested too deeply to be compared") from None
