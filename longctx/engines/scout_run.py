"""One prompt on its way through our model: what is stored is taken, what is missing prefilled and stored, then decode.

        windows   [0 .......... stored .......... closed .......... )   closed ones, of the prompt and of a long answer
        blocks    [0 ............ )                                     what the chain in the store has of the prompt's
        segments  [0 ................... )                              what the model's context has
        tail                                                       [ )   what the open window holds, or is to hold

blocks <= segments <= windows at all times, and a segment that has a block is read from it. Where a block proves bad,
blocks and segments end before it: its window is computed and stored again, and what is stored or held of those behind
it is taken as it is.
"""

import time
from array import array
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from cache.chain import Block, Chain
from cache.errors import BlockLost, BlockUnmapped, CacheError
from longctx.engines.base import EngineEvent, Finish, Finished, Prefilled, Sampling, Token, Warned
from longctx.scout.errors import NumericTrouble
from longctx.scout.kv import HeldSegment, MappedSegment, Segment, Shape, section_bytes
from longctx.scout.memory import return_freed
from longctx.scout.model import Scout
from longctx.scout.sampling import choose, seeded

RETURNING_WINDOWS = 16  # giving memory back takes some milliseconds, now and then fifty
MOST_DAMAGE = 16  # blocks that prove bad in one run before no more is stored: the disk itself is not to be trusted


