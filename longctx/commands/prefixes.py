"""Stored prefixes as people and programs read them: lines and JSON of rows that were given; opens no store."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from longctx.counted import counted

if TYPE_CHECKING:
    from cache.stored import StoredBlock, StoredChain
    from cache.verification import Checked

KEY_SHOWN = 12
CHAINS_SHOWN = 20
HEADING = f"{'key':<12}  {'last used':<16}  {'windows':>7}  {'tokens':>11}  {'size':>8}  model"
WINDOW_HEADING = f"{'window':>6}  {'tokens':>6}  {'size':>8}  {'last used':<16}  key"


def chain_line(chain: "StoredChain", name: str) -> str:
    """A prefix as one row under HEADING."""
    sized = f"{chain.blocks:>7,}  {chain.tokens:>11,}  {readable(chain.nbytes):>8}"
    return f"{short(chain.tip)}  {when(chain.last_used)}  {sized}  {what(chain, name)}"


def window_line(row: "StoredBlock", *, kept: bool) -> str:
    """A window as one row under WINDOW_HEADING."""
    sized = f"{row.depth + 1:>6,}  {row.tokens:>6,}  {readable(row.nbytes):>8}"
    return f"{sized}  {when(row.last_used)}  {short(row.key)}{'  kept' if kept else ''}"


def what(stored: "StoredChain | StoredBlock", name: str) -> str:
    """What is known of a prefix: its model by name, or by the beginning of its digest where that was forgotten."""
    from cache.stored import StoredChain
    from ingest.naming import show as shown

    # a layout is the engine's name for its bytes and then, after a blank, the attention they were made with
    line = shown(f"{name or stored.model[:8]} {stored.dtype} {stored.layout.rpartition(' ')[2]}")
    if not isinstance(stored, StoredChain):
        return line
    whole = "" if stored.whole else "; not whole"
    return f"{line}{f'; {_pinned(stored)}' if stored.pinned else ''}{whole}"


def room_text(room: Mapping[str, int]) -> str:
    """How much is stored, how much may be, and what the disk has left."""
    used, limit, free = (readable(room[name]) for name in ("bytes", "limit_bytes", "free_disk_bytes"))
    aside = f"; {readable(room['quarantine_bytes'])} in quarantine" if room["quarantine_bytes"] else ""
    return f"{counted(room['windows'], 'window')}, {used} of {limit}; the disk has {free} free{aside}"


def verdict_line(checked: "Checked", repair: bool) -> str:
    """What is wrong with a window, and what was done about it."""
    from ingest.naming import show as shown

    done = f"; {remedy(checked)}" if repair and remedy(checked) else ""
    return f"{short(checked.key)}  {checked.verdict:<10}  {shown(checked.reason)}{done}"


def is_bad(checked: "Checked") -> bool:
    """Whether stored bytes were lost or can't be had; an index that lags behind the files is no loss."""
    return checked.verdict in ("damaged", "unreadable")


def remedy(checked: "Checked") -> str:
    """What repairing does about it."""
    if checked.fault is not None:
        return "put into quarantine"
    return "index brought up to date" if checked.verdict in ("gone", "unindexed") else ""


def going(chains: "Sequence[StoredChain]", rows: "Sequence[StoredBlock]", drops: "Sequence[StoredBlock]") -> list[str]:
    """A line for each prefix that loses windows, the oldest first."""
    lines = []
    for chain, part in _by_chain(chains, rows, drops):
        of = f"{len(part):,} of {counted(chain.blocks, 'window')}"
        lines.append(f"{short(chain.tip)}  {when(chain.last_used)}  {of}, {readable(total_bytes(part))}")
    more = len(lines) - CHAINS_SHOWN
    return lines if more <= 0 else [*lines[:CHAINS_SHOWN], f"and {more:,} more, see --json"]


