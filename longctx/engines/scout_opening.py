"""The Scout engine from its setup: torch is loaded here at the latest, and what it lacks is said in one line."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from longctx.engines.opening import EngineSetup
from longctx.errors import EngineError
from longctx.packing import WINDOW_TOKENS
from longctx.prefix_store import open_store
from longctx.vocabulary import VOCABULARY_TOKENS, llama4, of_model

if TYPE_CHECKING:
    from cache.chain import BlockStore
    from longctx.engines.scout import ScoutEngine
    from longctx.scout.config import ScoutConfig

# How torch's threads wait for each other: read as it is loaded, and not meant for programs that are started later. The
# library's own way, to spin, is a quarter faster on an idle machine and twenty times slower where another program wants
# a core.
WAITING = ("OMP_WAIT_POLICY", "PASSIVE")
EXTRA = 'the scout engine needs torch: pip install "longctx[scout]"'


@contextmanager
def opened(setup: EngineSetup) -> "Iterator[ScoutEngine]":
    """The model of `setup`, which must be able to read prompts over a corpus, with its store; raises EngineError."""
    if setup.model is None:
        raise EngineError("the scout engine needs a folder of weights", "--model DIR, or the setting model")
    folder = Path(setup.model).expanduser()
    check_fits_corpora(folder)
    with ExitStack() as stack:
        store = None
        if setup.store is not None:
            store = stack.enter_context(open_store(setup.store, setup.store_limit_bytes))
        yield stack.enter_context(open_model(folder, setup, store))


@contextmanager
def open_model(folder: Path, setup: EngineSetup, store: "BlockStore | None") -> "Iterator[ScoutEngine]":
    """The model in a folder, whatever its windows; raises EngineError."""
    model = _scout().open(
        folder,
        store=store,
        dtype=setup.dtype,
        device=setup.device,
        threads=setup.threads,
        attention=setup.attention,
        kv_budget_bytes=setup.kv_budget_bytes,
    )
    with closing(model):
        yield model


def check_fits_corpora(folder: Path, *, quantized: bool = False) -> "ScoutConfig":
    """The shape of a model that can read prompts over a corpus; raises EngineError for another one."""
    shape = read_shape(folder, quantized=quantized)
    if shape.chunk != WINDOW_TOKENS:
        raise EngineError(f"{folder}: its chunk is {shape.chunk:,} tokens, prompts have windows of {WINDOW_TOKENS:,}")
    if shape.vocab < VOCABULARY_TOKENS:
        raise EngineError(
            f"{folder}: it knows {shape.vocab:,} tokens, prompts are made of Llama 4's {VOCABULARY_TOKENS:,}"
        )
    if of_model(folder).fingerprint != llama4().fingerprint:
        raise EngineError(f"{folder}: its tokenizer is not Llama 4's, of which prompts are made")
    return shape


def read_shape(folder: Path, *, quantized: bool = False) -> "ScoutConfig":
    """The shape of the model in `folder`, whose weights may be `quantized`; raises EngineError."""
    from longctx.scout.config import read_config
    from longctx.scout.errors import CheckpointError

    try:
        return read_config(folder, quantized=quantized)
    except CheckpointError as error:
        raise EngineError(str(error), "name the folder that holds config.json") from error


def _scout() -> "type[ScoutEngine]":
    try:
        with _waiting():
            from longctx.engines.scout import ScoutEngine
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("torch", "safetensors"):
            raise
        raise EngineError(EXTRA) from error
    except (ImportError, OSError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise EngineError(f"torch can't be loaded: {reason}", "install it again for this machine") from error
    return ScoutEngine


@contextmanager
def _waiting() -> Iterator[None]:
    """The environment with WAITING, where it does not say another way itself."""
    name, way = WAITING
    if name in os.environ:
        yield
        return
    os.environ[name] = way
    try:
        yield
    finally:
        del os.environ[name]
