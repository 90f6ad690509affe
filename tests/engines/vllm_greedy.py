"""Greedy answers of vLLM, as a program for the interpreter of the environment that has it.

    PYTHON vllm_greedy.py TASK.json ANSWERS.json

TASK holds `options` (of `vllm.LLM`), `prompts` (lists of token ids) and `max_tokens`; ANSWERS gets a list of ids for
each prompt.
"""

import json
import sys
from pathlib import Path

from vllm import LLM, SamplingParams


def main() -> None:
    task_path, answers_path = map(Path, sys.argv[1:])
    task = json.loads(task_path.read_text())
    engine = LLM(**task["options"])
    sampling = SamplingParams(temperature=0, max_tokens=task["max_tokens"], ignore_eos=True, detokenize=False)
    prompts = [{"prompt_token_ids": ids} for ids in task["prompts"]]
    outputs = engine.generate(prompts, sampling, use_tqdm=False)
    answers_path.write_text(json.dumps([list(output.outputs[0].token_ids) for output in outputs]))


if __name__ == "__main__":
    main()
