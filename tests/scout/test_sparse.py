"""Sparse attention: bounds that no score exceeds, all pages equal to dense, and what was skipped never understated."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longctx.scout import sparse
from longctx.scout.config import read_config
from longctx.scout.kv import Context, HeldSegment, Kept
from longctx.scout.model import Scout
from longctx.scout.softmax import attending, log_mass_slack
from longctx.scout.sparse import PAGE_TOKENS, Choice, Outline, choose, group_bounds, page_bounds, skipped_share
from longctx.scout.weights import load_weights

SCALE = 0.25
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
NOTHING = -1e30


@contextmanager
def groups_of(pages: int) -> Iterator[None]:
    """So that a few windows have many groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse, "GROUP_PAGES", pages)
        patch.setattr(sparse, "LOOKS", 0)
        yield


@pytest.fixture
def looked_into(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many groups each choice by two levels looked into; a flat one is none."""
    counts: list[int] = []
    real = Outline.pages_in

    def noted(outline: Outline, groups: torch.Tensor) -> torch.Tensor:
        counts.append(len(groups))
        return real(outline, groups)

    monkeypatch.setattr(Outline, "pages_in", noted)
    return counts


def random_keys(tokens: Sequence[int], dtype: torch.dtype, generator: torch.Generator) -> list[torch.Tensor]:
    """Of windows with so many tokens and two key heads; pages differ in size, so that some groups are better."""
    return [
        (torch.randn(2, count, 16, generator=generator) * (1 + index % 3)).to(dtype)
        for index, count in enumerate(tokens)
    ]


def outlined(windows: Sequence[torch.Tensor]) -> Outline:
    outline = Outline()
    for keys in windows:
        outline.add(page_bounds(keys), keys.shape[1])
    return outline


def pages_of(windows: Sequence[torch.Tensor]) -> torch.Tensor:
    """The page of each token, over all windows."""
    within = [torch.arange(keys.shape[1]) // PAGE_TOKENS for keys in windows]
    starts = torch.tensor([0, *(int(pages[-1]) + 1 for pages in within)]).cumsum(0)
    return torch.cat([pages + start for pages, start in zip(within, starts[:-1], strict=True)])


def exact_scores(queries_tkgd: torch.Tensor, windows: Sequence[torch.Tensor]) -> torch.Tensor:
    """[k, r, s] in float64."""
    rows = queries_tkgd.double().permute(1, 2, 0, 3).flatten(1, 2)
    return rows @ torch.cat(list(windows), 1).double().transpose(1, 2) * SCALE


@settings(deadline=None, max_examples=50)
@given(
    tokens=st.lists(st.sampled_from([1, 63, 64, 65, 130, 400]), min_size=1, max_size=7),
    count=st.integers(2, 9),
    group=st.sampled_from([1, 2, 8]),
    size=st.sampled_from([0.02, 2.0, 30.0]),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_said_to_be_skipped_is_never_less_than_what_was(
    dtype: torch.dtype, tokens: list[int], count: int, group: int, size: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    windows = random_keys(tokens, dtype, generator)
    queries = (torch.randn(5, 2, 3, 16, generator=generator) * size).to(dtype)
    page_of = pages_of(windows)
    pages = int(page_of[-1]) + 1
    with groups_of(group):
        choice = choose(queries, outlined(windows), count, SCALE, torch.full((2, 15), NOTHING))
    assert choice.pages.tolist() == sorted(set(choice.pages.tolist()))
    assert len(choice.pages) == min(count, pages)
    assert [int(choice.pages[0]), int(choice.pages[-1])] == [0, pages - 1]
    keys, is_chosen = torch.cat(windows, 1), torch.isin(page_of, choice.pages)
    scores = exact_scores(queries, windows)
    assert (scores[..., ~is_chosen].logsumexp(-1) <= choice.rest_kr.double() + 1e-12).all()
    attended = attending(queries, SCALE, 1 << 20)
    attended.see(keys[:, is_chosen], keys[:, is_chosen])
    skipped = float(scores.softmax(-1)[..., ~is_chosen].sum(-1).max())
    slack = log_mass_slack(dtype, max(keys.shape[1], 1))
    assert skipped <= skipped_share(choice.rest_kr, attended.log_mass(), slack) + 1e-9


@settings(deadline=None, max_examples=50)
@given(count=st.integers(2, 30), size=st.sampled_from([0.1, 3.0, 100.0]), seed=st.integers(0, 99))
@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_never_makes_a_bound_too_small(dtype: torch.dtype, count: int, size: float, seed: int) -> None:
    """A window of one token has a page whose bound is its very score, so that only the slack is left."""
    generator = torch.Generator().manual_seed(seed)
    windows = random_keys([1] * 31, dtype, generator)
    queries = (torch.randn(40, 2, 1, 16, generator=generator) * size).to(dtype)
    choice = choose(queries, outlined(windows), count, SCALE, torch.full((2, 40), NOTHING))
    is_left = ~torch.isin(torch.arange(31), choice.pages)
    scores = exact_scores(queries, windows)
    least = scores[..., is_left].logsumexp(-1)
    assert (least <= choice.rest_kr.double()).all()
    slack = {torch.float32: 1e-3, torch.float16: 1e-3, torch.bfloat16: 0.02}[dtype] * (3 + scores.abs().amax(-1))
    negligible = scores.amax(-1) - 80
    assert (choice.rest_kr <= torch.maximum(least, negligible) + slack).all()


def test_a_row_that_weighs_all_alike_does_not_crowd_out_the_pages_that_another_needs() -> None:
    """It has every page near its own best; the other has two pages that matter, one of them not its best."""
    keys = torch.zeros(1, 40 * PAGE_TOKENS, 16)
    keys[0, :, 0] = torch.linspace(0, 0.1, keys.shape[1])
    keys[0, 7 * PAGE_TOKENS, 1], keys[0, 21 * PAGE_TOKENS, 1] = 20, 19
    queries = torch.zeros(2, 1, 1, 16)
    queries[0, ..., 0] = queries[1, ..., 1] = 1 / SCALE
    for group in (8, 1):
        with groups_of(group):
            chosen = choose(queries, outlined([keys]), 4, SCALE, torch.zeros(1, 2)).pages.tolist()
        assert {7, 21} < set(chosen)


@pytest.mark.parametrize("pages", [41, 165])
def test_a_row_to_which_all_is_alike_leaves_the_pages_to_others(pages: int) -> None:
    """A float32 mean of so many equal numbers comes out above them."""
    keys = torch.zeros(1, pages * PAGE_TOKENS, 16)
    keys[0, 7 * PAGE_TOKENS, 1], keys[0, 21 * PAGE_TOKENS, 1] = 20, 19
    queries = torch.zeros(2, 1, 1, 16)
    queries[1, ..., 1] = 1 / SCALE
    for group in (8, 1):
        with groups_of(group):
            chosen = choose(queries, outlined([keys]), 4, SCALE, torch.full((1, 2), 2.0)).pages.tolist()
        assert chosen == [0, 7, 21, pages - 1]


def test_a_row_that_has_seen_what_it_needs_leaves_the_pages_to_others() -> None:
    keys = torch.zeros(1, 9 * PAGE_TOKENS, 16)
    for page in range(1, 8):
        keys[0, page * PAGE_TOKENS, page % 2] = 10 + page / 10
    queries = torch.zeros(2, 1, 1, 16)
    queries[0, ..., 0] = queries[1, ..., 1] = 1 / SCALE
    for seen, odd in (((30.0, 0.0), True), ((0.0, 30.0), False)):
        chosen = choose(queries, outlined([keys]), 5, SCALE, torch.tensor([seen])).pages.tolist()[1:-1]
        assert all(page % 2 == odd for page in chosen)


def test_groups_that_promise_much_and_hold_little_do_not_hide_the_one_that_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Six groups have both halves of what the row asks for, but in different pages; one page has four fifths of all."""
    monkeypatch.setattr(sparse, "LOOKS", 0)
    keys = torch.zeros(1, 80 * 8 * PAGE_TOKENS, 16)
    for group in range(10, 70, 10):
        keys[0, group * 512, 1] = keys[0, group * 512 + 300, 2] = 50
    keys[0, 45 * 512 + 100, 1:3] = 40
    queries = torch.zeros(9, 1, 1, 16)
    queries[-1, ..., 1:3] = 1 / SCALE
    chosen = choose(queries, outlined([keys]), 10, SCALE, torch.zeros(1, 9)).pages.tolist()
    assert 45 * 8 + 1 in chosen


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("part", [1, 100, 1 << 20])
def test_pages_are_those_that_promise_most(
    dtype: torch.dtype, part: int, monkeypatch: pytest.MonkeyPatch, looked_into: list[int]
) -> None:
    """The plain way: all bounds in float64, flat; with two levels of which the first keeps what is best, too."""
    monkeypatch.setattr(sparse, "PART_SCORES", part)
    generator = torch.Generator().manual_seed(3)
    windows = random_keys([200, 64, 1, 700, 130], dtype, generator)
    queries = torch.randn(6, 2, 3, 16, generator=generator).to(dtype)
    rows = queries.double().permute(1, 2, 0, 3).flatten(1, 2)
    boxes = torch.cat([page_bounds(keys) for keys in windows], 1).double()
    edges = torch.stack(boxes.chunk(2, -1), 2)
    bounds = (rows[:, :, None, None] * edges[:, None]).amax(3).sum(-1) * SCALE + pages_of(windows).bincount().log()
    range_kr1 = bounds.amax(-1, keepdim=True) - bounds.mean(-1, keepdim=True)
    promised = (bounds * (math.log(20 * 20) / range_kr1).clamp(max=1)).softmax(-1).amax((0, 1))
    promised[0] = promised[-1] = 2
    outline, seen = outlined(windows), torch.full((2, 18), NOTHING)
    assert len(outline.groups) == 6
    least = float(promised.sort(descending=True).values[7])
    chosen = choose(queries, outline, 8, SCALE, seen)
    assert (promised[chosen.pages] >= least * (0.95 if dtype == torch.bfloat16 else 0.999)).all()
    with groups_of(1):
        same = choose(queries, outlined(windows), 9, SCALE, seen)
    assert looked_into == [9]
    assert torch.equal(same.pages, choose(queries, outline, 9, SCALE, seen).pages)
    assert looked_into == [9]


def test_two_levels_find_what_the_flat_way_finds(monkeypatch: pytest.MonkeyPatch, looked_into: list[int]) -> None:
    """One key of a thousand pages answers each query: the groups of all of them are looked into."""
    generator = torch.Generator().manual_seed(5)
    windows = [torch.randn(2, count * PAGE_TOKENS - 5, 16, generator=generator) for count in [25] * 40]
    queries = torch.randn(3, 2, 2, 16, generator=generator)
    wanted = [(3, 17), (20, 600), (39, 1300)]
    for row, (window, token) in enumerate(wanted):
        windows[window][:, token] = queries[row, :, 0] * 4
    outline = outlined(windows)
    assert len(outline.groups) == 40 * 4
    for looks, groups in ((sparse.LOOKS, []), (0, [10])):
        monkeypatch.setattr(sparse, "LOOKS", looks)
        chosen = choose(queries, outline, 8, SCALE, torch.zeros(2, 6)).pages.tolist()
        assert looked_into == groups
        assert {window * 25 + token // PAGE_TOKENS for window, token in wanted} < set(chosen)


@pytest.mark.parametrize(("tokens", "sizes"), [(1, [1]), (6, [6]), (7, [4, 3]), (13, [5, 4, 4])], ids=str)
def test_only_a_token_that_comes_alone_is_a_tile_of_its_own(
    wide: Path, tokens: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of an answer does: it looks into fewer groups than the tiles of a question."""
    model, seen = load(wide), list[int]()
    group = model.config.heads // model.config.kv_heads

    def noted(queries_tkgd: torch.Tensor, *how: Any) -> Choice:
        seen.append(len(queries_tkgd))
        return choose(queries_tkgd, *how)

    monkeypatch.setattr("longctx.scout.attention.TILE_ROWS", 6 * group)
    monkeypatch.setattr("longctx.scout.attention.choose", noted)
    context = model.context(sparse_pages=2)
    model.extend(context, IDS[:160])
    context.close_window(model.config.nope_layers)
    model.extend(context, IDS[160 : 160 + tokens])
    assert seen == sizes * len(model.config.nope_layers)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", DTYPES)
def test_on_a_gpu_nothing_that_was_skipped_is_left_unsaid(dtype: torch.dtype) -> None:
    """Products of half precision may be summed in half precision there."""
    generator = torch.Generator().manual_seed(6)
    windows = random_keys([400] * 9, dtype, generator)
    queries = (torch.randn(40, 2, 3, 16, generator=generator) * 3).to(dtype)
    outline = outlined([keys.cuda() for keys in windows])
    for group in (8, 1):
        with groups_of(group):
            choice = choose(queries.cuda(), outline, 4, SCALE, torch.full((2, 120), NOTHING).cuda())
        pages = choice.pages.cpu()
        assert len(pages) == 4 and [int(pages[0]), int(pages[-1])] == [0, 9 * 7 - 1]
        skipped = exact_scores(queries, windows)[..., ~torch.isin(pages_of(windows), pages)].logsumexp(-1)
        assert (skipped <= choice.rest_kr.cpu().double() + 1e-12).all()


def test_groups_lie_in_one_window_and_enclose_their_pages() -> None:
    windows = random_keys([1100, 64, 1, 512, 513], torch.float32, torch.Generator().manual_seed(0))
    outline = outlined(windows)
    counts = [8, 8, 2, 1, 1, 8, 8, 1]
    assert len(outline.groups) == len(counts)
    tokens = [512, 512, 76, 64, 1, 512, 512, 1]
    torch.testing.assert_close(outline.groups.log_tokens, torch.tensor(tokens).log())
    done = 0
    for group, count in enumerate(counts):
        pages = outline.pages_in(torch.tensor([group]))
        assert pages.tolist() == list(range(done, done + count))
        inside = outline.pages.some(pages)
        assert torch.equal(outline.groups.edges[:, group], group_bounds(inside.edges)[:, 0])
        assert inside.log_tokens.exp().sum().round() == tokens[group]
        done += count
    assert outline.pages_in(torch.tensor([1, 3, 7])).tolist() == [*range(8, 16), 18, len(outline.pages) - 1]


def test_an_outline_that_was_cut_goes_on_as_one_that_never_had_more() -> None:
    windows = random_keys([700, 64, 300, 1, 513, 40], torch.bfloat16, torch.Generator().manual_seed(0))
    outline = outlined(windows[:4])
    outline.cut(9)
    assert outline.windows == 4
    outline.cut(2)
    for keys in windows[4:]:
        outline.add(page_bounds(keys), keys.shape[1])
    plain = outlined(windows[:2] + windows[4:])
    for ours, theirs in ((outline.pages, plain.pages), (outline.groups, plain.groups)):
        assert torch.equal(ours.edges, theirs.edges) and torch.equal(ours.log_tokens, theirs.log_tokens)
        assert (ours.longest >= ours.edges.float().norm(dim=-1).amax(-1)).all()
    every = torch.arange(len(plain.groups))
    assert torch.equal(outline.pages_in(every), plain.pages_in(every))
    outline.cut(0)
    outline.add(page_bounds(windows[2]), 300)
    assert torch.equal(outline.pages.edges, page_bounds(windows[2]))


def test_windows_are_added_without_copying_those_there_are() -> None:
    outline, places = Outline(), set()
    for keys in random_keys([64] * 200, torch.float32, torch.Generator().manual_seed(0)):
        outline.add(page_bounds(keys), 64)
        places.add(outline.pages.edges.data_ptr())
    assert len(places) < 10


def test_a_share_that_is_no_number_is_all_of_it() -> None:
    assert skipped_share(torch.full((1, 1), torch.nan), torch.zeros(1, 1), 0.0) == 1
    keys = torch.full((1, 300, 16), torch.nan)
    choice = choose(torch.ones(1, 1, 1, 16), outlined([keys]), 2, SCALE, torch.zeros(1, 1))
    assert skipped_share(choice.rest_kr, torch.zeros(1, 1), 0.0) == 1


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Scout:
    config = read_config(folder)
    return Scout(config, load_weights(folder, config, dtype, torch.device("cpu")))


def answer(model: Scout, context: Context, ids: list[int], sizes: list[int]) -> torch.Tensor:
    """Logits after windows of these sizes, the last of which is fed in two uneven steps and one token."""
    after = []
    for size in sizes:
        window, ids = ids[:size], ids[size:]
        after.append(model.logits(model.extend(context, window)))
        context.close_window(model.config.nope_layers)
    rest = [model.logits(model.extend(context, step)) for step in (ids[:5], ids[5:-1], ids[-1:])]
    return torch.stack(after + rest)


@pytest.fixture(scope="session")
def wide(make_checkpoint: Callable[..., Path]) -> Path:
    """A chunk of 160 tokens, so that a window has several pages and a short last one."""
    return make_checkpoint("wide", attention_chunk_size=160)


SIZES = [160, 100, 160, 1, 160]
IDS = torch.randint(0, 128, (sum(SIZES) + 20,), generator=torch.Generator().manual_seed(1)).tolist()
ALL_PAGES = sum(-(-size // PAGE_TOKENS) for size in SIZES)


def test_all_pages_are_the_same_as_dense(wide: Path) -> None:
    model = load(wide)
    context = model.context(sparse_pages=ALL_PAGES)
    context_bytes = answer(model, context, IDS, SIZES)
    torch.testing.assert_close(context_bytes, answer(model, model.context(), IDS, SIZES), atol=2e-5, rtol=0)


def test_chosen_pages_that_are_all_pages_give_dense_attention(wide: Path) -> None:
    """The sparse path itself, which a budget as large as the context never takes."""
    from longctx.scout.attention import _dense, _sparse

    model = load(wide)
    context = model.context(sparse_pages=ALL_PAGES)
    answer(model, context, IDS, SIZES)
    queries = torch.randn(1, 2, 2, 16, generator=torch.Generator().manual_seed(2))
    context.window.tokens -= 1
    with torch.inference_mode():
        some = _sparse(queries, model.config, 1, context)
        every = _dense(queries, model.config, 1, context, context.segments)
    torch.testing.assert_close(some, every, atol=1e-5, rtol=0)
    assert context.skipped == 0


def test_fewer_pages_come_closer_with_each_page_and_say_what_they_skip(wide: Path) -> None:
    model = load(wide)
    dense = answer(model, model.context(), IDS, SIZES)
    gaps, skipped = [], []
    for pages in (2, 6, ALL_PAGES):
        context = model.context(sparse_pages=pages)
        gaps.append(float((answer(model, context, IDS, SIZES)[-1] - dense[-1]).abs().mean()))
        skipped.append(context.skipped)
    assert gaps[0] > gaps[1] > gaps[2]
    assert 1 >= skipped[0] >= skipped[1] > 0 == skipped[2]


@pytest.mark.parametrize("heads", [(1, 1), (2, 2), (2, 1)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_where_a_page_has_all_the_weight_sparse_attention_is_dense_attention(
    wide: Path, dtype: torch.dtype, heads: tuple[int, int]
) -> None:
    """Through many short windows, two levels, and tiles of which each has a needle of its own."""
    from longctx.scout.attention import _dense, _sparse

    (kv_heads, group), config = heads, read_config(wide)
    generator = torch.Generator().manual_seed(4)
    model = load(wide)
    context = Context(model.context().window, sparse_pages=6)
    sizes = [160, 100, 33, 64, 160, 1, 160, 128]
    queries_tk1d = torch.randn(len(sizes), kv_heads, 1, 16, generator=generator)
    queries_tk1d = queries_tk1d / queries_tk1d.norm(dim=-1, keepdim=True) * 25
    queries = queries_tk1d.repeat(1, 1, group, 1).to(dtype)
    for index, size in enumerate(sizes):
        keys, values = torch.randn(2, kv_heads, size, 16, generator=generator)
        keys[:, size // 2] += queries_tk1d[index, :, 0]
        kept = keys.to(dtype), values.to(dtype)
        context.segments.append(HeldSegment(size, {1: Kept(*kept, page_bounds(kept[0]))}))
    context.window._keys[1], context.window._values[1] = torch.zeros(2, kv_heads, 160, 16, dtype=dtype)
    with groups_of(2), pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr("longctx.scout.attention.TILE_ROWS", 2 * group)
        some = _sparse(queries, config, 1, context)
        every = _dense(queries, config, 1, context, context.segments)
    assert every.float().std() > 0.3
    torch.testing.assert_close(some, every, atol=0.02, rtol=0.02)
    assert context.skipped < 1e-9
