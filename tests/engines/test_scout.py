"""The Scout engine with its store: what a restart, a damaged block, a full disk or an odd prompt does to an answer."""

import errno
import os
import shutil
from array import array
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import pytest
import torch

from cache import files
from cache.block import DiskBlock
from cache.disk_chain import DiskChain
from cache.errors import BlockDamaged, StoreFailed
from cache.keys import name_identity
from cache.memory import MemoryStore
from cache.store import DiskStore
from cache.verification import Verdict
from longctx.backend.windows import is_of
from longctx.engines import scout_opening, scout_run
from longctx.engines.base import EngineEvent, Finish, Finished, Prefilled, Prompt, Sampling, Token, Warned, contiguous
from longctx.engines.scout import ScoutEngine
from longctx.errors import DoesNotFit, EngineError
from longctx.scout.kv import Context, HeldSegment, MappedSegment
from longctx.scout.model import Scout
from longctx.scout.weights import load_weights

CHUNK = 32


def ids(count: int, seed: int = 0) -> "array[int]":
    return array("I", torch.randint(4, 128, (count,), generator=torch.Generator().manual_seed(seed)).tolist())


def short_windows(*sizes: int, seed: int = 0) -> Prompt:
    starts = tuple(sum(sizes[:index]) for index in range(len(sizes)))
    return Prompt(ids(sum(sizes), seed), starts, CHUNK)


def tokens(events: list[EngineEvent]) -> list[int]:
    return [event.id for event in events if isinstance(event, Token)]


def end(events: list[EngineEvent]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DiskStore]:
    with DiskStore.open(tmp_path / "prefix") as opened:
        yield opened


OpenEngine = Callable[..., ScoutEngine]


@pytest.fixture
def open_engine(scout: Path) -> OpenEngine:
    def open_(store: DiskStore | MemoryStore | None = None, folder: Path = scout, **how: object) -> ScoutEngine:
        how = {"dtype": "float32", "device": "cpu", **how}
        return ScoutEngine.open(folder, store=store, **how)  # type: ignore[arg-type]

    return open_


LONG = Sampling(max_tokens=70)  # over two more boundaries
SHORT = Sampling(max_tokens=5)


def logits_after(engine: ScoutEngine, monkeypatch: pytest.MonkeyPatch, prompt: Prompt) -> torch.Tensor:
    """All logits from which the engine chose."""
    seen: list[torch.Tensor] = []
    real = type(engine._model).logits

    def noted(model: object, hidden_h: torch.Tensor) -> torch.Tensor:
        seen.append(real(engine._model, hidden_h))
        return seen[-1]

    with monkeypatch.context() as patch:
        patch.setattr(type(engine._model), "logits", noted)
        list(engine.generate(prompt, SHORT))
    return torch.stack(seen)


