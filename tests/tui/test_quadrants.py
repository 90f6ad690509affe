from tui.quadrants import cell, row

BLACK, WHITE = b"\0\0\0", b"\xff\xff\xff"


def test_one_colour_is_a_blank_of_that_colour() -> None:
    assert cell([WHITE * 2] * 4) == (" ", (255, 255, 255), (255, 255, 255))


def test_quarters_are_where_it_is_dark() -> None:
    assert cell([BLACK + WHITE] * 4)[0] == "▌"
    assert cell([BLACK * 2] * 2 + [WHITE * 2] * 2)[0] == "▀"
    assert cell([WHITE + BLACK] * 2 + [WHITE * 2] * 2) == ("▝", (7, 7, 7), (255, 255, 255))


def test_a_row_has_a_character_for_two_pixels_across() -> None:
    picture = (BLACK * 2 + WHITE * 4) * 4
    segments = row(picture, 6, 4, 0)
    assert "".join(segment.text for segment in segments) == "   "
    assert len(segments) == 2


def test_what_reaches_over_the_edge_is_left_out() -> None:
    assert row(WHITE * 6 * 6, 6, 6, 1) == []
    assert sum(len(segment.text) for segment in row(WHITE * 5 * 4, 5, 4, 0)) == 2
