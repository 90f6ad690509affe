"""The Scout engine with its store: what a restart, a damaged block, a full disk or an odd prompt does to an answer."""

from array import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch

from cache.errors import StoreFailed
from cache.memory import MemoryStore
from cache.store import DiskStore
from cache.verification import Verdict
from longctx.engines.base import EngineEvent, Finish, Finished, Prefilled, Prompt, Sampling, Token, Warned, contiguous
from longctx.engines.scout import ScoutEngine
from longctx.errors import DoesNotFit, EngineError

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
            running.close()
    assert end(list(open_engine(store).generate(prompt, SHORT))).cached_tokens == 52
    assert {checked.verdict for checked in store.verify()} == {Verdict.OK}


def test_a_short_window_is_not_the_same_as_one_long_window(open_engine: OpenEngine) -> None:
    cut, whole = short_windows(10, 10), Prompt(ids(20), (0,), CHUNK)
    engine = open_engine(None)
    assert tokens(list(engine.generate(cut, LONG))) != tokens(list(engine.generate(whole, LONG)))


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("moment", ["before", "while decoding"])
def test_a_damaged_block_is_computed_again_and_said(
    open_engine: OpenEngine, tmp_path: Path, depth: int, moment: str
) -> None:
    prompt = short_windows(20, 32, 9, 30, 5)
    expected = tokens(list(open_engine(None).generate(prompt, LONG)))
    with DiskStore.open(tmp_path / "prefix") as store:
        list(open_engine(store).generate(prompt, SHORT))
        paths = sorted((tmp_path / "prefix").glob("blocks/*/*"), key=lambda path: path.stat().st_mtime_ns)
        raw = bytearray(paths[depth].read_bytes())
        raw[-100] ^= 4
        if moment == "before":
            paths[depth].write_bytes(raw)
        events = []
        for event in open_engine(store, kv_budget_bytes=0).generate(prompt, LONG):
            events.append(event)
            if moment == "while decoding" and isinstance(event, Token) and len(tokens(events)) == 40:
                paths[depth].write_bytes(raw)
        assert tokens(events) == expected
        assert len([event for event in events if isinstance(event, Warned)]) == 1
        assert end(events).cached_tokens == sum((20, 32, 9, 30)[:depth])
        assert end(list(open_engine(store).generate(prompt, SHORT))).cached_tokens == 91


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
    warnings = [event.message for event in events if isinstance(event, Warned)]
    assert len(warnings) == 1
    assert "no space left" in warnings[0]
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
    assert end(events).reason is Finish.STOP


def test_a_seed_repeats_an_answer(open_engine: OpenEngine) -> None:
    prompt, engine = short_windows(20, 32, 5), open_engine(None)
    drawn = [
        tokens(list(engine.generate(prompt, Sampling(max_tokens=40, temperature=2.0, seed=seed)))) for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_a_model_is_not_made_for_is_refused(open_engine: OpenEngine, make_checkpoint: Callable[..., Path]) -> None:
    engine = open_engine(None, make_checkpoint("tight", max_position_embeddings=64))
    with pytest.raises(DoesNotFit, match="need 65 positions"):
        list(engine.generate(short_windows(20, 28), Sampling(max_tokens=5)))
    with pytest.raises(EngineError, match="knows 128 only"):
        list(engine.generate(Prompt(array("I", [128]), (0,), CHUNK), SHORT))
    with pytest.raises(EngineError, match="chunk is 32"):
        list(engine.generate(contiguous(ids(5), 64), SHORT))
