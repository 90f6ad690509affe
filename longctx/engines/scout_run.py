"""One prompt on its way through our model: what is stored is taken, what is missing prefilled and stored, then decode.

        windows   [0 .......... stored .......... closed .......... )   closed ones, of the prompt and of a long answer
        blocks    [0 ............ )                                     what the chain in the store has of the prompt's
        segments  [0 ................... )                              what the model's context has
        tail                                                       [ )   what the open window holds, or is to hold

blocks <= segments <= windows at all times, and a segment that has a block is read from it.
"""

import time
from array import array
from collections.abc import Generator, Iterator

import torch

from cache.chain import Block, Chain
from cache.errors import BlockDamaged, CacheError
from longctx.engines.base import EngineEvent, Finish, Finished, Prefilled, Sampling, Token, Warned
from longctx.scout.kv import MappedSegment, Shape
from longctx.scout.model import Scout
from longctx.scout.sampling import choose, seeded

MOST_DAMAGE = 3  # blocks that prove bad in one run before no more is stored: the disk itself is not to be trusted


class Run:
    """One call of the engine; closing its generator early leaves every window stored that was closed."""

    def __init__(
        self, model: Scout, chain: Chain | None, windows: "list[array[int]]", *, budget: int, sparse_pages: int | None
    ) -> None:
        self._model = model
        self._chain = chain
        self._windows = windows
        self._storable = len(windows) if chain else 0
        self._budget = budget
        self._context = model.context(sparse_pages)
        self._tail = array("I")
        self._total = sum(map(len, windows))
        self._resident_bytes = 0
        self._damaged = 0
        self._began = time.perf_counter()
        for block in chain.blocks if chain else ():
            self._context.segments.append(self._mapped(block))
        self._cached = sum(self._context.sizes)

    def warm(self) -> Iterator[EngineEvent]:
        """Prefills and stores all windows."""
        yield from self._filled()
        yield self._finished(Finish.LENGTH, 0, time.perf_counter())

    def answer(self, last: "array[int]", sampling: Sampling) -> Iterator[EngineEvent]:
        """Prefills what is missing and `last`, the window that stays open, and decodes."""
        self._total += len(last)
        self._tail = array("I", last)
        hidden_h = yield from self._reached()
        yield Prefilled(done=self._total, total=self._total, cached=self._cached)
        prefilled = time.perf_counter()
        answer = yield from self._decoded(hidden_h, sampling)
        reason = Finish.STOP if answer and answer[-1] in sampling.stop_ids else Finish.LENGTH
        yield self._finished(reason, len(answer), prefilled)

    def _decoded(self, hidden_h: torch.Tensor, sampling: Sampling) -> Generator[EngineEvent, None, list[int]]:
        generator = seeded(sampling.seed)
        answer: list[int] = []
        while len(answer) < sampling.max_tokens and not (answer and answer[-1] in sampling.stop_ids):
            if answer:
                hidden_h = yield from self._after(answer[-1])
            logits_v = self._model.logits(hidden_h)
            answer.append(choose(logits_v, temperature=sampling.temperature, top_p=sampling.top_p, generator=generator))
            yield Token(answer[-1])
        return answer

    def _after(self, token: int) -> Generator[EngineEvent, None, torch.Tensor]:
        """The hidden state after one more token, in the next window where this one is full."""
        if len(self._tail) == self._model.config.chunk:
            self._windows.append(self._tail)
            yield from self._close()
            self._tail = array("I")
        self._tail.append(token)
        try:
            return self._model.extend(self._context, [token])
        except BlockDamaged as error:
            yield self._cut(error)
        return (yield from self._reached())

    def _reached(self) -> Generator[EngineEvent, None, torch.Tensor]:
        """The hidden state at the end of the tail, over whatever is missing before it."""
        while True:
            yield from self._filled()
            try:
                return self._model.extend(self._context, self._tail)
            except BlockDamaged as error:
                yield self._cut(error)

    def _filled(self) -> Iterator[EngineEvent]:
        """Brings the context to the end of the closed windows."""
        while True:
            yield Prefilled(done=sum(self._context.sizes), total=self._total, cached=self._cached)
            if len(self._context.segments) == len(self._windows):
                return
            try:
                self._model.extend(self._context, self._windows[len(self._context.segments)])
                yield from self._close()
            except BlockDamaged as error:
                yield self._cut(error)

    def _close(self) -> Iterator[EngineEvent]:
        """The open window becomes a segment: stored where it can be, in memory otherwise."""
        segments = self._context.segments
        index = len(segments)
        held = self._context.close_window(self._model.config.nope_layers)
        if self._chain and index < self._storable:
            try:
                segments[index] = self._mapped(self._chain.append(self._windows[index], held.sections()))
            except CacheError as error:
                self._storable = 0
                yield Warned(f"{error}; from window {index + 1} on the prefix is kept in memory only")

    def _mapped(self, block: Block) -> MappedSegment:
        config, model = self._model.config, self._model
        is_resident = self._resident_bytes + block.nbytes <= self._budget
        self._resident_bytes += block.nbytes if is_resident else 0
        shape = Shape(config.kv_heads, config.head_dim, model.dtype, model.device)
        return MappedSegment(len(block.ids), shape, block, resident=is_resident)

    def _cut(self, error: BlockDamaged) -> Warned:
        """Forget the damaged block and all behind it, and the open window: they are computed again."""
        assert self._chain
        self._chain.cut(error.depth)
        self._context.cut(error.depth)
        self._cached = min(self._cached, sum(self._context.sizes))
        self._damaged += 1
        if self._damaged > MOST_DAMAGE:
            self._storable = 0
        return Warned(f"{error}; computed again from window {error.depth + 1} on")

    def _finished(self, reason: Finish, answer_tokens: int, prefilled: float) -> Finished:
        return Finished(
            reason=reason,
            prompt_tokens=self._total,
            cached_tokens=self._cached,
            answer_tokens=answer_tokens,
            prefill_s=prefilled - self._began,
            decode_s=time.perf_counter() - prefilled,
            skipped_mass=self._context.skipped,
        )
