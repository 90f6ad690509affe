"""A structured answer as Markdown: its form, its marks, and that nothing in it is markup."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from longctx.export import marked
from longctx.value_markdown import leaves, to_markdown

HOSTILE = "<img src=x onerror=alert(1)> [^1] ![x](http://x) | `code` **b** # 1. - \n> \\ $x$ &lt;"


def html(markdown: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(markdown))


def test_lists_tables_and_scalars() -> None:
    value = {
        "date": "2024-03-01",
        "covenants": [{"name": "leverage", "threshold": 3.5}, {"name": "cover", "threshold": None}],
        "parties": ["Alder", "Birch"],
        "term": {"years": -5, "open": True},
        "none": [],
    }
    assert to_markdown(value, {}).splitlines() == [
        "- **date:** 2024-03-01",
        "- **covenants**",
        "",
        "  | name | threshold |",
        "  | --- | --- |",
        "  | leverage | 3.5 |",
        "  | cover | — |",
        "",
        "- **parties**",
        "  - Alder",
        "  - Birch",
        "- **term**",
        "  - **years:** -5",
        "  - **open:** true",
        "- **none:** —",
    ]


def test_marks_stand_behind_what_they_support() -> None:
    value = {"a": 1, "rows": [{"x": 1, "y": 2}], "list": ["p", ["q"]]}
    marks = {"/a": [1, 2], "/rows": [3], "/rows/0": [4], "/rows/0/x": [5], "/list/0": [6], "/list/1": [7], "": [8]}
    assert to_markdown(value, marks).splitlines() == [
        "- **a:** 1 [^1] [^2]",
        "- **rows** [^3]",
        "",
        "  | x | y |",
        "  | --- | --- |",
        "  | 1 [^5] | 2 [^4] |",
        "",
        "- **list**",
        "  - p [^6]",
        "  - **2** [^7]",
        "    - q",
        "",
        "[^8]",
    ]
    assert to_markdown("x", {"": [1]}) == "x [^1]"


@pytest.mark.parametrize("rows", [[{"a": 1}, {"b": 1}], [{"a": [1]}], [{}, {}], [{str(n): n for n in range(9)}]])
def test_what_is_no_table_is_a_list(rows: list[Any]) -> None:
    assert "|" not in to_markdown(rows, {})


@pytest.mark.parametrize(
    "value", [HOSTILE, [HOSTILE], {HOSTILE: HOSTILE}, [{HOSTILE: HOSTILE}], {"a": {"b": [HOSTILE]}}]
)
def test_nothing_in_it_is_markup(value: Any) -> None:
    shown = marked(to_markdown(value, {}), lambda n: n)
    for form in (to_markdown(value, {}), shown):
        page = html(form)
        assert not any(tag in page for tag in ("<img", "<a ", "<code", "<h1", "<blockquote", "<ol"))
        assert page.count("<strong>") == form.count("**") // 2
    assert "\n" not in to_markdown(HOSTILE, {})


def test_leaves_are_what_is_stated() -> None:
    value = {"a": [1, None, {"b/c": "x", "~": False}], "d": {}, "e": "", "f": 0}
    assert list(leaves(value)) == ["/a/0", "/a/2/b~1c", "/a/2/~0", "/f"]
    assert list(leaves(None)) == []
    assert list(leaves("x")) == [""]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_any_value_has_a_form_that_can_be_written(value: Any) -> None:
    shown = to_markdown(value, {})
    assert "[^" not in shown.replace(r"\[^", "")
    shown.encode()
