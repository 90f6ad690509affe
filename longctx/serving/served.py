"""The model that is served: its engine, and all that a request has to fit."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from longctx.completion import stop_ids
from longctx.engines.base import Engine, Prompt
from longctx.engines.opening import EngineSetup
from longctx.engines.scout_opening import open_model, read_shape
from longctx.errors import EngineError
from longctx.prefix_store import open_store
from longctx.serving.refusal import Refused
from longctx.vocabulary import Vocabulary, of_model

if TYPE_CHECKING:
    from cache.chain import BlockStore

MEMORY_SHARE = 4  # of free memory, one part is for prefixes that are not kept on disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model that is open; `root` is its folder, `version` says what makes its answers differ from another's."""

    name: str
    root: str
    version: str
    engine: Engine
    vocabulary: Vocabulary
    window_tokens: int
    vocabulary_tokens: int
    context_tokens: int
    stop_ids: frozenset[int]

    def check(self, prompt: Prompt, answer_tokens: int, param: str) -> None:
        """Refuse what the model has no room or no embedding for."""
        if (highest := max(prompt.ids)) >= self.vocabulary_tokens:
            raise Refused(f"{param} has token {highest:,}, this model knows {self.vocabulary_tokens:,}", param=param)
        # A short window leaves positions unused.
        positions = (len(prompt.starts) - 1) * self.window_tokens + len(prompt.ids) - prompt.starts[-1]
        if positions + answer_tokens > self.context_tokens:
            raise Refused(
                f"This model's maximum context length is {self.context_tokens} tokens. However, you requested "
                f"{positions + answer_tokens} tokens ({positions} in the prompt, {answer_tokens} for the completion).",
                param=param,
                code="context_length_exceeded",
            )


@contextmanager
def opened(setup: EngineSetup) -> Iterator[Served]:
    """The model of `setup`, its prefixes on disk or, without a place for them, in memory; raises LongctxError."""
    if setup.model is None:
        raise EngineError("the scout engine needs a folder of weights", "--model DIR, or the setting model")
    folder = Path(setup.model).expanduser()
    shape, vocabulary = read_shape(folder), of_model(folder)
    with ExitStack() as stack:
        store = _memory_store(folder)
        if setup.store is not None:
            store = stack.enter_context(open_store(setup.store, setup.store_limit_bytes))
        engine = stack.enter_context(open_model(folder, setup, store))
        identity, positions = engine.identity(), shape.max_positions
        yield Served(
            name=identity.model,
            root=str(folder),
            version=identity.version,
            engine=engine,
            vocabulary=vocabulary,
            window_tokens=shape.chunk,
            vocabulary_tokens=shape.vocab,
            context_tokens=min(positions, setup.context_tokens or positions),
            stop_ids=stop_ids(vocabulary) | set(shape.eos_ids),
        )


def _memory_store(folder: Path) -> "BlockStore":
    from cache.memory import MemoryStore
    from longctx.capacity import room

    return MemoryStore(limit_bytes=room(folder).ram_bytes // MEMORY_SHARE)
