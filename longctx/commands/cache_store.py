"""`longctx cache`: the stored prefixes, listed, checked, kept and dropped; it reads no token and no tensor."""

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longctx.byte_count import parse_bytes
from longctx.commands.warm import warm
from longctx.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cache.store import DiskStore
    from cache.stored import StoredBlock, StoredChain
    from cache.verification import Checked

KEY_SHOWN = 12
CHAINS_SHOWN = 20
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
        chains, room = store.chains(), _room(store)
    if as_json:
        rows = [_chain_json(chain) for chain in chains]
        typer.echo(json.dumps({"schema": "longctx.prefixes/1", **room, "prefixes": rows}, indent=2))
        return
    if chains:
        typer.echo(f"{'key':<12}  {'last used':<16}  {'windows':>7}  {'tokens':>11}  {'size':>8}  model")
    else:
        typer.echo("no prefixes yet: longctx cache warm PATH... --model DIR stores one")
    for chain in chains:
        typer.echo(f"{_short(chain.tip)}  {_sized(chain)}  {_what(chain)}")
    typer.echo(_room_text(room))


@app.command()
def show(key: Key, as_json: Json = False) -> None:
    """Show a stored prefix window by window, up to the one with this key.

    longctx cache show 3f2a
    """
    from cache.stored import ancestry

    with _store() as store:
        rows, chains = store.rows(), store.chains()
        free = {row.key for row in store.prune(everything=True, dry_run=True)}
        line = list(ancestry(_found(key, rows).key, {row.key: row for row in rows}))[::-1]
    chain = next((chain for chain in chains if chain.tip == line[-1].key), None)
    if as_json:
        typer.echo(json.dumps(_line_json(line, chain, free), indent=2))
        return
    typer.echo(_what(chain or line[-1]))
    typer.echo(f"{'window':>6}  {'tokens':>6}  {'size':>8}  {'last used':<16}  key")
    for row in line:
        kept = "" if row.key in free else "  kept"
        sized = f"{row.depth + 1:>6,}  {row.tokens:>6,}  {_bytes(row.nbytes):>8}  {_when(row.last_used)}"
        typer.echo(f"{sized}  {_short(row.key)}{kept}")
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
    bad = [each for each in checked if _is_bad(each)]
    if as_json:
        found = [_found_json(each, repair) for each in checked if each.verdict != "ok"]
        counts = {"windows": len(checked), "bytes": sum(each.nbytes for each in checked), "bad": len(bad)}
        typer.echo(json.dumps({"schema": "longctx.verified/1", **counts, "found": found}, indent=2))
    else:
        size = _bytes(sum(each.nbytes for each in checked))
        verdict = f"{len(bad):,} bad" if bad else "none bad"
        typer.echo(f"{_count(len(checked), 'window')}, {size}, {verdict}")
        if not repair and any(_remedy(each) for each in checked):
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
        rows, chains = store.rows(), store.chains()
        free = {row.key for row in store.prune(everything=True, dry_run=True)}
        drops = store.prune(target_bytes=target, older_than=moment, everything=everything, dry_run=dry_run)
    stays = [row for row in rows if row.key not in free]
    if as_json:
        typer.echo(json.dumps(_pruned_json(rows, drops, stays, dry_run), indent=2))
        return
    for line in (*_going(chains, rows, drops), _pruned(rows, drops, dry_run), *_staying(chains, rows, stays)):
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
    typer.echo(f"pinned {_short(pinned)}: {_count(depth + 1, 'window')}")


@app.command()
def unpin(key: Key) -> None:
    """Keep a pinned window no longer; nothing is dropped at once.

    longctx cache unpin 3f2a
    """
    with _store() as store:
        for unpinned in _unpinned(store, key):
            typer.echo(f"unpinned {_short(unpinned)}")


app.command()(warm)


def _store() -> "AbstractContextManager[DiskStore]":
    from longctx.commands.machine import open_store
    from longctx.commands.options import settings

    return open_store(settings({}))


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
    from longctx.commands.progress import ProgressLine

    rows = store.rows()
    done, total = 0, sum(row.nbytes for row in rows)
    with ProgressLine(total) as progress:
        for number, each in enumerate(store.verify(repair=repair), start=1):
            done += each.nbytes
            progress.tell(done, f"checking: window {number:,} of {len(rows):,}, {_bytes(done)} of {_bytes(total)}")
            if each.verdict != "ok" and not as_json:
                progress.stop()
                typer.echo(_verdict(each, repair))
            yield each


def _verdict(checked: "Checked", repair: bool) -> str:
    from ingest.naming import show as shown

    done = f"; {_remedy(checked)}" if repair and _remedy(checked) else ""
    return f"{_short(checked.key)}  {checked.verdict}: {shown(checked.reason)}{done}"


def _is_bad(checked: "Checked") -> bool:
    """Whether stored bytes were lost or can't be had; an index that lags behind the files is no loss."""
    return checked.verdict in ("damaged", "unreadable")


def _remedy(checked: "Checked") -> str:
    """What repairing does about it."""
    if checked.fault is not None:
        return "put into quarantine"
    return "index brought up to date" if checked.verdict in ("gone", "unindexed") else ""


