"""The lines on stderr about a report on its way."""

import pytest

from longctx.commands.report_lines import item_line
from longctx.reports.report import Item, Kind, State


def line_of(markdown: str) -> str:
    item = Item(id="a", kind=Kind.SUMMARY, title="a", text="a", state=State.DONE, answer={"answer_markdown": markdown})
    return item_line(1, 1, item)


@pytest.mark.parametrize(
    ("markdown", "said"),
    [
        ("### Crabs\n\nNothing was found for it.\n\n### Tides\n\n- `a.md`: Tides rise. [^1]", "Tides rise."),
        ("### Crabs\n\nNothing was found for it.", "Nothing was found for it."),
        ("Nothing was found for any of these: Crabs; Tides.", "Nothing was found for any of these: Crabs; Tides."),
    ],
)
def test_an_item_is_shown_by_the_first_statement_in_its_answer(markdown: str, said: str) -> None:
    assert said[:40] in line_of(markdown)
