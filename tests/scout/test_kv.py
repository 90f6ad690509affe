"""Closed windows whose bytes lie elsewhere: what is kept is a copy, and every section has a length to be checked by."""

from collections.abc import Sequence

import pytest
import torch

from longctx.scout.kv import HeldSegment, Kept, MappedSegment, Shape, section_bytes
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
