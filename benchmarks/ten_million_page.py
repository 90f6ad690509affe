"""The figures of the benchmark in docs/ten-million.md: tables between markers, pictures, and the JSON they are made of.

A table stands between `<!-- NAME -->` and `<!-- /NAME -->`; what stands there before is replaced. All else on the page
is written by hand and holds no figure of a run, so that page and figures can't differ.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ten_million_chart import Curve, to_svg
from benchmarks.ten_million_figures import Figures, Line, figures
from longctx.needle.heat_map import CUT_ROW, HeatMap, Row, Sign, Square, short
from longctx.needle.heat_map_svg import to_svg as heat_map_svg
from longctx.packing import WINDOW_TOKENS

PAGE, DATA = "ten-million.md", "ten-million.json"
DEPTH_ROWS = 16
BRIM = {"words": "frequent words", "text": "other text of the corpus"}
FIRST_TOKEN_S, DECODE_GROWTH, MEMORY_MB, EDIT_S = 5.0, 3.0, 4096.0, 60.0


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
            "Tokens per second while a prompt is read, by the position in it; see the tables on the page.",
            "position in the prompt, tokens",
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
    ours = (
        Curve(
            f"longctx, {name}",
            _look(name),
            [(each["tokens"], each["s"]) for each in found["decode"] if each["attention"] == name],
        )
        for name in dict.fromkeys(each["attention"] for each in found["decode"])
    )
    rivals = (
        Curve(name, _look(name), [(length["tokens"], length["decode_s"]) for length in each["lengths"]])
        for name, each in found["rivals"].items()
    )
    return [*ours, *rivals]


def _look(name: str) -> int:
    return next((look for look, part in enumerate(("sparse", "dense", "transformers")) if part in name), 3)


def heat_map(found: Figures) -> HeatMap:
    """Depth by length for sparse attention, each square all facts asked in its share of the text; cut facts apart."""
    sparse = [each for each in found["recall"] if each["attention"] != "dense"]
    attention = sparse[-1]["attention"] if sparse else ""
    columns = [each for each in sparse if each["attention"] == attention]
    asked, right = (sum(each[name] for each in columns) for name in ("asked", "found"))
    cut = [each for each in found["cut"] if each["attention"] == attention]
    apart = tuple(Row(CUT_ROW, tuple(_cut_square(cut[0], each) for each in columns)) for _ in cut[:1])
    return HeatMap(
        title=f"{right:,} of {asked:,} facts found",
        about=f"longctx, the needle checkpoint, attention {attention}, source code and manuals",
        description="Facts found by depth and length, sparse attention; see the tables on the page.",
        across="tokens read before the question",
        down="depth of the fact",
        columns=tuple(short(each["tokens"]) for each in columns),
        rows=tuple(
            Row(
                f"{100 * row // DEPTH_ROWS}-{100 * (row + 1) // DEPTH_ROWS} %",
                tuple(_square(each, row) for each in columns),
            )
            for row in range(DEPTH_ROWS)
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
    """They were asked at one length, over as many windows."""
    if cut["windows"] != column["windows"]:
        return Square(Sign.UNASKED, f"{column['tokens']:,} tokens: not asked")
    some = cut["cut_found"]
    return Square(
        Sign.CROSSED if some else Sign.NOT_EXPECTED,
        f"{cut['windows']:,} windows: {some} of {cut['cut']} facts that an edge cuts were found",
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """As Markdown; nothing where there are no rows."""
    body = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *body] if body else []


def summary(found: Figures) -> list[str]:
    """What was wanted and what came of it, a row each; only what was measured."""
    return table(("wanted", "measured", ""), _goals(found))


def _goals(found: Figures) -> Iterator[tuple[str, str, str]]:
    for goal in (_recall_goals, _brim_goal, _memory_goal, _restart_goals, _decode_goal, _edit_goal):
        yield from goal(found)


def _recall_goals(found: Figures) -> Iterator[tuple[str, str, str]]:
    sparse = [each for each in found["recall"] if each["attention"] != "dense"]
    if sparse:
        right, asked = (sum(each[name] for each in sparse) for name in ("found", "asked"))
        planned = sum(found["planned"].get(name, 0) for name in {each["attention"] for each in sparse})
        whole = asked == planned and any(each["windows"] == found["windows"] for each in sparse)
        measured = f"{right:,} of {asked:,}" + (f", {planned:,} were to be asked" if asked != planned else "")
        yield "every fact that was asked is found, at every length", *_verdict(measured, right == asked, whole)
    if same := found["agreement"]["asked"]:
        equal, planned = found["agreement"]["same"], found["planned"].get("dense", 0)
        yield (
            "sparse attention answers as dense does, where both were asked",
            *_verdict(f"{equal:,} of {same:,}", equal == same, same == planned),
        )


def _brim_goal(found: Figures) -> Iterator[tuple[str, str, str]]:
    if lines := found["brim"].values():
        right, wanted = (sum(each[name] for each in lines) for name in ("right", "wanted"))
        whole = set(found["brim"]) == set(BRIM) and all(each.get("windows") == found["windows"] for each in lines)
        what = f"answers that end with the last of {max(each['positions'] for each in lines):,} positions are right"
        yield what, *_verdict(f"{right} of {wanted} tokens", right == wanted, whole)


def _memory_goal(found: Figures) -> Iterator[tuple[str, str, str]]:
    if peak := found["rss_peak_mb"]:
        whole = any(
            each["stored"] and each["stored"]["windows"] == found["windows"] for each in found["prefill"].values()
        )
        yield (
            "peak memory of any process of ours 4 GiB at most",
            *_verdict(f"{peak / 1024:.2f} GiB", peak <= MEMORY_MB, whole),
        )


def _restart_goals(found: Figures) -> Iterator[tuple[str, str, str]]:
    for each in (each for each in found["restart"] if each["windows"] == found["windows"]):
        how = "stored windows and weights dropped from memory" if each["cold"] else "these in memory"
        took = f"{each['since_start_s']:.2f} s from its start, {each['ttft_s']:.2f} s from the question"
        reached = each["since_start_s"] <= FIRST_TOKEN_S
        yield (
            f"a new process, all windows stored, {how}: first token in 5 s",
            *_verdict(took + ("" if each["found"] else ", a wrong answer"), reached and each["found"]),
        )


def _decode_goal(found: Figures) -> Iterator[tuple[str, str, str]]:
    timed = [each for each in found["decode"] if each["attention"] != "dense"]
    if len(timed) > 1:
        first, last = timed[0], timed[-1]
        growth, right = last["s"] / first["s"], all(each["found"] == each["asked"] for each in timed)
        what = f"a token at {last['tokens']:,} takes at most 3 times what one at {first['tokens']:,} takes"
        measured = f"{growth:.2f} times" + ("" if right else ", with wrong answers")
        yield what, *_verdict(measured, right and growth <= DECODE_GROWTH, last["windows"] == found["windows"])


def _edit_goal(found: Figures) -> Iterator[tuple[str, str, str]]:
    if each := found["edit"]:
        right = each["first"]["right"] == each["first"]["wanted"]
        measured = f"{each['took_s']:.1f} s" + ("" if right else ", a wrong answer")
        what = "one file edited: read, packed, a new process and the first token within 60 s"
        yield what, *_verdict(measured, right and each["took_s"] <= EDIT_S)


def _verdict(measured: str, is_reached: bool, is_whole: bool = True) -> tuple[str, str]:
    """A goal that was missed is missed, also where not all was measured."""
    return measured, "NOT reached" if not is_reached else "reached" if is_whole else "incomplete"


def machine(found: Figures) -> list[str]:
    on = found["machine"]
    if not on:
        return []
    versions = f"Python {on['python']}, torch {on['torch']}, transformers {on['transformers']}, vLLM {on['vllm']}"
    lines = [f"{on['cpu']}, {on['cores']} cores, {on['ram_gib']:.0f} GiB; {versions}."]
    return [*lines, "", *_runs(found["runs"] or [on | {"phase": "", "dirty": False, "options": {}, "model": ""}])]


def _runs(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Which state of the program ran which phases with which options; one line where all are the same."""
    groups: dict[str, list[str]] = {}
    for each in runs:
        state = f"commit {each['commit']}{', with changes that were not committed' if each['dirty'] else ''}"
        options = {} if each["phase"] == "rivals" else each["options"]
        about = "; ".join(part for part in (state, each["when"], _options(options)) if part)
        groups.setdefault(about, []).append(each["phase"])
    models = sorted({each["model"] for each in runs if each["model"]})
    if models:
        yield f"Model: {', '.join(f'`{name}`' for name in models)}."
        yield ""
    for about, phases in groups.items():
        which = f"{', '.join(dict.fromkeys(phases))}: " if phases[0] else ""
        yield f"- {which}{about}."


