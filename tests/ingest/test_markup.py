import gc
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.document import Kind
from ingest.markup import is_template, read_html

PAGE = """<!DOCTYPE html>
<html><head><title>Ovens &amp;
 stoves</title><style>p { color: red }</style></head>
<body>
<h1>Big <em>ovens</em></h1>
<p>The first oven
was built in <b>17</b>98.</p>
<script>document.write("<p>not this</p>")</script>
<!-- nor <p>this</p> -->
<ul><li>iron<li>brick</ul>
<h2>Prices</h2>
<table>
<tr><th>Oven<th>Price
<tr><td>Small</td><td></td><td><p>12</p> <p>marks</p></td></tr>
</table>
<pre>
if x &lt; 1:
    bake()
</pre>
<p title="a > b">The last.
"""


def test_visible_text_only() -> None:
    document = read_html(PAGE)
    assert document.kind is Kind.HTML
    assert document.title == "Ovens & stoves"
    assert "first oven was built in 1798." in document.text
    assert "not this" not in document.text and "nor" not in document.text and "color" not in document.text
    assert document.text.endswith("The last.")


def test_rows_and_items_are_lines() -> None:
    lines = read_html(PAGE).text.splitlines()
    assert "Oven | Price" in lines
    assert "Small | | 12 marks" in lines
    assert "- iron" in lines and "- brick" in lines


def test_preformatted_text_keeps_its_indentation() -> None:
    assert "if x < 1:\n    bake()" in read_html(PAGE).text


def test_headings_stand_where_they_say() -> None:
    document = read_html(PAGE)
    assert [(h.level, h.title) for h in document.headings] == [(1, "Big ovens"), (2, "Prices")]
    for heading in document.headings:
        assert document.text.startswith(heading.title, heading.start)
    assert document.heading_at(document.text.index("Small")) == "Prices"


@pytest.mark.parametrize("words", ["Ovens", "The first", "was built", "17", "- iron", "Small", "bake()", "The last"])
def test_lines_are_those_of_the_file(words: str) -> None:
    document = read_html(PAGE)
    expected = PAGE[: PAGE.index(words.removeprefix("- "))].count("\n") + 1
    assert document.line_at(document.text.index(words)) == expected


@given(st.lists(st.from_regex(r"[a-z]{3,8}", fullmatch=True), min_size=1, max_size=30, unique=True), st.data())
def test_every_word_keeps_its_line(words: list[str], data: st.DataObject) -> None:
    joints = [
        "\n",
        " ",
        "<p>",
        "\n<td>",
        "<br>\n",
        "</div>",
        "<table><tr>",
        "<pre>\n",
        "<!--\n-->",
        "<h1>\n",
        "&nbsp;",
    ]
    source = "".join(word + data.draw(st.sampled_from(joints)) for word in words)
    document = read_html(source)
    at = at_text = 0
    for word in words:
        at, at_text = source.index(word, at), document.text.index(word, at_text)
        assert document.line_at(at_text) == source.count("\n", 0, at) + 1
        at, at_text = at + len(word), at_text + len(word)


@given(st.text(alphabet="<>/!-?=\"'& ;#abpre1\ntdhscript", max_size=200))
def test_no_markup_breaks_it(source: str) -> None:
    document = read_html(source)
    offsets = [offset for offset, _ in document.source_lines or ()]
    assert offsets == sorted(offsets) and all(0 <= offset < len(document.text) for offset in offsets)
    assert all(1 <= line <= source.count("\n") + 1 for _, line in document.source_lines or ())


def test_hidden_parts_are_left_out_and_named() -> None:
    source = '<div hidden>a<div>b</div></div><span style="x:y; display: none">c</span><p class="x hidden y">d'
    document = read_html(source)
    assert document.text == "d"
    assert document.notes == ("hidden parts not read: 2",)


@pytest.mark.parametrize(
    ("attributes", "hidden"),
    [
        ("hidden", True),
        ("HIDDEN=''", True),
        ("class='a'hidden", True),
        ("style=display:none", True),
        ('STYLE = "color: red; DISPLAY : none"', True),
        ("style='' style='display:none'", True),
        ('style="x" title="display:none"', False),
        ('title=" hidden "', False),
        ("data-hidden aria-hidden=true", False),
        ('style="display:block"', False),
    ],
)
def test_what_hides(attributes: str, hidden: bool) -> None:
    assert read_html(f"<div {attributes}>a</div>b").text == ("b" if hidden else "a\n\nb")


@pytest.mark.parametrize("unit", ["style= ", "style=x ", "display ", "hidde ", "= ", '"', "'\" "])
def test_many_attributes_take_no_long_time(unit: str) -> None:
    source = f"<div {unit * (600_000 // len(unit))}>a</div>"
    began = time.process_time()
    read_html(source)
    assert time.process_time() - began < 2


def test_layout_cells_keep_their_paragraphs() -> None:
    text = read_html(f"<table><tr><td><p>{'long ' * 60}</p><p>Then this.</p></td></tr></table>").text
    assert text.endswith("long\n\nThen this.")


@pytest.mark.parametrize(
    "unit",
    [
        "<a ",
        "<!--",
        "<div>",
        "<td>",
        "<table><tr><td>",
        "<template>",
        "<a ='\"",
        "</h1",
        "<h1>x",
        "<![CDATA[",
    ],
)
def test_time_grows_with_length_only(unit: str) -> None:
    """Four times the text may take four times as long; a rescan at each tag would take sixteen times.

    The least of three, without the garbage collector: it walks what all other tests have loaded.
    """
    least = [min(seconds_to_read(unit * count) for _ in range(3)) for count in (20_000, 80_000)]
    assert least[1] < 10 * max(least[0], 0.02)


def seconds_to_read(text: str) -> float:
    gc.disable()
    try:
        start = time.process_time()
        read_html(text)
        return time.process_time() - start
    finally:
        gc.enable()


def test_a_reference_too_long_to_convert_is_kept() -> None:
    assert read_html("<p>&#" + "9" * 5000 + ";</p>").text.startswith("&#999")


@pytest.mark.parametrize(
    "source",
    [
        "<?php echo $x ?>",
        "<p><%= name %></p>",
        '<a href="{{ url }}">x</a>',
        "{% extends 'base' %}<p>x</p>",
        "<p>{{ name }}</p><code>x</code>",
    ],
)
def test_templates_are_known(source: str) -> None:
    assert is_template(source)


@pytest.mark.parametrize(
    "source",
    [
        PAGE,
        "<p>Write <code>{{ name }}</code> here</p>",
        "<script>var x = {{a: 1}};</script>",
        "<pre>{% if %}</pre>",
        '<?xml version="1.0"?><html></html>',
    ],
)
def test_pages_about_templates_are_pages(source: str) -> None:
    assert not is_template(source)