def pruned(rows: "Sequence[StoredBlock]", drops: "Sequence[StoredBlock]", dry_run: bool, aside: int) -> str:
    """What went, and what is left; `aside` are the bytes that went from quarantine."""
    verb = "would drop" if dry_run else "dropped"
    left = readable(total_bytes(rows) - total_bytes(drops))
    if not drops and not aside:
        return f"nothing to drop, {left} stored"
    also = f" and {readable(aside)} in quarantine" if aside else ""
    return f"{verb} {counted(len(drops), 'window')}, {readable(total_bytes(drops))}{also}; {left} left"


def staying(
    chains: "Sequence[StoredChain]", rows: "Sequence[StoredBlock]", stays: "Sequence[StoredBlock]"
) -> Iterator[str]:
    """A line for each prefix that no pruning takes, and why."""
    ordered = sorted(chains, key=lambda chain: chain.pinned)  # reversed below: a shared window is its pinned chain's
    for chain, part in _by_chain(ordered, rows, stays):
        why = _pinned(chain) if chain.pinned else "in use"
        yield f"stays: {short(chain.tip)}  {counted(len(part), 'window')}, {readable(total_bytes(part))}, {why}"


def chain_json(chain: "StoredChain", name: str) -> dict[str, Any]:
    """A prefix, in the words that a user sees."""
    from dataclasses import asdict

    names = {"tip": "key", "blocks": "windows", "nbytes": "bytes"}
    return {**{names.get(field, field): value for field, value in asdict(chain).items()}, "model_name": name or None}


def line_json(
    line: "Sequence[StoredBlock]", chain: "StoredChain | None", name: str, kept: Collection[str]
) -> dict[str, Any]:
    """A prefix window by window; `kept` are the keys that no pruning takes."""
    last = line[-1]
    windows = [{"window": row.depth + 1, **_row_json(row), "kept": row.key in kept} for row in line]
    return {
        "schema": "longctx.prefix/1",
        "key": last.key,
        "model": last.model,
        "model_name": name or None,
        "dtype": last.dtype,
        "layout": last.layout,
        "label": chain.label if chain else "",
        "whole": not line[0].depth,
        "windows": windows,
    }


def found_json(checked: "Checked", repair: bool) -> dict[str, Any]:
    """What is wrong with a window, and what was done about it."""
    return {
        "key": checked.key,
        "verdict": str(checked.verdict),
        "reason": checked.reason,
        "bad": is_bad(checked),
        "done": remedy(checked) if repair else "",
    }


def pruned_json(
    rows: "Sequence[StoredBlock]",
    drops: "Sequence[StoredBlock]",
    stays: "Sequence[StoredBlock]",
    dry_run: bool,
    aside: int,
) -> dict[str, Any]:
    """What went, what is left, and what no pruning takes; `aside` are the bytes that went from quarantine."""
    return {
        "schema": "longctx.pruned/1",
        "dry_run": dry_run,
        "dropped": [_row_json(row) for row in drops],
        "dropped_bytes": total_bytes(drops),
        "quarantine_bytes": aside,
        "left_bytes": total_bytes(rows) - total_bytes(drops),
        "kept": [_row_json(row) for row in stays],
    }


def short(key: str) -> str:
    """A key as it is shown and can be typed."""
    return key[:KEY_SHOWN]


def when(moment: float) -> str:
    """Local time, to the minute."""
    try:
        return datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return f"{'no date':<16}"


def readable(nbytes: int) -> str:
    """A size in three digits."""
    from longctx.terminal import readable_bytes

    return readable_bytes(nbytes)


def total_bytes(rows: "Iterable[StoredBlock]") -> int:
    """What rows occupy together."""
    return sum(row.nbytes for row in rows)


def _pinned(chain: "StoredChain") -> str:
    from ingest.naming import show as shown

    return f"pinned: {shown(chain.label)}" if chain.label else "pinned"


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


def _row_json(row: "StoredBlock") -> dict[str, Any]:
    return {
        "key": row.key,
        "tokens": row.tokens,
        "bytes": row.nbytes,
        "created": row.created,
        "last_used": row.last_used,
    }
