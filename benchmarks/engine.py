"""Our engine against transformers and vLLM on the same checkpoint and prompts, side by side in one run.

    python -m benchmarks.engine [--engines ours transformers vllm] [--tokens 8192 32768 65536] [--rounds 1]
                                [--threads 2] [--checkpoint FOLDER] [--limit 900] [--long] [--json FILE]

A prompt is a prefix of random ids, `tokens` long, and a question of 200; an answer has 64 tokens. Each engine runs in a
process of its own, with its peak memory, and takes turns with the others. After loading and one short answer:

    cold      the first question; prefill tokens/s are all its tokens over the time to the first token
    warm      another question over the same prefix, in the same process
    restart   a third one in a new process; transformers and vLLM on CPU keep nothing, so theirs is the cold one

KV is what is kept of the prefix for the next question, in bytes per token of it. Loading is not counted in any of these
and stands apart (`open`). Figures are medians over the rounds; rates are of wall time, with CPU seconds beside them,
as others may be at work on the machine: the load average is what it was when the cold answer ended. A run longer than
`--limit` seconds is stopped and said to be so. Engines have variants, of which the best counts against the goals:
`--engines all` runs them all. `--long` runs ours at 32,768 and 262,144 tokens to compare peak memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.engine_table import Run, report
from longctx.engines.scout_opening import WAITING

ROOT = Path(__file__).parent.parent
LONG = (32_768, 262_144)
QUESTION_TOKENS, ANSWER_TOKENS = 200, 64
# vLLM makes a table of so many rotations; the ten million of Scout's own configuration cost it 5 GB and 20 s.
VLLM_POSITIONS = 1 << 19


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run an engine."""

    engine: str
    task: Mapping[str, Any]


VARIANTS: Mapping[str, Variant] = {
    "ours": Variant("ours", {}),
    "transformers": Variant("transformers", {"attn_implementation": "sdpa", "step": 2048}),
    "transformers-whole": Variant("transformers", {"attn_implementation": "sdpa", "step": 8192}),
    "transformers-eager": Variant("transformers", {"attn_implementation": "eager", "step": 2048}),
    "vllm": Variant("vllm", {"enforce_eager": True, "max_num_batched_tokens": 2048}),
    "vllm-8192": Variant("vllm", {"enforce_eager": True, "max_num_batched_tokens": 8192}),
    "vllm-compiled": Variant("vllm", {"enforce_eager": False, "max_num_batched_tokens": 2048}),
}


def main() -> None:
    options = arguments().parse_args()
    names = list(VARIANTS) if options.engines == ["all"] else options.engines
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        work = Path(folder)
        checkpoint = options.checkpoint or made(work / "checkpoint")
        runs: list[Run] = []
        for number in range(options.rounds):
            for tokens in options.tokens:
                runs += [run(name, tokens, number, checkpoint, work, options) for name in names]
        if options.long:
            runs += [
                run("ours", tokens, 0, checkpoint, work, options) for tokens in LONG if tokens not in options.tokens
            ]
        print("\n".join(report(runs, all_kv_bytes(checkpoint))))
    if options.json:
        options.json.write_text(json.dumps([line.data() for line in runs], indent=1) + "\n")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", default=["ours", "transformers", "vllm"], choices=[*VARIANTS, "all"])
    parser.add_argument("--tokens", nargs="+", type=int, default=[8_192, 32_768, 65_536])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--checkpoint", type=Path, help="a Llama 4 folder; without it, a random one is made")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--attention", default="dense", help="of ours: dense or sparse:TOKENS")
    parser.add_argument("--kv-budget", type=int, help="bytes of KV that ours may keep in memory")
    parser.add_argument("--vllm-python", type=Path, default=ROOT / ".venv-vllm" / "bin" / "python")
    parser.add_argument("--limit", type=float, default=900, help="seconds that one process may take")
    parser.add_argument("--work", type=Path, help="where checkpoint and stores are put for the time of the run")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--json", type=Path)
    return parser


def made(folder: Path) -> Path:
    """The benchmark's own checkpoint, made by another process: children inherit the peak memory of this one."""
    subprocess.run([sys.executable, "-m", "benchmarks.checkpoint", str(folder)], cwd=ROOT, check=True)
    return folder


