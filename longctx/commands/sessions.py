"""`longctx sessions`: conversations listed, shown, found, exported and forgotten; it asks no engine anything."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longctx.commands.output import stdin_is_terminal
from longctx.errors import ExitCode, UsageError
from longctx.exported import Form, exported, form_of

if TYPE_CHECKING:
    from longctx.history import History
    from longctx.session import Session, Turn

TITLE_SHOWN = 60

app = typer.Typer(no_args_is_help=True, help="The conversations you have had.")
Id = Annotated[
    str, typer.Argument(metavar="ID", help="A session's id or its beginning, its title, or last.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


@app.command("ls")
@app.command("list", hidden=True)
def ls(
    everything: Annotated[bool, typer.Option("--all", help="All of them, those without an answer too.")] = False,
    limit: Annotated[int, typer.Option("-n", min=1, metavar="N", help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """List sessions, the last used first.

    longctx sessions ls
    """
    with _history() as history:
        found = [session for session in history.all() if everything or session.tip]
    sessions = found if everything else found[:limit]
    sources = _sources()
    if as_json:
        typer.echo(json.dumps([_row(session, sources) for session in sessions], indent=2))
        return
    if not sessions:
        typer.echo("no sessions yet: longctx ask PATH... QUESTION begins one")
        return
    typer.echo(f"{'id':<8}  {'last used':<16}  {'turns':>5}  title (sources)")
    for session in sessions:
        typer.echo(f"{session.id}  {_when(session.used_s)}  {session.turns:>5,}  {_titled(session, sources)}")
    if len(found) > len(sessions):
        typer.echo(f"and {len(found) - len(sessions):,} more: longctx sessions ls --all")


@app.command()
def show(identity: Id, as_json: Json = False) -> None:
    """Show a session: its questions and answers, with what they cite.

    longctx sessions show last
    """
    from longctx.export import to_json

    with _history() as history:
        session = history.find(identity)
        turns, aside = history.turns(session), history.aside(session)
    if as_json:
        typer.echo(json.dumps({**to_json(session, turns), "aside": to_json(session, aside)["turns"]}, indent=2))
        return
    _print(session, turns, _sources())
    for turn in aside:
        typer.echo(f"beside this line: {turn.id} {_line(turn.question)}", err=True)


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(metavar="WORDS...", help="Beginnings of words, all of them wanted.")],
    limit: Annotated[int, typer.Option("-n", min=1, metavar="N", help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """Find the questions and answers that hold these words, the best match first. Exits 1 if there are none.

    longctx sessions search lighthouse height
    """
    with _history() as history:
        found = history.search(" ".join(words), limit)
    if as_json:
        rows = [
            {"session": each.session.id, "turn": each.turn, "question": each.question, "snippet": each.snippet}
            for each in found
        ]
        typer.echo(json.dumps(rows, indent=2))
    for each in found if not as_json else ():
        typer.echo(f"{each.session.id}  {_when(each.session.used_s)}  {_line(each.question)}")
        typer.echo(f"{'':<8}  {_line(each.snippet, most=200)}")
    if not found:
        typer.echo("nothing found", err=True)
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def rename(
    identity: Id, title: Annotated[str, typer.Argument(metavar="TITLE", help="Its new title.", show_default=False)]
) -> None:
    """Give a session another title.

    longctx sessions rename last "Where the locks are"
    """
    with _history() as history:
        session = history.rename(history.find(identity).id, title)
    typer.echo(f"{session.id}  {_line(session.title, most=200)}")


@app.command()
def export(
    identity: Id,
    form: Annotated[
        Form | None, typer.Option("--as", help="The form; else as FILE is named, or md.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to FILE.", show_default=False)
    ] = None,
) -> None:
    """Write a session as Markdown with footnotes, as JSON, or as one HTML page that fetches nothing.

    longctx sessions export last -o answers.html

    longctx sessions export 3f2a --as json | jq -r '.turns[].question'
    """
    from longctx.commands.output import open_output

    with _history() as history:
        session = history.find(identity)
        turns = history.turns(session)
    with open_output(output) as stream:
        stream.write(exported(session, turns, _sources().get(session.corpus, ()), form or form_of(output)))


@app.command("rm")
@app.command("remove", hidden=True)
def rm(
    identities: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Ids or their beginnings, titles, or last.", show_default=False)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget sessions and overwrite what the store held of them. Your files and corpora are not touched.

    longctx sessions rm 3f2a --yes
    """
    from longctx.counted import counted
    from longctx.migrations import backups

    with _history() as history:
        sessions = {session.id: session for session in (history.find(each) for each in identities)}
        for session in sessions.values():
            typer.echo(f"{session.id}  {counted(session.turns, 'turn')}  {_line(session.title)}", err=True)
        if not yes:
            _confirm(len(sessions))
        history.remove(*sessions)
        kept = backups(history.path)
    typer.echo(f"forgot {', '.join(sessions)}")
    for copy in kept:
        typer.echo(f"what was there when longctx was updated is still in {_line(str(copy), most=1000)}", err=True)


