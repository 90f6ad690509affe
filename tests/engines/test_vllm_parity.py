"""Our engine and a real vLLM on this machine's CPU give the same greedy tokens over a tiny random checkpoint.

Over the needle checkpoint vLLM retrieves the same facts.

`make test` builds vLLM's environment and names its interpreter in LONGCTX_VLLM_PYTHON. Prompts end before, at and
after window boundaries, and answers cross them. With these seeds the best two tokens are never nearer than 0.001 in log
probability, and leaving out temperature tuning, the chunk mask or the norm of q and k changes three answers in four.
"""

import json
import os
import random
import subprocess
from array import array
from pathlib import Path
from typing import Any

import pytest
import torch

from longctx.engines.base import Sampling, Token, contiguous
from longctx.engines.scout import ScoutEngine
from longctx.needle.construction import RARE_FROM
from tests.needle.text import WINDOW, asking, text

# Read here: no test sees a setting of the caller's environment.
VLLM_PYTHON = os.environ.get("LONGCTX_VLLM_PYTHON")
CHUNK = 64
VOCAB = 512
LENGTHS = (1, 2, 10, 60, 63, 64, 65, 100, 126, 127, 128, 129, 187, 192, 200, 255, 256, 257, 300)
MAX_TOKENS = 8
SCOUT: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 64,
    "intermediate_size_mlp": 128,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "num_local_experts": 4,
    "num_experts_per_tok": 1,
    "interleave_moe_layer_step": 1,
    "no_rope_layer_interval": 4,
    "attention_chunk_size": CHUNK,
    "attn_temperature_tuning": True,
    "floor_scale": 16,
    "attn_scale": 0.3,
    "use_qk_norm": True,
    "max_position_embeddings": 1 << 17,
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 16.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 1.0,
        "original_max_position_embeddings": CHUNK,
    },
    "initializer_range": 0.2,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
SHAPES = {
    "scout": SCOUT,
    "maverick": {
        **SCOUT,
        "interleave_moe_layer_step": 2,
        "use_qk_norm": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
    },
}
VLLM_OPTIONS = {
    "dtype": "float32",
    "skip_tokenizer_init": True,
    "enforce_eager": True,
    "max_model_len": 33_000,  # vLLM tunes temperature only where more than 32,768 tokens may come
    "block_size": 32,  # must divide the chunk
    "max_num_batched_tokens": 96,  # prompts are prefilled in pieces that windows don't end with
    "max_num_seqs": 4,
}
VLLM_ENVIRON = {
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # nothing is left running when the test is stopped
}


@pytest.mark.slow
@pytest.mark.skipif(not VLLM_PYTHON, reason="LONGCTX_VLLM_PYTHON names no interpreter with vLLM; make test does")
@pytest.mark.parametrize("shape", SHAPES)
def test_greedy_tokens_are_those_of_vllm(shape: str, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    write_checkpoint(checkpoint, SHAPES[shape])
    draw = random.Random(0)
    prompts = [[draw.randrange(3, VOCAB) for _ in range(length)] for length in LENGTHS]
    theirs = vllm_answers(checkpoint, prompts, tmp_path)
    assert answers(checkpoint, prompts) == theirs


@pytest.mark.slow
@pytest.mark.skipif(not VLLM_PYTHON, reason="LONGCTX_VLLM_PYTHON names no interpreter with vLLM; make test does")
def test_vllm_finds_the_facts_that_the_needle_checkpoint_is_built_to_find(needle: Path, tmp_path: Path) -> None:
    words = random.Random(3).sample(range(RARE_FROM, 200_000), 16)
    found = {at: words[4 * n : 4 * n + 4] for n, at in enumerate((100, WINDOW - 4, 2 * WINDOW + 4_096))}
    cut = {2 * WINDOW - 1: words[12:]}
    ids = text(3, found | cut)
    options = {"dtype": "bfloat16", "block_size": 128, "max_num_batched_tokens": 2048}
    positions = {"hf_overrides": {"max_position_embeddings": 1 << 17}}  # it makes a table of all there could be
    prompts = [list(asking(ids, fact[0]).ids) for fact in (found | cut).values()]
    answers = vllm_answers(needle, prompts, tmp_path, max_tokens=3, **options, **positions)
    assert answers[:3] == [fact[1:] for fact in found.values()]
    assert answers[3][0] != words[13]


def write_checkpoint(folder: Path, text: dict[str, Any]) -> None:
    from transformers import Llama4ForCausalLM, Llama4TextConfig

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Llama4ForCausalLM(Llama4TextConfig(**text))
        for name, parameter in model.named_parameters():
            if "norm" in name:  # all ones would hide a norm that is left out
                torch.nn.init.normal_(parameter, 1.0, 0.2)
    model.save_pretrained(folder)


def answers(checkpoint: Path, prompts: list[list[int]]) -> list[list[int]]:
    engine = ScoutEngine.open(checkpoint, store=None, dtype="float32", device="cpu")
    sampling = Sampling(max_tokens=MAX_TOKENS)
    try:
        runs = [engine.generate(contiguous(array("I", ids), CHUNK), sampling) for ids in prompts]
        return [[event.id for event in run if isinstance(event, Token)] for run in runs]
    finally:
        engine.close()


def vllm_answers(
    checkpoint: Path, prompts: list[list[int]], folder: Path, max_tokens: int = MAX_TOKENS, **more: Any
) -> list[list[int]]:
    task, result = folder / "task.json", folder / "answers.json"
    options = {"model": str(checkpoint), **VLLM_OPTIONS, **more}
    task.write_text(json.dumps({"options": options, "prompts": prompts, "max_tokens": max_tokens}))
    command = [str(VLLM_PYTHON), str(Path(__file__).with_name("vllm_greedy.py")), str(task), str(result)]
    run = subprocess.run(command, env={**os.environ, **VLLM_ENVIRON}, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr[-4000:]
    read: list[list[int]] = json.loads(result.read_text())
    return read
