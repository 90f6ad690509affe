"""`longctx cite`: the citations of saved answers checked again in the files as they are now."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import chdir
from dataclasses import replace
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.git import is_remote
from longctx.commands.options import OUTPUT, Chosen, with_shared_options
from longctx.commands.source import read_source
from longctx.counted import counted
from longctx.errors import EvidenceGate, StoreError, UsageError

if TYPE_CHECKING:
    from longctx.corpora import CorpusRecord
    from longctx.recheck import Checked, SavedAnswer
    from longctx.request import Request

SCHEMA = "longctx.recheck/1"
LARGEST_BYTES = 128 << 20
QUOTE_SHOWN = 60
REPORT_NAME = "report.json"
SOURCES_HINT = "name its sources: longctx cite check FILE PATH..."

app = typer.Typer(no_args_is_help=True, help="The citations of answers you have saved.")


@app.callback()
def cite() -> None:
    """The citations of answers you have saved."""


@app.command()
@with_shared_options
def check(
    chosen: Chosen,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A saved answer, session or report; - for standard input.")
    ],
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Where to look, if not in the corpus asked.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.", rich_help_panel=OUTPUT)] = False,
) -> None:
    """Check saved answers again: do their quotes still stand in the files as they are now?

    Exits 6 where a citation is changed, gone, or was not verified when it was written.

    longctx cite check answer.json

    longctx cite check report/

    longctx sessions export last --as json | longctx cite check -
    """
    if file == "-" and "-" in (sources or ()):
        raise UsageError("FILE and PATH both want standard input", "save the answer to a file")
    answers = _saved(file)
    named = bool(sources) or chosen.from_file is not None
    checked = _at(chosen, sources or [], answers) if named else _in_stored(chosen, answers)
    if as_json:
        typer.echo(json.dumps(_json(answers, checked), indent=2))
    else:
        for number, found in enumerate(checked, start=1):
            for each in found:
                typer.echo(_lead(answers, number) + _line(each))
    _conclude([each for found in checked for each in found], quiet=chosen.quiet)


def _saved(file: str) -> "list[SavedAnswer]":
    """The answers in a file; raises UsageError, which names it."""
    from ingest.naming import show
    from longctx.recheck import read_saved

    content = _content(file)
    try:
        return read_saved(content)
    except UsageError as error:
        raise UsageError(f"{'standard input' if file == '-' else show(file)}: {error}", error.hint) from error


def _content(file: str) -> bytes:
    """What was saved; of a report's folder its JSON."""
    if os.path.isdir(file):
        return _report(Path(file) / REPORT_NAME)
    too_large = UsageError(f"{file} has more than {LARGEST_BYTES >> 20} MiB", "is it a saved answer?")
    return read_source(file, file, LARGEST_BYTES, too_large)


def _report(path: Path) -> bytes:
    """A report's JSON; what lies in a folder was not named by the user, and may be a pipe that nobody writes to."""
    from ingest.naming import show
    from longctx.regular_file import NotRead, regular_content

    try:
        return regular_content(path, LARGEST_BYTES)
    except NotRead as error:
        raise UsageError(f"{show(str(path))}: {error}", "name a report's folder, or a saved answer") from error


def _at(chosen: Chosen, sources: "list[str] | Request", answers: "Sequence[SavedAnswer]") -> "list[list[Checked]]":
    from longctx.recheck import recheck

    with chosen.corpus(sources, index=False) as (corpus, _):
        return [list(recheck(corpus, answer)) for answer in answers]


def _in_stored(chosen: Chosen, answers: "Sequence[SavedAnswer]") -> "list[list[Checked]]":
    """Each answer checked in the corpus that it was given for."""
    checked: dict[int, list[Checked]] = {}
    for identity in dict.fromkeys(answer.corpus for answer in answers):
        those = {i: answer for i, answer in enumerate(answers) if answer.corpus == identity}
        checked.update(zip(those, _stored(chosen, _record(identity), list(those.values())), strict=True))
    return [checked[i] for i in range(len(answers))]