def all_kv_bytes(checkpoint: Path) -> int:
    """Bytes a token would leave behind if every layer kept its keys and values, in the checkpoint's type."""
    config = json.loads((checkpoint / "config.json").read_text())
    config = config.get("text_config", config)
    size = {"float32": 4}.get(config.get("dtype") or config.get("torch_dtype"), 2)
    return int(config["num_hidden_layers"] * 2 * config["num_key_value_heads"] * config["head_dim"] * size)


def run(name: str, tokens: int, number: int, checkpoint: Path, work: Path, options: argparse.Namespace) -> Run:
    """A variant's processes for one length: one that answers cold and warm, and ours once more after a restart."""
    print(f"{name}, {tokens:,} tokens, round {number + 1} ...", file=sys.stderr, flush=True)
    variant = VARIANTS[name]
    task = common(tokens, number, checkpoint, options) | engine_task(variant, tokens)
    task["store"] = str(work / f"store-{name}-{tokens}-{number}")
    phases, failure = child(task | {"phases": ["cold", "warm"]}, work, options)
    if variant.engine == "ours" and not failure:
        again, failure = child(task | {"phases": ["restart"]}, work, options)
        phases |= {"restart": again["restart"]} if "restart" in again else {}
    return Run(name, variant.engine, tokens, phases, failure)


def common(tokens: int, number: int, checkpoint: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What every engine is told."""
    config = json.loads((checkpoint / "config.json").read_text())
    config = config.get("text_config", config)
    return {
        "model": str(checkpoint.resolve()),
        "chunk": config["attention_chunk_size"],
        "vocab": config["vocab_size"],
        "dtype": options.dtype,
        "device": options.device,
        "threads": options.threads,
        "attention": options.attention,
        "kv_budget_bytes": options.kv_budget,
        "tokens": tokens,
        "question_tokens": QUESTION_TOKENS,
        "answer_tokens": ANSWER_TOKENS,
        "seed": number,
    }


def engine_task(variant: Variant, tokens: int) -> dict[str, Any]:
    """What this engine alone is told."""
    if variant.engine != "vllm":
        return {"engine": variant.engine, **variant.task}
    length = tokens + QUESTION_TOKENS + ANSWER_TOKENS
    fixed = {
        "skip_tokenizer_init": True,
        "max_model_len": max(length, 33_000),  # below, vLLM leaves temperature tuning out
        "max_num_seqs": 1,
        "block_size": 128,
        "enable_prefix_caching": True,
        "hf_overrides": {"max_position_embeddings": VLLM_POSITIONS},
    }
    return {"engine": "vllm", "options": fixed | dict(variant.task)}


def child(task: Mapping[str, Any], work: Path, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The phases that a process got through, by name, and why it got no further."""
    task_path, result_path, log_path = (work / name for name in ("task.json", "result.jsonl", "log.txt"))
    task_path.write_text(json.dumps(task))
    result_path.unlink(missing_ok=True)
    python = options.vllm_python if task["engine"] == "vllm" else Path(sys.executable)
    command = [str(python), "-m", "benchmarks.engine_subject", str(task_path), str(result_path)]
    failure = ""
    with log_path.open("w") as log:
        try:
            environ = os.environ | dict(environment(task, python))
            subprocess.run(command, cwd=ROOT, env=environ, stdout=log, stderr=log, check=True, timeout=options.limit)
        except subprocess.TimeoutExpired:
            failure = f"over {options.limit:.0f} s"
        except (subprocess.CalledProcessError, OSError) as error:
            failure = f"failed: {last_line(log_path) or error}"
    lines = result_path.read_text().splitlines() if result_path.exists() else []
    phases = [json.loads(line) for line in lines]
    return {phase.pop("phase"): phase for phase in phases}, failure


def environment(task: Mapping[str, Any], python: Path) -> Iterator[tuple[str, str]]:
    """Quiet and offline; for vLLM also what its documentation has for one process on CPU."""
    yield from {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(task["threads"])}.items()
    if task["engine"] == "ours":
        yield WAITING
    if task["engine"] != "vllm":
        return
    yield from {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", "DO_NOT_TRACK": "1"}.items()
    yield from {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}.items()
    yield "VLLM_CPU_OMP_THREADS_BIND", ",".join(map(str, sorted(os.sched_getaffinity(0))[: task["threads"]]))
    preloaded = sorted(python.parent.parent.glob("lib/python3*/site-packages/torch/lib/libgomp*"))
    yield "LD_PRELOAD", ":".join(map(str, preloaded))


def last_line(log: Path) -> str:
    lines: Sequence[str] = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


if __name__ == "__main__":
    main()
