"""The page of a report holds what the report says, leads to its own parts, and nothing in it is obeyed."""

import base64
import hashlib
import re
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import MutableMapping
from itertools import pairwise
from typing import Any

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from longctx.reports.page import to_html
from longctx.reports.report import DocumentRow, Kind, Made, Report, State
from tests.reports.example import PNG, a_report, an_item, answer, evidence, items, picture

HOSTILE = [
    "<script>alert(1)</script>",
    "</style></head><img src=x onerror=alert(1)>",
    "</title></textarea></details></svg><b>",
    "]]><b>bold</b><![CDATA[--><!--",
    "<svg/onload=alert(1)><style>*{display:none}</style>",
    '" onmouseover="alert(1)" style="x',
    "' autofocus onfocus='alert(1)",
    "[click](javascript:alert(1)) ![x](http://example.com/x.png) javascript:alert(1)",
    "{{7*7}}{% for x in y %}{# x #}{{ config }}",
    "\x1b]8;;http://example.com\x07link\x00",
    "\u202egnirts\u2069\u200b",
    "&lt;script&gt; &#60;b&#62; &amp",
    "\udcff\ud83d",
    "line\nline\r\n\tline\u2028line",
    "n" * 100_000,
    "é" * 3_000,
]
SECTIONS = ["summary", "questions", "documents", "coverage", "evidence", "inputs", "made"]


def parsed(html: str) -> ET.Element:
    parser = html5lib.HTMLParser(tree=html5lib.getTreeBuilder("etree"), namespaceHTMLElements=False)
    page: ET.Element = parser.parse(html)
    assert parser.errors == []
    return page


