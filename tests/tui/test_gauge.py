"""The gauge: the bar, its marks and its words."""

from typing import Any

import pytest

from longctx.answer import Mode
from longctx.backend.replies import Planned
from tui.widgets.gauge import Fill, Filling, Gauge, Scale, asking, bar, headline, holding, length, marks, slivers, words
from tui.window_states import MODEL_TOKENS


def drawn(filling: Filling, width: int = 20, scale: Scale = Scale.ENGINE) -> str:
    return "".join(fill.value[0] * count for fill, count in bar(filling, scale, width))


def planned(**fields: object) -> Planned:
    given: dict[str, object] = {
        "prompt_tokens": 1_410_000,
        "limit_tokens": 2_000_000,
        "mode": Mode.FULL,
        "read_tokens": 1_380_000,
        "corpus_tokens": 1_380_000,
        "recap_tokens": 3000,
        "conversation_tokens": 2100,
        **fields,
    }
    return Planned(**given)  # type: ignore[arg-type]  # fields by name


def test_a_corpus_and_what_is_left() -> None:
    filling = holding(500_000, 1_000_000)
    assert drawn(filling) == "█" * 10 + "░" * 9 + "│"
    assert headline(filling) == "500K free of 1.00M"


def test_each_part_of_a_prompt_has_a_cell_however_small() -> None:
    filling = asking(planned(), 1_400_000, None)
    assert filling.parts == (1_400_000, 3000, 2100, 4900)
    assert drawn(filling) == "█" * 14 + "▓▒▚" + "░░│"
    assert words(filling, 109).plain == (
        "590K free of 2.00M   █ corpus 1.40M with headers   ▓ passages 3.0K   ▒ conversation 2.1K   ▚ rest 4.9K"
    )


def test_words_for_which_there_is_no_room_are_left_out_whole() -> None:
    assert words(asking(planned(), 1_400_000, None), 40).plain == "590K free of 2.00M   █ corpus 1.40M"


def test_what_is_less_than_half_a_cell_is_not_drawn_as_one() -> None:
    filling = holding(12_000, None)
    assert slivers(filling, Scale.ENGINE, 48) == {Fill.CORPUS}
    assert not slivers(holding(MODEL_TOKENS // 40, None), Scale.ENGINE, 48)
    assert slivers(asking(planned(), 1_400_000, None), Scale.ENGINE, 20) == {
        Fill.PASSAGES,
        Fill.CONVERSATION,
        Fill.REST,
    }


@pytest.mark.parametrize(("width", "said", "cells"), [(116, 20, 58), (116, 70, 44), (116, 110, 30), (76, 60, 20)])
def test_the_bar_takes_what_the_words_leave(width: int, said: int, cells: int) -> None:
    assert length(width, said) == cells


async def test_a_tiny_corpus_is_a_sliver(run_widget: Any) -> None:
    async with run_widget(Gauge(), size=(120, 1)) as pilot:
        gauge = pilot.app.query_one(Gauge)
        gauge.filling = holding(12_000, None)
        assert gauge.render().plain.startswith("▏░░░")


def test_what_does_not_fit_is_said_and_drawn_behind_the_limit() -> None:
    filling = holding(3_200_000, 2_000_000)
    assert headline(filling) == "3.20M of 2.00M: questions read what bears on them"
    assert words(filling, 200).plain == headline(filling)
    assert drawn(filling, 16) == "█" * 10 + "│" + "╱" * 5


def test_a_focused_question_says_how_much_it_reads() -> None:
    filling = asking(planned(mode=Mode.FOCUS, prompt_tokens=130_000, read_tokens=118_000), 3_200_000, 2_000_000)
    assert headline(filling) == "focus: 118K of 1.38M read"
    assert drawn(filling) == "█▓▒▚" + "░" * 15 + "│"


def test_the_engine_s_own_word_on_its_limit_counts_more() -> None:
    assert asking(planned(limit_tokens=None), 10, 77).limit == 77
    assert asking(planned(limit_tokens=88), 10, 77).limit == 88


def test_an_unknown_limit_is_said_and_drawn_to_the_model_s() -> None:
    filling = holding(MODEL_TOKENS // 2, None)
    assert headline(filling) == "5.24M tokens: the engine does not say what it takes"
    assert drawn(filling) == "█" * 10 + "░" * 9 + "┃"
    assert marks(filling, Scale.ENGINE) == "┃ model 10.5M · linear to the model's limit"


def test_before_an_engine_is_there_nothing_is_claimed() -> None:
    assert headline(holding(0, None, is_told=False)) == "nothing read yet"
    assert headline(holding(1200, None, is_told=False)) == "1.2K tokens"


def test_where_no_model_reads_that_is_said() -> None:
    assert headline(holding(1200, None, is_read=False)) == "1.2K tokens: searched for quotes, read by no model"


def test_other_scales_show_both_limits() -> None:
    filling = holding(1_000_000, MODEL_TOKENS // 4)
    assert drawn(filling, 20, Scale.MODEL) == "██░░░│" + " " * 13 + "┃"
    logarithm = drawn(filling, 20, Scale.LOG)
    assert logarithm.count("█") > 10
    assert logarithm.index("│") > 14
    assert logarithm[-1] == "┃"
    assert marks(filling, Scale.LOG) == "│ engine 2.62M  ┃ model 10.5M · logarithmic to the model's limit"


def test_scales_go_round() -> None:
    assert [Scale.ENGINE.next, Scale.MODEL.next, Scale.LOG.next] == [Scale.MODEL, Scale.LOG, Scale.ENGINE]


@pytest.mark.parametrize("scale", list(Scale))
@pytest.mark.parametrize("width", [0, 1, 2, 5, 48])
@pytest.mark.parametrize(
    "filling",
    [
        Filling(),
        holding(0, 0),
        holding(5, 1),
        holding(10**12, 10**9),
        Filling(parts=(1, 1, 1, 1), limit=1),
        Filling(parts=(10**9, 10**9, 0, 5), limit=100, whole=10**9),
    ],
)
def test_a_bar_is_as_long_as_it_should_be_whatever_is_in_it(filling: Filling, width: int, scale: Scale) -> None:
    assert len(drawn(filling, width, scale)) == width
