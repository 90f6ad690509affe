"""`longctx pack`: the one prompt itself, as text or token ids."""

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longctx.commands.options import OUTPUT, Chosen, with_shared_options
from longctx.commands.output import open_output, stdout_is_tty

if TYPE_CHECKING:
    from longctx.corpus import Corpus


class Form(StrEnum):
    """How the prompt is written."""

    TEXT = "text"
    IDS = "ids"


@with_shared_options
def pack(
    chosen: Chosen,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Folders, files, globs, git URLs, or -.", show_default=False),
    ] = None,
    form: Annotated[
        Form,
        typer.Option(
            "--as",
            help="Text, or Llama 4 token ids: one JSON list a window of at most 8,192 tokens, notes last.",
            rich_help_panel=OUTPUT,
        ),
    ] = Form.TEXT,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write to FILE.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Write the one prompt over the sources: documents of every kind, each in a wrapper that says what it is.

    An edited file is appended, so that what a model has cached of the prompt stays good.

    longctx pack ./repo -o prompt.txt

    longctx pack ./papers --as ids > windows.jsonl
    """
    from ingest.naming import safe_text

    with chosen.corpus(sources or [], index=False) as (corpus, narrator), open_output(output) as stream:
        shown = safe_text if output is None and stdout_is_tty() else str
        total = parts = 0
        for ids, text in _texts(corpus) if form is Form.TEXT else _ids(corpus):
            stream.write(shown(text))
            total, parts = total + ids, parts + 1
        narrator.say(f"{total:,} tokens in {parts:,} windows")


def _texts(corpus: "Corpus") -> Iterator[tuple[int, str]]:
    from longctx import plan

    for window in plan.pack(corpus):
        yield window.size, plan.window_text(corpus, window)
    if notes := plan.ledger(corpus):
        yield len(plan.ledger_ids(corpus)), notes


def _ids(corpus: "Corpus") -> Iterator[tuple[int, str]]:
    from longctx import plan
    from longctx.packing import WINDOW_TOKENS

    for window in plan.pack(corpus):
        yield window.size, json.dumps(plan.window_ids(corpus, window)) + "\n"
    notes = plan.ledger_ids(corpus)
    for start in range(0, len(notes), WINDOW_TOKENS):
        part = notes[start : start + WINDOW_TOKENS]
        yield len(part), json.dumps(part) + "\n"
