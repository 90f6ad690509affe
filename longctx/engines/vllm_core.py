"""The program that vLLM runs in, as `python -m longctx.engines.vllm_core`; it takes orders and gives events, no text.

Prompts that come while others are on their way are read and answered together with those.

The first line of standard input is a Launch. Each order after it is one line of JSON: {"stop": N}, or {"ask": N, …}
with as many bytes of 32-bit token ids behind it as it says. Every line of standard output is one event, with the
number of the order that it belongs to. Whatever vLLM and its processes print goes to standard error. Where the input
ends, so does the program, with all that it has started.
"""

import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from longctx.engines.scout_opening import read_shape
from longctx.engines.vllm_options import Launch, options
from longctx.errors import LongctxError
from longctx.scout.memory import free_ram_bytes

GRACE_S = 10.0  # for vLLM to end what it has started, before that is killed
LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt, and how it is to be answered."""

    number: int
    ids: "array[int]"
    sampling: Mapping[str, Any]


class Orders:
    """What comes in, read beside vLLM's work, so that a stop is known while a prompt is being read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._asked: queue.Queue[Ask | None] = queue.Queue()
        self._stopped: set[int] = set()
        self._over = False
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for anything any more."""
        return self._over

    def taken(self, *, waits: bool) -> list[Ask]:
        """The prompts that have come; where it `waits`, at least one, unless the input ends."""
        found = [self._asked.get()] if waits else []
        while not self._asked.empty():
            found.append(self._asked.get())
        return [ask for ask in found if ask]

    def is_stopped(self, number: int) -> bool:
        """Whether nobody waits any more for the answer to that prompt."""
        return number in self._stopped

    def _read(self) -> None:
        for line in self._source:
            order = json.loads(line)
            if "stop" in order:
                self._stopped.add(order["stop"])
            else:
                ids = array("I", self._source.read(order["bytes"]))
                self._asked.put(Ask(order["ask"], ids, order["sampling"]))
        self._over = True
        self._asked.put(None)
        time.sleep(GRACE_S)  # the end of the program ends this thread
        os.killpg(0, signal.SIGKILL)


class Replies:
    """Events on their way out, one a line."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target

    def send(self, kind: str, **fields: object) -> None:
        """Raises BrokenPipeError where nobody reads any more."""
        self._target.write(json.dumps({"event": kind, **fields}).encode() + b"\n")
        self._target.flush()


@dataclass(slots=True)
class Run:
    """A prompt on its way; `first_s` is when the first token of its answer came, 0 before that."""

    ask: Ask
    begun_s: float
    first_s: float = 0.0


