"""One phase of the benchmark of ten million tokens on our own engine, in a process of its own.

    python -m benchmarks.ten_million_subject TASK.json

Each thing measured is a line of JSON at the end of the file that the task names, written as soon as it is known: a run
that is stopped keeps what it had. Peak memory is VmHWM, which begins anew with each program that a process becomes.
"""

import json
import sys
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.ten_million_corpus import Placed, Work, load_facts, packed_windows
from cache.store import DiskStore
from cache.stored import ancestry
from longctx import wording
from longctx.engines.base import Finished, Prefilled, Prompt, Sampling, Token
from longctx.engines.scout import ScoutEngine
from longctx.needle.fact import Fact
from longctx.needle.planting import plant
from longctx.needle.trial import agreeing, question
from longctx.packing import WINDOW_TOKENS
from longctx.tokens import Tokenizer

ANSWER_TOKENS = 3
DECODED_TOKENS = 33
CUT_WINDOWS = 64  # a length at which recall is asked too
NOTES_TITLE_TOKENS = 16


class Phase:
    """What every phase needs: the task, the open engine, the windows, and where results go."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        self.task = task
        self.work = Work(Path(task["work"]))
        self.encode = Tokenizer().encode
        self._open = ExitStack()
        self._began = time.perf_counter(), time.process_time()

    def open_engine(self, store: str) -> ScoutEngine:
        """The needle checkpoint over the store of that name."""
        task = self.task
        self.blocks = blocks = self._open.enter_context(DiskStore.open(self.work.folder / store))
        engine = ScoutEngine.open(
            Path(task["model"]),
            store=blocks,
            device="cpu",
            threads=task["threads"],
            attention=task["attention"],
            kv_budget_bytes=task["kv_budget_bytes"],
        )
        return self._open.enter_context(engine)

    def write(self, **fields: object) -> None:
        """One line of the result."""
        line = {"phase": self.task["phase"], "attention": self.task["attention"], **fields, **memory()}
        with Path(self.task["result"]).open("a") as result:
            result.write(json.dumps(line) + "\n")

    def lap(self) -> dict[str, float]:
        """Seconds and CPU seconds since the last lap."""
        now = time.perf_counter(), time.process_time()
        before, self._began = self._began, now
        return {"s": now[0] - before[0], "cpu_s": now[1] - before[1]}

    def close(self) -> None:
        self._open.close()


def memory() -> dict[str, float]:
    """Peak memory of this program so far, and what it holds now, apart from and with files mapped into it; in MB."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    wanted = {"rss_peak_mb": "VmHWM", "rss_mb": "VmRSS", "rss_own_mb": "RssAnon"}
    return {name: int(fields[field].split()[0]) / 1024 for name, field in wanted.items()}


def prefill(phase: Phase) -> None:
    """Store all closed windows, and tell what each took."""
    windows = packed_windows(phase.work, most=phase.task["windows"])
    engine = phase.open_engine(phase.task["store"])
    phase.write(event="open", **phase.lap())
    known = -1
    for event in engine.warm(prompt_of(windows)):
        match event:
            case Prefilled(done=done) if known < 0:
                known = done
                phase.write(event="begun", done=done, **phase.lap())
            case Prefilled(done=done) if done > known:
                phase.write(event="window", done=done, tokens=done - known, **phase.lap())
                known = done
            case Finished(skipped_mass=skipped):
                phase.write(event="stored", windows=len(windows), skipped_mass=skipped, **stored(phase, windows))


def stored(phase: Phase, windows: "Sequence[array[int]]") -> dict[str, object]:
    """The bytes of these windows' files, apart those of the store's index, and what the formula says of them."""
    files = sum(path.stat().st_size for path in (phase.work.folder / phase.task["store"]).rglob("*") if path.is_file())
    rows = phase.blocks.rows()
    tip = max((row for row in rows if row.depth == len(windows) - 1), key=lambda row: row.last_used)
    chain = list(ancestry(tip.key, {row.key: row for row in rows}))
    config = json.loads((Path(phase.task["model"]) / "config.json").read_text())
    row_bytes = config["num_key_value_heads"] * config["head_dim"] * 2
    layers = sum(not local for local in config["no_rope_layers"])
    return {
        "bytes": sum(row.nbytes for row in chain),
        "index_bytes": files - sum(row.nbytes for row in rows),
        "tokens": sum(map(len, windows)),
        "kv_bytes_per_token": 2 * row_bytes * layers,
        "bounds_bytes_per_token": 2 * row_bytes * layers / 64 if phase.task["attention"] != "dense" else 0.0,
        "id_bytes_per_token": 4,
    }


