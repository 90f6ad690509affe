"""The Scout engine: our own Llama 4 in torch, joined to the store of prefix blocks; the only place where they meet.

A prompt's windows but the last are matched with the store, and what is missing is prefilled window by window, each
closed window being stored before the next begins. The last window (the question) and the answer are never stored.
A stored block that proves damaged costs its own recomputation, a store that fails the keeping: never a wrong token.
"""

import os
import re
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch

from cache.chain import BlockStore, Chain
from cache.errors import CacheError
from cache.keys import Fingerprint, name_identity
from longctx.engines.base import EngineEvent, Identity, Limits, Prompt, Sampling, Warned
from longctx.engines.scout_run import Run
from longctx.errors import DoesNotFit, EngineError, LongctxError
from longctx.scout.config import read_config
from longctx.scout.errors import ScoutError
from longctx.scout.memory import free_bytes
from longctx.scout.model import Scout
from longctx.scout.sparse import PAGE_TOKENS
from longctx.scout.weights import file_states, fingerprint, load_weights
from longctx.vocabulary import of_model

LAYOUT = "nope-kv/1"
CHOICE = 2  # goes up whenever sparse attention reads other pages for the same budget: what it computes changes then
LEAST_SPARSE = 2 * PAGE_TOKENS  # the first page and the last are always read


class ScoutEngine:
    """A checkpoint, loaded once and kept; calls of `generate` follow one another."""

    def __init__(
        self,
        model: Scout,
        store: BlockStore | None,
        fingerprint: Fingerprint,
        *,
        name: str,
        sparse_pages: int | None,
        kv_budget_bytes: int,
    ) -> None:
        self._model = model
        self._store = store
        self._fingerprint = fingerprint
        self._name = name
        self._budget = kv_budget_bytes
        self._sparse_pages = sparse_pages

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        store: BlockStore | None,
        dtype: str = "auto",
        device: str = "auto",
        threads: int | None = None,
        attention: str = "dense",
        kv_budget_bytes: int | None = None,
    ) -> Self:
        """Load the checkpoint in `folder`; `store` stays the caller's. Raises EngineError.

        `attention` is "dense" or "sparse:TOKENS", of which whole pages of 64 are read; closed windows take no more
        than `kv_budget_bytes` of memory, as far as they lie in the store, and are read again from there for each use
        beyond it. Of a window that was read whole, while the context was still short enough for that, sparse attention
        uses the copy too; all other pages it reads from the store, and they take none.
        """
        if threads:
            torch.set_num_threads(threads)
        pages = _sparse_pages(attention)
        with _told():
            config = read_config(folder)
            precision = _dtype(config.dtype if dtype == "auto" else dtype)
            states = file_states(folder)
            weights = load_weights(folder, config, precision, _device(device))
            name = _name(folder)
            identity = Fingerprint(
                model=fingerprint(folder, config, store, loaded=states),
                dtype=str(precision).removeprefix("torch."),
                layout=f"{LAYOUT} {_exactly(pages)}",
                tokenizer=_tokenizer(folder),
                window_tokens=config.chunk,
            )
            if store:
                store.remember(name_identity(identity.model), name)
            model = Scout(config, weights)
        budget = free_bytes(model.device) // 2 if kv_budget_bytes is None else kv_budget_bytes
        return cls(model, store, identity, name=name, sparse_pages=pages, kv_budget_bytes=budget)

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        """Prefill and decode; raises DoesNotFit where the model is not made for so much, EngineError otherwise."""
        self._check(prompt, sampling.max_tokens)
        *closed, last = prompt.windows()
        with _told(), ExitStack() as leased:
            chain = None
            try:
                chain = leased.enter_context(self._chain(closed))
            except CacheError as error:
                yield Warned(f"{error}; the prefix is kept in memory only")
            yield from self._run(chain, closed).answer(last, sampling)

    def warm(self, prompt: Prompt) -> Iterator[EngineEvent]:
        """Prefill and store every window of a prompt, the last one too; the end is Finished without an answer."""
        self._check(prompt, 0)
        windows = prompt.windows()
        with _told(), self._chain(windows) as chain:
            yield from self._run(chain, windows).warm()

    def limits(self) -> Limits:
        return Limits(context_tokens=self._model.config.max_positions)

    def identity(self) -> Identity:
        dtype, weights, pages = self._fingerprint.dtype, self._fingerprint.model, self._sparse_pages
        version, digest = f"{dtype} {_computed(pages)} {weights[:12]}", f"{dtype} {_exactly(pages)} {weights}"
        return Identity(kind="scout", model=self._name, version=version, where=self._where, digest=digest)

    def describe(self) -> str:
        config = self._model.config
        return (
            f"scout: Llama 4 with {config.layers} layers, {config.parameters / 1e9:.2f}B parameters "
            f"({self._fingerprint.dtype} on {self._where}; attention {_computed(self._sparse_pages)})"
        )

    @property
    def _where(self) -> str:
        device = self._model.device
        return f"cpu, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)

    def close(self) -> None:
        """Nothing is held that ends with this; the store is its owner's."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _chain(self, windows: "list[array[int]]") -> "Chain | nullcontext[None]":
        return self._store.chain(self._fingerprint, windows) if self._store else nullcontext()

    def _run(self, chain: Chain | None, windows: "list[array[int]]") -> Run:
        return Run(self._model, chain, windows, budget=self._budget, sparse_pages=self._sparse_pages)

    def _check(self, prompt: Prompt, answer_tokens: int) -> None:
        config = self._model.config
        if prompt.window_tokens != config.chunk:
            raise EngineError(f"windows of {prompt.window_tokens} tokens, but this model's chunk is {config.chunk}")
        positions = (len(prompt.starts) - 1) * config.chunk + len(prompt.ids) - prompt.starts[-1] + answer_tokens
        if positions > config.max_positions:
            raise DoesNotFit(
                f"the prompt and {answer_tokens:,} tokens of answer need {positions:,} positions, "
                f"this model has {config.max_positions:,}",
                "a shorter prompt, or fewer tokens of answer",
            )
        if (highest := int(np.frombuffer(prompt.ids, dtype=np.uintc).max())) >= config.vocab:
            raise EngineError(f"the prompt has token {highest}, this model knows {config.vocab:,} only")


def _tokenizer(folder: Path) -> str:
    """What the ids stand for, where the folder says so; ids are compared as well."""
    try:
        return of_model(folder).fingerprint
    except LongctxError:
        return "ids"


def _name(folder: Path) -> str:
    """What people call the model: its folder's name, with U+FFFD for what is no UTF-8."""
    return os.fsencode(folder.resolve().name).decode(errors="replace")