def _going(chains: "Sequence[StoredChain]", rows: "Sequence[StoredBlock]", drops: "Sequence[StoredBlock]") -> list[str]:
    """A line for each prefix that loses windows, the oldest first."""
    lines = []
    for chain, part in _by_chain(chains, rows, drops):
        of = f"{len(part):,} of {_count(chain.blocks, 'window')}"
        lines.append(f"{_short(chain.tip)}  {_when(chain.last_used)}  {of}, {_bytes(_total(part))}")
    more = len(lines) - CHAINS_SHOWN
    return lines if more <= 0 else [*lines[:CHAINS_SHOWN], f"and {more:,} more, see --json"]


def _by_chain(
    chains: "Sequence[StoredChain]", rows: "Sequence[StoredBlock]", some: "Sequence[StoredBlock]"
) -> "Iterator[tuple[StoredChain, list[StoredBlock]]]":
    """Some windows by the chain they belong to, each once, the chain used longest ago first."""
    from cache.stored import ancestry

    by_key = {row.key: row for row in rows}
    left = {row.key for row in some}
    for chain in reversed(chains):
        part = [row for row in ancestry(chain.tip, by_key) if row.key in left]
        left.difference_update(row.key for row in part)
        if part:
            yield chain, part


def _pruned(rows: "Sequence[StoredBlock]", drops: "Sequence[StoredBlock]", dry_run: bool) -> str:
    verb = "would drop" if dry_run else "dropped"
    left = _bytes(_total(rows) - _total(drops))
    if not drops:
        return f"nothing to drop, {left} stored"
    return f"{verb} {_count(len(drops), 'window')}, {_bytes(_total(drops))}; {left} left"


def _staying(
    chains: "Sequence[StoredChain]", rows: "Sequence[StoredBlock]", stays: "Sequence[StoredBlock]"
) -> Iterator[str]:
    """A line for each prefix that no pruning takes, and why."""
    ordered = sorted(chains, key=lambda chain: chain.pinned)  # reversed below: a shared window is its pinned chain's
    for chain, part in _by_chain(ordered, rows, stays):
        why = _pinned(chain) if chain.pinned else "in use"
        yield f"stays: {_short(chain.tip)}  {_count(len(part), 'window')}, {_bytes(_total(part))}, {why}"


def _what(stored: "StoredChain | StoredBlock") -> str:
    """What is known of a prefix: its model by the beginning of its digest, for no name is stored."""
    from cache.stored import StoredChain

    line = f"{stored.model[:8]} {stored.dtype}"
    if not isinstance(stored, StoredChain):
        return line
    whole = "" if stored.whole else "; not whole"
    return f"{line}{f'; {_pinned(stored)}' if stored.pinned else ''}{whole}"


def _pinned(chain: "StoredChain") -> str:
    from ingest.naming import show as shown

    return f"pinned: {shown(chain.label)}" if chain.label else "pinned"


def _sized(chain: "StoredChain") -> str:
    return f"{_when(chain.last_used)}  {chain.blocks:>7,}  {chain.tokens:>11,}  {_bytes(chain.nbytes):>8}"


def _room(store: "DiskStore") -> dict[str, int]:
    import shutil

    rows = store.rows()
    free = shutil.disk_usage(store.folder).free
    return {"windows": len(rows), "bytes": _total(rows), "limit_bytes": store.limit_bytes, "free_disk_bytes": free}


def _room_text(room: Mapping[str, int]) -> str:
    used, limit, free = (_bytes(room[name]) for name in ("bytes", "limit_bytes", "free_disk_bytes"))
    return f"{_count(room['windows'], 'window')}, {used} of {limit}; the disk has {free} free"


def _chain_json(chain: "StoredChain") -> dict[str, Any]:
    from dataclasses import asdict

    names = {"tip": "key", "blocks": "windows", "nbytes": "bytes"}
    return {names.get(name, name): value for name, value in asdict(chain).items()}


def _line_json(line: "Sequence[StoredBlock]", chain: "StoredChain | None", free: Collection[str]) -> dict[str, Any]:
    last = line[-1]
    windows = [{"window": row.depth + 1, **_row_json(row), "kept": row.key not in free} for row in line]
    return {
        "schema": "longctx.prefix/1",
        "key": last.key,
        "model": last.model,
        "dtype": last.dtype,
        "label": chain.label if chain else "",
        "whole": not line[0].depth,
        "windows": windows,
    }


def _row_json(row: "StoredBlock") -> dict[str, Any]:
    return {
        "key": row.key,
        "tokens": row.tokens,
        "bytes": row.nbytes,
        "created": row.created,
        "last_used": row.last_used,
    }


def _found_json(checked: "Checked", repair: bool) -> dict[str, Any]:
    return {
        "key": checked.key,
        "verdict": str(checked.verdict),
        "reason": checked.reason,
        "bad": _is_bad(checked),
        "done": _remedy(checked) if repair else "",
    }


def _pruned_json(
    rows: "Sequence[StoredBlock]", drops: "Sequence[StoredBlock]", stays: "Sequence[StoredBlock]", dry_run: bool
) -> dict[str, Any]:
    return {
        "schema": "longctx.pruned/1",
        "dry_run": dry_run,
        "dropped": [_row_json(row) for row in drops],
        "dropped_bytes": _total(drops),
        "left_bytes": _total(rows) - _total(drops),
        "kept": [_row_json(row) for row in stays],
    }


def _size(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise UsageError(f"--to {text!r} {error}", "as in 20GB, 512MiB") from error


def _total(rows: "Iterable[StoredBlock]") -> int:
    return sum(row.nbytes for row in rows)


def _bytes(count: int) -> str:
    from longctx.terminal import readable_bytes

    return readable_bytes(count)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _short(key: str) -> str:
    return key[:KEY_SHOWN]


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M")
