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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

from longctx.completion import stop_ids
from longctx.engines.base import Engine, Finished, Prefilled, Sampling, Token, Warned, contiguous
from longctx.engines.opening import EngineSetup, open_engine
from longctx.errors import DoesNotFit, EngineError
from longctx.structured import text_of
from longctx.tokens import Tokenizer
from longctx.vocabulary import llama4

DRAW = random.Random(0)
IDS = array("I", [200_000, *(DRAW.randrange(200_000) for _ in range(20_000))])
SHORT = [array("I", [200_000, *(DRAW.randrange(200_000) for _ in range(size))]) for size in (3, 500, 100, 40)]
SCHEMA = {
    "type": "object",
    "properties": {
        "flags": {"type": "array", "items": {"$ref": "#/$defs/flag"}, "minItems": 2, "maxItems": 3},
        "tide": {"enum": ["high", "low", None]},
    },
    "required": ["flags", "tide"],
    "additionalProperties": False,
    "$defs": {"flag": {"type": "boolean"}},
}
NOT_TAKEN = {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True}


def main() -> None:
    setup = EngineSetup(logs=Path(sys.argv[2]), model=sys.argv[1], is_guided=True)
    told: dict[str, Any] = {}
    with open_engine("vllm", setup) as engine:
        told["limits"] = [engine.limits().context_tokens, engine.limits().concurrent, engine.limits().is_guided]
        told["first"], told["second"] = answer(engine), answer(engine)
        told["interrupted"] = is_interrupted(engine)
        told["after"] = answer(engine)
        stop = frozenset(told["first"]["ids"][1:2])
        told["stopped"] = chosen(answer(engine, stop_ids=stop), "ids", "reason", "answer_tokens")
        told["without_answer"] = chosen(answer(engine, max_tokens=0), "ids", "answer_tokens")
        told["drawn"] = [answer(engine, temperature=1.0, top_p=0.9, seed=-1)["ids"] for _ in range(2)]
        told["alone"] = [brief(engine, ids) for ids in SHORT]
        told["together"] = together(engine)
        told["left_early"] = left_early(engine)
        told["guided"] = [guided(engine, SCHEMA) for _ in range(2)]
        told["not_taken"] = guided(engine, NOT_TAKEN)[1]
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


def brief(engine: Engine, ids: "array[int]", **sampling: Any) -> list[Any]:
    """What an answer to a short prompt is like: of several together floats may differ, and with them ids."""
    events = list(engine.generate(contiguous(ids), Sampling(max_tokens=30, **sampling)))
    end = events[-1]
    assert isinstance(end, Finished)
    return [sum(isinstance(event, Token) for event in events), end.reason, end.prompt_tokens, end.answer_tokens]


def together(engine: Engine) -> list[list[Any]]:
    """The same prompts from threads, twice as many as there are."""
    with ThreadPoolExecutor(2 * len(SHORT)) as pool:
        return list(pool.map(lambda ids: brief(engine, ids), 2 * SHORT))


def left_early(engine: Engine) -> list[Any]:
    """Of two answers one is left in its middle; what becomes of the other, and of one that is asked then."""
    begun, left = Event(), Event()

    def leave() -> None:
        run = engine.generate(contiguous(SHORT[1]), Sampling(max_tokens=100_000))
        for event in run:
            if isinstance(event, Token) and begun.is_set():
                break
        run.close()  # type: ignore[attr-defined] # it is a generator
        left.set()

    def stay() -> list[Any]:
        ids = 0
        for event in engine.generate(contiguous(SHORT[2]), Sampling(max_tokens=200)):
            ids += isinstance(event, Token)
            if ids == 3:
                begun.set()
                left.wait(60)
        return [ids, left.is_set()]

    with ThreadPoolExecutor(2) as pool:
        leaving, staying = pool.submit(leave), pool.submit(stay)
        leaving.result()
        return [*staying.result(), brief(engine, SHORT[0])[0]]


def guided(engine: Engine, schema: Any) -> tuple[str, list[str]]:
    """What a model that knows nothing says when it is held to a schema, and what is said of that."""
    sampling = Sampling(
        max_tokens=60, temperature=1.0, seed=DRAW.randrange(1000), stop_ids=stop_ids(llama4()), schema=text_of(schema)
    )
    events = list(engine.generate(contiguous(SHORT[0]), sampling))
    ids = [event.id for event in events if isinstance(event, Token) and event.id not in sampling.stop_ids]
    return Tokenizer().decode(ids), [event.message for event in events if isinstance(event, Warned)]


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
