"""An answer's Markdown: as it comes and as a whole, its marks, and what is hostile in it."""

import itertools
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it.token import Token
from textual.content import Content

from longctx.citations import CitationStatus
from tui import answer_markdown
from tui.answer_lines import GROUND, AnswerLines, fitted, mark
from tui.answer_markdown import MARKDOWN_MOST, TEXT_MOST, TOKENS_MOST, UNSETTLED_MOST, AnswerMarkdown
from tui.code_colours import LONGEST_LINE

STATUSES = dict(zip(range(1, 6), CitationStatus, strict=True))
RICH = """# Head [^1]

Some *soft* and **strong [^2]** words, `code [^1]`, and
a second line [^3].

| name | share |
|:--|--:|
| a [^4] | 41 % |
| b | 2 |

```python
x = "[^1]"
```

- one
  - two [^5]

  more
1. first
2. second

> quoted [^9]

---
the end"""


def document(*parts: str) -> AnswerMarkdown:
    answer = AnswerMarkdown(STATUSES.__contains__)
    for part in parts:
        answer.add(part)
    return answer


def laid(answer: AnswerMarkdown, width: int = 60) -> list[Content]:
    """Its lines, without the blank ones between blocks."""
    lines = AnswerLines(width)
    lines.grow(answer, STATUSES)
    return [line for block in lines.blocks for line in block]


def shown(*parts: str, width: int = 60) -> str:
    return "\n".join(line.plain.rstrip() for line in laid(document(*parts), width))


def clicked(*parts: str) -> list[str]:
    """What of the lines can be clicked."""
    return [
        line.plain[span.start : span.end] + " " + str(span.style.meta["@click"])
        for line in laid(document(*parts))
        for span in line.spans
        if not isinstance(span.style, str) and "@click" in span.style.meta
    ]


def test_marks_have_the_sign_of_their_state() -> None:
    assert [mark(n, STATUSES[n]) for n in STATUSES] == ["¹✓", "²→", "³≈", "⁴?", "⁵!"]
    assert shown("a [^1] b [^12]") == "a ¹✓ b [^12]"


def test_only_marks_of_citations_outside_code_can_be_clicked() -> None:
    assert clicked(RICH) == ["¹✓ cite(1)", "²→ cite(2)", "³≈ cite(3)", "⁴? cite(4)", "⁵! cite(5)"]
    for look_alike in ("`[^1]`", "```\n[^1]\n```", "    [^1]", r"\[^1]", "[^²]", "[^1", "[^1234567890]", "[ ^1]"):
        assert clicked(look_alike) == []


def test_links_pictures_and_html_stand_as_they_were_written() -> None:
    hostile = (
        "[a](https://x.y) ![p](z.png) <b>c</b> <https://u.v> [@click=app.quit]q[/] [/red] [bold\n\n[a]: https://x.y"
    )
    assert shown(hostile, width=200) == hostile.replace("\n\n", "\n")
    assert clicked(hostile, "[^1](https://x.y)") == ["¹✓ cite(1)"]


def test_controls_become_visible() -> None:
    assert shown("\x1b[31mred\u202e \ud800 \x00") == "␛[31mred<U+202E> \ufffd ␀"
    assert shown("```\n\x1b[2J\n```").strip() == "␛[2J"


@given(st.lists(st.integers(0, len(RICH)), max_size=12))
def test_parts_cut_anywhere_are_the_whole(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(RICH)]
    parts = [RICH[start:end] for start, end in itertools.pairwise(places)]
    assert shown(*parts) == shown(RICH)


PIECES = st.sampled_from(
    (
        *"a\n`|\t",
        " ",
        "\n\n",
        "- ",
        "1. ",
        "> ",
        "# ",
        "```",
        "**",
        "---",
        "[^1]",
        "[^",
        "1]",
        "    ",
        "|--|--|\n",
        "~~~\n",
    )
)


@given(st.lists(PIECES, max_size=40))
def test_any_parts_are_the_whole(pieces: list[str]) -> None:
    assert shown(*pieces) == shown("".join(pieces))


@given(st.text(alphabet="a \n-*_`[]^1|>#\\~\r\t\x1b中😀\u202e", max_size=200), st.integers(1, 80))
def test_no_line_is_wider_than_it_may_be(text: str, width: int) -> None:
    for line in laid(document(text), width):
        assert line.cell_length <= max(width, 12) + 8


def test_all_words_of_a_table_are_shown_however_narrow() -> None:
    table = "| alpha | beta | gamma |\n|--|--|--|\n| one | two three four | five |"
    for width in (70, 30, 14):
        words = shown(table, width=width).split()
        for word in ("alpha", "beta", "gamma", "one", "two", "three", "four", "five"):
            assert any(word in each for each in words), (width, word)