def page_of(report: Report, kept: MutableMapping[str, str] | None = None) -> ET.Element:
    page = parsed(to_html(report, picture, {} if kept is None else kept))
    ids = [element.attrib["id"] for element in page.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    for element in page.iter():
        assert "style" not in element.attrib and not any(name.startswith("on") for name in element.attrib)
        for name in ("href", "src", "action", "data", "poster", "{http://www.w3.org/1999/xlink}href"):
            value = element.attrib.get(name)
            assert value is None or value.startswith("data:image/png;base64,") or value.removeprefix("#") in ids
        for name in ("aria-labelledby", "for"):
            assert set(element.attrib.get(name, "").split()) <= set(ids)
    return page


def text_of(element: ET.Element | None) -> str:
    assert element is not None
    return " ".join("".join(element.itertext()).split())


def found(page: ET.Element, anchor: str) -> ET.Element:
    return next(element for element in page.iter() if element.attrib.get("id") == anchor)


def with_class(page: ET.Element, name: str) -> list[ET.Element]:
    return [element for element in page.iter() if name in element.attrib.get("class", "").split()]


def shape(page: ET.Element) -> Counter[Any]:
    return Counter((element.tag, tuple(sorted(element.attrib))) for element in page.iter())


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_texts_bring_no_element_and_no_attribute(hostile: str) -> None:
    def said(text: str) -> str:
        return f"{hostile}{text}"

    html = to_html(a_report(said), picture, {})
    assert shape(page_of(a_report(said))) == shape(page_of(a_report()))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    assert "49" not in re.findall(r"what is .{0,9}\?", html)
    assert len(html.encode()) < 2_000_000
    assert hostile[:8] in HOSTILE[-2:] or not re.search(r"<(script|b|img src=x)\b", html)


ALLOWED = {
    *("p", "ul", "ol", "li", "h4", "h5", "h6", "blockquote", "em", "strong", "code", "pre", "br", "hr", "sup", "a"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


def check_answer(said: str) -> ET.Element:
    report = a_report(items=(an_item("first", answer=answer(said)), an_item("second")))
    page = page_of(report)
    first, _ = with_class(page, "answer")
    inside = list(first.iter())[1:]
    assert {element.tag for element in inside} <= ALLOWED
    assert {name for element in inside for name in element.attrib} <= {"href", "id", "class", "title", "start"}
    assert len(with_class(page, "item")) == 2
    return first


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_answers_bring_only_what_markdown_has(hostile: str) -> None:
    check_answer(f"{hostile} [^1]")
    check_answer(f"# a\n\n- {hostile}\n\n```{hostile}\n{hostile}\n")


@settings(max_examples=25, deadline=None)
@given(st.text(st.sampled_from("`*_[]<>&^!|-#1\n\\:\"'a ") | st.characters(), max_size=60))
def test_any_text_leaves_the_page_whole(text: str) -> None:
    check_answer(f"a {text}")
    said = an_item("first", lambda each: text + each)
    page_of(a_report(items=(said, said), title=text, description=text))


def test_the_policy_allows_our_style_and_nothing_else() -> None:
    html = to_html(a_report(), picture, {})
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert style and policy
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    said = policy[1].replace("&#39;", "'").replace("&#43;", "+")
    assert (
        said == f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"(?i)url\(|@import|expression\(", style[1])
    assert "<script" not in html


def test_sections_stand_in_order_under_headings() -> None:
    page = page_of(a_report())
    main = found(page, "main")
    assert [section.attrib["id"] for section in main if section.tag == "section"] == SECTIONS
    levels = [int(e.tag[1]) for e in page.iter() if isinstance(e.tag, str) and re.fullmatch("h[1-6]", e.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    order = [e.attrib.get("class", e.tag) for body in page.iter("body") for e in body]
    assert order == ["skip", "sheet"]
    assert [e.tag for e in with_class(page, "sheet")[0]] == ["header", "nav", "main"]


def test_contents_lead_to_items_with_their_states() -> None:
    page = page_of(a_report())
    nav = next(page.iter("nav"))
    links = {link.attrib["href"]: text_of(link) for link in nav.iter("a")}
    assert links["#i-first"] == "✓done: what is first?"
    assert links["#i-fourth"] == "✗failed: what is fourth?"
    assert links["#i-fifth"] == "…not yet asked: what is fifth?"
    assert links["#i-a1-py"] == "✓done: what is a1.py?"
    assert [href for href in links if not href.startswith("#i-")] == [f"#{section}" for section in SECTIONS]
    assert "3 not verified" in text_of(nav)


def test_the_header_says_how_far_it_is_and_by_what() -> None:
    header = text_of(next(page_of(a_report()).iter("header")))
    assert (
        "5 of 7 items, 1 failed 25 documents, 30,000 tokens, 3 left out scout Scout on cuda:0 written tuesday" in header
    )
    assert "1 of 7 items have not been asked yet. longctx report tides.toml goes on with them." in header
    assert "1 of 7 items failed: fourth." in header
    quoted = text_of(next(page_of(a_report(engine={"kind": "evidence"}, items=items()[:1])).iter("header")))
    assert "No model wrote this" in quoted and "not complete" not in quoted and quoted.count("1 item") == 1


def test_marks_lead_to_evidence_and_back() -> None:
    page = page_of(a_report())
    mark = found(page, "m-first-1")
    assert (mark.attrib["href"], text_of(mark), mark.attrib["title"]) == ("#e-first-1", "[1]", "a1.py:3 (verified)")
    exhibit = found(page, "e-first-1")
    assert "#m-first-1" in [link.attrib["href"] for link in exhibit.iter("a")]
    assert text_of(with_class(exhibit, "badge")[0]) == "✓ verified"
    assert text_of(next(exhibit.iter("blockquote"))) == "line beforequote 1line after"
    assert [text_of(each) for each in exhibit.iter("mark")] == ["quote 1"]
    assert [code.attrib["title"] for code in exhibit.iter("code")] == ["0f" * 32]


def test_what_is_not_verified_says_so_everywhere() -> None:
    page = page_of(a_report())
    assert [text_of(found(page, f"m-second-{n}")) for n in (1, 2)] == ["[1≈]", "[2?]"]
    badges = [text_of(with_class(found(page, f"e-second-{n}"), "badge")[0]) for n in (1, 2, 3)]
    assert badges == ["≈ near: 90% of it stands there", "? unverified", "! verified, out of date"]
    lost = found(page, "e-second-2")
    assert text_of(next(lost.iter("blockquote"))) == "Not found: quote 2" and not list(lost.iter("mark"))
    assert "3 citations, 0 verified" in text_of(found(page, "i-second"))
    assert [element.attrib["href"] for element in with_class(found(page, "e-second-3"), "n")] == ["#i-second"]
    groups = [("sound" in e.attrib["class"].split()) for e in with_class(page, "group")]
    assert groups == [True, True, False, True, True]
    radios = list(found(page, "evidence").iter("input"))
    assert [(e.attrib["type"], e.attrib["id"], "checked" in e.attrib) for e in radios] == [
        ("radio", "show-all", True),
        ("radio", "show-doubtful", False),
    ]


def test_there_is_no_filter_where_all_is_verified() -> None:
    page = page_of(a_report(items=items()[:1]))
    assert not list(page.iter("input"))
    assert "All 2 citations are verified." in text_of(found(page, "evidence"))


def test_a_picture_is_written_once_and_led_to() -> None:
    page = page_of(a_report())
    (image,) = page.iter("img")
    assert image.attrib["src"] == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert (image.attrib["width"], image.attrib["height"], image.attrib["loading"]) == ("3", "2", "lazy")
    assert image.attrib["alt"] == "Picture of a1.py, page 3, with the passage marked: quote 1"
    assert "The page is shown at citation 1." in text_of(found(page, "e-third-2"))
    assert "a note" in text_of(found(page, "e-third-1"))


def test_pictures_that_have_no_room_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longctx.reports.album.ROOM_BYTES", 10)
    page = page_of(a_report())
    assert not list(page.iter("img"))
    assert "The picture of this page is in pages/page.png" in text_of(found(page, "e-third-2"))


@pytest.mark.parametrize(
    "content", [b"", b"<svg onload=alert(1)>", b"\xff\xd8\xff\xc0", PNG[:16], b"\x89PNG\r\n\x1a\n" * 9]
)
def test_what_is_no_picture_is_left_out(content: bytes) -> None:
    page = parsed(to_html(a_report(), lambda name: content, {}))
    assert not list(page.iter("img"))


def test_a_structured_answer_stands_there_as_json_too() -> None:
    (value,) = page_of(a_report()).iter("pre")
    assert text_of(value) == '{ "key": [ "value", 1 ] }'


def test_folded_summaries_have_their_title_once() -> None:
    (fold,) = found(page_of(a_report()), "documents").iter("details")
    assert text_of(fold).count("what is a1.py?") == 1
    assert [text_of(heading) for heading in next(fold.iter("summary")).iter("h3")] == ["what is a1.py?"]


def test_a_question_that_refers_to_answers_leads_to_them() -> None:
    page = page_of(a_report(items=(*items()[1:2], an_item("last", refers=("first", "<gone>")))))
    (refers,) = with_class(page, "refers")
    assert text_of(refers) == "refers to first, <gone>"
    assert [link.attrib["href"] for link in refers.iter("a")] == ["#i-first"]


def test_headings_of_answers_begin_below_their_items() -> None:
    article = found(page_of(a_report(items=(an_item("first", answer=answer("### Top\n\n#### Below")),))), "i-first")
    assert [e.tag for e in article.iter() if re.fullmatch("h[1-6]", str(e.tag))] == ["h3", "h4", "h5"]


def test_what_is_short_stands_on_one_sheet() -> None:
    cited = (evidence(1), evidence(2, quote="long " * 300))
    page = page_of(a_report(items=(an_item("first", evidence=cited),)))
    assert ["short" in exhibit.attrib["class"].split() for exhibit in with_class(page, "exhibit")] == [True, False]
    assert ".short" in to_html(a_report(), picture, {}).partition("@media print")[2]


def test_without_styles_no_number_is_said_twice() -> None:
    page = page_of(a_report())
    numbered = {"places", "exhibit"}
    inside = [e for e in page.iter("ol") for child in e.iter() if numbered & set(child.attrib.get("class", "").split())]
    assert inside == [] and with_class(page, "places") and with_class(page, "exhibit")


def test_columns_that_nothing_stands_in_are_left_out() -> None:
    def head(rows: tuple[DocumentRow, ...]) -> str:
        return text_of(next(found(page_of(a_report(documents=rows)), "inputs").iter("thead")))

    rows = a_report().documents
    assert head(rows) == "iddocumentkindtokenssharepagessha256"
    assert head((replace(rows[0], detail="<x>"),)) == "iddocumentkindtokenssharesha256note"


def test_figures_that_there_are_none_of_have_no_column() -> None:
    quoted = tuple(
        an_item(f"q{n}", calls=0, wall_s=0.01, answer=answer("a", tokens={"prompt": 0, "cached": 0})) for n in range(40)
    )
    assert "figures" not in text_of(found(page_of(a_report(items=quoted)), "made"))
    timed = found(page_of(a_report(items=tuple(replace(item, wall_s=2.0) for item in quoted[:3]))), "made")
    assert "figures" not in text_of(timed) and "Time by item" in text_of(timed)
    called = found(page_of(a_report(items=(*quoted, an_item("last")))), "made")
    assert "itemcallstokens of promptfrom the cachetime" in text_of(called)


def test_numbers_that_can_be_none_are_left_out() -> None:
    tokens = {"prompt": 10**400, "cached": 10**400}
    odd = [an_item(f"q{n}", wall_s=s, answer=answer("a", tokens=tokens)) for n, s in enumerate((float("inf"), 1e300))]
    page = page_of(a_report(items=tuple(odd), made=Made(program="", begun="", written="", wall_s=float("nan"))))
    assert "cache" not in text_of(found(page, "made"))


def test_failed_items_say_why() -> None:
    failed = found(page_of(a_report()), "i-fourth")
    assert text_of(with_class(failed, "reason")[0]) == "failed: it broke"


def test_tables_of_answers_are_aligned_without_styles() -> None:
    table = check_answer("| a | b |\n|:--|--:|\n| 1 | 2 |")
    assert [cell.attrib for cell in table.iter("td")] == [{"class": "left"}, {"class": "right"}]


def test_the_matrix_has_headers_and_counts() -> None:
    section = found(page_of(a_report()), "coverage")
    rows = [[text_of(cell) for cell in row] for row in section.iter("tr")]
    assert rows[0] == ["document", "summary", "first", "second", "third", "fourth", "fifth", "all"]
    assert rows[1:] == [["a0.py", "1", "1", "", "1", "", "", "3"], ["a1.py", "1", "1", "", "1", "", "", "3"]]
    assert {cell.attrib.get("scope") for cell in section.iter("th")} == {"col", "row"}
    where = "any question or the summary of the whole corpus, summaries of single documents apart"
    (missing,) = section.iter("details")
    assert text_of(missing).startswith(f"23 of 25 documents have no verified citation in {where} a2.py, a3.py")


def test_the_matrix_names_documents_as_their_titles_do() -> None:
    rows = tuple(replace(row, path=f"/home/me/{row.path}") for row in a_report().documents[1:4])
    cited = an_item("first", evidence=(evidence(1, path="/home/me/a1.py"),))
    section = found(page_of(a_report(documents=rows, items=(cited,))), "coverage")
    assert [text_of(cell) for cell in section.iter("th")][-1] == "a1.py"
    assert text_of(section).endswith("2 of 3 documents have no verified citation in any question a2.py, a3.py")


def test_long_lists_are_bounded() -> None:
    rows = tuple(replace(a_report().documents[1], path=f"{n}.py") for n in range(3000))
    skipped = [{"path": f"{n}", "reason": "binary", "detail": ""} for n in range(3000)]
    cited = tuple(evidence(n, path=f"{n}.py") for n in range(200))
    corpus = {**a_report().corpus, "skipped": skipped}
    page = page_of(a_report(documents=rows, corpus=corpus, items=(an_item("first", evidence=cited),)))
    assert len(list(found(page, "coverage").iter("tr"))) == 61
    assert "and 140 more cited documents" in text_of(found(page, "coverage"))
    assert "2,800 of 3,000 documents have no verified citation in any question 200.py" in text_of(
        found(page, "coverage")
    )
    assert text_of(found(page, "coverage")).endswith(", 699.py and 2,300 more")
    inputs = text_of(found(page, "inputs"))
    assert "and 2,500 more documents; report.json has them" in inputs
    assert "Left out: 3,000 files" in inputs and "and 2,500 more files; report.json has them" in inputs
    assert len(list(page.iter("tr"))) < 1200


def test_ids_that_look_alike_are_told_apart() -> None:
    ids = ["a", "A", "a-1", "a.1", "1", "", "…", "m-a-1", "x" * 100, "x" * 101]
    page = page_of(a_report(items=tuple(an_item(each) for each in ids)))
    assert len(with_class(page, "item")) == len(ids)


def test_a_section_kept_gives_the_same_page_and_new_answers_change_it() -> None:
    kept: dict[str, str] = {}
    report = a_report()
    grown = replace(report, items=(*report.items[:5], an_item("fifth"), *report.items[6:]))
    assert to_html(report, picture, kept) == to_html(report, picture, {})
    assert to_html(grown, picture, kept) == to_html(grown, picture, {}) != to_html(report, picture, {})
    assert to_html(report, picture, kept) == to_html(report, picture, {})
    other = replace(report, items=tuple(reversed(report.items)))
    assert to_html(other, picture, kept) == to_html(other, picture, {})


def test_a_page_made_again_costs_little() -> None:
    kept: dict[str, str] = {}
    many = tuple(an_item(f"q{n}", evidence=tuple(map(evidence, range(1, 15)))) for n in range(50))
    report = a_report(items=many)
    to_html(report, picture, kept)
    changed = replace(report, items=(*many[:49], an_item("new")))
    begun = time.process_time()
    to_html(changed, picture, kept)
    assert time.process_time() - begun < 0.25


@pytest.mark.parametrize(
    "more",
    [
        {"items": ()},
        {"items": (an_item("first", state=State.PENDING, answer=None, evidence=(), wall_s=0.0),)},
        {"documents": (), "windows": (), "corpus": {}, "settings": {}, "engine": {}},
        {"items": (an_item("d", kind=Kind.DOCUMENT, answer={}),), "title": "", "description": ""},
        {"corpus": {"skipped": 3, "files": "x", "tokens": None, "id": 4}},
        {"items": (an_item("first", answer={"tokens": [], "answer_markdown": None, "coverage": 3}),)},
    ],
)
def test_a_report_with_little_or_odd_things_in_it_has_a_page(more: dict[str, Any]) -> None:
    page_of(a_report(**more))


def test_what_has_nothing_to_show_is_left_out() -> None:
    page = page_of(a_report(items=(), documents=(), windows=()))
    assert [section.attrib["id"] for section in found(page, "main")] == ["inputs", "made"]
    assert not [element for element in page.iter() if str(element.tag).endswith("svg")]


def test_plots_say_in_words_what_they_show() -> None:
    html = to_html(a_report(), picture, {})
    assert html.count("<svg") == 4 == html.count("<desc") == html.count('role="img"')
    assert "a24.py: 2,400 tokens, 8.0 %" in html
    assert "window 3: 2 verified citations; it begins with a.py" in html
    assert "first: 1,000 tokens of prompt, 900 of them from the cache" in html


def test_every_text_of_a_report_is_said() -> None:
    said: list[str] = []

    def say(text: str) -> str:
        said.append(f"{text}~")
        return said[-1]

    report = a_report(say)
    words = text_of(page_of(report)) + " ".join(
        value for element in page_of(report).iter() for value in element.attrib.values()
    )
    unsaid = {text for text in said if " ".join(text.split()) not in words}
    assert unsaid <= {"item~", "all of it~", "an error~"}
