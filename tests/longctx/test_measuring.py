"""Measuring an engine: what is sent, and what is made of when the answers came."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longctx.engines.base import EngineEvent, Finish, Finished, Prefilled, Prompt, Sampling, Text, Token
from longctx.engines.script import Script, Scripted
from longctx.engines.scripted import ScriptedEngine, question_of
from longctx.errors import DoesNotFit, EngineError
from longctx.measuring import Run, measure, synthetic
from longctx.packing import WINDOW_TOKENS
from longctx.tokens import Tokenizer
from longctx.vocabulary import BEGIN_OF_TEXT, END_OF_TURN, ORDINARY_TOKENS, llama4


class Hands:
    """A clock that goes on when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def scripted(hands: Hands, answer: Scripted, *, prefill_s: float = 0.0, **more: int) -> ScriptedEngine:
    return ScriptedEngine(Script(answers=(answer,), prefill_s=prefill_s, **more), sleep=hands.sleep)


@given(tokens=st.integers(8, 3 * WINDOW_TOKENS), seed=st.integers(0, 1 << 48))
@settings(max_examples=8, deadline=None)
def test_a_prompt_has_as_many_tokens_as_wanted_and_then_a_question(tokens: int, seed: int) -> None:
    prompt = synthetic(tokens, seed)
    assert prompt.starts[-1] == tokens
    assert len(prompt.starts) == -(-tokens // WINDOW_TOKENS) + 1
    assert len(prompt.ids) - tokens < 100
    assert (prompt.ids[0], list(prompt.ids).count(END_OF_TURN)) == (BEGIN_OF_TEXT, 1)
    assert synthetic(tokens, seed) == prompt


def test_the_text_encodes_to_the_ids_that_are_sent() -> None:
    prompt, tokenizer = synthetic(2000, 7), Tokenizer()
    text = [token for token in prompt.ids[5 : prompt.starts[-1]] if token < ORDINARY_TOKENS]
    assert list(tokenizer.encode(tokenizer.decode(text))) == text
    assert question_of(prompt, llama4()).endswith("as long as you can.")


def test_no_window_of_one_seed_is_that_of_another() -> None:
    first, second = synthetic(3 * WINDOW_TOKENS, 1).windows(), synthetic(3 * WINDOW_TOKENS, 2).windows()
    assert not {window.tobytes() for window in first[:-1]} & {window.tobytes() for window in second[:-1]}


def test_times_are_those_of_the_engine() -> None:
    hands = Hands()
    engine = scripted(hands, Scripted(text="one two three four five", tokens_per_s=4.0), prefill_s=20.0)
    told = list[tuple[str, int, int]]()
    sent = measure(engine, tokens=16_000, answer_tokens=64, seed=1, tell=lambda *seen: told.append(seen), clock=hands)
    cold, warm = sent.cold, sent.warm
    assert (sent.windows, cold.prompt_tokens, warm.prompt_tokens) == (3, sent.sent_tokens, sent.sent_tokens)
    assert (cold.cached_tokens, warm.cached_tokens) == (0, 16_000)
    assert cold.first_s == pytest.approx(20.0) and cold.total_s == pytest.approx(21.25)
    assert warm.first_s == pytest.approx(20.0 * (sent.sent_tokens - 16_000) / sent.sent_tokens)
    assert cold.prefill_tokens_per_s == pytest.approx(sent.sent_tokens / 20.0)
    assert warm.prefill_tokens_per_s == pytest.approx(sent.sent_tokens / 20.0)
    assert cold.decode_tokens_per_s == pytest.approx(4 / 1.25)
    assert sent.ratio == pytest.approx(warm.first_s / 20.0)
    assert told[0] == ("cold", 0, sent.sent_tokens) and told[-1] == ("warm", sent.sent_tokens, sent.sent_tokens)


def test_an_answer_without_a_token_counts_till_its_end() -> None:
    hands = Hands()
    sent = measure(scripted(hands, Scripted(text="", delay_s=3.0)), tokens=64, answer_tokens=4, seed=1, clock=hands)
    assert sent.cold.first_s == sent.cold.total_s == 3.0
    assert sent.cold.decode_tokens_per_s is None


def test_cached_tokens_that_are_not_reported_stay_unknown() -> None:
    hands = Hands()
    engine = scripted(hands, Scripted(text="x"), prefill_s=1.0, report_cached=False)
    sent = measure(engine, tokens=64, answer_tokens=4, seed=1, clock=hands)
    assert sent.warm.cached_tokens is None and "report_cached" in sent.warm.not_reported


def test_no_time_gives_no_speed() -> None:
    run = Run(prompt_tokens=9, cached_tokens=0, answer_tokens=2, first_s=0.0, total_s=0.0)
    assert (run.prefill_tokens_per_s, run.decode_tokens_per_s) == (None, None)
    known = Run(prompt_tokens=9, cached_tokens=9, answer_tokens=1, first_s=1.0, total_s=2.0)
    assert (known.prefill_tokens_per_s, known.decode_tokens_per_s) == (None, None)


class Silent(ScriptedEngine):
    """Ends without its last event."""

    closed = False

    def __init__(self, *events: EngineEvent) -> None:
        super().__init__(Script(answers=(Scripted(text=""),)))
        self._events = events

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        yield from self._events


def test_an_engine_that_does_not_end_is_an_error() -> None:
    with pytest.raises(EngineError, match="ended without"):
        measure(Silent(Prefilled(done=1, total=1, cached=0), Text("x")), tokens=64, answer_tokens=4, seed=1)


def test_tokens_count_as_text_does() -> None:
    done = Finished(reason=Finish.LENGTH, prompt_tokens=9, cached_tokens=0, answer_tokens=2, prefill_s=1, decode_s=1)
    ticks = iter([0.0, 1.0, 3.0] * 2)
    sent = measure(Silent(Token(1), Token(2), done), tokens=64, answer_tokens=2, seed=1, clock=lambda: next(ticks))
    assert (sent.cold.first_s, sent.cold.total_s, sent.cold.decode_tokens_per_s) == (1.0, 3.0, 0.5)


def test_what_does_not_fit_is_refused_by_the_engine() -> None:
    with pytest.raises(DoesNotFit):
        measure(scripted(Hands(), Scripted(text="x"), context=50), tokens=64, answer_tokens=4, seed=1)
