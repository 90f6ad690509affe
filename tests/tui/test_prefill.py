"""How long reading still takes."""

import pytest

from tui.prefill import Curve


def seconds(straight: float, square: float, tokens: int) -> float:
    return straight * tokens / 1e6 + square * (tokens / 1e6) ** 2 / 2


def curve(straight: float, square: float, *, first: int = 0, step: int = 10_000, count: int = 40) -> tuple[Curve, int]:
    told = Curve()
    for done in range(first, first + step * count, step):
        told.add(100 + seconds(straight, square, done) - seconds(straight, square, first), done)
    return told, first + step * (count - 1)


@pytest.mark.parametrize(("straight", "square"), [(20, 0), (20, 30), (0, 50), (5, 400)])
@pytest.mark.parametrize("first", [0, 400_000])
def test_what_is_left_follows_the_curve_so_far(straight: float, square: float, first: int) -> None:
    told, done = curve(straight, square, first=first)
    expected = seconds(straight, square, 1_400_000) - seconds(straight, square, done)
    left = told.left_s(100 + seconds(straight, square, done) - seconds(straight, square, first), 1_400_000)
    assert left == pytest.approx(expected, rel=0.02)


def test_noise_makes_it_no_nonsense() -> None:
    told = Curve()
    for n in range(60):
        told.add(n * 0.5 + (0.1 if n % 3 else 0), n * 20_000)
    left = told.left_s(29.6, 2_000_000)
    assert left is not None
    assert 15 < left < 30


def test_a_curve_that_grows_faster_at_first_is_taken_as_straight() -> None:
    told = Curve()
    for n in range(1, 30):
        told.add(n**0.5, n * 10_000)
    left = told.left_s(29**0.5, 580_000)
    assert left is not None
    assert 2 < left < 9


def test_nothing_is_said_before_it_is_known() -> None:
    told = Curve()
    assert told.left_s(0, 100) is None
    told.add(0, 0)
    told.add(0.1, 10)
    told.add(0.2, 20)
    assert told.left_s(0.2, 100) is None
    assert told.tokens_per_s() == 100


def test_waiting_for_the_next_report_counts_down_and_never_below_nothing() -> None:
    told, done = curve(20, 0)
    now_s = 100 + seconds(20, 0, done)
    assert told.left_s(now_s, 800_000) == pytest.approx(8.2)
    assert told.left_s(now_s + 5, 800_000) == pytest.approx(3.2)
    assert told.left_s(now_s + 50, 800_000) == 0


def test_reports_that_say_nothing_new_change_nothing() -> None:
    told, done = curve(20, 0)
    before = told.left_s(200, 10**6)
    told.add(200, done)
    told.add(201, done - 5)
    assert told.left_s(200, 10**6) == before


def test_a_clock_that_stands_still_is_no_error() -> None:
    told = Curve()
    for n in range(5):
        told.add(1.0, n * 100)
    assert told.tokens_per_s() is None
    assert told.left_s(1.0, 1000) is None
