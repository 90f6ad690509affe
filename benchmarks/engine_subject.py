"""One engine in a process of its own, timed; the child of benchmarks.engine, also under vLLM's interpreter.

    PYTHON -m benchmarks.engine_subject TASK.json RESULT.jsonl

Each phase that is over adds a line to RESULT, so that a run which is stopped for its time keeps what it had. Loads only
the engine that the task names; the clock of a phase begins when the engine is open and has answered a short prompt.
"""

import copy
import json
import os
import random
import resource
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

WARM_UP_TOKENS = 300
FIRST_ID = 10  # below are the ids that mean something


class Subject(Protocol):
    """An engine that is open: greedy tokens after a prompt, as they come, always `count` of them."""

    def answer(self, ids: list[int], count: int) -> Iterator[int]: ...

    def kv_bytes_per_token(self) -> float:
        """What is kept of the prompt for another question over the same prefix."""
        ...


class Ours:
    """longctx's own engine, with its store on the disk."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        from cache.store import DiskStore
        from longctx.engines.scout import ScoutEngine

        self._folder = Path(task["store"])
        self._window = task["chunk"]
        self._store = DiskStore.open(self._folder)
        self._engine = ScoutEngine.open(
            Path(task["model"]),
            store=self._store,
            dtype=task["dtype"],
            device=task["device"],
            threads=task["threads"],
            attention=task["attention"],
            kv_budget_bytes=task["kv_budget_bytes"],
        )

    def answer(self, ids: list[int], count: int) -> Iterator[int]:
        from longctx.engines.base import Sampling, Token, contiguous

        prompt = contiguous(array("I", ids), self._window)
        for event in self._engine.generate(prompt, Sampling(max_tokens=count)):
            if isinstance(event, Token):
                yield event.id

    def kv_bytes_per_token(self) -> float:
        rows = self._store.rows()
        return sum(row.nbytes for row in rows) / max(sum(row.tokens for row in rows), 1)


class Transformers:
    """transformers, prefilled in pieces, with a copy of the KV of the prefix kept for the next question."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        import torch
        from transformers import Llama4ForCausalLM

        torch.set_num_threads(task["threads"])
        self._model = Llama4ForCausalLM.from_pretrained(
            task["model"],
            dtype=getattr(torch, task["dtype"]),
            attn_implementation=task["attn_implementation"],
        )
        self._model.to(task["device"]).eval()
        self._step, self._prefix_tokens = task["step"], task["tokens"]
        self._prefix: list[int] = []
        self._kept: Any = None

    def answer(self, ids: list[int], count: int) -> Iterator[int]:
        import torch

        with torch.inference_mode():
            past, done = self._past(ids)
            logits = self._fed(ids[done:], past)
            for _ in range(count - 1):
                token = int(logits.argmax())
                yield token
                logits = self._fed([token], past)
            yield int(logits.argmax())

    def kv_bytes_per_token(self) -> float:
        return float(sum(layer.keys.nbytes + layer.values.nbytes for layer in self._kept.layers) / len(self._prefix))

    def _past(self, ids: list[int]) -> tuple[Any, int]:
        """The KV to go on with, and how many of `ids` it holds."""
        from transformers import DynamicCache

        size = self._prefix_tokens
        if len(ids) <= size:
            return DynamicCache(config=self._model.config), 0
        if ids[:size] != self._prefix:
            self._kept = DynamicCache(config=self._model.config)
            self._fed(ids[:size], self._kept)
            self._prefix = ids[:size]
        return copy.deepcopy(self._kept), size

    def _fed(self, ids: list[int], past: Any) -> Any:
        """The logits after the last of `ids`, all of which go into `past`."""
        import torch

        for start in range(0, len(ids), self._step):
            piece = torch.tensor([ids[start : start + self._step]], device=self._model.device)
            output = self._model(input_ids=piece, past_key_values=past, use_cache=True, logits_to_keep=1)
        return output.logits[0, -1]


