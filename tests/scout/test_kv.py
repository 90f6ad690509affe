"""Closed windows: what is kept is a copy, sections have a known length, pages are counted over all windows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from longctx.scout import kv
from longctx.scout.config import read_config
from longctx.scout.kv import Context, HeldSegment, Kept, MappedSegment, OpenWindow, Shape, section_bytes
from longctx.scout.sparse import PAGE_TOKENS, page_bounds

SHAPE = Shape(kv_heads=2, head_dim=4, dtype=torch.float32, device=torch.device("cpu"))


class Changing:
    """A source whose bytes can be changed in place."""

    def __init__(self, sections: dict[str, memoryview]) -> None:
        self.raw = {name: bytearray(section) for name, section in sections.items()}
        self.releases = 0

    def section(self, name: str, parts: Sequence[tuple[int, int]] | None = None) -> memoryview:
        return memoryview(self.raw[name])

    def release(self) -> None:
        self.releases += 1


def held(tokens: int) -> HeldSegment:
    keys, values = torch.randn(2, 2, tokens, 4, generator=torch.Generator().manual_seed(0))
    return HeldSegment(tokens, {3: Kept(keys, values, page_bounds(keys))}, 0.25)


def test_what_is_kept_in_memory_does_not_follow_its_source() -> None:
    segment = held(7)
    source = Changing(dict(segment.sections()))
    mapped = MappedSegment(7, SHAPE, source, resident=True)
    keys, values = mapped.keys(3), mapped.values(3)
    for raw in source.raw.values():
        raw[:] = bytes(len(raw))
    assert torch.equal(keys, segment.keys(3)) and torch.equal(mapped.keys(3), segment.keys(3))
    assert torch.equal(values, segment.values(3)) and torch.equal(mapped.values(3), segment.values(3))
    assert source.releases == 2


@pytest.mark.parametrize("tokens", [1, PAGE_TOKENS - 1, PAGE_TOKENS, PAGE_TOKENS + 1, 5 * PAGE_TOKENS])
def test_sections_have_the_length_that_is_expected(tokens: int) -> None:
    sections = held(tokens).sections()
    assert set(sections) == {"3.keys", "3.values", "3.bounds", "skipped"}
    for name, section in sections.items():
        assert section.nbytes == section_bytes(name, tokens, SHAPE)


class Partly:
    """A source that gives no bytes but those that were asked for, and tells what was done with it."""

    def __init__(self, sections: dict[str, memoryview], told: list[str]) -> None:
        self._sections = sections
        self._told = told

    def section(self, name: str, parts: Sequence[tuple[int, int]] | None = None) -> memoryview:
        self._told.append(name)
        whole = self._sections[name]
        return memoryview(bytearray().join(whole[a:b] for a, b in ([(0, len(whole))] if parts is None else parts)))

    def release(self) -> None:
        self._told.append("released")


SIZES = [5 * PAGE_TOKENS, 1, 3 * PAGE_TOKENS + 7, PAGE_TOKENS, 2 * PAGE_TOKENS - 1]
PAGES = [-(-size // PAGE_TOKENS) for size in SIZES]


@dataclass
class Windows:
    """Closed windows of SIZES in a context, every other one mapped; what their sources were asked for, by window."""

    context: Context
    keys: torch.Tensor
    values: torch.Tensor
    told: dict[int, list[str]] = field(default_factory=dict)


@pytest.fixture
def windows(scout: Path) -> Windows:
    context = Context(OpenWindow(read_config(scout), SHAPE.dtype, SHAPE.device), sparse_pages=2)
    keys, values = torch.randn(2, 2, sum(SIZES), 4, generator=torch.Generator().manual_seed(1))
    made = Windows(context, keys, values)
    for index, parts in enumerate(zip(keys.split(SIZES, 1), values.split(SIZES, 1), strict=True)):
        own = [part.contiguous() for part in parts]
        segment = HeldSegment(SIZES[index], {3: Kept(*own, page_bounds(own[0]))}, 0.1 * (index % 3))
        if index % 2 == 0:
            source = Partly(segment.sections(), made.told.setdefault(index, []))
            context.segments.append(MappedSegment(SIZES[index], SHAPE, source, resident=False))
        else:
            context.segments.append(segment)
    return made


def rows_of(pages: Sequence[int]) -> list[int]:
    """The tokens of these pages, over all windows."""
    starts = [
        (first + start, min(first + start + PAGE_TOKENS, stop))
        for first, stop in pairwise([0, *torch.tensor(SIZES).cumsum(0).tolist()])
        for start in range(0, stop - first, PAGE_TOKENS)
    ]
    return [row for page in pages for row in range(*starts[page])]


@pytest.mark.parametrize("batch_bytes", [1, 4096, 1 << 20])
@pytest.mark.parametrize("pages", [[0], [4, 5, 6], [0, 2, 9, 10, 12], list(range(sum(PAGES)))], ids=str)
def test_pages_are_read_across_windows_each_token_once(
    windows: Windows, pages: list[int], batch_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kv, "BATCH_BYTES", batch_bytes)
    batches = list(windows.context.some(3, pages))
    assert len(batches) == 1 or batch_bytes < 1 << 20
    keys, values = (torch.cat(parts, 1) for parts in zip(*batches, strict=True))
    assert torch.equal(keys, windows.keys[:, rows_of(pages)])
    assert torch.equal(values, windows.values[:, rows_of(pages)])


def test_windows_without_a_chosen_page_are_not_touched_and_the_others_let_go(windows: Windows) -> None:
    list(windows.context.some(3, [6, 8, 12]))
    assert windows.told == {0: [], 2: ["3.keys", "3.values", "released"], 4: ["3.keys", "3.values", "released"]}


def test_each_window_is_asked_for_its_bounds_once_and_then_let_go(windows: Windows) -> None:
    last = windows.context.segments.pop()
    for _ in range(3):
        assert len(windows.context.outline(3).pages) == sum(PAGES[:-1])
    windows.context.segments.append(last)
    for _ in range(3):
        outline = windows.context.outline(3)
    every = [page_bounds(part) for part in windows.keys.split(SIZES, 1)]
    assert torch.equal(outline.pages.edges, torch.cat(every, 1))
    assert windows.told == {index: ["3.bounds", "released"] for index in (0, 2, 4)}


def test_what_is_counted_follows_a_cut_and_what_comes_after_it(windows: Windows) -> None:
    context = windows.context
    assert (context.tokens, context.sizes) == (sum(SIZES), SIZES)
    assert context.most_skipped == pytest.approx(0.2)
    again = context.segments[3]
    context.outline(3)
    context.cut(2)
    assert (context.tokens, context.sizes) == (sum(SIZES[:2]), SIZES[:2])
    assert context.most_skipped == pytest.approx(0.1)
    context.segments.append(again)
    assert context.tokens == sum(SIZES[:2]) + SIZES[3]
    (keys, _), own = next(context.some(3, [5, 6])), windows.keys.split(SIZES, 1)
    assert torch.equal(keys, torch.cat([own[1], own[3]], 1))
    assert torch.equal(context.outline(3).pages.edges[:, -1:], page_bounds(own[3]))
    context.cut(0)
    assert (context.tokens, context.most_skipped) == (0, 0)


def test_what_was_skipped_is_asked_of_each_window_once(windows: Windows) -> None:
    for _ in range(3):
        assert windows.context.most_skipped == pytest.approx(0.2)
    assert [told.count("skipped") for told in windows.told.values()] == [1, 1, 1]
