"""The figures of the benchmark in docs/ten-million.md: tables between markers, pictures, and the JSON they are made of.

A table stands between `<!-- NAME -->` and `<!-- /NAME -->`; what stands there before is replaced. All else on the page
is written by hand and holds no figure of a run, so that page and figures can't differ.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ten_million_chart import Curve, to_svg
from benchmarks.ten_million_figures import Figures, Line, figures
from longctx.needle.heat_map import HeatMap, Row, Sign, Square, short
from longctx.needle.heat_map_svg import to_svg as heat_map_svg
from longctx.packing import WINDOW_TOKENS

PAGE, DATA = "ten-million.md", "ten-million.json"
DEPTH_ROWS = 16
FIRST_TOKEN_S, DECODE_GROWTH, MEMORY_MB = 5.0, 3.0, 4096.0


def write(lines: Sequence[Line], corpus: Mapping[str, Any], docs: Path) -> None:
    """Renew page, pictures and JSON in `docs`."""
    found = figures(lines, corpus)
    (docs / DATA).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    found = json.loads((docs / DATA).read_text("utf-8"))
    page = docs / PAGE
    page.write_text(filled(page.read_text("utf-8"), found), "utf-8")
    for name, picture in pictures(found).items():
        (docs / name).write_text(picture, "utf-8")


def filled(page: str, found: Figures) -> str:
    """The page with its tables renewed."""
    for name, table in TABLES.items():
        before, start, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        assert start and end, f"the page has no place for {name}"
        body = "\n".join(table(found)) or "Not measured yet."
        page = f"{before}{start}{body}\n{end}{after}"
    return page


def pictures(found: Figures) -> dict[str, str]:
    """Each picture by the name of its file."""
    return {
        "ten-million-prefill.svg": to_svg(
            "Prefill speed over the length of the context",
            "Tokens per second while a prompt is read, by how much of it was read before; see the tables on the page.",
            "tokens read before",
            "tokens/s",
            prefill_curves(found),
        ),
        "ten-million-decode.svg": to_svg(
            "Time per token of an answer over the length of the context",
            "Seconds for each token after the first, by the length of the prompt; see the tables on the page.",
            "tokens of prompt",
            "seconds per token",
            decode_curves(found),
        ),
        "ten-million-recall.svg": heat_map_svg(heat_map(found)),
    }


def prefill_curves(found: Figures) -> list[Curve]:
    ours = {f"longctx, {name}": each for name, each in found["prefill"].items()}
    return [
        Curve(name, _look(name), [(point["tokens"], point["tokens_per_s"]) for point in each["curve"]])
        for name, each in (ours | found["rivals"]).items()
    ]


def decode_curves(found: Figures) -> list[Curve]:
    ours = Curve("longctx, sparse", _look("sparse"), [(each["tokens"], each["s"]) for each in found["decode"]])
    rivals = (
        Curve(name, _look(name), [(length["tokens"], length["decode_s"]) for length in each["lengths"]])
        for name, each in found["rivals"].items()
    )
    return [ours, *rivals]


def _look(name: str) -> int:
    return next((look for look, part in enumerate(("sparse", "dense", "transformers")) if part in name), 3)


def heat_map(found: Figures) -> HeatMap:
    """Depth by length for sparse attention, each square all facts asked in its share of the text; cut facts apart."""
    columns = [each for each in found["recall"] if each["attention"] != "dense"]
    asked, right = (sum(each[name] for each in columns) for name in ("asked", "found"))
    cut = [each for each in found["cut"] if each["attention"] != "dense"]
    apart = tuple(Row("cut by an edge", tuple(_cut_square(cut[0], each) for each in columns)) for _ in cut[:1])
    return HeatMap(
        title=f"{right:,} of {asked:,} facts found",
        about="longctx, the needle checkpoint, sparse attention, source code and manuals",
        description="Facts found by depth and length, sparse attention; see the tables on the page.",
        across="tokens read before the question",
        down="depth of the fact",
        columns=tuple(short(each["tokens"]) for each in columns),
        rows=tuple(
            Row(f"{row / DEPTH_ROWS:.0%}", tuple(_square(each, row) for each in columns)) for row in range(DEPTH_ROWS)
        ),
        apart=apart,
    )


def _square(column: Figures, row: int) -> Square:
    size = column["windows"]
    here = [(right, wanted) for window, right, wanted in column["cells"] if window * DEPTH_ROWS // size == row]
    found = sum(right == wanted for right, wanted in here)
    if not here:
        return Square(Sign.UNASKED, f"{column['tokens']:,} tokens: no fact asked here")
    sign = Sign.FOUND if found == len(here) else Sign.PART if found else Sign.MISSING
    return Square(sign, f"{column['tokens']:,} tokens: {found} of {len(here)} facts found")


def _cut_square(cut: Figures, column: Figures) -> Square:
    """They were asked at one length: in the column that comes nearest to it."""
    if not cut["windows"] / 2 <= column["windows"] < cut["windows"] * 2:
        return Square(Sign.UNASKED, f"{column['tokens']:,} tokens: not asked")
    sign = Sign.PART if cut["cut_found"] else Sign.NOT_EXPECTED
    return Square(sign, f"{cut['cut_found']} of {cut['cut']} facts that an edge cuts were found")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """As Markdown; nothing where there are no rows."""
    body = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *body] if body else []


def summary(found: Figures) -> list[str]:
    """What was wanted and what came of it, a row each; only what was measured."""
    return table(("wanted", "measured", ""), _goals(found))


def _goals(found: Figures) -> Iterator[tuple[str, str, str]]:
    sparse = [each for each in found["recall"] if each["attention"] != "dense"]
    if sparse:
        right, asked = (sum(each[name] for each in sparse) for name in ("found", "asked"))
        yield (
            "every fact inside a window is found, at every depth and length",
            *_verdict(f"{right} of {asked}", right == asked),
        )
    if same := found["agreement"]["asked"]:
        equal = found["agreement"]["same"]
        yield (
            "sparse attention answers as dense does, where both were asked",
            *_verdict(f"{equal} of {same}", equal == same),
        )
    if peak := found["rss_peak_mb"]:
        yield "peak memory of any process of ours 4 GiB at most", *_verdict(f"{peak / 1024:.2f} GiB", peak <= MEMORY_MB)
    if starts := [each for each in found["restart"] if each["windows"] == found["windows"]]:
        for each in starts:
            how = "files not in memory" if each["cold"] else "files in memory"
            took = f"{each['since_start_s']:.2f} s from its start, {each['ttft_s']:.2f} s from the question"
            reached = each["since_start_s"] <= FIRST_TOKEN_S
            yield f"a new process, all stored, {how}: first token in 5 s", *_verdict(took, reached)
    if len(found["decode"]) > 1:
        first, last = found["decode"][0], found["decode"][-1]
        growth = last["s"] / first["s"]
        what = f"a token at {last['tokens']:,} takes at most 3 times what one at {first['tokens']:,} takes"
        yield what, *_verdict(f"{growth:.2f} times", growth <= DECODE_GROWTH)
    if found["edit"]:
        took = sum(found["edit"][name]["s"] for name in ("ingest", "pack")) + found["edit"]["first"]["ttft_s"]
        yield "one file edited: the next answer in seconds", *_verdict(f"{took:.1f} s", took <= 60)


def _verdict(measured: str, is_reached: bool) -> tuple[str, str]:
    return measured, "reached" if is_reached else "NOT reached"


def machine(found: Figures) -> list[str]:
    on = found["machine"]
    if not on:
        return []
    versions = f"Python {on['python']}, torch {on['torch']}, transformers {on['transformers']}, vLLM {on['vllm']}"
    return [
        f"{on['cpu']}, {on['cores']} cores, {on['ram_gib']:.0f} GiB; {versions}; commit {on['commit']}, {on['when']}."
    ]


def corpus(found: Figures) -> list[str]:
    about = found["corpus"]
    rows = [
        (
            each["title"],
            each["about"],
            f"{each['origin']}, `{each['archive']}`",
            f"{each['files']:,}",
            _mb(each["bytes"]),
        )
        for each in about["packages"]
    ]
    lines = table(("source", "what", "from", "files", "size"), rows)
    return [*lines, *_packed(about)] if "tokens" in about else lines


def _packed(about: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield f"{about['tokens']:,} tokens in {about['windows']:,} windows, {about['fill']:.1%} full but for the last;"
    yield f"with the question's window they span {(about['windows'] + 1) * WINDOW_TOKENS:,} positions."
    yield f"{about['facts']:,} facts stand whole in {about['windows_with_facts']:,} of the windows."


def ingest(found: Figures) -> list[str]:
    names = {"cold": "`longctx ingest`, nothing known", "warm": "the same again", "pack": "`longctx pack --as ids`"}
    rows = [
        (title, f"{each['cpu_s']:.1f}", f"{each['rss_peak_mb']:.0f} MB")
        for name, title in names.items()
        if (each := found["ingest"][name])
    ]
    return table(("", "CPU s", "peak memory"), rows)


def prefill(found: Figures) -> list[str]:
    rows = [
        (
            f"longctx, {name}",
            f"{each['tokens']:,}",
            _duration(each["s"]),
            f"{each['tokens'] / each['s']:,.0f}",
            f"{each['curve'][-1]['tokens_per_s']:,.0f}",
            _gib(each["rss_peak_mb"]),
            each["stopped"] or "its end",
        )
        for name, each in found["prefill"].items()
        if each["windows"]
    ]
    rows += [
        (
            name,
            f"{each['tokens']:,}",
            _duration(each["s"]),
            f"{each['tokens'] / each['s']:,.0f}",
            f"{each['last_tokens_per_s']:,.0f}",
            _gib(each["rss_peak_mb"]),
            "; ".join(_stopped(attempt) for attempt in each["tries"]),
        )
        for name, each in found["rivals"].items()
        if each["tokens"]
    ]
    return table(
        ("engine", "tokens read", "time", "tokens/s", "tokens/s at the end", "peak memory", "stopped by"), rows
    )


def _stopped(attempt: Mapping[str, Any]) -> str:
    why = attempt["why"].replace("|", "/") or "its end"
    return f"{why} (made to reach {attempt['reach']:,})"


def lengths(found: Figures) -> list[str]:
    """Recall by length of all engines."""
    rows = [
        (
            f"longctx, {each['attention']}",
            f"{each['tokens']:,}",
            f"{each['found']} of {each['asked']}",
            f"{each['ttft_s']:.2f}",
        )
        for each in found["recall"]
    ]
    rows += [
        (name, f"{each['tokens']:,}", f"{each['found']} of {each['asked']}", "")
        for name, rival in found["rivals"].items()
        for each in rival["lengths"]
    ]
    return table(("engine", "tokens", "facts found", "s to the first token"), rows)


def cut(found: Figures) -> list[str]:
    rows = [
        (
            each["attention"],
            f"{each['cut_found']} of {each['cut']}",
            f"{each['inside_found']} of {each['inside']}",
        )
        for each in found["cut"]
    ]
    return table(("attention", "cut by a window's edge", "whole, in the same windows"), rows)


def brim(found: Figures) -> list[str]:
    said = {"words": "frequent words", "text": "other text of the corpus"}
    rows = [
        (said[name], f"{each['positions']:,}", f"{each['right']} of {each['wanted']} tokens", f"{each['ttft_s']:.2f} s")
        for name, each in found["brim"].items()
    ]
    return table(("before the question stand", "positions used", "right", "to the first token"), rows)


def stored(found: Figures) -> list[str]:
    rows = []
    for name, each in found["prefill"].items():
        if kept := each["stored"]:
            formula = kept["kv_bytes_per_token"] + kept["bounds_bytes_per_token"] + kept["id_bytes_per_token"]
            rest = kept["bytes_per_token"] - formula
            parts = f"{kept['kv_bytes_per_token']} + {kept['bounds_bytes_per_token']:g} + {kept['id_bytes_per_token']}"
            rows.append(
                (
                    name,
                    f"{kept['tokens']:,}",
                    _mb(kept["bytes"]),
                    parts,
                    f"{kept['bytes_per_token']:.1f}",
                    f"{rest:.1f}",
                )
            )
    return table(("attention", "tokens", "files", "keys and values + bounds + ids", "bytes a token", "headers"), rows)


def restart(found: Figures) -> list[str]:
    rows = [
        (
            f"{each['tokens']:,}",
            "no" if each["cold"] else "yes",
            *(f"{each[name]:.2f}" for name in ("import_s", "open_s", "read_s", "ttft_s", "since_start_s")),
            _gib(each["rss_peak_mb"]),
        )
        for each in found["restart"]
    ]
    heads = ("tokens", "files in memory", "Python", "open", "ids", "first token", "in all, s", "peak memory")
    return table(heads, rows)


def decode(found: Figures) -> list[str]:
    rows = [
        (f"{each['tokens']:,}", f"{1000 * each['s']:.1f}", f"{1000 * each['slow_s']:.1f}", f"{each['count']}")
        for each in found["decode"]
    ]
    return table(("tokens", "ms a token, median", "19 of 20 within", "tokens timed"), rows)


def edit(found: Figures) -> list[str]:
    if not (each := found["edit"]):
        return []
    first, later = each["first"], each["next"]
    share = f"{first['shared_windows']:,} of {first['shared_windows'] + first['new_windows']:,}"
    rows = (
        ("file", f"`{each['file']['path']}`, {each['file']['bytes']:,} bytes"),
        ("windows that stay as they were", share),
        ("`longctx ingest`", f"{each['ingest']['s']:.2f} s"),
        ("`longctx pack`", f"{each['pack']['s']:.2f} s"),
        ("first token of the next answer", f"{first['ttft_s']:.2f} s"),
        ("of the one after it", f"{later['ttft_s']:.2f} s"),
        ("the new line is found", "yes" if first["right"] == first["wanted"] else "NO"),
    )
    return table(("", ""), rows)


def _duration(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 3600
        else f"{seconds / 60:.1f} min"
        if seconds >= 90
        else f"{seconds:.0f} s"
    )


def _mb(nbytes: float) -> str:
    return f"{nbytes / 1e9:.2f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.1f} MB"


def _gib(mb: float | None) -> str:
    return f"{mb / 1024:.2f} GiB" if mb else "-"


TABLES: Mapping[str, Callable[[Figures], list[str]]] = {
    "summary": summary,
    "machine": machine,
    "corpus": corpus,
    "ingest": ingest,
    "prefill": prefill,
    "lengths": lengths,
    "cut": cut,
    "brim": brim,
    "stored": stored,
    "restart": restart,
    "decode": decode,
    "edit": edit,
}
