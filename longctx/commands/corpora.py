"""`longctx corpora`: list, show, compare, forget and reorder the corpora that were made."""

import json
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.git import is_remote
from longctx.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from longctx.corpora import CorporaStore, CorpusRecord
    from longctx.corpus import Corpus
    from longctx.manifest import Entry

app = typer.Typer(no_args_is_help=True, help="The corpora you have made.")
Id = Annotated[str, typer.Argument(metavar="ID", help="The id of a corpus or its beginning, or its folder.")]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


@app.command("ls")
@app.command("list", hidden=True)
def ls(as_json: Json = False) -> None:
    """List corpora, the last used first.

    longctx corpora ls
    """
    from datetime import datetime

    rows = [_row(store, record) for store in [_store()] for record in store.all()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if rows:
        typer.echo(f"{'id':<12}  {'last used':<16}  {'files':>7}        {'tokens':>11}         sources")
    else:
        typer.echo("no corpora yet: longctx ask PATH... QUESTION makes one")
    for row in rows:
        when = datetime.fromtimestamp(row["used"]).strftime("%Y-%m-%d %H:%M")
        typer.echo(f"{row['id']}  {when}  {row['files']:>7,} files  {row['tokens']:>11,} tokens  {_title(row)}")


@app.command()
def show(identity: Id, as_json: Json = False) -> None:
    """Show a corpus: its files in prompt order, their states, and everything left out.

    longctx corpora show 3f2a
    """
    from ingest.naming import show as shown

    store = _store()
    record = _find(store, identity)
    entries, files = store.entries(record.id), store.files(record.id)
    skipped = [r.outcome for r in files.values() if not r.outcome.status.has_text]
    if as_json:
        listed = [
            {
                "id": e.document_id,
                "path": e.path,
                "tokens": e.tokens,
                "state": str(e.state),
                "sha256": e.digest,
            }
            for e in entries
        ]
        left = [{"path": o.path, "reason": str(o.status), "detail": o.detail} for o in skipped]
        typer.echo(json.dumps({**_row(store, record), "documents": listed, "skipped": left}, indent=2))
        return
    for entry in entries:
        typer.echo(f"{entry.document_id:>7}  {entry.tokens:>9,}  {entry.state:<10}  {shown(entry.path)}")
    for outcome in skipped:
        typer.echo(f"   left out  {outcome.status}: {shown(outcome.path)}  {shown(outcome.detail)}".rstrip())


@app.command()
def diff(identity: Id, as_json: Json = False) -> None:
    """Show what changed on disk since the corpus was last brought up to date, and change nothing here.

    longctx corpora diff 3f2a
    """
    from ingest.naming import show as shown
    from longctx.refresh import differences

    with _corpus(identity) as corpus:
        changes = differences(corpus)
    if as_json:
        typer.echo(json.dumps([{"change": change, "path": path} for change, path in changes], indent=2))
        return
    for change, path in changes:
        typer.echo(f"{change:<8} {shown(path)}")
    if not changes:
        typer.echo("nothing changed")


@app.command("rm")
@app.command("remove", hidden=True)
def rm(identity: Id) -> None:
    """Forget a corpus, its order and its index. Your files are not touched.

    longctx corpora rm 3f2a
    """
    from longctx import paths

    store = _store()
    record = _find(store, identity)
    store.remove(record.id)
    index = paths.locate(os.environ).cache / "evidence" / f"{record.id}.db"
    index.unlink(missing_ok=True)
    typer.echo(f"forgot {record.id}")


@app.command()
def repack(identity: Id) -> None:
    """Order a corpus anew: coldest first, stale texts dropped. A cached prompt is good only up to the first change.

    longctx corpora repack 3f2a
    """
    from longctx.manifest import stale_tokens, total_tokens
    from longctx.refresh import refresh

    with _corpus(identity) as corpus:
        for _ in refresh(corpus, index=False):
            pass
        before, dropped = corpus.entries, stale_tokens(corpus.entries)
        corpus.repack()
        kept = _common_tokens(before, corpus.entries)
        total = total_tokens(corpus.entries)
        typer.echo(f"{dropped:,} stale tokens dropped; {total - kept:,} of {total:,} tokens must be prefilled anew")


def _common_tokens(before: "Sequence[Entry]", after: "Sequence[Entry]") -> int:
    """Tokens of the texts that stand at the start of both, under the same names."""
    kept = 0
    for old, new in zip(before, after, strict=False):
        if (old.document_id, old.path, old.key) != (new.document_id, new.path, new.key):
            break
        kept += new.tokens
    return kept


def _store() -> "CorporaStore":
    from longctx import paths
    from longctx.corpora import CorporaStore
    from longctx.store_faults import explained

    with explained():
        return CorporaStore(paths.locate(os.environ).data / "longctx.db")


def _find(store: "CorporaStore", identity: str) -> "CorpusRecord":
    """A corpus by the beginning of its id, or by the path of its only source."""
    if not os.path.exists(identity):
        return store.find(identity)
    here = os.path.abspath(identity)
    for record in store.all():
        if [_whole(record.folder, each) for each in record.inputs] == [here]:
            return record
    raise UsageError(f"no corpus of {identity}", "see longctx corpora ls")


def _corpus(identity: str) -> "Corpus":
    """The stored corpus, opened from the request that made it."""
    from longctx import paths
    from longctx.corpus import Corpus
    from longctx.request import request_of

    record = _find(_store(), identity)
    if "-" in record.inputs or not record.inputs:
        raise UsageError("this corpus was read from standard input, which is gone", "give it again with ingest")
    try:
        os.chdir(record.folder)
    except OSError as error:
        raise UsageError(f"{record.folder}: {error.strerror}", "its relative paths started there") from error
    return Corpus(request_of(record), paths.locate(os.environ))


def _row(store: "CorporaStore", record: "CorpusRecord") -> dict[str, Any]:
    from longctx.manifest import stale_tokens, total_tokens

    entries = store.entries(record.id)
    return {
        "id": record.id,
        "sources": [_whole(record.folder, each) for each in record.inputs],
        "files": sum(r.outcome.status.has_text for r in store.files(record.id).values()),
        "tokens": total_tokens(entries),
        "stale_tokens": stale_tokens(entries),
        "created": record.created_s,
        "used": record.used_s,
    }


def _whole(folder: str, source: str) -> str:
    """A source as it can be found from anywhere."""
    return source if source == "-" or is_remote(source) else os.path.normpath(os.path.join(folder, source))


def _title(row: dict[str, Any]) -> str:
    from ingest.naming import show as shown

    names = [shown(each) for each in row["sources"]]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
