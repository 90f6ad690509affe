"""What an answer took, in words."""

import json
from typing import Any

import pytest

from longctx.backend.replies import Prefill
from tui.figures import reading, took
from tui.prefill import Curve


def test_all_that_is_reported_is_said() -> None:
    answer = {
        "tokens": {"prompt": 1_410_000, "cached": 1_310_000, "output": 300},
        "timing": {"ttft_s": 4.12, "prefill_tokens_per_s": 27_123.4, "decode_tokens_per_s": 31.4},
    }
    assert took(answer) == [
        "cached 1.31M of 1.41M (93%)",
        "first word after 4.1 s",
        "read 27.1K/s",
        "wrote 31/s",
    ]


def test_a_cache_that_is_not_reported_is_never_nothing() -> None:
    assert took({"tokens": {"prompt": 100}}) == ["cache: not reported"]
    assert took({"tokens": {"prompt": 100, "cached": 0}}) == ["cached 0 of 100 (0%)"]


def test_of_an_answer_that_broke_off_the_cache_is_not_known() -> None:
    assert took({"tokens": {"prompt": 100}, "timing": {"ttft_s": 2}, "ending": "interrupted"}) == [
        "first word after 2.0 s"
    ]


def test_quotes_send_nothing() -> None:
    assert took({"tokens": {"corpus": 9, "prompt": 0, "cached": 0, "output": 0}}) == ["nothing was sent to a model"]


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"tokens": [], "timing": "[/red]"}',
        '{"tokens": {"prompt": "1", "cached": true}, "timing": {"ttft_s": null}}',
        '{"tokens": {"prompt": NaN}, "timing": {"ttft_s": Infinity}}',
        '{"tokens": {"prompt": 1' + "0" * 400 + "}}",
        '{"tokens": {"prompt": -5}}',
    ],
)
def test_what_a_saved_answer_should_not_hold_is_not_shown(text: str) -> None:
    answer: dict[str, Any] = json.loads(text)
    assert took(answer) == ["nothing was sent to a model"]


def test_reading_says_how_far_how_fast_and_how_long() -> None:
    curve = Curve()
    for n in range(11):
        curve.add(float(n), 400_000 + n * 50_000)
    assert reading(Prefill(done=900_000, total=1_400_000, cached=400_000), curve, 10.0) == [
        "reading 900K of 1.40M",
        "64%",
        "29% cached",
        "50.0K/s",
        "about 10 s left",
    ]


def test_reading_says_no_more_than_it_knows() -> None:
    assert reading(Prefill(done=0, total=100, cached=0), Curve(), 0.0) == ["reading 0 of 100", "0%"]
    assert reading(Prefill(done=0, total=0, cached=0), Curve(), 0.0) == ["read 0", "answering"]


def test_once_all_is_read_it_says_so() -> None:
    assert reading(Prefill(done=100, total=100, cached=40), Curve(), 0.0) == ["read 100", "40% cached", "answering"]