def test_columns_give_way_from_the_widest() -> None:
    assert fitted([5, 50, 8], 100) == [5, 50, 8]
    assert fitted([5, 50, 8], 30) == [5, 17, 8]
    assert sum(fitted([50, 50, 50], 31)) <= 31


def test_numbers_and_bullets_hang() -> None:
    assert shown("9. nine words here\n10. ten", width=14) == " 9. nine words\n    here\n10. ten"


@pytest.mark.parametrize(
    "hostile",
    [
        "- " * 1000 + "x",
        "\n".join("  " * i + "- a" for i in range(1000)),
        "> " * 1000 + "x",
        "x" * 1_000_000,
        "[^1]" * 8_000,
        "**a" * 12_000,
        "*a " * 2_000 + "b" + "*" * 2_000,
        "|a" * 2000 + "|\n" + "|-" * 2000 + "|\n" + "x\n" * 5000,
        "| a | b |\n|--|--|\n" + "| x | y |\n" * 6_000,
        "`a``" * 8_000,
        "<div>" * 15_000,
        "a\n" * 50_000,
    ],
    ids=lambda text: text[:8].strip() + str(len(text)),
)
def test_what_is_too_much_is_shown_in_bounded_time(hostile: str) -> None:
    begun = time.process_time()
    text = shown(hostile, width=40)
    assert time.process_time() - begun < 3
    assert text.count("\n") <= TEXT_MOST


def test_what_is_too_deep_or_long_is_plain_and_whole() -> None:
    deep = "- " * 40 + "here"
    assert document(deep).is_plain
    assert "here" in shown(deep)
    long = document("*a* " * MARKDOWN_MOST)
    assert long.is_plain
    assert not document("*a* " * 100).is_plain


def test_a_text_that_grows_past_all_limits_says_how_much_is_not_shown() -> None:
    answer = document()
    for _ in range(5):
        answer.add("word " * (TEXT_MOST // 15))
    left = f"{len(answer.source) - TEXT_MOST:,}"
    assert answer.blocks[-1].plain == f"… {left} more characters; an export of the session has them"
    assert sum(len(block.plain) for block in answer.blocks[:-1]) == TEXT_MOST


# --- code ---------------------------------------------------------------------------------------------------------


def colours(text: str) -> int:
    """How many words have a colour."""
    return sum(len([span for span in line.spans if span.style != GROUND]) for line in laid(document(text)))


def laid_in_s(text: str) -> float:
    begun = time.process_time()
    laid(document(text))
    return time.process_time() - begun


@pytest.mark.parametrize("unit", ["\t", "a\t", "&\t", "a ", "`"])
@pytest.mark.parametrize("length", [79, 8_000])
def test_code_that_a_lexer_takes_its_time_over_is_shown_as_it_is(unit: str, length: int) -> None:
    line = (unit * 8_000)[:length] + "\n"
    fence = "```java\n" + line * (7_900 // len(line)) + "```\n\n"
    assert laid_in_s(fence * 5) < 1


def test_code_has_colours_until_there_is_too_much_of_it() -> None:
    assert colours("```python\nx = 1  # b\n```") == 2
    assert colours("```nonsense\nx = 1  # b\n```") == 0
    assert colours("```python\n'" + "x" * LONGEST_LINE + "'\n```") == 0
    fence = "```python\n" + "x = 1\n" * 1_000 + "```\n\n"
    assert [colours(fence * n) for n in (1, 3, 9)] == [1_000, 3_000, 3_000]


def test_tabs_in_code_stand_where_they_stood() -> None:
    assert shown("```\n\tif\n\ta\tb\n```") == "     if\n     a   b"


# --- long blocks --------------------------------------------------------------------------------------------------

ITEMS = "".join(f"- item {i} is **so** [^1]\n" for i in range(UNSETTLED_MOST // 12))


def test_a_long_block_is_not_read_anew_with_each_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    count = answer_markdown._count

    def counted(tokens: Sequence[Token]) -> int:
        reads.append(len(tokens))
        return count(tokens)

    monkeypatch.setattr(answer_markdown, "_count", counted)
    answer = document(ITEMS)
    reads.clear()
    for _ in range(40):
        answer.add("- another **item**\n")
    assert reads == []
    assert laid(answer)[-1].plain == "- another **item**"


def test_what_was_put_off_is_read_when_the_answer_is_whole() -> None:
    answer = document(ITEMS)
    for start in range(0, len(RICH), 7):
        answer.add(RICH[start : start + 7])
    kept = answer.settle()
    assert kept <= len(answer.blocks)
    assert [line.plain for line in laid(answer)] == [line.plain for line in laid(document(ITEMS + RICH))]
    assert answer.settle() == len(answer.blocks)


def test_words_too_many_in_one_paragraph_are_plain() -> None:
    assert document("*a* " * TOKENS_MOST).is_plain
