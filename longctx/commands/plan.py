"""`longctx plan`: what the one prompt would be, before anything is spent on it."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longctx.commands.options import OUTPUT, Chosen, with_shared_options
from longctx.errors import DoesNotFit

if TYPE_CHECKING:
    from longctx.corpus import Corpus
    from longctx.plan import Branch, PromptPlan

GOING_SHOWN = 20


@with_shared_options
def plan(
    chosen: Chosen,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Folders, files, globs, git URLs, or -.", show_default=False),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="N", help="Exit 4 if the prompt has more than N tokens (200k, 10M).", show_default=False),
    ] = None,
    depth: Annotated[int, typer.Option(min=0, help="How deep the tree is shown.", rich_help_panel=OUTPUT)] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.", rich_help_panel=OUTPUT)] = False,
) -> None:
    """Show what one prompt over the sources would be: tokens, windows, what is left out, what it needs to run.

    longctx plan ./repo --budget 10M || exit 1
    """
    from longctx import plan as planning

    limit = chosen.settings(budget=budget).budget
    with chosen.corpus(sources or [], index=False) as (corpus, _):
        built = planning.build(corpus)
        branch = planning.tree(corpus.files, ", ".join(corpus.request.inputs[:3]))
        if as_json:
            typer.echo(json.dumps(_json(corpus, built, branch, limit), indent=2))
        else:
            _print(corpus, built, branch, depth, chosen.settings().color)
        if limit is not None and built.tokens > limit:
            _refuse(corpus, built, limit)


def _refuse(corpus: "Corpus", built: "PromptPlan", limit: int) -> None:
    from ingest.naming import show
    from longctx.plan import over_budget

    excess = built.tokens - limit
    going = over_budget(corpus.entries, excess)
    for entry in going[:GOING_SHOWN]:
        typer.echo(f"would have to go: {entry.tokens:>9,} tokens  {show(entry.path)}", err=True)
    if len(going) > GOING_SHOWN:
        typer.echo(f"would have to go: {len(going) - GOING_SHOWN} more, see --json", err=True)
    raise DoesNotFit(
        f"{built.tokens:,} tokens, budget {limit:,}: it would fit without the last {len(going)} documents",
        "leave them out with --exclude, or raise --budget",
    )


def _print(corpus: "Corpus", built: "PromptPlan", branch: "Branch", depth: int, color: str) -> None:
    from longctx.terminal import estimates_table, new_console, token_tree

    console = new_console(color)
    console.print(token_tree(branch, depth))
    last = f", {built.windows[-1].size:,} in the last" if built.windows else ""
    typer.echo(
        f"\n{built.tokens:,} tokens in {len(built.windows):,} windows of 8,192, {built.fill:.1%} full{last};"
        f" {built.tokens - built.text_tokens:,} are headers"
    )
    if built.stale:
        typer.echo(
            f"{built.stale:,} tokens ({built.stale_share:.1%}) are stale, kept so that the cached prefix stays good;"
            f" longctx corpora repack {corpus.record.id} drops them"
        )
    typer.echo("")
    console.print(estimates_table(built.tokens))
    typer.echo(
        "Estimates, not measurements: dense attention, one sequence, 8-bit weights, bf16 KV of the NoPE layers.\n"
        "* announced, never released"
    )


def _json(corpus: "Corpus", built: "PromptPlan", branch: "Branch", limit: int | None) -> dict[str, Any]:
    from dataclasses import asdict

    from longctx.answer import corpus_json, summarise
    from longctx.estimate import MACHINES, MODELS, estimate
    from longctx.plan import over_budget

    going = over_budget(corpus.entries, built.tokens - limit) if limit is not None else []
    return {
        "schema": "longctx.plan/1",
        "tokens": built.tokens,
        "text_tokens": built.text_tokens,
        "stale_tokens": built.stale,
        "budget": limit,
        "would_have_to_go": [{"path": e.path, "tokens": e.tokens} for e in going],
        "windows": [
            {"index": w.index, "tokens": w.size, "documents": [_piece(p) for p in w.pieces]} for w in built.windows
        ],
        "fill": round(built.fill, 4),
        "tree": asdict(branch),
        "estimates": [
            {
                "model": model.name,
                "planned": model.planned,
                "machine": machine.name,
                "fits": (needs := estimate(model, machine, built.tokens)).fits,
                **asdict(needs),
            }
            for model in MODELS.values()
            for machine in MACHINES.values()
        ],
        "corpus": corpus_json(summarise(corpus.record.id, corpus.files)),
    }


def _piece(piece: Any) -> dict[str, Any]:
    chars = list(piece.part.chars) if piece.part else None
    return {"id": piece.entry.document_id, "path": piece.entry.path, "tokens": piece.size, "chars": chars}