def _options(options: Mapping[str, Any]) -> str:
    shown = {
        "attention": "attention {}",
        "threads": "{} threads",
        "kv_budget_mb": "{} MB of keys and values kept in memory",
        "dense_tokens": "dense to {:,} tokens",
        "limit": "each process {:,.0f} s at most",
    }
    return ", ".join(text.format(options[name]) for name, text in shown.items() if name in options)


def limits(found: Figures) -> list[str]:
    """What the others were given, where it was noted."""
    noted = [each["options"] for each in found["runs"] if each["phase"] == "rivals"]
    given = {name: options for options in noted for name in options["rivals"]}
    return [_limit(name, given.get(name)) for name in found["rivals"]]


def _limit(name: str, given: Mapping[str, Any] | None) -> str:
    if not given:
        return f"- {name}: limits of time and memory were not noted; where one was met, the table says so."
    time_s, memory_gib = _duration(given["limit"]), f"{given['rival_gib']:g} GiB"
    return (
        f"- {name} had {time_s} in all, opening and questions included, and was to be killed at {memory_gib} of memory."
    )


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
    yield f"{about['facts']:,} facts stand whole in {about['windows_with_facts']:,} of the windows,"
    yield f"of {about['planted']:,} that were planted before the sources were cut to so many windows."
    if "facts_cut" in about:
        yield f"{about['facts_cut']:,} stand there but not whole in one window; 0 are to."