def _sparse_pages(attention: str) -> int | None:
    """The pages that "sparse:TOKENS" reads at most; None for "dense"."""
    kind, _, tokens = attention.partition(":")
    if kind == "sparse" and re.fullmatch(r"[0-9]{1,18}", tokens) and int(tokens) >= LEAST_SPARSE:
        return int(tokens) // PAGE_TOKENS
    if attention != "dense":
        hint = f"dense, or sparse:TOKENS with {LEAST_SPARSE} tokens or more"
        raise EngineError(f"'{attention}' is no attention of this engine", hint)
    return None


def _computed(pages: int | None) -> str:
    """The attention that is computed: budgets of the same pages give the same bytes."""
    return f"sparse:{pages * PAGE_TOKENS}" if pages else "dense"


def _exactly(pages: int | None) -> str:
    """The same for keys and digests, which also name how pages are chosen; those who show a layout look at its end."""
    return f"choice/{CHOICE} {_computed(pages)}" if pages else _computed(pages)


def _dtype(name: str) -> torch.dtype:
    known = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
    if name not in known:
        raise EngineError(f"'{name}' is no dtype of this engine", f"one of {', '.join(known)}")
    return known[name]


def _device(name: str) -> torch.device:
    """The device of that name, "auto" being the GPU where there is one; raises EngineError where it isn't there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise EngineError(f"'{name}' is no device of this engine", "one of auto, cpu, cuda, cuda:N")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise EngineError("torch finds no GPU", "--device cpu, or install a torch that was built for your GPU")
    return torch.device(name)


@contextmanager
def _told() -> Iterator[None]:
    """What the parts raise on purpose, and memory that is used up, as errors for a user."""
    try:
        yield
    except ScoutError as error:
        raise EngineError(str(error), "longctx engine describe DIR shows what is in it") from error
    except CacheError as error:
        raise EngineError(str(error), "longctx cache verify says what is wrong with the store") from error
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise EngineError("memory is used up", "a smaller kv_budget_mb, or a smaller prompt") from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        raise EngineError("memory is used up", "a smaller kv_budget_mb, or a smaller prompt") from error