@app.command()
def verify(
    repair: Annotated[bool, typer.Option("--repair/--no-repair", help="Make the search index anew.")] = False,
) -> None:
    """Check every turn against the id that was made from it. Exits 1 if something is wrong.

    longctx sessions verify
    """
    from ingest.naming import show as shown
    from longctx.counted import counted

    with _history() as history:
        problems = history.verify(repair=repair)
        sessions = history.all()
    for problem in problems:
        typer.echo(shown(problem))
    found = f"{counted(len(problems), 'problem')}" if problems else "all as they were"
    typer.echo(f"{counted(len(sessions), 'session')}, {found}")
    if problems:
        raise typer.Exit(ExitCode.FAILED)


@contextmanager
def _history() -> "Iterator[History]":
    from longctx import paths
    from longctx.history import History

    with History(paths.locate(os.environ).data / "sessions.db") as history:
        yield history


def _sources() -> Mapping[str, Sequence[str]]:
    from longctx import paths
    from longctx.corpora import known_sources

    return known_sources(paths.locate(os.environ).data / "longctx.db")


def _row(session: "Session", sources: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    return {
        "id": session.id,
        "title": session.title,
        "corpus": session.corpus,
        "sources": sources.get(session.corpus),
        "turns": session.turns,
        "created": session.created_s,
        "used": session.used_s,
    }


def _titled(session: "Session", sources: Mapping[str, Sequence[str]]) -> str:
    named = sources.get(session.corpus, [f"corpus {session.corpus}"])
    return f"{_line(session.title)} ({_line(', '.join(named), most=200)})"


def _print(session: "Session", turns: "Sequence[Turn]", sources: Mapping[str, Sequence[str]]) -> None:
    """A session as it is read on a terminal or behind a pipe: text that nothing obeys."""
    from rich.text import Text

    from ingest.naming import safe_text
    from longctx.export import about, answer_text, footnotes
    from longctx.terminal import new_console

    console = new_console()
    console.print(Text(f"{session.id}  {_titled(session, sources)}", "dim"), soft_wrap=True)
    for number, turn in enumerate(turns, start=1):
        console.print(Text(f"\n{number}. {safe_text(turn.question).strip()}\n", "bold"), soft_wrap=True)
        console.print(Text(safe_text(answer_text(turn.answer)).strip() + "\n"), soft_wrap=True)
        for note in footnotes(turn.answer):
            quote = f'  "{note.quote}"' if note.quote else ""
            console.print(Text(f"[^{note.n}]: {note.place} ({note.state}){quote}"), soft_wrap=True)
        console.print(Text(" · ".join(about(turn)), "dim"), soft_wrap=True)


def _confirm(count: int) -> None:
    if not stdin_is_terminal():
        raise UsageError("nothing was forgotten: there is nobody to ask", "add --yes")
    typer.confirm("forget it?" if count == 1 else f"forget all {count}?", abort=True, err=True)


def _when(moment: float) -> str:
    from longctx.commands.prefixes import when

    return when(moment)


def _line(text: str, most: int = TITLE_SHOWN) -> str:
    from ingest.naming import show as shown

    line = shown(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"