def ingest(found: Figures) -> list[str]:
    names = {
        "cold": "`longctx ingest --no-index`, nothing known",
        "warm": "the same again",
        "pack": "`longctx pack --as ids`",
    }
    rows = [
        (title, f"{each['cpu_s']:.1f}", f"{each['rss_peak_mb']:.0f} MB")
        for name, title in names.items()
        if (each := found["ingest"][name])
    ]
    return table(("", "CPU s", "peak memory"), rows)


def prefill(found: Figures) -> list[str]:
    ours = (
        (f"longctx, {name}", each, "its end" if each["stored"] else each["stopped"] or "not at its end")
        for name, each in found["prefill"].items()
    )
    others = (
        (name, each, "; ".join(_stopped(attempt) for attempt in each["tries"]) or "not at its end")
        for name, each in found["rivals"].items()
    )
    heads = ("engine", "tokens read", "time", "tokens/s", "tokens/s at the end", "peak memory", "stopped by")
    return table(heads, (_read(*row) for row in (*ours, *others)))


def _read(name: str, each: Figures, stopped: str) -> tuple[str, ...]:
    speed = ("-", "-", "-")
    if each["tokens"]:
        last = each["curve"][-1]["tokens_per_s"]
        speed = _duration(each["s"]), f"{each['tokens'] / each['s']:,.0f}", f"{last:,.0f}"
    return name, f"{each['tokens']:,}", *speed, _gib(each["rss_peak_mb"]), escaped(stopped)


