"""transformers or vLLM over the same tokens, for as long as it can; the child of benchmarks.ten_million.

    PYTHON -m benchmarks.ten_million_rival TASK.json

The text is read on and on, from one length to the next, and at each some facts are asked for. The ids
are those of our windows, one after the other without the unused positions between: neither engine can skip positions,
so facts that come to lie across a multiple of 8,192 are left out. Each step is a line at the end of the file that the
task names.
"""

import copy
import json
import sys
import time
from array import array
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from benchmarks.engine_subject import Transformers, Vllm

STEP = 8192  # tokens between two lines, or an eighth of what was read


class Rival(Protocol):
    """An engine that is open and has read some tokens."""

    def read(self, ids: list[int]) -> None:
        """Go on to the end of `ids`, the beginning of which it has read."""
        ...

    def ask(self, prefix: list[int], question: list[int], count: int) -> Iterator[int]:
        """Greedy tokens after what was read and a question; what was read stays."""
        ...


class GrowingTransformers(Transformers):
    """With the keys and values of all that was read; a question goes on with a copy."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        from transformers import DynamicCache

        super().__init__(task)
        self._kept = DynamicCache(config=self._model.config)
        self._done = 0

    def read(self, ids: list[int]) -> None:
        self._fed(ids[self._done :], self._kept)
        self._done = len(ids)

    def ask(self, prefix: list[int], question: list[int], count: int) -> Iterator[int]:
        assert len(prefix) == self._done
        past = copy.deepcopy(self._kept)
        fed = question
        for _ in range(count):
            token = self._next(fed, past)
            yield token
            fed = [token]

    def _next(self, ids: list[int], past: Any) -> int:
        import torch

        with torch.inference_mode():
            return int(self._fed(ids, past).argmax())

    def _fed(self, ids: list[int], past: Any) -> Any:
        import torch

        with torch.inference_mode():
            return super()._fed(ids, past)


class GrowingVllm(Vllm):
    """With vLLM's own prefix cache: every request begins as the last did."""

    def read(self, ids: list[int]) -> None:
        list(self.answer(ids, 1))

    def ask(self, prefix: list[int], question: list[int], count: int) -> Iterator[int]:
        return self.answer(prefix + question, count)


def main() -> None:
    task = json.loads(Path(sys.argv[1]).read_text())
    ids = array("I")
    ids.frombytes(Path(task["ids"]).read_bytes())
    began = time.perf_counter()
    rival: Rival = GrowingVllm(task) if task["rival"] == "vllm" else GrowingTransformers(task)
    write(task, event="open", s=time.perf_counter() - began, reach=task["reach"])
    for before, length in pairwise([0, *task["lengths"]]):
        for done, seconds in grown(rival, ids, before, length):
            write(task, event="read", done=done, **seconds)
        prefix = ids[:length].tolist()
        for question in task["questions"][str(length)]:
            write(task, event="asked", tokens=length, at=question["at"], **answered(rival, prefix, question))
        write(task, event="reached", tokens=length)


def grown(rival: Rival, ids: "array[int]", done: int, length: int) -> Iterator[tuple[int, dict[str, float]]]:
    """Read on from `done` up to `length`, telling what each step took."""
    while done < length:
        step = min(max(STEP, done // 8 // STEP * STEP), length - done)
        prefix = ids[: done + step].tolist()
        began = time.perf_counter(), time.process_time()
        rival.read(prefix)
        ended = time.perf_counter(), time.process_time()
        done += step
        yield done, {"tokens": step, "s": ended[0] - began[0], "cpu_s": ended[1] - began[1]}


def answered(rival: Rival, prefix: list[int], question: Mapping[str, Any]) -> dict[str, object]:
    """How much of one answer is right, and when its tokens came."""
    began, wanted = time.perf_counter(), question["answer"]
    given, stamps = [], []
    for token in rival.ask(prefix, question["ids"], len(wanted) + 1):
        given.append(token)
        stamps.append(time.perf_counter() - began)
    right = next((n for n, pair in enumerate(zip(given, wanted, strict=False)) if pair[0] != pair[1]), len(wanted))
    gaps = [after - before for before, after in pairwise(stamps)]
    return {"right": right, "wanted": len(wanted), "ttft_s": stamps[0], "gaps_s": gaps}


def write(task: Mapping[str, Any], **fields: object) -> None:
    line = {"phase": "rival", "rival": task["rival"], **fields, "rss_peak_mb": peak_mb()}
    with Path(task["result"]).open("a") as result:
        result.write(json.dumps(line) + "\n")


def peak_mb() -> float:
    """Peak memory of this program; in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    main()