def _stored(chosen: Chosen, record: "CorpusRecord", answers: "list[SavedAnswer]") -> "list[list[Checked]]":
    from longctx.corpora import corpus_id
    from longctx.recheck import gone
    from longctx.request import request_of

    request = replace(request_of(record), password=os.environ.get("LONGCTX_PASSWORD"))
    if not os.path.isdir(record.folder):
        raise UsageError(f"{record.folder}: no such folder", SOURCES_HINT)
    with chdir(record.folder):  # where its relative paths start
        if request.inputs and all(map(_is_missing, request.inputs)):
            return [gone(answer) for answer in answers]
        if "-" in request.inputs or corpus_id(request.name) != record.id:
            raise UsageError("part of this corpus was read from standard input, which is gone", SOURCES_HINT)
        return _at(chosen, request, answers)


def _is_missing(source: str) -> bool:
    return not (source == "-" or is_remote(source) or has_magic(source) or os.path.lexists(source))


def _record(identity: str) -> "CorpusRecord":
    from ingest.naming import show
    from longctx import paths
    from longctx.corpora import CorporaStore

    store = CorporaStore(paths.ensure(paths.locate(os.environ).data) / "longctx.db")
    try:
        return store.find(identity)
    except StoreError as error:
        raise StoreError(
            f"the corpus of this answer, {show(identity[:20])}, is not known here", SOURCES_HINT
        ) from error
    finally:
        store.close()


def _lead(answers: "Sequence[SavedAnswer]", number: int) -> str:
    """Which of several answers a line is of: the item of a report, else the number."""
    from ingest.naming import show

    item = answers[number - 1].item
    return f"{show(item)} " if item else f"{number}" if len(answers) > 1 else ""


def _line(checked: "Checked") -> str:
    """`[2] moved       a.md:3 -> a.md:9`, or the words that are missing."""
    from ingest.naming import show

    saved = checked.saved
    line = f"[{saved.n}] {checked.standing:<10}  {show(saved.place)}"
    if checked.place and checked.place != saved.place:
        return f"{line} -> {show(checked.place)}"
    if checked.standing.stands:
        return line
    words = " ".join(saved.quote.split())
    return f'{line}  "{show(words[:QUOTE_SHOWN])}{"…" if len(words) > QUOTE_SHOWN else ""}"'


def _json(answers: Sequence["SavedAnswer"], checked: "Sequence[list[Checked]]") -> dict[str, Any]:
    rows = []
    for answer, found in zip(answers, checked, strict=True):
        named = {"item": answer.item} if answer.item else {}
        citations = [_row(each) for each in found]
        rows.append({**named, "question": answer.question, "corpus": answer.corpus, "citations": citations})
    return {"schema": SCHEMA, "answers": rows}


def _row(checked: "Checked") -> dict[str, Any]:
    saved = checked.saved
    return {
        "n": saved.n,
        "standing": str(checked.standing),
        "was": saved.place,
        "place": checked.place or None,
        "quote": saved.quote,
    }


def _conclude(checked: "Sequence[Checked]", *, quiet: bool) -> None:
    """Say how many stand; raises EvidenceGate unless all do."""
    if faults := ", ".join(_faults(checked)):
        raise EvidenceGate(f"{counted(len(checked), 'citation')}: {faults}", "ask again to have them renewed")
    if not quiet:
        typer.echo(f"{counted(len(checked), 'citation')}: all stand" if checked else "no citations in it", err=True)


def _faults(checked: "Sequence[Checked]") -> Iterator[str]:
    """What has become of citations that don't stand, apart from those that never were verified."""
    from longctx.recheck import Standing

    lost = sum(each.standing in (Standing.CHANGED, Standing.GONE) for each in checked)
    near = sum(each.standing is Standing.NEAR for each in checked)
    never = sum(each.standing is Standing.UNVERIFIED for each in checked)
    if lost:
        yield f"{lost:,} no longer stand{'s' * (lost == 1)} as cited"
    if never:
        yield f"{never:,} {_were(never)} not verified when written"
    if near:
        yield f"{near:,} {_were(near)} only near the text when written"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
