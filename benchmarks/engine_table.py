"""What the engine benchmark found, as lines of a table, and how it stands to the goals; pure functions of its runs."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HEADINGS = (
    f"{'engine':<19}{'tokens':>8} {'prefill':>9} {'per CPU s':>9} {'decode':>8} {'CPU ms':>7} "
    f"{'cold':>8} {'warm':>8} {'restart':>8} {'KV':>6} {'RSS MB':>7} {'open':>6} {'load':>5}"
)
UNITS = (
    f"{'':<19}{'':>8} {'tok/s':>9} {'tok':>9} {'tok/s':>8} {'/token':>7} "
    f"{'TTFT s':>8} {'TTFT s':>8} {'TTFT s':>8} {'B/tok':>6} {'peak':>7} {'s':>6} {'avg':>5}"
)


@dataclass(frozen=True, slots=True)
class Run:
    """One variant at one length in one round: what each phase took, and why a phase is missing."""

    name: str
    engine: str
    tokens: int
    phases: Mapping[str, Mapping[str, Any]]
    failure: str = ""

    def data(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "engine": self.engine,
            "tokens": self.tokens,
            "phases": self.phases,
            "failure": self.failure,
            "figures": {name: figure(self) for name, figure in FIGURES.items() if name_phase(name) in self.phases},
        }


def _cold(run: Run) -> Mapping[str, Any]:
    return run.phases["cold"]


# A stored block has a header beside its keys and values, less than 1 % of it.
QUARTER = 3.96
# Each figure of a run, by name; what stands before the dot is the phase it needs.
FIGURES: Mapping[str, Callable[[Run], float]] = {
    "cold.prefill": lambda run: _cold(run)["prompt_tokens"] / _cold(run)["ttft_s"],
    "cold.prefill_cpu": lambda run: _cold(run)["prompt_tokens"] / _cold(run)["ttft_cpu_s"],
    "cold.decode": lambda run: (len(_cold(run)["answer"]) - 1) / _cold(run)["decode_s"],
    "cold.decode_cpu_ms": lambda run: 1000 * _cold(run)["decode_cpu_s"] / (len(_cold(run)["answer"]) - 1),
    "cold.ttft": lambda run: _cold(run)["ttft_s"],
    "warm.ttft": lambda run: run.phases["warm"]["ttft_s"],
    "restart.ttft": lambda run: run.phases["restart"]["ttft_s"],
    "cold.kv": lambda run: _cold(run)["kv_bytes_per_token"],
    "cold.rss": lambda run: _cold(run)["rss_mb"],
    "open.open": lambda run: run.phases["open"]["open_s"],
    "cold.load": lambda run: _cold(run)["load_average"],
}
FORMATS = (
    ("cold.prefill", 9, 0),
    ("cold.prefill_cpu", 9, 0),
    ("cold.decode", 8, 1),
    ("cold.decode_cpu_ms", 7, 1),
    ("cold.ttft", 8, 2),
    ("warm.ttft", 8, 3),
    ("restart.ttft", 8, 3),
    ("cold.kv", 6, 0),
    ("cold.rss", 7, 0),
    ("open.open", 6, 1),
    ("cold.load", 5, 1),
)


def name_phase(figure: str) -> str:
    """The phase without which there is no such figure."""
    return figure.split(".")[0]


def median(runs: Sequence[Run], figure: str) -> float | None:
    """Over the runs that have it."""
    values = [FIGURES[figure](run) for run in runs if name_phase(figure) in run.phases]
    return statistics.median(values) if values else None


def report(runs: Sequence[Run], all_kv_bytes: int) -> Iterator[str]:
    """The table, then the goals."""
    yield HEADINGS
    yield UNITS
    for tokens in sorted({run.tokens for run in runs}):
        for name in dict.fromkeys(run.name for run in runs):
            group = [run for run in runs if (run.name, run.tokens) == (name, tokens)]
            if group:
                yield row(group)
    yield ""
    yield from goals(runs, all_kv_bytes)


def row(runs: Sequence[Run]) -> str:
    """One line of the table: medians, and what went wrong."""
    cells = [_cell(median(runs, figure), width, digits) for figure, width, digits in FORMATS]
    failures = "  ".join(sorted({run.failure for run in runs if run.failure}))
    return f"{runs[0].name:<19}{runs[0].tokens:>8,} {' '.join(cells)}  {failures}".rstrip()


def _cell(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width},.{digits}f}"


def goals(runs: Sequence[Run], all_kv_bytes: int) -> Iterator[str]:
    """One line a goal and length: what was reached, what was wanted, whether it is."""
    for tokens in sorted({run.tokens for run in runs}):
        here = [run for run in runs if run.tokens == tokens]
        for rival, figure, wanted in RIVALRY:
            mine, theirs = best(here, "ours", figure), best(here, rival, figure)
            stopped = [run.failure for run in here if run.engine == rival and run.failure]
            if mine and not theirs and stopped:
                yield f"{name_of(figure)} over that of {rival}, {tokens:,} tokens: none to compare with, {stopped[0]}"
            if mine and theirs:
                yield line(f"{name_of(figure)} over that of {rival}, {tokens:,} tokens", mine / theirs, wanted)
        ours = [run for run in here if run.engine == "ours"]
        kv, cold, restart = (median(ours, figure) for figure in ("cold.kv", "cold.ttft", "restart.ttft"))
        if kv:
            yield line(f"KV of all layers over ours, {tokens:,} tokens", all_kv_bytes / kv, QUARTER)
        if cold and restart:
            yield line(
                f"cold over restarted first token, {tokens:,} tokens", cold / restart, 50, at=65_536, is_at=tokens
            )
    yield from memory_goal(runs)


RIVALRY = (
    ("transformers", "cold.prefill", 5.0),
    ("transformers", "cold.decode", 7.0),
    ("vllm", "cold.prefill", 1.0),
    ("vllm", "cold.decode", 1.0),
)


def name_of(figure: str) -> str:
    return figure.split(".")[1]


def best(runs: Sequence[Run], engine: str, figure: str) -> float | None:
    """The best median of an engine's variants; higher is better."""
    names = {run.name for run in runs if run.engine == engine}
    medians = [median([run for run in runs if run.name == name], figure) for name in names]
    return max((value for value in medians if value is not None), default=None)


def line(what: str, reached: float, wanted: float, *, at: int = 0, is_at: int = 0) -> str:
    """A goal that is set for one length only is no goal at others."""
    verdict = "" if at != is_at and at else "reached" if round(reached, 2) >= wanted else "NOT reached"
    goal = f"goal {wanted:g}x" if verdict else ""
    return f"{what:<52} {reached:8.2f}x  {goal:<9} {verdict}".rstrip()


def memory_goal(runs: Sequence[Run]) -> Iterator[str]:
    """Ours at 256k against ours at 32k, where both were run."""
    ours = [run for run in runs if run.engine == "ours"]
    small, large = (median([run for run in ours if run.tokens == tokens], "cold.rss") for tokens in (32_768, 262_144))
    if small and large:
        more = large - small
        verdict = "reached" if more <= 1024 else "NOT reached"
        yield f"{'peak RSS at 262,144 over that at 32,768 tokens':<52} {more:8.0f} MB goal 1024   {verdict}"
