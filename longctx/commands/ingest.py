"""`longctx ingest`: bring sources onto the shelf, so that the first question is quick."""

import json
from typing import Annotated

import typer

from longctx.commands.options import OUTPUT, Chosen, with_shared_options


@with_shared_options
def ingest(
    chosen: Chosen,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Folders, files, globs, git URLs, or -.", show_default=False),
    ] = None,
    index: Annotated[
        bool | None,
        typer.Option("--index/--no-index", help="Build the search index too (unless settings say no, it is)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.", rich_help_panel=OUTPUT)] = False,
) -> None:
    """Read, tokenise and index sources; what is unchanged is not read again.

    longctx ingest ./repo ./papers
    """
    from longctx.answer import corpus_json, summarise
    from longctx.manifest import stale_tokens

    with chosen.corpus(sources or [], index=chosen.settings(index=index).index, retry=True) as (corpus, _):
        summary = summarise(corpus.record.id, corpus.files)
        if as_json:
            typer.echo(json.dumps({"schema": "longctx.corpus/1", **corpus_json(summary)}, indent=2))
            return
        stale = stale_tokens(corpus.entries)
        old = f", {stale:,} stale tokens kept in place" if stale else ""
        typer.echo(
            f"corpus {summary.id}: {summary.files:,} files, {summary.tokens:,} tokens{old};"
            f" {len(summary.skipped):,} left out"
        )