class Progress:
    """How far a prompt has got that is read alone: one of vLLM's stat loggers, whose numbers are no stable interface of
    it and of all prompts together."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._number = self._total = self._cached = self._done = 0

    def begin(self, ask: Ask) -> None:
        """What is told from now on belongs to this prompt."""
        self._number, self._total, self._cached, self._done = ask.number, len(ask.ids), 0, 0

    def stop(self) -> None:
        """Another prompt is read with it: from now on it is not told how far that one has got."""
        self._total = 0

    def record(self, scheduler_stats: Any, *_others: Any, **_more: Any) -> None:
        """Called by vLLM after every step."""
        try:
            details, prefix = scheduler_stats.iteration_details, scheduler_stats.prefix_cache_stats
            read, self._cached = details.num_ctx_tokens, self._cached + prefix.hits
        except AttributeError:  # nothing was computed, or this vLLM counts otherwise
            return
        self._done = max(self._done, self._cached) + read
        if read and self._done < self._total:
            self._replies.send("prefilled", n=self._number, done=self._done, cached=self._cached)

    def log(self) -> None:
        """Nothing is logged here."""

    def log_engine_initialized(self) -> None:
        """Nothing is logged here."""

    def record_sleep_state(self, *_state: Any) -> None:
        """The engine never sleeps."""


class Core:
    """vLLM's engine with one model, and the prompts that it is answering by their names."""

    def __init__(self, launch: Launch, replies: Replies) -> None:
        from vllm import EngineArgs
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.llm_engine import LLMEngine

        shape, gpus = read_shape(Path(launch.model), quantized=True), _gpus()
        if not gpus:  # unless told how many, vLLM computes on one core
            os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
        arguments = EngineArgs(**options(launch, shape, gpus=gpus, free_ram_bytes=free_ram_bytes()))
        self._replies = replies
        self._progress = Progress(replies)
        self._runs: dict[str, Run] = {}
        self._refusals = (VLLMClientError, ValueError, ImportError)  # the last where a backend for schemas is missing
        # It would log a line for every token; its level is set again by vLLM, its filters are not.
        logging.getLogger("vllm.v1.metrics.loggers").addFilter(lambda record: record.levelno > logging.INFO)
        loggers = [lambda _config, _index=0: self._progress]
        self._engine = LLMEngine.from_engine_args(arguments, stat_loggers=loggers)

    def described(self) -> dict[str, object]:
        """What has been started, for the other side to tell."""
        import vllm

        config = self._engine.vllm_config
        return {
            "version": vllm.__version__,
            "dtype": str(config.model_config.dtype).removeprefix("torch."),
            "context_tokens": config.model_config.max_model_len,
            "where": _where(config.parallel_config.world_size),
            "concurrent": config.scheduler_config.max_num_seqs,
            "is_guided": not config.model_config.skip_tokenizer_init,
        }

    def serve(self, orders: Orders) -> None:
        """Sends answers token by token, each until it ends or nobody waits for it. What vLLM raises is its own."""
        while not orders.is_over:
            for ask in orders.taken(waits=not self._runs):
                self._begin(ask)
            for name in [name for name, run in self._runs.items() if orders.is_stopped(run.ask.number)]:
                self._engine.abort_request([name])
                del self._runs[name]
            if self._runs:
                for output in self._engine.step():
                    self._tell(output)

    def _begin(self, ask: Ask) -> None:
        """Give vLLM one more prompt; a schema that it does not take is left out, which is told."""
        name, wanted, refusal = str(ask.number), ask.sampling["schema"], Exception()
        if self._runs:
            self._progress.stop()
        else:
            self._progress.begin(ask)
        for schema in dict.fromkeys((wanted, "")):
            try:
                self._engine.add_request(
                    name, {"prompt_token_ids": ask.ids.tolist()}, _parameters(ask.sampling, schema)
                )
            except self._refusals as error:  # of this prompt: the engine is as good as before
                refusal = error
                continue
            if schema != wanted:
                self._replies.send("unguided", n=ask.number, reason=_reason(refusal))
            self._runs[name] = Run(ask, time.perf_counter())
            return
        self._replies.send("refused", n=ask.number, reason=_reason(refusal))

    def _tell(self, output: Any) -> None:
        """The new tokens, and the end where there is one."""
        if (run := self._runs.get(output.request_id)) is None:
            return
        ask, answer = run.ask, output.outputs[0]
        if not run.first_s:
            run.first_s = time.perf_counter()
            self._replies.send("prefilled", n=ask.number, done=len(ask.ids), cached=output.num_cached_tokens)
        if answer.token_ids and ask.sampling["max_tokens"]:
            self._replies.send("tokens", n=ask.number, ids=list(answer.token_ids))
        if output.finished:
            del self._runs[output.request_id]
            self._replies.send(
                "finished",
                n=ask.number,
                reason=answer.finish_reason,
                cached=output.num_cached_tokens,
                prefill_s=run.first_s - run.begun_s,
                decode_s=time.perf_counter() - run.first_s,
            )

    def close(self) -> None:
        """Ends what vLLM has started."""
        self._engine.engine_core.shutdown()


def main() -> int:
    """Serve until the input ends; 1 where vLLM could not start or has failed, which has been sent."""
    source, replies = sys.stdin.buffer, Replies(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    launch = Launch.from_json(source.readline())
    orders = Orders(source)
    try:
        core = Core(launch, replies)
    except LongctxError as error:
        replies.send("failed", reason=str(error), hint=error.hint)
        return 1
    except Exception as error:
        replies.send("failed", reason=_reason(error), hint="")
        raise
    try:
        replies.send("ready", **core.described())
        core.serve(orders)
    except BrokenPipeError:
        return 0
    except Exception as error:
        replies.send("failed", reason=_reason(error), hint="")
        raise
    finally:
        core.close()
    return 0


def _parameters(sampling: Mapping[str, Any], schema: str) -> Any:
    """Only the ids that were named end an answer, whatever the model's own files say."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    return SamplingParams(
        max_tokens=max(sampling["max_tokens"], 1),
        temperature=sampling["temperature"],
        top_p=sampling["top_p"],
        seed=sampling["seed"],
        stop_token_ids=sampling["stop_ids"],
        ignore_eos=True,
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        structured_outputs=StructuredOutputsParams(json=schema) if schema else None,
    )


def _gpus() -> int:
    """How many this vLLM can use; none where it is made for the CPU."""
    from vllm.platforms import current_platform

    return int(current_platform.device_count()) if current_platform.is_cuda_alike() else 0


def _where(processes: int) -> str:
    from vllm.platforms import current_platform

    name = str(current_platform.get_device_name())
    return name if processes == 1 else f"{processes} x {name}"


def _reason(error: Exception) -> str:
    """One line, without what pydantic adds on what it was given and where to read on."""
    text = str(error).partition(" [type=")[0]
    return f"{type(error).__name__}: {' '.join(text.split())}"[:LONGEST_REASON]


if __name__ == "__main__":
    sys.exit(main())