def _stopped(attempt: Mapping[str, Any]) -> str:
    return f"{attempt['why'] or 'its end'} (made to reach {attempt['reach']:,})"


def escaped(text: str) -> str:
    """As Markdown shows it, whatever it is."""
    return re.sub(r"([\\`*_<>\[\]|&])", r"\\\1", text)


def lengths(found: Figures) -> list[str]:
    """Recall by length of all engines."""
    rows = [
        (
            f"longctx, {each['attention']}",
            f"{each['tokens']:,}",
            f"{each['found']} of {each['asked']}",
            f"{each['ttft_s']:.2f}",
            f"{each['skipped_mass']:.3f}" if each["attention"] != "dense" else "0",
        )
        for each in found["recall"]
    ]
    rows += [
        (name, f"{each['tokens']:,}", f"{each['found']} of {each['asked']}", f"{each['ttft_s']:.2f}", "0")
        for name, rival in found["rivals"].items()
        for each in rival["lengths"]
    ]
    return table(("engine", "tokens", "facts found", "s to the first token", "`skipped_mass`, the most"), rows)


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
    rows = [
        (BRIM[name], f"{each['positions']:,}", f"{each['right']} of {each['wanted']} tokens", f"{each['ttft_s']:.2f} s")
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
                    _mb(kept["index_bytes"]) if "index_bytes" in kept else "-",
                )
            )
    return table(
        (
            "attention",
            "tokens",
            "files",
            "keys and values + bounds + ids",
            "bytes a token",
            "headers and padding",
            "index",
        ),
        rows,
    )


def restart(found: Figures) -> list[str]:
    rows = [
        (
            f"{each['tokens']:,}",
            "dropped" if each["cold"] else "kept",
            *(f"{each[name]:.2f}" for name in ("import_s", "open_s", "read_s", "ttft_s", "since_start_s")),
            _gib(each["rss_peak_mb"]),
            "right" if each["found"] else "WRONG",
        )
        for each in found["restart"]
    ]
    heads = ("tokens", "in memory", "Python", "open", "ids", "first token", "in all, s", "peak memory", "answer")
    return table(heads, rows)


def decode(found: Figures) -> list[str]:
    rows = [
        (
            each["attention"],
            f"{each['tokens']:,}",
            f"{1000 * each['s']:.1f}",
            f"{1000 * each['slow_s']:.1f}",
            f"{each['count']}",
            f"{each['found']} of {each['asked']}",
        )
        for each in found["decode"]
    ]
    heads = ("attention", "tokens", "ms a token, median", "19 of 20 within, ms", "tokens timed", "right answers")
    return table(heads, rows)


def edit(found: Figures) -> list[str]:
    if not (each := found["edit"]):
        return []
    first, later = each["first"], each["next"]
    share = f"{first['shared_windows']:,} of {first['shared_windows'] + first['new_windows']:,}"
    rows = (
        ("file", f"`{each['file']['path']}`, {each['file']['bytes']:,} bytes"),
        ("windows that stay as they were", share),
        ("windows computed", f"{first['new_windows']:,}, and the question's"),
        ("`longctx ingest --no-index`", f"{each['ingest']['s']:.2f} s"),
        ("`longctx pack`", f"{each['pack']['s']:.2f} s"),
        ("a new process: Python, weights, ids", f"{sum(first[n] for n in ('import_s', 'open_s', 'read_s')):.2f} s"),
        ("first token of the next answer", f"{first['ttft_s']:.2f} s"),
        ("all of this", f"{each['took_s']:.2f} s"),
        ("first token of the answer after it", f"{later['ttft_s']:.2f} s" if later else "-"),
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
    "limits": limits,
    "lengths": lengths,
    "cut": cut,
    "brim": brim,
    "stored": stored,
    "restart": restart,
    "decode": decode,
    "edit": edit,
}