class Run:
    """One call of the engine; closing its generator early leaves every window stored that was closed."""

    def __init__(
        self, model: Scout, chain: Chain | None, windows: "list[array[int]]", *, budget: int, sparse_pages: int | None
    ) -> None:
        self._model = model
        self._chain = chain
        self._windows = list(windows)
        self._storable = len(windows) if chain else 0
        self._copy_room = budget
        self._context = model.context(sparse_pages)
        self._tail = array("I")
        self._asked = 0  # tokens of the tail that came with the prompt, all at once; the others came one by one
        self._total = sum(map(len, windows))
        self._computed: set[int] = set()  # windows, by their index
        self._spare: dict[int, Segment] = {}  # by index: held ones from behind a bad block
        self._copied: list[int] = []  # the bytes that each block may keep copies of
        self._damaged = 0
        self._skipped = 0.0
        self._began = time.perf_counter()
        self._take(chain.blocks if chain else ())

    def warm(self) -> Iterator[EngineEvent]:
        """Prefills and stores all windows."""
        yield from self._filled()
        yield self._finished(Finish.LENGTH, 0, time.perf_counter())

    def answer(self, last: "array[int]", sampling: Sampling) -> Iterator[EngineEvent]:
        """Prefills what is missing and `last`, the window that stays open, and decodes."""
        self._total += len(last)
        self._tail = array("I", last)
        self._asked = len(last)
        hidden_h = yield from self._reached()
        yield self._prefilled(self._total)
        prefilled = time.perf_counter()
        answer = yield from self._decoded(hidden_h, sampling)
        reason = Finish.STOP if answer and answer[-1] in sampling.stop_ids else Finish.LENGTH
        yield self._finished(reason, len(answer) - (reason is Finish.STOP), prefilled)

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
            self._tail, self._asked = array("I"), 0
        self._tail.append(token)
        try:
            return self._extended([token])
        except BlockLost as error:
            yield self._cut(error)
        return (yield from self._reached())

    def _reached(self) -> Generator[EngineEvent, None, torch.Tensor]:
        """The hidden state at the end of the tail, over whatever is missing before it."""
        while True:
            yield from self._filled()
            try:
                return self._refed()
            except BlockLost as error:
                yield self._cut(error)

    def _refed(self) -> torch.Tensor:
        """The tail as it was fed: a batch rounds otherwise than its tokens one by one.

        In sparse attention the last token of the question comes alone: the pages that it reads are chosen for it and
        not for hundreds of tokens before it as well.
        """
        alone = self._asked - 1 if self._context.sparse_pages and self._asked > 1 else self._asked
        asked, rest = self._tail[:alone], self._tail[alone:]
        parts = [*([asked] if asked else []), *([token] for token in rest)]
        return [self._extended(part) for part in parts][-1]

    def _extended(self, ids: Sequence[int]) -> torch.Tensor:
        """The hidden state after `ids`. Raises NumericTrouble: what is no number must not be stored."""
        hidden_h = self._model.extend(self._context, ids)
        if not bool(torch.isfinite(hidden_h).all()):
            raise NumericTrouble("the model computed what is not a finite number; try another dtype, or the weights")
        return hidden_h

    def _filled(self) -> Iterator[EngineEvent]:
        """Brings the context to the end of the closed windows."""
        while True:
            yield self._prefilled(sum(self._context.sizes))
            try:
                if len(self._context.segments) == len(self._windows):
                    # Read for the end, of stored windows too, while a lost one can still be computed again.
                    self._skipped = self._context.most_skipped
                    return
                self._extended(self._windows[len(self._context.segments)])
                yield from self._close()
            except BlockLost as error:
                yield self._cut(error)

    def _close(self) -> Iterator[EngineEvent]:
        """The open window becomes a segment, and those behind it that are there already follow."""
        segments = self._context.segments
        index = len(segments)
        held = self._context.close_window(self._model.config.nope_layers)
        self._computed.add(index)
        if self._chain and index < self._storable:
            try:
                self._store(self._chain, held)
            except CacheError as error:
                self._storable = len(self._chain.blocks)
                yield Warned(f"{error}; from window {self._storable + 1} on the prefix is kept in memory only")
        while len(segments) in self._spare:
            segments.append(self._spare.pop(len(segments)))
        if index % RETURNING_WINDOWS == 0:
            return_freed()

    def _store(self, chain: Chain, held: HeldSegment) -> None:
        """The last segment goes to the store, and what the store has of the next windows is taken.

        There are some where a bad block is mended, and where another process is ahead with the same prompt.
        """
        segments = self._context.segments
        block = chain.append(self._windows[len(segments) - 1], held.sections())
        segments[-1] = self._mapped(block)
        known = len(segments)
        if known < self._storable:
            chain.follow(self._windows[known : self._storable])
            self._take(chain.blocks[known:])

    def _take(self, blocks: Iterable[Block]) -> None:
        self._context.segments.extend(map(self._mapped, blocks))

    def _mapped(self, block: Block) -> MappedSegment:
        config, model = self._model.config, self._model
        depth, tokens = len(self._copied), len(block.ids)
        copied = block.nbytes if block.nbytes <= self._copy_room else 0
        self._copied.append(copied)
        self._copy_room -= copied
        shape = Shape(config.kv_heads, config.head_dim, model.dtype, model.device)
        return MappedSegment(tokens, shape, Sections(block, depth, tokens, shape), resident=copied > 0)

    def _cut(self, error: BlockLost) -> Warned:
        """Forget the bad block and all stored ones behind it, and what the open window holds."""
        assert self._chain
        behind = enumerate(self._context.segments[error.depth + 1 :], error.depth + 1)
        self._spare.update((index, segment) for index, segment in behind if isinstance(segment, HeldSegment))
        self._chain.cut(error.depth)
        self._context.cut(error.depth)
        self._copy_room += sum(self._copied[error.depth :])
        del self._copied[error.depth :]
        if isinstance(error, BlockUnmapped):
            self._storable = min(self._storable, error.depth)
            return Warned(f"{error}; from window {error.depth + 1} on the prefix is kept in memory only")
        self._damaged += 1
        if self._damaged > MOST_DAMAGE:
            self._storable = 0
        return Warned(f"{error}; it is computed again")

    def _prefilled(self, done: int) -> Prefilled:
        return Prefilled(done=min(done, self._total), total=self._total, cached=self._cached())

    def _cached(self) -> int:
        """Tokens whose segments were not computed in this run."""
        return sum(size for index, size in enumerate(self._context.sizes) if index not in self._computed)

    def _finished(self, reason: Finish, answer_tokens: int, prefilled: float) -> Finished:
        return Finished(
            reason=reason,
            prompt_tokens=self._total,
            cached_tokens=self._cached(),
            answer_tokens=answer_tokens,
            prefill_s=prefilled - self._began,
            decode_s=time.perf_counter() - prefilled,
            skipped_mass=max(self._skipped, self._context.most_skipped),
        )


@dataclass(frozen=True, slots=True)
class Sections:
    """A block's sections, each of the size that the model makes them.

    One that is not can't be stored again under its key, so what follows is kept in memory.
    """

    block: Block
    depth: int
    tokens: int
    shape: Shape

    def section(self, name: str, parts: Sequence[tuple[int, int]] | None = None) -> memoryview:
        """See `Block.section`; raises BlockLost."""
        try:
            found = self.block.size(name)
        except KeyError:
            found = -1
        if found != section_bytes(name, self.tokens, self.shape):
            raise BlockUnmapped(self.block.key, self.depth, f"has not the {name} of this model")
        return self.block.section(name, parts)

    def release(self) -> None:
        """See `Block.release`."""
        self.block.release()
