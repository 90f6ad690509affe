"""What vLLM is started with for a model: values made from its shape and the setup, without vLLM; starts nothing.

skip_tokenizer_init         ids go in and ids come out; only to hold an answer to a schema takes the tokens' text:
                            that takes 5 s and 0.5 GiB
block_size                  divides the chunk, or vLLM refuses the model; large, as every block is hashed
max_num_batched_tokens      one window a step, so that progress is told and a stop is heard after each
max_num_seqs                prompts that are read and answered together
max_model_len               -1 is the longest that fits the memory, up to what the model is made for
override_generation_config  vLLM does not read the checkpoint's temperature tuning, and guesses it from the length
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import gcd
from pathlib import Path
from typing import Self

from ingest.naming import show
from longctx.engines.opening import EngineSetup
from longctx.errors import EngineError
from longctx.scout.config import ScoutConfig

AS_LONG_AS_FITS = -1
CONCURRENT = 8
# One backend, so that what it does not take is said; and no white space, of which a model may find no end.
STRUCTURED = {"backend": "xgrammar", "disable_any_whitespace": True}
LARGEST_BLOCK = 128  # tokens; a power of two
BYTES_PER_VALUE = {"bfloat16": 2, "float16": 2, "float32": 4}
SLACK_BYTES = 64 << 20
OFFLINE = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}
# One process where one device is enough; what is started beside it inherits no pipe of ours. Logs are for a file.
PROCESSES = {
    "NO_COLOR": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_COLOR": "0",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}
PRIVATE = "LONGCTX_"  # among these is a key


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What of a setup vLLM's own process is told."""

    model: str
    dtype: str = "auto"
    context_tokens: int | None = None
    kv_budget_bytes: int | None = None
    device: str = "auto"
    is_guided: bool = False

    @classmethod
    def of(cls, setup: EngineSetup, folder: Path) -> Self:
        """What `setup` says of it; raises EngineError where it names a device that there can't be."""
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", setup.device):
            raise EngineError(f"'{show(setup.device)}' is no device of this engine", "one of auto, cpu, cuda, cuda:N")
        return cls(
            model=str(folder.resolve()),
            dtype=setup.dtype,
            context_tokens=setup.context_tokens,
            kv_budget_bytes=setup.kv_budget_bytes,
            device=setup.device,
            is_guided=setup.is_guided and (folder / "tokenizer.json").is_file(),
        )

    @classmethod
    def from_json(cls, line: bytes) -> Self:
        return cls(**json.loads(line))

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def environment(setup: EngineSetup, inherited: Mapping[str, str]) -> dict[str, str]:
    """What vLLM's process finds in its environment: no key of ours, no network, and the devices that were named."""
    kept = {name: value for name, value in inherited.items() if not name.startswith(PRIVATE)}
    chosen = OFFLINE | PROCESSES
    if setup.device.startswith("cuda:"):
        chosen["CUDA_VISIBLE_DEVICES"] = setup.device.removeprefix("cuda:")
    if setup.threads is not None:
        chosen["OMP_NUM_THREADS"] = str(setup.threads)
    return kept | chosen


def options(launch: Launch, shape: ScoutConfig, *, gpus: int, free_ram_bytes: int) -> dict[str, object]:
    """The arguments of vLLM's engine on that many GPUs, 0 being a CPU; raises EngineError where the memory is small."""
    asked = launch.context_tokens
    common: dict[str, object] = {
        "model": launch.model,
        "dtype": dtype(launch, shape),
        "load_format": "safetensors",  # never a pickle
        "language_model_only": True,
        "skip_tokenizer_init": not launch.is_guided,
        "structured_outputs_config": STRUCTURED,
        "max_model_len": asked or AS_LONG_AS_FITS,
        "max_num_seqs": CONCURRENT,
        "block_size": block_tokens(shape.chunk),
        "max_num_batched_tokens": shape.chunk,
        "enable_chunked_prefill": True,
        "enable_prefix_caching": True,
        "override_generation_config": {"attn_temperature_tuning": shape.temperature_tuning is not None},
        "enable_logging_iteration_details": True,  # tells how far a prompt has got
        "kv_cache_memory_bytes": launch.kv_budget_bytes,
    }
    _check_device(launch.device, gpus)
    if gpus:
        return common | {"tensor_parallel_size": tensor_parallel(shape, gpus)}
    room = launch.kv_budget_bytes or _kv_bytes(launch, shape, free_ram_bytes)
    return common | {"enforce_eager": True, "kv_cache_memory_bytes": room}


def dtype(launch: Launch, shape: ScoutConfig) -> str:
    """The one named, or else the checkpoint's: by itself vLLM would round float32 to bfloat16."""
    return shape.dtype if launch.dtype == "auto" else launch.dtype


def block_tokens(chunk: int) -> int:
    """The largest block that the chunk can be cut into."""
    return gcd(chunk, LARGEST_BLOCK)


def tensor_parallel(shape: ScoutConfig, gpus: int) -> int:
    """The most GPUs, of that many, that heads can be shared out to evenly."""
    return next(n for n in range(gpus, 0, -1) if shape.heads % n == 0 and _shares(shape.kv_heads, n))


def _shares(kv_heads: int, gpus: int) -> bool:
    return kv_heads % gpus == 0 or gpus % kv_heads == 0


def _check_device(device: str, gpus: int) -> None:
    if device == "cpu" and gpus:
        raise EngineError("this vLLM computes on GPUs", "--device auto, or a vLLM that is made for the CPU")
    if device.startswith("cuda") and not gpus:
        raise EngineError("vLLM finds no GPU", "--device auto, or a vLLM that is made for your GPU")


def _kv_bytes(launch: Launch, shape: ScoutConfig, free_ram_bytes: int) -> int:
    """Half of what the weights leave, and no more than the longest prompt can use: vLLM takes it all at once."""
    value = BYTES_PER_VALUE[dtype(launch, shape)]
    left = free_ram_bytes - shape.weight_bytes(value)
    if left <= 0:
        raise EngineError(
            f"the weights need {shape.weight_bytes(value) / 2**30:,.1f} GiB of memory, "
            f"of which {free_ram_bytes / 2**30:,.1f} are free"
        )
    tokens = launch.context_tokens or shape.max_positions
    # vLLM keeps as many tokens of the local layers as it can have in flight beside the chunk.
    used = tokens * shape.kv_bytes_per_token(value) + 2 * shape.local_kv_bytes(tokens, value)
    return int(min(left / 2, 1.1 * used + SLACK_BYTES))
