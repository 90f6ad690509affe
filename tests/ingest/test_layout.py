from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ingest.layout import Block, LineBoxes, arrange, in_reading_order, join_cells

PAGE_HEIGHT = 800.0


def block(left: float, top: float, text: str, number: int = 0, height: float | None = None) -> Block:
    lines = text.count("\n") + 1
    return (left, top, left + 100, top + (height or 12.0 * lines), text + "\n", number, 0)


def no_boxes() -> LineBoxes:
    raise AssertionError("a second extraction for nothing")


def text_of(blocks: Sequence[Block], boxes: LineBoxes | None = None) -> str:
    return arrange(blocks, PAGE_HEIGHT, no_boxes if boxes is None else lambda: boxes)[0]


def test_paragraphs_stand_apart_and_images_are_left_out() -> None:
    image = (0.0, 0.0, 9.0, 9.0, "<image>", 1, 1)
    assert text_of([block(50, 100, "One\ntwo."), image, block(50, 150, "Three.")]) == "One\ntwo.\n\nThree.\n\n"


def test_cells_in_blocks_of_their_own_become_rows() -> None:
    rows = [block(50, 100, "Name"), block(200, 101, "Price"), block(50, 115, "Tea"), block(200, 115, "2.50")]
    assert text_of(rows) == "Name\tPrice\nTea\t2.50\n\n"


def test_a_number_and_its_title_in_one_flat_block_are_one_line() -> None:
    assert text_of([block(50, 100, "1.2\nIntroduction", height=12)]) == "1.2\tIntroduction\n\n"


def test_rows_in_one_block_are_told_by_their_boxes() -> None:
    table = block(50, 100, "Name\nPrice\nYear\nTea\n2.50\n2013", number=7, height=22)
    boxes = {7: [(left, top, top + 10) for top in (100.0, 112.0) for left in (50.0, 150.0, 200.0)]}
    assert text_of([table], boxes) == "Name\tPrice\tYear\nTea\t2.50\t2013\n\n"


def test_the_next_column_is_no_cell() -> None:
    assert text_of([block(50, 700, "ends"), block(300, 100, "goes on")]) == "ends\n\ngoes on\n\n"


def test_lines_that_do_not_pair_with_boxes_stay() -> None:
    assert join_cells("a\nb\nc", [(0.0, 0.0, 1.0)]) == "a\nb\nc"


def test_margin_blocks_are_small_print_near_the_edges() -> None:
    blocks = [
        block(50, 20, "A running head"),
        block(50, 60, "A title in large letters", height=36),
        block(50, 400, "Body"),
        block(50, 780, "12"),
    ]
    text, margins = arrange(blocks, PAGE_HEIGHT, no_boxes)
    assert [text[margin.start : margin.end] for margin in margins] == ["A running head\n\n", "12\n\n"]


def test_order_of_the_file_holds_over_columns() -> None:
    columns = [block(50, 100, "a" * 90), block(50, 300, "b" * 90), block(300, 100, "c" * 90), block(300, 300, "d" * 90)]
    assert in_reading_order(columns) == columns


def test_order_is_mended_where_it_runs_upward() -> None:
    upward = [block(50, 100.0 * n, f"{n}" * 90) for n in (5, 4, 3, 2)]
    assert [item[1] for item in in_reading_order(upward)] == [200, 300, 400, 500]


def test_mended_order_reads_column_after_column() -> None:
    left = [block(50, 100.0 * n, "l" * 90) for n in (4, 3, 2)]
    right = [block(300, 100.0 * n, "r" * 90) for n in (4, 3, 2)]
    assert [item[4][0] for item in in_reading_order(left + right)] == ["l", "l", "l", "r", "r", "r"]


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 800), st.text(alphabet="ab \n", max_size=9)), max_size=9))
def test_no_letter_is_lost_and_margins_lie_on_parts(rows: list[tuple[int, int, str]]) -> None:
    blocks = [block(left, top, text, number) for number, (left, top, text) in enumerate(rows)]
    text, margins = arrange(blocks, PAGE_HEIGHT, dict)
    assert sorted("".join(text.split())) == sorted("".join("".join(row[2] for row in rows).split()))
    assert all(text[margin.end - 2 : margin.end] == "\n\n" for margin in margins)
