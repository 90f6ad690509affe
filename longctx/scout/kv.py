"""The keys and values of one sequence: closed windows keep their NoPE layers only, the open one keeps all layers.

A local (RoPE) layer never looks across a window's edge, so when a window closes, its local keys and values are done
with. What is left lies in segments, in memory or mapped from a file, and is read tile by tile.

Legend: k key heads, s tokens of a window, d head size.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

import torch

from longctx.scout.config import ScoutConfig
from longctx.scout.sparse import PAGE_TOKENS, Outline, page_bounds

SHARE = struct.Struct("<d")
BATCH_BYTES = 32 << 20


class Segment(Protocol):
    """A closed window: what the NoPE layers, by their index, keep of it."""

    @property
    def tokens(self) -> int: ...

    def keys(self, layer: int) -> torch.Tensor:
        """[k, s, d]; valid until `seen`."""
        ...

    def values(self, layer: int) -> torch.Tensor:
        """[k, s, d]; valid until `seen`."""
        ...

    def bounds(self, layer: int) -> torch.Tensor:
        """`sparse.page_bounds` of its keys."""
        ...

    def some(self, layer: int, pages: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of these pages, one after another: copies [k, n, d]."""
        ...

    def skipped(self) -> float:
        """The most of a query's attention that was skipped while this window was computed, of 1."""
        ...

    def seen(self) -> None:
        """A layer is done with it for now: what lies beyond the budget gives its memory back."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """What one NoPE layer keeps of a closed window; without sparse attention it needs no bounds."""

    keys: torch.Tensor
    values: torch.Tensor
    bounds: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class HeldSegment:
    """A closed window in memory, by layer."""

    tokens: int
    kept: dict[int, Kept]
    most_skipped: float | None = None  # without sparse attention there is nothing to say

    def keys(self, layer: int) -> torch.Tensor:
        return self.kept[layer].keys

    def values(self, layer: int) -> torch.Tensor:
        return self.kept[layer].values

    def bounds(self, layer: int) -> torch.Tensor:
        bounds = self.kept[layer].bounds
        assert bounds is not None
        return bounds

    def some(self, layer: int, pages: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return _gathered(self.keys(layer), pages), _gathered(self.values(layer), pages)

    def skipped(self) -> float:
        return self.most_skipped or 0.0

    def seen(self) -> None:
        """Nothing: this is the only copy."""

    def sections(self) -> dict[str, memoryview]:
        """Its bytes under the names that a MappedSegment reads; copied only from another device."""
        named = {}
        for layer, kept in self.kept.items():
            for name, tensor in (("keys", kept.keys), ("values", kept.values), ("bounds", kept.bounds)):
                if tensor is not None:
                    named[f"{layer}.{name}"] = _bytes(tensor)
        if self.most_skipped is not None:
            named["skipped"] = memoryview(SHARE.pack(self.most_skipped))
        return named


@dataclass(frozen=True, slots=True)
class Shape:
    """What bytes of keys and values are to be read as."""

    kv_heads: int
    head_dim: int
    dtype: torch.dtype
    device: torch.device


def section_bytes(name: str, tokens: int, shape: Shape) -> int:
    """How long a section of a window is."""
    if name == "skipped":
        return SHARE.size
    rows = 2 * -(-tokens // PAGE_TOKENS) if name.endswith(".bounds") else tokens
    return shape.kv_heads * rows * shape.head_dim * shape.dtype.itemsize


class Source(Protocol):
    """Where a closed window's bytes lie; both may raise, and that passes through."""

    def section(self, name: str, parts: Sequence[tuple[int, int]] | None = None) -> memoryview:
        """All bytes under a name; with `parts`, a copy of those between these offsets, one after the other."""
        ...

    def release(self) -> None:
        """Give their memory back."""
        ...