class Vllm:
    """vLLM in this process, stepped by hand, so that each token's time is seen; its own prefix cache is on."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        from vllm import LLM

        self._engine = LLM(model=task["model"], dtype=task["dtype"], **task["options"]).llm_engine
        self._requests = 0
        self._bytes_per_token = 0.0

    def answer(self, ids: list[int], count: int) -> Iterator[int]:
        from vllm import SamplingParams

        self._requests += 1
        sampling = SamplingParams(temperature=0, max_tokens=count, ignore_eos=True, detokenize=False)
        self._engine.add_request(str(self._requests), {"prompt_token_ids": ids}, sampling)
        given = 0
        while self._engine.has_unfinished_requests():
            for output in self._engine.step():
                tokens = list(output.outputs[0].token_ids)
                if len(tokens) == 1:
                    self._bytes_per_token = self._bytes_in_use() / len(ids)
                yield from tokens[given:]
                given = len(tokens)

    def kv_bytes_per_token(self) -> float:
        return self._bytes_per_token

    def _bytes_in_use(self) -> int:
        """Bytes of the blocks that the running request holds."""
        scheduler = self._engine.engine_core.engine_core.scheduler
        pool = scheduler.kv_cache_manager.block_pool
        total_bytes = sum(tensor.size for tensor in scheduler.kv_cache_config.kv_cache_tensors)
        blocks = int(pool.num_gpu_blocks)
        return int((blocks - pool.get_num_free_blocks()) * total_bytes // blocks)


ENGINES: Mapping[str, Callable[[Mapping[str, Any]], Subject]] = {
    "ours": Ours,
    "transformers": Transformers,
    "vllm": Vllm,
}


def main() -> None:
    task_path, result_path = map(Path, sys.argv[1:])
    task = json.loads(task_path.read_text())
    begun = time.perf_counter()
    subject: Subject = ENGINES[task["engine"]](task)
    opened = time.perf_counter() - begun
    for _ in subject.answer(ids(task, "warm-up", WARM_UP_TOKENS), 4):
        pass
    with result_path.open("w") as result:
        write(result, {"phase": "open", "open_s": opened, "rss_mb": peak_rss_mb()})
        prefix = ids(task, "prefix", task["tokens"])
        for phase in task["phases"]:
            question = ids(task, phase, task["question_tokens"])
            write(result, {"phase": phase, **timed(subject, prefix + question, task["answer_tokens"])})


def write(result: Any, line: Mapping[str, object]) -> None:
    result.write(json.dumps(line) + "\n")
    result.flush()


def ids(task: Mapping[str, Any], part: str, count: int) -> list[int]:
    """Random ids, the same for every engine: they depend on the seed and on what they are for."""
    draw = random.Random(f"{task['seed']} {part}")
    return [draw.randrange(FIRST_ID, task["vocab"]) for _ in range(count)]


def timed(subject: Subject, prompt: list[int], count: int) -> dict[str, object]:
    """One answer: seconds and CPU seconds to the first token and over the others, and what it left behind."""
    began = time.perf_counter(), time.process_time()
    stamps, answer = [], []
    for token in subject.answer(prompt, count):
        stamps.append((time.perf_counter(), time.process_time()))
        answer.append(token)
    if len(answer) != count:
        raise SystemExit(f"asked for {count} tokens, got {len(answer)}")
    first, last = stamps[0], stamps[-1]
    return {
        "prompt_tokens": len(prompt),
        "answer": answer,
        "ttft_s": first[0] - began[0],
        "ttft_cpu_s": first[1] - began[1],
        "decode_s": last[0] - first[0],
        "decode_cpu_s": last[1] - first[1],
        "kv_bytes_per_token": subject.kv_bytes_per_token(),
        "rss_mb": peak_rss_mb(),
        "gpu_mb": peak_gpu_mb(),
        "load_average": os.getloadavg()[0],
    }


def peak_rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak_gpu_mb() -> float:
    torch = sys.modules["torch"]
    return float(torch.cuda.max_memory_allocated() / 2**20) if torch.cuda.is_available() else 0.0


if __name__ == "__main__":
    main()
