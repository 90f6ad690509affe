"""A digest as Markdown: three forms, and strangers' words that can't be more than words."""

import pytest

from longctx.digest import Digest, Group, Item
from longctx.digest_answer import code, inline, markdown, told
from longctx.manifest import Entry
from longctx.summary_form import Style

ENTRY = Entry(0, "docs/tides.md", "ab" * 32, "plain-1", 10)
CODE = Entry(1, "src/draw.py", "cd" * 32, "plain-1", 10)
TIDES = Item(entry=ENTRY, path="docs/tides.md", start=0, end=9, said="Tides rise", heading="North › Mole")
DRAW = Item(entry=CODE, path="src/draw.py", start=0, end=5, said="Draws *tides*.")
LINE = Item(entry=CODE, path="src/draw.py", start=9, end=20, said="def draw(x)", name="draw", is_code=True)
DIGEST = Digest(
    groups=(Group("src/", (DRAW, LINE), is_path=True), Group("docs/tides.md", (TIDES,), is_path=True, about="Tides")),
    documents=5,
    looked_at=3,
)
MARKS = {(CODE.digest, 0, 5): 1, (CODE.digest, 9, 20): 2, (ENTRY.digest, 0, 9): 3}


def test_bullets_have_a_title_for_each_group_and_a_mark_for_each_item() -> None:
    assert markdown(DIGEST, MARKS, Style.BULLETS).splitlines() == [
        "**`src/`**",
        "",
        "- `draw.py`: Draws \\*tides\\*. [^1]",
        "- `draw.py`: `def draw(x)` [^2]",
        "",
        "**`docs/tides.md`: Tides**",
        "",
        "- Tides rise [^3]",
    ]


def test_prose_is_a_paragraph_for_each_group() -> None:
    said = markdown(DIGEST, MARKS, Style.PROSE).split("\n\n")
    assert said == [
        "**`src/`.** `draw.py`: Draws \\*tides\\*. [^1] `draw.py`: `def draw(x)`. [^2]",
        "**`docs/tides.md`: Tides.** Tides rise. [^3]",
    ]


def test_that_nothing_was_found_at_all_is_said_once() -> None:
    empty = Group("Crabs", (), is_section=True), Group("*Storms*", (), is_section=True)
    nothing = markdown(Digest(groups=empty, documents=5, looked_at=3), MARKS, Style.BULLETS)
    assert nothing == "Nothing was found for any of these: Crabs; \\*Storms\\*."
    some = Digest(groups=(*empty, Group("Tides", (TIDES,), is_section=True)), documents=5, looked_at=3)
    assert markdown(some, MARKS, Style.BULLETS).startswith("### Crabs\n\nNothing was found for it.\n\n### ")


def test_an_outline_is_nested() -> None:
    assert markdown(DIGEST, MARKS, Style.OUTLINE).splitlines() == [
        "- **`src/`**",
        "  - `draw.py`",
        "    - Draws \\*tides\\*. [^1]",
        "    - `def draw(x)` [^2]",
        "- **`docs/tides.md`: Tides**",
        "  - North › Mole",
        "    - Tides rise [^3]",
    ]


def test_a_package_s_own_file_goes_by_its_folder() -> None:
    path = "src/tides/__init__.py"
    package = Item(entry=CODE, path=path, start=0, end=5, said="Draws tides.")
    for folder, said in (("src/tides/", "- Draws tides."), ("src/", "- `tides/__init__.py`: Draws tides.")):
        digest = Digest(groups=(Group(folder, (package,), is_path=True),), documents=1, looked_at=1)
        assert markdown(digest, {}, Style.BULLETS).splitlines()[-1] == said


def test_what_was_looked_at_and_quoted_is_said() -> None:
    assert told(DIGEST, "src/") == "Quoted of src/: 2 of 5 documents; 3 were looked at."
    assert "looked at" not in told(Digest(groups=(), documents=3, looked_at=3), "x")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see [^1] and [x](http://y)", "see \\[^1\\] and x"),
        ("![alt](http://y/p.png) is", "alt is"),
        ("<b>bold</b> & &amp;", "\\<b>bold\\</b> & \\&amp;"),
        ("# no heading", "\\# no heading"),
        ("1. no item", "1\\. no item"),
        ("a_b and _c_", "a_b and \\_c\\_"),
        ("`code [^1]` stays", "`code [^1]` stays"),
        ("odd ` tick [^2]", "odd \\` tick \\[^2\\]"),
        ("two\nlines\r\n here", "two lines here"),
        ("[@click=app.quit]x[/]", "\\[@click=app.quit\\]x\\[/\\]"),
    ],
)
def test_strangers_words_mean_only_themselves(text: str, shown: str) -> None:
    assert inline(text) == shown


def test_stress_of_markdown_is_dropped() -> None:
    assert inline("**Ask a *whole* repository.", is_markdown=True) == "Ask a whole repository."
    assert inline("<a href='x'>snake_case</a> `**kept**`", is_markdown=True) == "snake_case `**kept**`"


def test_code_is_fenced_by_more_backticks_than_it_has() -> None:
    assert code("a`b") == "``a`b``" and code("`a`") == "`` `a` ``" and code("a\nb") == "`a b`"