class MappedSegment:
    """A closed window whose bytes lie elsewhere; a `resident` one keeps copies of what it has read whole.

    All else is read where it lies, so its bytes must not change in place while they are in use.
    """

    def __init__(self, tokens: int, shape: Shape, source: Source, *, resident: bool) -> None:
        self.tokens = tokens
        self._shape = shape
        self._source = source
        self._resident = resident
        self._kept: dict[str, torch.Tensor] = {}

    def keys(self, layer: int) -> torch.Tensor:
        return self._tensor(f"{layer}.keys")

    def values(self, layer: int) -> torch.Tensor:
        return self._tensor(f"{layer}.values")

    def bounds(self, layer: int) -> torch.Tensor:
        return self._shaped(self._copied(f"{layer}.bounds"), 2 * self._shape.head_dim)

    def some(self, layer: int, pages: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = (self._some(f"{layer}.{name}", pages) for name in ("keys", "values"))
        return keys, values

    def skipped(self) -> float:
        return float(SHARE.unpack(self._copied("skipped"))[0])

    def seen(self) -> None:
        if not self._resident:
            self._source.release()

    def _copied(self, name: str) -> memoryview:
        """A whole section that is looked at once: a map of it would stay."""
        return self._source.section(name, [(0, section_bytes(name, self.tokens, self._shape))])

    def _tensor(self, name: str) -> torch.Tensor:
        if name in self._kept:
            return self._kept[name]
        tensor = self._shaped(self._source.section(name), self._shape.head_dim, copy=self._resident)
        if self._resident:
            self._kept[name] = tensor
            self._source.release()
        return tensor

    def _some(self, name: str, pages: Sequence[int]) -> torch.Tensor:
        if name in self._kept:
            return _gathered(self._kept[name], pages)
        shape = self._shape
        row = shape.head_dim * shape.dtype.itemsize
        starts = [head * self.tokens + page * PAGE_TOKENS for head in range(shape.kv_heads) for page in pages]
        stops = [min(start + PAGE_TOKENS, (start // self.tokens + 1) * self.tokens) for start in starts]
        parts = [(start * row, stop * row) for start, stop in zip(starts, stops, strict=True)]
        return self._shaped(self._source.section(name, parts), shape.head_dim)

    def _shaped(self, raw: memoryview, width: int, *, copy: bool = False) -> torch.Tensor:
        """[k, s or p, width] on the model's device."""
        flat = torch.frombuffer(raw, dtype=self._shape.dtype)
        return flat.view(self._shape.kv_heads, -1, width).to(self._shape.device, copy=copy)


class OpenWindow:
    """The window that is being filled; `tokens` of its room are used, in every layer alike."""

    def __init__(self, config: ScoutConfig, dtype: torch.dtype, device: torch.device) -> None:
        shape = (config.kv_heads, config.chunk, config.head_dim)
        self.tokens = 0
        self._keys = [torch.empty(shape, dtype=dtype, device=device) for _ in range(config.layers)]
        self._values = [torch.empty(shape, dtype=dtype, device=device) for _ in range(config.layers)]

    def write(self, layer: int, keys_ktd: torch.Tensor, values_ktd: torch.Tensor) -> None:
        """Put the keys and values of the next tokens behind those there are; `tokens` moves when all layers have."""
        stop = self.tokens + keys_ktd.shape[1]
        self._keys[layer][:, self.tokens : stop] = keys_ktd
        self._values[layer][:, self.tokens : stop] = values_ktd

    def read(self, layer: int, start: int = 0, stop: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the tokens from `start` to `stop`, those that are used by default: views [k, s, d]."""
        stop = self.tokens if stop is None else stop
        return self._keys[layer][:, start:stop], self._values[layer][:, start:stop]


@dataclass(slots=True)
class Context:
    """A sequence so far. Positions follow from it: windows are whole multiples of the chunk, even when short.

    With `sparse_pages` NoPE layers read only so many pages of the closed windows; `skipped` is then the most of a
    query's attention that was not read in the open window so far, of 1.
    """

    window: OpenWindow
    segments: list[Segment] = field(default_factory=list)
    sparse_pages: int | None = None
    skipped: float = 0.0
    _outlines: dict[int, Outline] = field(default_factory=dict)
    _ends: list[tuple[int, int]] = field(default_factory=list)  # the tokens and the pages up to each window's end
    _skipped: list[float] = field(default_factory=list)  # the most up to each window's end

    @property
    def sizes(self) -> list[int]:
        """The tokens of each closed window."""
        return [segment.tokens for segment in self.segments]

    @property
    def tokens(self) -> int:
        """In all closed windows."""
        return self._counted()[-1][0] if self.segments else 0

    def close_window(self, nope_layers: Sequence[int]) -> HeldSegment:
        """Ends the open window: copies out what stays of it and empties it; the segment is the last from now on."""
        kept = {layer: self._kept(layer) for layer in nope_layers}
        held = HeldSegment(self.window.tokens, kept, self.skipped if self.sparse_pages else None)
        self.window.tokens, self.skipped = 0, 0.0
        self.segments.append(held)
        return held

    def cut(self, windows: int) -> None:
        """Forget the closed windows from that one on, and what the open one holds."""
        for known in (self.segments, self._ends, self._skipped):
            del known[windows:]
        for outline in self._outlines.values():
            outline.cut(windows)
        self.window.tokens, self.skipped = 0, 0.0

    @property
    def most_skipped(self) -> float:
        """The most of any query's attention that was skipped, that of stored windows' queries too."""
        for segment in self.segments[len(self._skipped) :] if self.sparse_pages else ():
            self._skipped.append(max((segment.skipped(), *self._skipped[-1:])))
        return max((self.skipped, *self._skipped[-1:]))

    def outline(self, layer: int) -> Outline:
        """Of all closed windows; kept, and added to as windows close."""
        outline = self._outlines.setdefault(layer, Outline())
        for segment in self.segments[outline.windows :]:
            outline.add(segment.bounds(layer), segment.tokens)
            segment.seen()
        return outline

    def some(self, layer: int, pages: Sequence[int]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of these pages, which are counted over all closed windows and in order: copies [k, n, d].

        Each time those of as many segments as make BATCH_BYTES of keys and values, the last time fewer; a segment's
        memory is let go before the next one is read.
        """
        parts: list[tuple[torch.Tensor, torch.Tensor]] = []
        nbytes = 0
        for segment, mine in self._located(pages):
            keys, values = segment.some(layer, mine)
            parts.append((keys, values))
            nbytes += keys.nbytes + values.nbytes
            segment.seen()
            if nbytes >= BATCH_BYTES:
                yield _joined(parts)
                parts, nbytes = [], 0
        if parts:
            yield _joined(parts)

    def _located(self, pages: Sequence[int]) -> Iterator[tuple[Segment, list[int]]]:
        """The segments that these pages lie in, and which of each segment's."""
        ends = [0, *(pages for _, pages in self._counted())]
        for index, mine in groupby(pages, lambda page: bisect_right(ends, page) - 1):
            yield self.segments[index], [page - ends[index] for page in mine]

    def _counted(self) -> list[tuple[int, int]]:
        for segment in self.segments[len(self._ends) :]:
            tokens, pages = self._ends[-1] if self._ends else (0, 0)
            self._ends.append((tokens + segment.tokens, pages + -(-segment.tokens // PAGE_TOKENS)))
        return self._ends

    def _kept(self, layer: int) -> Kept:
        keys, values = (x.clone(memory_format=torch.contiguous_format) for x in self.window.read(layer))
        return Kept(keys, values, page_bounds(keys) if self.sparse_pages else None)


def _gathered(x_ksd: torch.Tensor, pages: Sequence[int]) -> torch.Tensor:
    """The tokens of these pages, [k, n, d]."""
    return torch.cat([x_ksd[:, page * PAGE_TOKENS : (page + 1) * PAGE_TOKENS] for page in pages], 1)


def _joined(parts: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    keys, values = zip(*parts, strict=True)
    return torch.cat(keys, 1), torch.cat(values, 1)


def _bytes(tensor: torch.Tensor) -> memoryview:
    array = tensor.cpu().view(torch.uint8).numpy()
    return memoryview(array.data).cast("B")
