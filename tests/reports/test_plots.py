"""Plots show the figures of a report, and there is none where there is nothing to show."""

import pytest
from msgspec.structs import replace

from longctx.reports import plots
from longctx.reports.report import DocumentRow, State, WindowRow
from tests.reports.example import a_report, an_item, answer


def rows(*tokens: int) -> tuple[DocumentRow, ...]:
    return tuple(
        DocumentRow(id=f"d{n}", path=f"{n}.py", kind="code", tokens=size, sha256="") for n, size in enumerate(tokens, 1)
    )


def test_shares_come_largest_first_and_the_rest_in_words() -> None:
    plot = plots.token_shares(a_report(documents=rows(*range(1, 31))))
    assert plot and len(plot.bars) == 21
    assert [(bar.label, bar.value) for bar in plot.bars[:2]] == [("30.py", "30 · 6.5 %"), ("29.py", "29 · 6.2 %")]
    assert [bar.whole for bar in plot.bars[:2]] == [100, 96.67]
    assert plot.bars[-1].label == "10 other documents" and plot.bars[-1].whole == 0
    assert plot.bars[-1].value == "55 · 12 %"
    assert plot.description == "The largest is 30.py: 30 tokens, 6.5 %; 30 documents have 465 tokens in all."


@pytest.mark.parametrize("tokens", [(), (5,), (0, 0)])
def test_without_shares_there_is_no_plot(tokens: tuple[int, ...]) -> None:
    assert plots.token_shares(a_report(documents=rows(*tokens))) is None


def windows(*cited: int) -> tuple[WindowRow, ...]:
    return tuple(WindowRow(index=n, tokens=8192, first="a", documents=1, cited=c) for n, c in enumerate(cited))


def test_windows_stand_in_reading_order() -> None:
    plot = plots.window_map(a_report(windows=windows(*[0] * 33, 4, 1, 0)))
    assert plot and (plot.columns, plot.rows) == (32, 2)
    assert [(each.column, each.row, each.count, each.level) for each in plot.cited] == [(1, 1, 4, 4), (2, 1, 1, 1)]
    assert len(plot.others) == 34 and plot.others[-1] == (3, 1)
    assert plot.description == "2 of 36 windows hold verified citations; a number is how many."
    assert plot.cited[0].title == "window 34: 4 verified citations; it begins with a"


def test_many_windows_share_squares() -> None:
    plot = plots.window_map(a_report(windows=windows(*[1] * 3000)))
    assert plot and len(plot.cited) == 1000 and plot.cited[0].count == 3
    assert plot.cited[0].title.startswith("window 1 to 3: 3 verified")
    assert plot.description.endswith("A square stands for 3 windows.")


def test_without_windows_there_is_no_map() -> None:
    assert plots.window_map(a_report(windows=windows(3))) is None


def test_times_are_of_what_was_asked() -> None:
    pending = an_item("c", state=State.PENDING, answer=None, wall_s=9.0)
    plot = plots.timings(a_report(items=(an_item("a", wall_s=4.0), an_item("b", wall_s=1.0), pending)))
    assert plot and [(bar.label, bar.value, bar.whole) for bar in plot.bars] == [
        ("a", "4.0 s", 100),
        ("b", "1.0 s", 25),
    ]
    assert plot.description == "The times of 2 items add up to 5.0 s."
    assert plots.timings(a_report(items=(pending,))) is None


def test_cached_tokens_are_a_part_of_all() -> None:
    first = an_item("a", answer=answer("", tokens={"prompt": 1000, "cached": 0}))
    second = an_item("b", answer=answer("", tokens={"prompt": 500, "cached": 450}))
    silent = an_item("c", answer=answer("", tokens={"prompt": 500}))
    plot = plots.cached_shares(a_report(items=(first, second, silent)))
    assert plot and [(bar.whole, bar.part) for bar in plot.bars] == [(100, 0), (50, 45)]
    assert plot.bars[1].value == "500 · 90 % cached"
    assert plot.description.startswith("30 % of 1,500 tokens came from the cache")
    assert plots.cached_shares(a_report(items=(silent,))) is None


def test_what_is_anything_can_be_seen() -> None:
    plot = plots.token_shares(a_report(documents=rows(10_000_000, 1, 0)))
    assert plot and [bar.whole for bar in plot.bars] == [100, 0.3, 0]
    assert plot.bars[1].value == "1 · < 0.1 %"


def test_shades_are_of_the_highest_count() -> None:
    assert [plots.level(count, 8) for count in (0, 1, 2, 3, 8)] == [0, 1, 1, 2, 4]
    report = replace(a_report(), windows=windows(0, 0))
    plot = plots.window_map(report)
    assert plot and plot.cited == ()
