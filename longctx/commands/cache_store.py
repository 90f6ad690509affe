"""`longctx cache`: the stored prefixes, listed, checked, kept and dropped; it reads no token and no tensor."""

import json
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from longctx.byte_count import parse_bytes
from longctx.commands.prefixes import (
    HEADING,
    WINDOW_HEADING,
    chain_json,
    chain_line,
    found_json,
    going,
    is_bad,
    line_json,
    pruned,
    pruned_json,
    readable,
    remedy,
    room_text,
    short,
    staying,
    total_bytes,
    verdict_line,
    what,
    window_line,
)
from longctx.commands.warm import warm
from longctx.counted import counted
from longctx.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cache.store import DiskStore
    from cache.stored import StoredBlock
    from cache.verification import Checked

SECONDS_A_DAY = 86_400

app = typer.Typer(no_args_is_help=True, help="Prefixes that a model has read before, stored by window.")
Key = Annotated[
    str, typer.Argument(metavar="KEY", help="The key of a stored window or its beginning.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


@app.command("ls")
@app.command("list", hidden=True)
def ls(as_json: Json = False) -> None:
    """List stored prefixes, the last used first, and how much room they take.

    A prefix is a chain of windows; its key is that of its last one. Prefixes that begin alike share windows.

    longctx cache ls
    """
    with _store() as store:
        chains, room = [(chain, _name(store, chain.model)) for chain in store.chains()], _room(store)
    if as_json:
        rows = [chain_json(chain, name) for chain, name in chains]
        typer.echo(json.dumps({"schema": "longctx.prefixes/1", **room, "prefixes": rows}, indent=2))
        return
    if chains:
        typer.echo(HEADING)
    else:
        typer.echo("no prefixes yet: longctx cache warm PATH... --model DIR stores one")
    for chain, name in chains:
        typer.echo(chain_line(chain, name))
    typer.echo(room_text(room))


@app.command()
def show(key: Key, as_json: Json = False) -> None:
    """Show a stored prefix window by window, up to the one with this key.

    longctx cache show 3f2a
    """
    from cache.stored import ancestry

    with _store() as store:
        rows, chains, kept = store.rows(), store.chains(), store.kept()
        line = list(ancestry(_found(key, rows).key, {row.key: row for row in rows}))[::-1]
        name = _name(store, line[-1].model)
    chain = next((chain for chain in chains if chain.tip == line[-1].key), None)
    if as_json:
        typer.echo(json.dumps(line_json(line, chain, name, kept), indent=2))
        return
    typer.echo(what(chain or line[-1], name))
    typer.echo(WINDOW_HEADING)
    for row in line:
        typer.echo(window_line(row, kept=row.key in kept))
    if line[0].depth:
        typer.echo(f"windows 1 to {line[0].depth:,} are missing: the rest is of no use until they are stored again")


@app.command()
def verify(
    repair: Annotated[bool, typer.Option("--repair/--no-repair", help="Put bad windows out of the way.")] = False,
    as_json: Json = False,
) -> None:
    """Read every stored window and check it byte by byte. Exits 1 if one is bad.

    A bad window is never used, repaired or not: it is found as it is read, and computed again.

    longctx cache verify --repair
    """
    with _store() as store:
        checked = list(_checked(store, repair=repair, as_json=as_json))
    bad = [each for each in checked if is_bad(each)]
    if as_json:
        found = [found_json(each, repair) for each in checked if each.verdict != "ok"]
        counts = {"windows": len(checked), "bytes": sum(each.nbytes for each in checked), "bad": len(bad)}
        typer.echo(json.dumps({"schema": "longctx.verified/1", **counts, "found": found}, indent=2))
    else:
        size = readable(sum(each.nbytes for each in checked))
        verdict = f"{len(bad):,} bad" if bad else "none bad"
        typer.echo(f"{counted(len(checked), 'window')}, {size}, {verdict}")
        if not repair and any(remedy(each) for each in checked):
            typer.echo("longctx cache verify --repair puts that right", err=True)
    if bad:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def prune(
    to: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Until no more than SIZE is left (20GB, 512MiB).")
    ] = None,
    older_than: Annotated[
        float | None, typer.Option(min=0, metavar="DAYS", help="What was not used for so many days.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that may go.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and drop nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Drop stored windows, the least recently used first. What is pinned or in use stays.

    longctx cache prune --older-than 30

    longctx cache prune --to 20GB --dry-run
    """
    if to is None and older_than is None and not everything:
        raise UsageError("nothing says what is to go", "--to SIZE, --older-than DAYS, or --all")
    target = None if to is None else _size(to)
    moment = None if older_than is None else time.time() - older_than * SECONDS_A_DAY
    with _store() as store:
        rows, chains, kept, aside = store.rows(), store.chains(), store.kept(), store.quarantined_bytes()
        drops = store.prune(target_bytes=target, older_than=moment, everything=everything, dry_run=dry_run)
    stays, aside = [row for row in rows if row.key in kept], aside if everything else 0
    if as_json:
        typer.echo(json.dumps(pruned_json(rows, drops, stays, dry_run, aside), indent=2))
        return
    for line in (*going(chains, rows, drops), pruned(rows, drops, dry_run, aside), *staying(chains, rows, stays)):
        typer.echo(line)


@app.command()
def pin(
    key: Key, label: Annotated[str, typer.Option(metavar="TEXT", help="What it is, to be shown in lists.")] = ""
) -> None:
    """Keep a stored window and all before it, whatever is pruned or makes room.

    longctx cache pin 3f2a --label "the manuals"
    """
    with _store() as store:
        pinned = store.pin(key, label)
        depth = next((row.depth for row in store.rows() if row.key == pinned), 0)
    typer.echo(f"pinned {short(pinned)}: {counted(depth + 1, 'window')}")


@app.command()
def unpin(key: Key) -> None:
    """Keep a pinned window no longer; nothing is dropped at once.

    longctx cache unpin 3f2a
    """
    with _store() as store:
        for unpinned in _unpinned(store, key):
            typer.echo(f"unpinned {short(unpinned)}")


app.command()(warm)


def _store() -> "AbstractContextManager[DiskStore]":
    from longctx.commands.machine import open_store
    from longctx.commands.options import settings

    return open_store(settings({}))


def _name(store: "DiskStore", model: str) -> str:
    """What the folder of a model was called when it was last opened; empty where that is not known."""
    from cache.keys import name_identity

    return store.digest(name_identity(model)) or ""


def _unpinned(store: "DiskStore", key: str) -> list[str]:
    """What was pinned under this key, or before it in its chain: lists show chains, and any window may be pinned."""
    from cache.errors import NoSuchBlock
    from cache.stored import ancestry

    try:
        return [store.unpin(key)]
    except NoSuchBlock:
        rows = store.rows()
        line = ancestry(_found(key, rows).key, {row.key: row for row in rows})
        found = [each for row in line for each in _unpin(store, row.key)]
    if not found:
        raise NoSuchBlock(f"neither {key!r} nor a window before it is pinned")
    return found


def _unpin(store: "DiskStore", key: str) -> Iterator[str]:
    from contextlib import suppress

    from cache.errors import NoSuchBlock

    with suppress(NoSuchBlock):
        yield store.unpin(key)


def _found(key: str, rows: "Iterable[StoredBlock]") -> "StoredBlock":
    from cache.errors import NoSuchBlock

    found = [row for row in rows if key and row.key.startswith(key)]
    if len(found) != 1:
        raise NoSuchBlock(f"{'several windows have' if found else 'no window has'} a key that begins with {key!r}")
    return found[0]


def _checked(store: "DiskStore", *, repair: bool, as_json: bool) -> "Iterator[Checked]":
    """Every window's verdict; what is not in order has been named."""
    from longctx.narration import ProgressLine

    rows = store.rows()
    done, total = 0, sum(row.nbytes for row in rows)
    with ProgressLine(total) as progress:
        for number, each in enumerate(store.verify(repair=repair), start=1):
            done += each.nbytes
            progress.tell(done, f"checking: window {number:,} of {len(rows):,}, {readable(done)} of {readable(total)}")
            if each.verdict != "ok" and not as_json:
                progress.stop()
                typer.echo(verdict_line(each, repair))
            yield each


def _room(store: "DiskStore") -> dict[str, int]:
    import shutil

    rows = store.rows()
    free = shutil.disk_usage(store.folder).free
    return {
        "windows": len(rows),
        "bytes": total_bytes(rows),
        "limit_bytes": store.limit_bytes,
        "free_disk_bytes": free,
        "quarantine_bytes": store.quarantined_bytes(),
    }


def _size(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise UsageError(f"--to {text!r} {error}", "as in 20GB, 512MiB") from error
