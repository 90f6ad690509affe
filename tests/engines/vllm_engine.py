"""Puts the vllm engine through what a user can do to it, as a program for the interpreter of the environment with vLLM.

    PYTHON vllm_engine.py MODEL LOGS

It writes one JSON object. Interrupts are sent to its whole process group, as a terminal does.
"""

import json
import os
import random
import signal
import sys
from array import array
from pathlib import Path
from typing import Any

from longctx.engines.base import Engine, Finished, Prefilled, Sampling, Token, contiguous
from longctx.engines.opening import EngineSetup, open_engine
from longctx.errors import DoesNotFit, EngineError

DRAW = random.Random(0)
IDS = array("I", [200_000, *(DRAW.randrange(200_000) for _ in range(20_000))])


def main() -> None:
    setup = EngineSetup(logs=Path(sys.argv[2]), model=sys.argv[1])
    told: dict[str, Any] = {}
    with open_engine("vllm", setup) as engine:
        told["context_tokens"] = engine.limits().context_tokens
        told["first"], told["second"] = answer(engine), answer(engine)
        told["interrupted"] = is_interrupted(engine)
        told["after"] = answer(engine)
        stop = frozenset(told["first"]["ids"][1:2])
        told["stopped"] = chosen(answer(engine, stop_ids=stop), "ids", "reason", "answer_tokens")
        told["without_answer"] = chosen(answer(engine, max_tokens=0), "ids", "answer_tokens")
        told["drawn"] = [answer(engine, temperature=1.0, top_p=0.9, seed=-1)["ids"] for _ in range(2)]
        told["killed"] = killed(engine)
    told["too_long"] = too_long(setup)
    told["left"] = children()
    sys.stdout.write(json.dumps(told))


def answer(engine: Engine, *, max_tokens: int = 4, **sampling: Any) -> dict[str, Any]:
    events = list(engine.generate(contiguous(IDS), Sampling(max_tokens=max_tokens, **sampling)))
    end = events[-1]
    assert isinstance(end, Finished)
    return {
        "prefilled": [[event.done, event.cached] for event in events if isinstance(event, Prefilled)],
        "ids": [event.id for event in events if isinstance(event, Token)],
        "cached": end.cached_tokens,
        "reason": end.reason,
        "answer_tokens": end.answer_tokens,
    }


def chosen(answered: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: answered[name] for name in names}


def is_interrupted(engine: Engine) -> bool:
    """Ctrl-C while a prompt is read that has no end of its own."""
    try:
        for event in engine.generate(contiguous(IDS[::-1]), Sampling(max_tokens=100_000)):
            if isinstance(event, Prefilled) and event.done:
                os.killpg(0, signal.SIGINT)
    except KeyboardInterrupt:
        return True
    return False


def killed(engine: Engine) -> str:
    """What is said where vLLM's process ends in the middle of an answer."""
    try:
        for event in engine.generate(contiguous(IDS), Sampling(max_tokens=100_000)):
            if isinstance(event, Token):
                for pid in children():
                    os.kill(pid, signal.SIGKILL)
    except EngineError as error:
        return str(error)
    return ""


def too_long(setup: EngineSetup) -> str:
    """What is said where a context is asked for that the memory is too small for."""
    small = EngineSetup(logs=setup.logs, model=setup.model, context_tokens=1 << 20, kv_budget_bytes=64 << 20)
    try:
        with open_engine("vllm", small):
            return ""
    except DoesNotFit as error:
        return str(error)


def children() -> list[int]:
    me = os.getpid()
    return [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]


if __name__ == "__main__":
    main()