def recall(phase: Phase) -> None:
    """Ask for facts at many depths of many lengths; `cells` are those not yet asked, as (windows, window)."""
    windows, facts = packed_windows(phase.work), {placed.window: placed for placed in load_facts(phase.work)}
    engine = phase.open_engine(phase.task["store"])
    for length, window in phase.task["cells"]:
        placed = facts[window]
        answer = over(engine, windows[:length], question(placed.fact, phase.encode), ANSWER_TOKENS)
        phase.write(event="asked", windows=length, window=window, **found(placed, answer), **answer.line())


def brim(phase: Phase) -> None:
    """Questions whose answers end with the last position there is; before them stand frequent words, or other text."""
    windows = packed_windows(phase.work, most=phase.task["windows"])
    placed = next(each for each in load_facts(phase.work) if each.window == phase.task["window"])
    tail = question(placed.fact, phase.encode)
    room = WINDOW_TOKENS - len(tail) - ANSWER_TOKENS
    engine = phase.open_engine(phase.task["store"])
    for filler, ids in (("words", tail[:-1] * room), ("text", windows[(placed.window + 1) % len(windows)] * 2)):
        answer = over(engine, windows, ids[:room] + tail, ANSWER_TOKENS)
        positions = (len(windows) + 1) * WINDOW_TOKENS
        place = {"filler": filler, "positions": positions, "windows": len(windows), "window": placed.window}
        phase.write(event="brim", **place, **found(placed, answer), **answer.line())


def restart(phase: Phase) -> None:
    """The first answer of a new process; times are from the moment at which it was started."""
    started = phase.task["started_s"]
    imported = time.time()
    engine = phase.open_engine(phase.task["store"])
    opened = time.time()
    windows = packed_windows(phase.work, most=phase.task["windows"])
    placed = next(each for each in load_facts(phase.work) if each.window == phase.task["window"])
    ids = question(placed.fact, phase.encode)
    read = time.time()
    answer = over(engine, windows, ids, ANSWER_TOKENS)
    phase.write(
        event="restarted",
        windows=len(windows),
        cold=phase.task["cold"],
        counted=phase.task["counted"],
        import_s=imported - started,
        open_s=opened - imported,
        read_s=read - opened,
        since_start_s=read - started + answer.ttft_s,
        **found(placed, answer),
        **answer.line(),
    )


