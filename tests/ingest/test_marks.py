from hypothesis import given
from hypothesis import strategies as st

from ingest.marks import Box, Glyph, Passage, boxes_of, letters


def glyphs(*lines: str, top: float = 300) -> list[Glyph]:
    """A box of 5 x 10 points for each character."""
    return [
        Glyph(character, (5.0 * x, top + 10 * y, 5.0 * x + 5, top + 10 * (y + 1)), int(top) + y)
        for y, line in enumerate(lines)
        for x, character in enumerate(line)
    ]


def boxes(text: str, *lines: str, before: int = 0) -> list[Box]:
    return boxes_of(Passage(text, before), glyphs(*lines), 1000)


def test_a_passage_has_a_box_on_each_of_its_lines() -> None:
    assert boxes("turns at", "The tide turns", "at noon.") == [(45, 300, 70, 310), (0, 310, 10, 320)]


def test_what_is_no_letter_tells_nothing_apart() -> None:
    assert boxes("lighthouse, 38 m", "The light-", "house: 38m") == [(20, 300, 50, 310), (0, 310, 50, 320)]
    assert boxes("office", "o\ufb03ce") == [(0, 300, 20, 310)]
    assert boxes("o\ufb03ce", "office") == [(0, 300, 30, 310)]
    assert boxes("cafe\u0301", "caf\u00e9") == [(0, 300, 20, 310)]


def test_the_nearest_of_several_is_taken() -> None:
    lines = ("noon", "tide", "noon")
    assert boxes("noon", *lines, before=1) == [(0, 300, 20, 310)]
    assert boxes("noon", *lines, before=7) == [(0, 320, 20, 330)]


def test_a_passage_that_does_not_stand_there_has_no_box() -> None:
    for text in ("tides", "", "-- …", "noontide"):
        assert boxes(text, "tide", "noon") == []


def test_a_running_head_in_its_midst_parts_no_passage() -> None:
    page = [*glyphs("The tide"), *glyphs("Chapter 3", top=40), *glyphs("turns", top=310)]
    found = boxes_of(Passage("tide turns"), page, 1000)
    assert found == [(20, 300, 40, 310), (0, 310, 25, 320)]


@given(st.text(max_size=40), st.data())
def test_every_part_of_a_page_with_a_letter_is_found(page: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(page)))
    end = data.draw(st.integers(start, len(page)))
    found = boxes_of(Passage(page[start:end], len(letters(page[:start]))), glyphs(page), 1000)
    named = [i for i in range(start, end) if letters(page[i])]
    assert bool(found) == bool(named)
    for left, top, right, bottom in found:
        assert (top, bottom) == (300, 310)
        assert 5 * start <= left <= 5 * named[0] and 5 * named[-1] + 5 <= right <= 5 * end


def test_signs_at_the_ends_of_a_passage_are_its_own() -> None:
    assert boxes('("noon.")', 'at ("noon.") sharp') == [(15, 300, 60, 310)]
    assert boxes("noon", 'at ("noon.") sharp') == [(25, 300, 45, 310)]
    assert boxes("noon …", "at noon. …") == [(15, 300, 35, 310)]
