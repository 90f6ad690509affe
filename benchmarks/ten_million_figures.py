"""What the lines of a result say, as figures: one JSON value, of which page and pictures are made and nothing else.

Where a phase was begun anew, only the lines after that count; those of rivals since each was begun last. A figure that
was not measured is not there, or None.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import log2
from statistics import median
from typing import Any

from benchmarks.process import short_reason

Line = Mapping[str, Any]
Figures = dict[str, Any]

PHASES = ("machine", "ingest", "cut", "sparse", "dense", "recall", "restart", "decode", "edit", "rivals")
NEEDED = {"recall": ("sparse", "dense"), "decode": ("sparse", "dense"), "restart": ("sparse",), "edit": ("sparse",)}
CURVE_STEPS = 4  # points of a curve from one length to the next twice as long


def figures(lines: Sequence[Line], corpus: Mapping[str, Any]) -> Figures:
    """All that the page shows."""
    lines = current(lines)
    packed = last(lines, "ingest", "packed") or {}
    total = packed.get("windows", 0)
    return {
        "schema": "longctx.ten-million/2",
        "runs": runs(lines),
        "machine": last(lines, "machine") or {},
        "corpus": {"packages": corpus["packages"], "planted": corpus["planted"], **packed},
        "ingest": {name: last(lines, "ingest", name) for name in ("cold", "warm", "pack")},
        "prefill": {name: prefill(each) for name, each in by(lines, "prefill", "attention").items()},
        "recall": [cell for _, cell in sorted(recall(lines).items())],
        "agreement": agreement(lines),
        "planned": {line["attention"]: line["cells"] for line in every(lines, "recall", "planned")},
        "brim": {line["filler"]: line for line in every(lines, "brim", "brim")},
        "restart": restarts(lines),
        "decode": decodes(lines),
        "edit": edit(lines),
        "cut": [cuts(name, each) for name, each in by(lines, "cut", "attention").items()],
        "rivals": {name: rival(each) for name, each in by(lines, "rival", "rival").items()},
        "rss_peak_mb": peak_mb(line for line in lines if line["phase"] != "rival"),
        "windows": total,
    }


def current(lines: Sequence[Line]) -> list[Line]:
    """Those that count: of each phase since it was begun anew, and since what it asks over was."""
    begun = {run_phase(line): n for n, line in enumerate(lines) if is_begun(line) and line["fresh"]}
    first = {
        phase: max([begun.get(phase, 0), *(begun.get(other, 0) for other in NEEDED.get(phase, ()))]) for phase in PHASES
    }
    return [line for n, line in enumerate(lines) if n >= first[run_phase(line)]]


def run_phase(line: Line) -> str:
    """The phase of the benchmark that a line belongs to."""
    phase = str(line["phase"])
    if phase == "prefill":
        return "dense" if line.get("attention") == "dense" else "sparse"
    return {"brim": "recall", "rival": "rivals"}.get(phase, phase)


def is_begun(line: Line) -> bool:
    """Whether a phase of the benchmark begins with it."""
    return line.get("event") == "begun" and "options" in line


def runs(lines: Sequence[Line]) -> list[Figures]:
    """With what each phase was begun that counts; results of before that was noted have none."""
    names = ("phase", "commit", "dirty", "when", "model", "options")
    return [{name: line[name] for name in names} for line in lines if is_begun(line)]


def peak_mb(lines: Iterable[Line]) -> float | None:
    """The most memory that any of these processes held, by its own count or as it was seen from outside."""
    return max((line[name] for line in lines for name in ("rss_peak_mb", "rss_mb") if name in line), default=None)


def every(lines: Iterable[Line], phase: str, event: str) -> list[Line]:
    return [line for line in lines if line["phase"] == phase and line.get("event") == event]


def last(lines: Iterable[Line], phase: str, event: str | None = None) -> Line | None:
    """The latest of a kind."""
    found = [line for line in lines if line["phase"] == phase and line.get("event") == event]
    return found[-1] if found else None


def by(lines: Iterable[Line], phase: str, field: str) -> dict[str, list[Line]]:
    """The lines of a phase, apart for each value of a field."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        if line["phase"] == phase and field in line:
            groups.setdefault(line[field], []).append(line)
    return groups