def decode(phase: Phase) -> None:
    """Some questions at each length with long answers: the seconds that each token after the first took.

    The first question of a length is not counted: what it reads is in memory for the others.
    """
    windows, facts = packed_windows(phase.work), load_facts(phase.work)
    engine = phase.open_engine(phase.task["store"])
    for length in phase.task["lengths"]:
        inside = [placed for placed in facts if placed.window < length]
        for number in range(-1, phase.task["questions"]):
            placed = inside[max(0, number) * (len(inside) - 1) // max(1, phase.task["questions"] - 1)]
            answer = over(engine, windows[:length], question(placed.fact, phase.encode), DECODED_TOKENS)
            about = {"windows": length, "counted": number >= 0, "gaps_s": answer.gaps_s}
            phase.write(event="decoded", **about, **found(placed, answer), **answer.line())


def edit(phase: Phase) -> None:
    """What the next question costs after the corpus was packed again with one file edited."""
    imported = time.time()
    engine = phase.open_engine(phase.task["store"])
    opened = time.time()
    after, fact = packed_windows(phase.work, phase.work.edited), Fact(*phase.task["fact"])
    notes = array("I", after.pop()) if is_notes(after[-1], Tokenizer()) else array("I")
    read = time.time()
    before = packed_windows(phase.work)
    shared = agreeing(before, after)
    for number in range(3):
        cached = sum(map(len, after[: shared if number == 0 else None]))
        answer = asked(engine, prompt_of(after, notes + question(fact, phase.encode)), ANSWER_TOKENS, cached)
        phase.write(
            event="edited",
            number=number,
            import_s=imported - phase.task["started_s"],
            open_s=opened - imported,
            read_s=read - opened,
            shared_windows=shared,
            new_windows=len(after) - shared,
            note_tokens=len(notes),
            **found(Placed(fact, 0, 0), answer),
            **answer.line(),
        )


def is_notes(window: Sequence[int], tokenizer: Tokenizer) -> bool:
    """Whether what `pack` wrote last are the notes on stale texts, which stand before the question."""
    title, _, _ = wording.ledger([""]).partition("\n")
    return tokenizer.decode(window[:NOTES_TITLE_TOKENS]).startswith(title)


def cut(phase: Phase) -> None:
    """Facts that the edge of a window cuts, beside facts in the same windows that it does not."""
    text = array("I", (token for window in packed_windows(phase.work) for token in window))
    windows = min(CUT_WINDOWS, len(text) // WINDOW_TOKENS)
    planted = plant(text[: windows * WINDOW_TOKENS], range(0, windows - 1, 4))
    engine = phase.open_engine(phase.task["store"])
    for edge, placed in planted.cut.items():
        for is_cut, each in ((True, placed), (False, planted.inside[edge])):
            prompt = planted.prompt(windows, question(each.fact, phase.encode))
            answer = asked(engine, prompt, ANSWER_TOKENS, None)
            right = agreeing(answer.ids, each.fact.answer)
            about = {"windows": windows, "window": edge, "is_cut": is_cut, "wanted": len(each.fact.answer)}
            phase.write(event="cut", right=right, **about, **answer.line())


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, and when after the call."""

    ids: list[int]
    stamps_s: list[float]
    cpu_s: float
    finished: Finished

    @property
    def ttft_s(self) -> float:
        return self.stamps_s[0]

    @property
    def gaps_s(self) -> list[float]:
        """Between one token and the next."""
        return [b - a for a, b in pairwise(self.stamps_s)]

    def line(self) -> dict[str, object]:
        """As fields of a line of the result."""
        return {
            "ids": self.ids[:ANSWER_TOKENS],
            "ttft_s": self.ttft_s,
            "total_s": self.stamps_s[-1],
            "cpu_s": self.cpu_s,
            "prompt_tokens": self.finished.prompt_tokens,
            "cached_tokens": self.finished.cached_tokens,
            "skipped_mass": self.finished.skipped_mass,
        }


def over(engine: ScoutEngine, windows: "Sequence[array[int]]", last: "array[int]", count: int) -> Answer:
    """A greedy answer to a question over windows that are all stored."""
    return asked(engine, prompt_of(windows, last), count, sum(map(len, windows)))


def asked(engine: ScoutEngine, prompt: Prompt, count: int, cached: int | None) -> Answer:
    """A greedy answer of `count` tokens; raises SystemExit where not just `cached` tokens of the prompt are stored."""
    began, cpu = time.perf_counter(), time.process_time()
    ids: list[int] = []
    stamps: list[float] = []
    known = None
    for event in engine.generate(prompt, Sampling(max_tokens=count)):
        match event:
            case Prefilled(done=done) if known is None:
                known = done
                refuse_unless(cached, done)
            case Token(id=token):
                ids.append(token)
                stamps.append(time.perf_counter() - began)
            case Finished():
                finished = event
    refuse_unless(cached, finished.cached_tokens)
    return Answer(ids, stamps, time.process_time() - cpu, finished)


def refuse_unless(cached: int | None, known: int | None) -> None:
    """A question over what is not stored would measure a prefill."""
    if cached is not None and known != cached:
        raise SystemExit(f"{known or 0:,} tokens of the prompt were stored, not {cached:,}: not measured")


def found(placed: Placed, answer: Answer) -> dict[str, object]:
    """How many tokens of the answer are right, from the first on."""
    return {"right": agreeing(answer.ids, placed.fact.answer), "wanted": len(placed.fact.answer)}


def prompt_of(windows: "Sequence[array[int]]", last: "array[int] | None" = None) -> Prompt:
    """These windows, and after them the question in one of its own."""
    ids, starts = array("I"), []
    for window in (*windows, *([last] if last else [])):
        starts.append(len(ids))
        ids.extend(window)
    return Prompt(ids, tuple(starts), WINDOW_TOKENS)


PHASES: Mapping[str, Callable[[Phase], None]] = {
    "prefill": prefill,
    "recall": recall,
    "brim": brim,
    "restart": restart,
    "decode": decode,
    "edit": edit,
    "cut": cut,
}


def main() -> None:
    phase = Phase(json.loads(Path(sys.argv[1]).read_text()))
    try:
        PHASES[phase.task["phase"]](phase)
    finally:
        phase.close()


if __name__ == "__main__":
    main()