@pytest.mark.parametrize("kept", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_going_on_from_a_stored_prefix_changes_no_logit_at_all(
    open_engine: OpenEngine, store: DiskStore, monkeypatch: pytest.MonkeyPatch, kept: int, dtype: str
) -> None:
    prompt = contiguous(ids(4 * CHUNK + 7), CHUNK)
    first = Prompt(prompt.ids[: kept * CHUNK + 3], prompt.starts[: kept + 1], CHUNK)
    without = logits_after(open_engine(None, dtype=dtype), monkeypatch, prompt)
    list(open_engine(store, dtype=dtype).generate(first, SHORT))
    again = open_engine(store, dtype=dtype)
    assert end(list(again.generate(prompt, SHORT))).cached_tokens == kept * CHUNK
    whole = end(list(again.generate(prompt, SHORT)))
    assert (whole.cached_tokens, whole.prompt_tokens) == (4 * CHUNK, 4 * CHUNK + 7)
    assert torch.equal(logits_after(again, monkeypatch, prompt), without)


def test_another_question_over_the_same_windows_prefills_the_question_only(
    open_engine: OpenEngine, store: DiskStore
) -> None:
    one, other = short_windows(20, 32, 9, 5), short_windows(20, 32, 9, 5)
    other.ids[-1] ^= 1
    first = list(open_engine(store).generate(one, LONG))
    cached = list(open_engine(store).generate(other, LONG))
    fresh = list(open_engine(None).generate(other, LONG))
    assert end(first).cached_tokens == 0
    assert end(cached).cached_tokens == 61
    assert tokens(cached) == tokens(fresh) != tokens(first)


def test_prefill_tells_how_far_it_is(open_engine: OpenEngine, store: DiskStore) -> None:
    prompt = short_windows(20, 32, 9, 5)
    told = [event for event in open_engine(store).generate(prompt, SHORT) if isinstance(event, Prefilled)]
    assert [(event.done, event.cached) for event in told] == [(0, 0), (20, 0), (52, 0), (61, 0), (66, 0)]
    assert {event.total for event in told} == {66}
    told = [event for event in open_engine(store).generate(prompt, SHORT) if isinstance(event, Prefilled)]
    assert [(event.done, event.cached) for event in told] == [(61, 61), (66, 61)]


def test_an_interrupted_prefill_keeps_its_closed_windows(open_engine: OpenEngine, store: DiskStore) -> None:
    prompt = short_windows(20, 32, 9, 5)
    running = open_engine(store).generate(prompt, SHORT)
    for event in running:
        if isinstance(event, Prefilled) and event.done == 52:
            assert isinstance(running, Generator)
            running.close()
    assert end(list(open_engine(store).generate(prompt, SHORT))).cached_tokens == 52
    assert {checked.verdict for checked in store.verify()} == {Verdict.OK}


def test_a_short_window_is_not_the_same_as_one_long_window(open_engine: OpenEngine) -> None:
    cut, whole = short_windows(10, 10), Prompt(ids(20), (0,), CHUNK)
    engine = open_engine(None)
    assert tokens(list(engine.generate(cut, LONG))) != tokens(list(engine.generate(whole, LONG)))


FIVE = (20, 32, 9, 30, 28)  # the sizes of closed windows, before an open one of 5


def warnings(events: list[EngineEvent]) -> list[str]:
    return [event.message for event in events if isinstance(event, Warned)]


def block_paths(store: DiskStore) -> list[Path]:
    """The files of one chain, in order."""
    return [files.block_path(store.folder, row.key) for row in store.rows()]


def damage(path: Path, at: int = -100) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 4
    path.write_bytes(raw)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> "list[list[int]]":
    """What went into the model at once, and came out of it."""
    seen: list[list[int]] = []
    real = Scout.extend

    def noted(model: Scout, context: Context, given: "array[int]") -> torch.Tensor:
        hidden_h = real(model, context, given)
        seen.append(list(given))
        return hidden_h

    monkeypatch.setattr(Scout, "extend", noted)
    return seen


@pytest.mark.parametrize("bad", [(0,), (1,), (4,), (1, 3), (0, 1), (3, 4)])
@pytest.mark.parametrize("moment", ["before", "while decoding"])
def test_each_damaged_block_is_computed_again_and_said_and_nothing_else_is(
    open_engine: OpenEngine, store: DiskStore, computed: "list[list[int]]", bad: tuple[int, ...], moment: str
) -> None:
    prompt = short_windows(*FIVE, 5)
    expected = tokens(list(open_engine(None).generate(prompt, LONG)))
    list(open_engine(store).generate(prompt, SHORT))
    paths = [block_paths(store)[depth] for depth in bad]
    for path in paths if moment == "before" else ():
        damage(path)
    computed.clear()
    events: list[EngineEvent] = []
    for event in open_engine(store, kv_budget_bytes=0).generate(prompt, LONG):
        events.append(event)
        if moment == "while decoding" and isinstance(event, Token) and len(tokens(events)) == 40:
            for path in paths:
                damage(path)
    assert tokens(events) == expected
    *windows, last = map(list, prompt.windows())
    answered = last + expected[: CHUNK - len(last)]  # a window of the answer that had closed by then
    assert [windows.index(given) for given in computed if given in windows] == list(bad)
    assert answered not in computed
    assert len(warnings(events)) == len(bad)
    assert end(events).cached_tokens == sum(FIVE) - sum(FIVE[depth] for depth in bad)
    told = [event for event in events if isinstance(event, Prefilled)]
    assert all(event.cached <= event.done <= event.total == sum(FIVE) + 5 for event in told)
    assert end(list(open_engine(store).generate(prompt, SHORT))).cached_tokens == sum(FIVE)


@pytest.mark.parametrize("fault", ["header", "gone"])
def test_what_lies_behind_a_block_that_is_missing_is_taken(
    open_engine: OpenEngine, store: DiskStore, computed: "list[list[int]]", fault: str
) -> None:
    prompt = short_windows(*FIVE, 5)
    expected = tokens(list(open_engine(store).generate(prompt, SHORT)))
    for path in (block_paths(store)[1], block_paths(store)[3]):
        damage(path, at=40) if fault == "header" else path.unlink()
    computed.clear()
    events = list(open_engine(store).warm(Prompt(prompt.ids[:-5], prompt.starts[:-1], CHUNK)))
    told = [(event.done, event.cached) for event in events if isinstance(event, Prefilled)]
    assert told == [(20, 20), (61, 29), (119, 57)]
    assert ([len(given) for given in computed], warnings(events)) == ([32, 30], [])
    assert tokens(list(open_engine(store).generate(prompt, SHORT))) == expected


def test_what_another_run_stores_meanwhile_is_taken(
    open_engine: OpenEngine, store: DiskStore, computed: "list[list[int]]"
) -> None:
    prompt = short_windows(*FIVE, 5)
    running, events = open_engine(store).generate(prompt, SHORT), []
    for event in running:
        events.append(event)
        if isinstance(event, Prefilled) and event.done == 20:
            ahead = list(open_engine(store).generate(prompt, SHORT))
            computed.clear()
    assert [len(given) for given in computed[:2]] == [32, 5]
    assert end(events).cached_tokens == sum(FIVE) - 20 - 32
    assert tokens(events) == tokens(ahead)


def test_blocks_that_are_taken_again_may_stay_in_memory_again(
    open_engine: OpenEngine, store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = short_windows(*FIVE, 5)
    list(open_engine(store).generate(prompt, SHORT))
    damage(block_paths(store)[1])
    resident: list[bool] = []

    def noted(*given: object, **how: bool) -> MappedSegment:
        resident.append(how["resident"])
        return MappedSegment(*given, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(scout_run, "MappedSegment", noted)
    room = sum(row.nbytes for row in store.rows())
    list(open_engine(store, kv_budget_bytes=room).generate(prompt, SHORT))
    assert resident == [True] * (5 + 4)


def test_a_disk_that_spoils_all_it_is_given_does_not_keep_a_run_from_its_end(
    open_engine: OpenEngine, store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(stored: DiskBlock, *_: object) -> memoryview:
        raise BlockDamaged(stored.key, stored.depth, "is damaged")

    prompt = short_windows(*FIVE, 5)
    expected = tokens(list(open_engine(None).generate(prompt, SHORT)))
    monkeypatch.setattr(DiskBlock, "section", spoiled)
    monkeypatch.setattr(scout_run, "MOST_DAMAGE", 2)
    events = list(open_engine(store).generate(prompt, SHORT))
    assert (tokens(events), len(warnings(events))) == (expected, 3)


@pytest.mark.parametrize("depth", [0, 1, 4])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM])
def test_stored_windows_that_cannot_be_mapped_are_computed_in_memory(
    open_engine: OpenEngine, store: DiskStore, monkeypatch: pytest.MonkeyPatch, depth: int, number: int
) -> None:
    prompt = short_windows(*FIVE, 5)
    expected = tokens(list(open_engine(store).generate(prompt, LONG)))
    mapped: list[int] = []
    real = files.map_private

    def scarce(descriptor: int, nbytes: int) -> object:
        if len(mapped) == depth:
            raise OSError(number, os.strerror(number))
        mapped.append(descriptor)
        return real(descriptor, nbytes)

    with monkeypatch.context() as patch:
        patch.setattr(files, "map_private", scarce)
        events = list(open_engine(store).generate(prompt, LONG))
    assert tokens(events) == expected
    (said,) = warnings(events)
    assert os.strerror(number) in said
    assert said.endswith(f"from window {depth + 1} on the prefix is kept in memory only")
    assert end(events).cached_tokens == sum(FIVE[:depth])
    assert end(list(open_engine(store).generate(prompt, SHORT))).cached_tokens == sum(FIVE)


def test_a_store_that_cannot_be_looked_up_costs_one_warning(open_engine: OpenEngine, store: DiskStore) -> None:
    prompt = short_windows(20, 32, 9, 5)
    expected = tokens(list(open_engine(store).generate(prompt, SHORT)))
    engine = open_engine(store)
    shutil.rmtree(store.folder / "leases")
    events = list(engine.generate(prompt, SHORT))
    (said,) = warnings(events)
    assert isinstance(events[0], Warned) and said.endswith("the prefix is kept in memory only")
    assert (tokens(events), end(events).cached_tokens) == (expected, 0)
    with pytest.raises(EngineError, match=r"the block store in .* failed"):
        list(engine.warm(prompt))


def no_lock(store: DiskStore, _: pytest.MonkeyPatch) -> None:
    (store.folder / "lock").unlink()
    (store.folder / "lock").mkdir()


def no_more(_: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StoreFailed("no more")

    monkeypatch.setattr(DiskChain, "follow", refuse)


@pytest.mark.parametrize(("spoil", "kept"), [(no_lock, 2), (no_more, 3)])
def test_a_store_that_fails_while_a_run_goes_on_costs_one_warning(
    open_engine: OpenEngine, store: DiskStore, monkeypatch: pytest.MonkeyPatch, spoil: Callable[..., None], kept: int
) -> None:
    prompt = short_windows(*FIVE, 5)
    expected = tokens(list(open_engine(None).generate(prompt, SHORT)))
    events = []
    for event in open_engine(store).generate(prompt, SHORT):
        events.append(event)
        if isinstance(event, Prefilled) and event.done == 52:
            spoil(store, monkeypatch)
    assert tokens(events) == expected
    (said,) = warnings(events)
    assert said.endswith(f"from window {kept + 1} on the prefix is kept in memory only")


def test_a_damaged_block_is_mended_where_the_rest_is_in_memory(
    open_engine: OpenEngine, store: DiskStore, computed: "list[list[int]]"
) -> None:
    """What is held behind it is not computed again either."""
    prompt = short_windows(*FIVE, 5)
    expected = tokens(list(open_engine(store).generate(prompt, LONG)))
    nbytes = [row.nbytes for row in store.rows()]
    store.prune(everything=True)
    store.limit_bytes = sum(nbytes[:3])
    computed.clear()
    events: list[EngineEvent] = []
    for event in open_engine(store, kv_budget_bytes=0).generate(prompt, LONG):
        events.append(event)
        if isinstance(event, Token) and len(tokens(events)) == 40:
            damage(block_paths(store)[1])
    assert tokens(events) == expected
    full, bad = warnings(events)
    assert full.endswith("from window 4 on the prefix is kept in memory only")
    assert "(window 2) is damaged" in bad and bad.endswith("; it is computed again")
    windows = [list(window) for window in prompt.windows()[:5]]
    assert [windows.index(given) for given in computed if given in windows] == [0, 1, 2, 3, 4, 1]
    assert len(store.rows()) == 3


def test_a_model_is_known_by_its_folder(open_engine: OpenEngine, store: DiskStore, scout: Path) -> None:
    engine = open_engine(store)
    list(engine.generate(short_windows(20, 5), SHORT))
    other = open_engine(store, attention="sparse:256")
    list(other.generate(short_windows(20, 5), SHORT))
    assert len({engine.identity().key, other.identity().key, open_engine(None, dtype="float16").identity().key}) == 3
    assert engine.identity().key == open_engine(None).identity().key
    sparse, dense = sorted(store.rows(), key=lambda row: row.layout)
    assert store.digest(name_identity(dense.model)) == scout.name
    assert (dense.model, dense.layout, sparse.layout) == (
        sparse.model,
        "nope-kv/1 dense",
        "nope-kv/1 choice/2 sparse:256",
    )


def test_a_folder_may_have_any_name(open_engine: OpenEngine, store: DiskStore, scout: Path, tmp_path: Path) -> None:
    shutil.copytree(scout, folder := tmp_path / os.fsdecode(b"b\xe9"))
    list(open_engine(store, folder).generate(short_windows(20, 5), SHORT))
    assert store.digest(name_identity(store.rows()[0].model)) == "b\ufffd"


class Failing(MemoryStore):
    """A store whose disk is full after some windows."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def put(self, *given: object, **named: object) -> object:  # type: ignore[override]
        if self.room == 0:
            raise StoreFailed("no space left on device")
        self.room -= 1
        return super().put(*given, **named)  # type: ignore[arg-type]


@pytest.mark.parametrize("room", [0, 1, 2])
def test_a_full_disk_costs_one_warning(open_engine: OpenEngine, room: int) -> None:
    prompt = short_windows(20, 32, 9, 5)
    events = list(open_engine(Failing(room)).generate(prompt, LONG))
    (said,) = warnings(events)
    assert "no space left" in said
    assert tokens(events) == tokens(list(open_engine(None).generate(prompt, LONG)))


def test_no_memory_for_stored_windows_changes_no_token(open_engine: OpenEngine, store: DiskStore) -> None:
    prompt = short_windows(20, 32, 9, 31, 30, 5)
    free = list(open_engine(store).generate(prompt, LONG))
    bound = list(open_engine(store, kv_budget_bytes=0).generate(prompt, LONG))
    assert end(bound).cached_tokens == 122
    assert tokens(bound) == tokens(free)


@pytest.mark.parametrize("change", [{"dtype": "bfloat16"}, {"attention": "sparse:256"}])
def test_what_changes_the_numbers_is_another_prefix(
    open_engine: OpenEngine, store: DiskStore, change: Mapping[str, str]
) -> None:
    prompt = short_windows(20, 32, 5)
    list(open_engine(store).generate(prompt, SHORT))
    assert end(list(open_engine(store, **change).generate(prompt, SHORT))).cached_tokens == 0


def test_budgets_of_the_same_pages_share_a_prefix(open_engine: OpenEngine, store: DiskStore) -> None:
    prompt = short_windows(20, 32, 5)
    list(open_engine(store, attention="sparse:128").generate(prompt, SHORT))
    cached = [
        end(list(open_engine(store, attention=f"sparse:{budget}").generate(prompt, SHORT))).cached_tokens
        for budget in (191, 192)
    ]
    assert cached == [52, 0]


@pytest.mark.parametrize(("attention", "cached"), [("dense", 52), ("sparse:128", 0)])
def test_another_way_to_choose_pages_is_another_prefix_where_pages_are_chosen(
    open_engine: OpenEngine, store: DiskStore, monkeypatch: pytest.MonkeyPatch, attention: str, cached: int
) -> None:
    prompt = short_windows(20, 32, 5)
    before = open_engine(store, attention=attention)
    list(before.generate(prompt, SHORT))
    identity = before.identity()
    monkeypatch.setattr("longctx.engines.scout.CHOICE", 1000)
    after = open_engine(store, attention=attention)
    assert end(list(after.generate(prompt, SHORT))).cached_tokens == cached
    assert (after.identity().digest == identity.digest) == (cached > 0)
    assert (after.identity().version, after.describe()) == (identity.version, before.describe())
    assert f" {attention} " in identity.version and f"attention {attention})" in before.describe()
    assert all(is_of(identity, row) and row.layout.endswith(f" {attention}") for row in store.rows())


def test_freed_memory_goes_back_once_in_so_many_closed_windows(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(scout_run, "RETURNING_WINDOWS", 2)
    monkeypatch.setattr(scout_run, "return_freed", lambda: told.append("returned"))
    list(open_engine(None).generate(short_windows(20, 32, 9, 5), SHORT))
    assert told == ["returned"] * 2


@pytest.mark.parametrize("own", [None, "ACTIVE"])
def test_how_threads_wait_is_not_told_to_programs_that_are_started_later(
    monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if own:
        monkeypatch.setenv("OMP_WAIT_POLICY", own)
    with scout_opening._waiting():
        assert os.environ["OMP_WAIT_POLICY"] == (own or "PASSIVE")
    assert scout_opening._scout() is ScoutEngine
    assert os.environ.get("OMP_WAIT_POLICY") == own


def test_other_weights_are_another_prefix(open_engine: OpenEngine, store: DiskStore, maverick: Path) -> None:
    prompt = short_windows(20, 32, 5)
    list(open_engine(store).generate(prompt, SHORT))
    assert end(list(open_engine(store, maverick).generate(prompt, SHORT))).cached_tokens == 0


def test_stop_tokens_end_an_answer(open_engine: OpenEngine) -> None:
    prompt = short_windows(20, 32, 5)
    all_of_it = tokens(list(open_engine(None).generate(prompt, LONG)))
    stop = all_of_it[3]
    events = list(open_engine(None).generate(prompt, Sampling(max_tokens=70, stop_ids=frozenset({stop}))))
    assert tokens(events) == all_of_it[: all_of_it.index(stop) + 1]
    assert (end(events).reason, end(events).answer_tokens) == (Finish.STOP, len(tokens(events)) - 1)


def test_a_seed_repeats_an_answer(open_engine: OpenEngine) -> None:
    prompt, engine = short_windows(20, 32, 5), open_engine(None)
    drawn = [
        tokens(list(engine.generate(prompt, Sampling(max_tokens=40, temperature=2.0, seed=seed)))) for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_a_model_is_not_made_for_is_refused(open_engine: OpenEngine, make_checkpoint: Callable[..., Path]) -> None:
    engine = open_engine(None, make_checkpoint("tight", max_position_embeddings=64))
    with pytest.raises(DoesNotFit, match="need 65 positions") as caught:
        list(engine.generate(short_windows(20, 28), Sampling(max_tokens=5)))
    assert caught.value.hint
    with pytest.raises(EngineError, match="knows 128 only"):
        list(engine.generate(Prompt(array("I", [128]), (0,), CHUNK), SHORT))
    with pytest.raises(EngineError, match="chunk is 32"):
        list(engine.generate(contiguous(ids(5), 64), SHORT))


WIDE = 160  # tokens of a chunk with pages to choose from, the last of them short


@pytest.fixture(scope="module")
def wide(make_checkpoint: Callable[..., Path]) -> Path:
    return make_checkpoint("wide", attention_chunk_size=WIDE)


def wide_prompt() -> Prompt:
    sizes = (160, 100, 160, 1, 160, 20)
    return Prompt(ids(sum(sizes)), tuple(sum(sizes[:index]) for index in range(len(sizes))), WIDE)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_sparse_answers_are_the_same_from_the_store(
    open_engine: OpenEngine, store: DiskStore, wide: Path, dtype: str
) -> None:
    """Without a store, storing, from the store, and from the store with no memory for it; with what was left out."""
    how = {"folder": wide, "dtype": dtype, "attention": "sparse:256"}
    runs = [
        list(engine.generate(wide_prompt(), Sampling(max_tokens=200)))
        for engine in (
            open_engine(None, **how),
            open_engine(store, **how),
            open_engine(store, **how),
            open_engine(store, kv_budget_bytes=0, **how),
        )
    ]
    assert [end(run).cached_tokens for run in runs] == [0, 0, 581, 581]
    assert len({tuple(tokens(run)) for run in runs}) == 1
    assert len({end(run).skipped_mass for run in runs}) == 1
    assert 0 < end(runs[0]).skipped_mass < 1
    assert tokens(runs[0]) != tokens(list(open_engine(None, wide, dtype=dtype).generate(wide_prompt(), LONG)))


@pytest.mark.parametrize("attention", ["dense", "sparse:256"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_damage_while_decoding_changes_no_token_of_any_kind(
    open_engine: OpenEngine, store: DiskStore, wide: Path, dtype: str, attention: str
) -> None:
    how = {"folder": wide, "dtype": dtype, "attention": attention}
    sampling = Sampling(max_tokens=250)
    expected = tokens(list(open_engine(None, **how).generate(wide_prompt(), sampling)))
    list(open_engine(store, **how).generate(wide_prompt(), SHORT))
    events: list[EngineEvent] = []
    for event in open_engine(store, kv_budget_bytes=0, **how).generate(wide_prompt(), sampling):
        events.append(event)
        if isinstance(event, Token) and len(tokens(events)) == 100:
            for path in block_paths(store):
                damage_everywhere(path)
    assert [event for event in events if isinstance(event, Warned)]
    assert tokens(events) == expected


def test_a_damaged_share_is_found_while_it_can_be_mended(open_engine: OpenEngine, store: DiskStore, wide: Path) -> None:
    """It is asked for at the end only, after the answer."""
    engine = open_engine(store, wide, attention="sparse:256")
    whole = list(engine.generate(wide_prompt(), SHORT))
    closed = Prompt(wide_prompt().ids[:-20], wide_prompt().starts[:-1], WIDE)
    for warming in (True, False):
        for path in block_paths(store):
            damage(path, at=-1)
        events = list(engine.warm(closed) if warming else engine.generate(wide_prompt(), SHORT))
        assert len(warnings(events)) == len(closed.starts)
        assert end(events).skipped_mass <= end(whole).skipped_mass
    assert tokens(events) == tokens(whole)


def test_sparse_attention_maps_no_stored_block(
    open_engine: OpenEngine, store: DiskStore, wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux maps up to 2 MiB around what is read: soon the whole store would count as this process's memory."""
    how = {"folder": wide, "attention": "sparse:128"}
    expected = list(open_engine(store, **how).generate(wide_prompt(), LONG))

    def refuse(*_: object) -> None:
        raise AssertionError("mapped")

    monkeypatch.setattr(files, "map_private", refuse)
    assert tokens(list(open_engine(store, **how).generate(wide_prompt(), LONG))) == tokens(expected)


def damage_everywhere(path: Path) -> None:
    """One bit in every 500 bytes of the second half, so that any page that is read next is damaged."""
    raw = bytearray(path.read_bytes())
    for at in range(len(raw) // 2, len(raw), 500):
        raw[at] ^= 1
    path.write_bytes(raw)


def test_what_is_no_number_is_not_stored(
    open_engine: OpenEngine, store: DiskStore, scout: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(scout, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.self_attn.k_proj.weight"][0, 0] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    engine = open_engine(store, folder)
    for run in (engine.generate(short_windows(20, 32, 5), SHORT), engine.warm(short_windows(20, 32))):
        with pytest.raises(EngineError, match="not a finite number") as caught:
            list(run)
        assert "engine describe" in caught.value.hint
    assert not store.rows()


def test_an_answer_is_never_stored(open_engine: OpenEngine, store: DiskStore) -> None:
    list(open_engine(store).generate(short_windows(20, 32, 5), LONG))
    assert [row.tokens for row in sorted(store.rows(), key=lambda row: row.depth)] == [20, 32]


@pytest.mark.parametrize(
    "how",
    [{"device": "cpu:abc"}, {"device": "tpu"}, {"dtype": "int8"}, {"attention": "sparse:127"}, {"attention": "mean"}],
)
def test_a_setting_that_is_none_is_said_at_once(open_engine: OpenEngine, how: dict[str, str]) -> None:
    with pytest.raises(EngineError, match=next(iter(how.values()))):
        open_engine(None, **how)


@pytest.mark.parametrize("bad", [{"temperature": -1.0}, {"top_p": 0.0}, {"seed": 2**64}, {"max_tokens": -1}], ids=str)
def test_sampling_that_makes_no_sense_is_refused_when_it_is_made(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(bad.values())))):
        Sampling(**bad)  # type: ignore[arg-type]


def test_weights_that_are_replaced_while_they_load_are_refused(
    open_engine: OpenEngine, store: DiskStore, scout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(scout, tmp_path / "model"))

    def loaded(*given: object) -> object:
        weights = load_weights(*given)  # type: ignore[arg-type]
        shutil.copy(folder / "model.safetensors", folder / "new")
        (folder / "new").replace(folder / "model.safetensors")
        return weights

    monkeypatch.setattr("longctx.engines.scout.load_weights", loaded)
    with pytest.raises(EngineError, match="changed while it was read"):
        open_engine(store, folder)


@pytest.mark.parametrize("spoil", [lambda raw: raw[:-4], None])
def test_a_block_of_another_shape_is_computed_in_memory(
    open_engine: OpenEngine, store: DiskStore, monkeypatch: pytest.MonkeyPatch, spoil: Callable[..., object] | None
) -> None:
    prompt = contiguous(ids(4 * CHUNK + 3), CHUNK)
    expected = tokens(list(open_engine().generate(prompt, SHORT)))
    whole = HeldSegment.sections

    def sections(held: HeldSegment) -> dict[str, object]:
        (name, raw), *others = whole(held).items()
        return {**({name: spoil(raw)} if spoil else {}), **dict(others)}

    monkeypatch.setattr(HeldSegment, "sections", sections)
    found = list(open_engine(store).generate(prompt, SHORT))
    assert tokens(found) == expected
    (said,) = warnings(found)
    assert "of this model; from window 1 on the prefix is kept in memory only" in said


@pytest.mark.parametrize(("attention", "sizes"), [("dense", [32, 32, 20]), ("sparse:128", [32, 32, 19, 1])])
def test_a_questions_last_token_chooses_its_own_pages(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch, attention: str, sizes: list[int]
) -> None:
    told: list[int] = []
    extend = Scout.extend
    monkeypatch.setattr(
        Scout, "extend", lambda model, context, ids: told.append(len(ids)) or extend(model, context, ids)
    )
    list(open_engine(None, attention=attention).generate(short_windows(32, 32, 20), Sampling(max_tokens=1)))
    assert told == sizes