def prefill(lines: Sequence[Line]) -> Figures:
    """The curve of one attention, what it took in all, and what it left on the disk."""
    windows = {line["done"]: line for line in lines if line["event"] == "window"}
    stored = next((line for line in reversed(lines) if line["event"] == "stored"), None)
    computed = [windows[done] for done in sorted(windows)]
    return {
        "tokens": sum(line["tokens"] for line in computed),
        "windows": len(computed),
        "s": sum(line["s"] for line in computed),
        "cpu_s": sum(line["cpu_s"] for line in computed),
        "rss_peak_mb": peak_mb(lines),
        "curve": list(curve(computed)),
        "stored": stored and {**stored, "bytes_per_token": stored["bytes"] / stored["tokens"]},
        "stopped": ended(lines),
    }


def ended(lines: Sequence[Line]) -> str:
    """Why the last process of a phase stopped; nothing where it came to its end."""
    return next((short_reason(line["why"]) for line in reversed(lines) if line["event"] == "ended"), "")


def curve(steps: Sequence[Line]) -> Iterator[Figures]:
    """Tokens/s by position, that of the middle of a step: the median of its steps, four points for each doubling."""
    bins: dict[int, list[Line]] = {}
    for step in steps:
        bins.setdefault(int(CURVE_STEPS * log2(_middle(step))), []).append(step)
    for _, group in sorted(bins.items()):
        yield {
            "tokens": _middle(group[len(group) // 2]),
            "tokens_per_s": median(step["tokens"] / step["s"] for step in group),
            "tokens_per_cpu_s": median(step["tokens"] / step["cpu_s"] for step in group),
        }


def _middle(step: Line) -> float:
    return float(step["done"] - step["tokens"] / 2)


def recall(lines: Sequence[Line]) -> dict[tuple[str, int], Figures]:
    """By attention and length: what was found, at which depth what was not, and how long a first token takes."""
    cells: dict[tuple[str, int], dict[int, Line]] = {}
    for line in every(lines, "recall", "asked"):
        cells.setdefault((line["attention"], line["windows"]), {})[line["window"]] = line
    return {key: _recalled(*key, asked) for key, asked in cells.items()}


def _recalled(attention: str, windows: int, asked: Mapping[int, Line]) -> Figures:
    answers = [asked[window] for window in sorted(asked)]
    return {
        "attention": attention,
        "windows": windows,
        "tokens": max(line["cached_tokens"] for line in answers),
        "asked": len(answers),
        "found": sum(line["right"] == line["wanted"] for line in answers),
        "cells": [[line["window"], line["right"], line["wanted"]] for line in answers],
        "ttft_s": median(line["ttft_s"] for line in answers),
        "skipped_mass": max(line["skipped_mass"] for line in answers),
    }


def agreement(lines: Sequence[Line]) -> Figures:
    """How many questions were asked with dense and with sparse attention, and how many answers are the same ids."""
    answers: dict[tuple[int, int], dict[bool, list[int]]] = {}
    for line in every(lines, "recall", "asked"):
        answers.setdefault((line["windows"], line["window"]), {})[line["attention"] == "dense"] = line["ids"]
    both = [each for each in answers.values() if len(each) == 2]
    return {"asked": len(both), "same": sum(each[True] == each[False] for each in both)}


def restarts(lines: Sequence[Line]) -> list[Figures]:
    """By length, with files in memory and without: the middle of several starts."""
    groups: dict[tuple[int, bool], list[Line]] = {}
    for line in counted(every(lines, "restart", "restarted")):
        groups.setdefault((line["windows"], line["cold"]), []).append(line)
    names = ("import_s", "open_s", "read_s", "ttft_s", "since_start_s", "rss_peak_mb")
    return [
        {
            "windows": windows,
            "cold": cold,
            "tokens": group[-1]["cached_tokens"],
            "found": all(line["right"] == line["wanted"] for line in group),
            **{name: median(line[name] for line in group) for name in names},
        }
        for (windows, cold), group in sorted(groups.items())
    ]


def counted(lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if line.get("counted", True)]


def decodes(lines: Sequence[Line]) -> list[Figures]:
    """By attention and length: the middle, and the slowest of twenty, of the seconds of a token after the first."""
    groups: dict[tuple[bool, str, int], list[Line]] = {}
    for line in counted(every(lines, "decode", "decoded")):
        attention = line["attention"]
        groups.setdefault((attention == "dense", attention, line["windows"]), []).append(line)
    result = []
    for (_, attention, windows), group in sorted(groups.items()):
        gaps = sorted(gap for line in group for gap in line["gaps_s"])
        result.append(
            {
                "attention": attention,
                "windows": windows,
                "tokens": group[-1]["cached_tokens"],
                "found": sum(line["right"] == line["wanted"] for line in group),
                "asked": len(group),
                "count": len(gaps),
                "s": median(gaps),
                "slow_s": gaps[min(len(gaps) - 1, len(gaps) * 19 // 20)],
            }
        )
    return result


def edit(lines: Sequence[Line]) -> Figures | None:
    """What came of the latest edit."""
    asked = every(lines, "edit", "edited")
    first = [line for line in asked if line["number"] == 0]
    later = [line for line in asked if line["number"] == 1]
    if not first or "open_s" not in first[-1]:
        return None
    names = {name: last(lines, "edit", name) for name in ("file", "ingest", "pack")}
    parts = [names["ingest"], names["pack"]]
    took = sum(each["s"] for each in parts if each)
    took += sum(first[-1][name] for name in ("import_s", "open_s", "read_s", "ttft_s"))
    return {**names, "first": first[-1], "next": later[-1] if later else None, "took_s": took}


def cuts(attention: str, lines: Sequence[Line]) -> Figures:
    """Facts that an edge cuts and others in the same windows."""
    asked = {(line["window"], line["is_cut"]): line for line in lines if line["event"] == "cut"}
    found = {
        each: [line["right"] == line.get("wanted", 3) for (_, cut), line in asked.items() if cut is each]
        for each in (True, False)
    }
    return {
        "attention": attention,
        "windows": max((line["windows"] for line in asked.values()), default=0),
        "cut": len(found[True]),
        "cut_found": sum(found[True]),
        "inside": len(found[False]),
        "inside_found": sum(found[False]),
    }


def rival(lines: Sequence[Line]) -> Figures:
    """How far one of the others came in its latest run, and what stopped each try."""
    begun = [n for n, line in enumerate(lines) if line["event"] == "begun"]
    lines = lines[begun[-1] :] if begun else lines
    opened = [n for n, line in enumerate(lines) if line["event"] == "open"]
    run = lines[opened[-1] :] if opened else []
    read = [line for line in run if line["event"] == "read"]
    tries = [{"reach": line["reach"], "why": short_reason(line["why"])} for line in lines if line["event"] == "ended"]
    return {
        "tokens": sum(line["tokens"] for line in read),
        "s": sum(line["s"] for line in read),
        "cpu_s": sum(line["cpu_s"] for line in read),
        "open_s": run[0]["s"] if run else None,
        "rss_peak_mb": peak_mb(lines),
        "curve": list(curve(read)),
        "lengths": [_asked(length, run) for length in dict.fromkeys(line["tokens"] for line in _questions(run))],
        "tries": tries,
    }


def _questions(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line["event"] == "asked"]


def _asked(length: int, lines: Sequence[Line]) -> Figures:
    here = [line for line in _questions(lines) if line["tokens"] == length]
    read = [line for line in lines if line["event"] == "read" and line["done"] <= length]
    return {
        "tokens": length,
        "asked": len(here),
        "found": sum(line["right"] == line["wanted"] for line in here),
        "s": sum(line["s"] for line in read),
        "ttft_s": median(line["ttft_s"] for line in here),
        "decode_s": median(gap for line in here for gap in line["gaps_s"]),
    }
