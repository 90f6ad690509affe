"""A list of lines."""

from collections.abc import Sequence
from typing import Any

from tui.widgets.rows import Piece, Rows


class Numbers(Rows):
    """So many rows, each with its number."""

    many = 0

    @property
    def count(self) -> int:
        return self.many

    def pieces(self, index: int, width: int) -> Sequence[Piece]:
        return [(str(index), "")]


async def test_the_scrollbar_stands_where_the_rows_do_from_the_first_fill_on(run_widget: Any) -> None:
    async with run_widget(Numbers(), size=(20, 10)) as pilot:
        rows = pilot.app.query_one(Numbers)
        for cursor in (50, 80):
            rows.many = 100
            rows.renew(cursor)
            await pilot.pause()
            assert rows.vertical_scrollbar.position == rows.scroll_y == cursor - 9
            rows.many = 0
            rows.renew(0)
            await pilot.pause()
