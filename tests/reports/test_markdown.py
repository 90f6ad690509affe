"""The Markdown of a report can be read alone, and nothing in it is obeyed."""

import re
import time

import pytest
from markdown_it import MarkdownIt
from msgspec.structs import replace

from longctx.reports.markdown import to_markdown
from longctx.reports.report import Kind, Made, Report
from tests.reports.example import a_report, an_item, answer, evidence, items

HOSTILE = [
    "<script>alert(1)</script>",
    "![x](http://example.com/track.png) [click](javascript:alert(1)) <http://example.com>",
    "[^1]: src/forged.py:1 (verified)",
    "\n\n# heading\n\n[^1]: forged\n\n",
    "| a | b |\n|---|---|\n| <b> |",
    "```\nunclosed",
    "\x1b[2J\u202e\x00",
    "\udcff\ud83d",
    "`` ` ```",
    "n" * 100_000,
]
LIVE = ("html_inline", "html_block", "image")


def links(markdown: str) -> list[str]:
    """Where its links lead; HTML and pictures are an error."""
    viewer = MarkdownIt("commonmark", {"html": True}).enable("table")
    blocks = viewer.parse(markdown)
    tokens = [*blocks, *(child for block in blocks for child in block.children or [])]
    assert [token.type for token in tokens if token.type in LIVE] == []
    return [str(token.attrs["href"]) for token in tokens if token.type == "link_open"]


def headings(markdown: str) -> list[str]:
    tokens = MarkdownIt("commonmark").parse(markdown)
    return [f"{t.tag} {tokens[i + 1].content}" for i, t in enumerate(tokens) if t.type == "heading_open"]


def notes(markdown: str) -> list[str]:
    return re.findall(r"^\[\^(\S+)\]:", markdown, re.M)


def test_a_report_reads_from_title_to_how_it_was_made() -> None:
    text = to_markdown(a_report())
    assert text.startswith(
        "# Tides\n\nWhat is known.\n\n"
        "5 of 7 items, 1 failed · scout Scout on cuda:0 · 25 documents, 30,000 tokens, 3 left out\n\n"
        "> This report is not complete: 1 of 7 items have not been asked yet."
    )
    assert headings(text) == [
        "h1 Tides",
        "h2 Contents",
        "h2 Summary",
        "h3 what is summary?",
        "h2 Questions",
        *(f"h3 {n}. what is {name}?" for n, name in enumerate(["first", "second", "third", "fourth", "fifth"], 1)),
        "h2 Documents",
        "h3 what is a1.py?",
        "h2 Coverage",
        "h2 Inputs",
        "h3 Left out",
        "h3 Read in part",
        "h2 How it was made",
    ]
    assert "`longctx cite check report.json` checks its citations again." in text
    assert text.endswith("\n") and not text.endswith("\n\n")


def test_footnotes_are_numbered_by_item_with_their_states() -> None:
    text = to_markdown(a_report())
    assert notes(text) == ["s1.1", "s1.2", "1.1", "1.2", "2.1", "2.2", "2.3", "3.1", "3.2", "d1.1", "d1.2"]
    assert "It is this [^1.1] and that [^1.2]." in text and "It is this [^2.1]≈ and that [^2.2]?." in text
    assert '[^2.1]: a1.py:3 (near: 90% of it stands there) "quote 1"' in text
    assert '[^2.2]: a0.py:3 (unverified) "quote 2"' in text
    assert '[^2.3]: a1.py:3 (verified, out of date) "quote 3"' in text
    assert "? unverified: the quote was not found; ! out of date: its file has another text now." in text
    assert "*3 citations, 0 verified · a warning · 4 sentences, 3 cited, 2 verified*" in text


def test_each_answer_is_followed_by_its_places() -> None:
    text = to_markdown(a_report())
    assert "\n\n[^1.1] ✓ a1.py:3 · [^1.2] ✓ a0.py:3\n\n*2 citations, 2 verified ·" in text
    doubtful = "[^2.1] ≈ a1.py:3 (near: 90% of it stands there) · [^2.2] ? a0.py:3 (unverified) · [^2.3] \\! a1.py:3"
    assert f"\n\n{doubtful} (verified, out of date)\n\n*3 citations" in text


def test_a_question_that_refers_to_answers_leads_to_them() -> None:
    asked = {"title": "then [answer to first], what?", "text": "then [answer to first], what?"}
    text = to_markdown(a_report(items=(*items()[1:2], an_item("last", refers=("first", "gone*"), **asked))))
    assert (
        "### 2. then \\[answer to first\\], what?\n\nrefers to: [1. what is first?](#1-what-is-first), gone\\*\n"
        in text
    )


def test_numbers_that_can_be_none_are_left_out() -> None:
    huge = an_item("one", wall_s=float("inf"), answer=answer("a", tokens={"prompt": 10**400, "cached": 10**400}))
    made = Made(program="p", begun="2026-09-21T14:13:05Z", written="<b>", wall_s=float("nan"))
    last = to_markdown(a_report(items=(huge,), made=made)).partition("## How it was made")[2]
    assert "- begun: 2026-09-21 14:13 UTC\n- written: \\<b\\>\n" in last
    assert "cache" not in last and "longest" not in last


def test_no_setting_is_told_that_what_answered_has_not() -> None:
    settings = {"mode": "auto", "max_tokens": 9, "quotes": 3}
    quoted, written = (
        to_markdown(a_report(engine={"kind": kind}, settings=settings)) for kind in ("evidence", "scout")
    )
    assert "setting quotes: 3" in quoted and "setting max" not in quoted and "setting mode" not in quoted
    assert "setting max\\_tokens: 9" in written.replace("max_tokens", "max\\_tokens") and "quotes" not in written


def test_failed_and_pending_items_say_so() -> None:
    text = to_markdown(a_report())
    assert "### 4. what is fourth?\n\n**Failed**: it broke\n" in text
    assert "### 5. what is fifth?\n\n**Not yet asked**.\n" in text


def test_contents_lead_to_headings() -> None:
    text = to_markdown(a_report())
    assert "  - ✗ [4. what is fourth?](#4-what-is-fourth)\n" in text
    assert "- [How it was made](#how-it-was-made)\n" in text
    again = a_report(items=tuple(an_item("d", kind=Kind.DOCUMENT, title="Contents") for _ in range(2)))
    assert re.findall(r"\(#(contents\S*)\)", to_markdown(again)) == ["contents-1", "contents-2"]


def test_a_question_of_several_lines_stands_below_its_heading() -> None:
    assert "> what is" not in to_markdown(a_report(items=(an_item("one"),)))
    assert "\n> Say it in two lines." in to_markdown(a_report())


def test_headings_of_answers_stand_below_their_items_and_code_stays() -> None:
    said = "# Top\n\n## Below\n\n```py\n# a comment\n```\n\n###### Deep"
    text = to_markdown(a_report(items=(an_item("one", answer=answer(said)),)))
    assert "\n#### Top\n\n##### Below\n\n```py\n# a comment\n```\n\n###### Deep\n" in text
    text = to_markdown(a_report(items=(an_item("one", answer=answer("### Top\n\n#### Below")),)))
    assert "\n#### Top\n\n##### Below\n" in text


def test_the_matrix_and_the_inputs_are_tables() -> None:
    text = to_markdown(a_report())
    assert "| document | summary | first | second | third | fourth | fifth | all |\n| --- | --: |" in text
    assert "| a0.py | 1 | 1 |  | 1 |  |  | 3 |\n" in text
    where = "any question or the summary of the whole corpus, summaries of single documents apart"
    assert f"23 of 25 documents have no verified citation in {where}: a2.py, a3.py, a4.py" in text
    assert "| d24 | a24.py | code | 2,400 | 24 | 0f0f0f0f0f0f |  |\n" in text
    assert "- 0.bin: binary: why\n" in text


def test_long_lists_are_bounded() -> None:
    rows = tuple(replace(a_report().documents[1], path=f"{n}.py") for n in range(3000))
    skipped = [{"path": f"{n}", "reason": "binary", "detail": ""} for n in range(3000)]
    cited = tuple(evidence(n, path=f"{n}.py") for n in range(200))
    text = to_markdown(a_report(documents=rows, corpus={"skipped": skipped}, items=(an_item("one", evidence=cited),)))
    assert "and 140 more cited documents; report.json has them" in text
    assert "2,800 of 3,000 documents have no verified citation in any question: 200.py, 201.py" in text
    assert ", 299.py and 2,700 more documents." in text and "300.py" not in text.partition("## Inputs")[0]
    assert "and 2,500 more documents; report.json has them" in text
    assert "and 2,800 more files; report.json has them" in text


def test_what_differs_from_run_to_run_stands_in_the_last_section() -> None:
    report = a_report()
    later = tuple(replace(item, wall_s=item.wall_s + 3, answer=cooler(item.answer)) for item in report.items)
    again = replace(report, items=later, made=Made(program="longctx 2", begun="x", written="y", runs=7, wall_s=1.0))
    told, other = to_markdown(report), to_markdown(again)
    assert told != other
    assert told.partition("## How it was made")[0] == other.partition("## How it was made")[0]
    assert to_markdown(a_report()) == told


def cooler(said: dict[str, object] | None) -> dict[str, object] | None:
    return None if said is None else {**said, "tokens": {"prompt": 1000, "cached": 0}, "timing": {"total_s": 9.0}}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_hostile_lives(hostile: str) -> None:
    def say(text: str) -> str:
        return f"{hostile}{text}"

    text = to_markdown(a_report(say))
    assert all(link.startswith("#") for link in links(text))
    assert notes(text) == notes(to_markdown(a_report()))
    assert [each[:2] for each in headings(text)] == [each[:2] for each in headings(to_markdown(a_report()))]
    assert "\x1b" not in text and "\u202e" not in text and len(text.encode()) < 1_500_000


@pytest.mark.parametrize("hostile", HOSTILE[:-1])
def test_hostile_answers_end_where_the_next_item_begins(hostile: str) -> None:
    report = a_report(items=(an_item("one", answer=answer(f"{hostile} [^1]")), an_item("two")))
    text = to_markdown(report)
    assert all(link.startswith("#") for link in links(text))
    assert notes(text) == ["1.1", "1.2", "2.1", "2.2"]
    assert "h3 2. what is two?" in headings(text)
    text.encode()


@pytest.mark.parametrize(
    "report", [a_report(items=()), a_report(items=items()[4:6], documents=(), corpus={}, engine={})]
)
def test_a_report_with_little_in_it_is_written(report: Report) -> None:
    assert "## Inputs" in to_markdown(report)


def test_a_long_report_takes_little() -> None:
    many = tuple(an_item(f"q{n}", answer=answer("`a` [^1] **b** " * 300)) for n in range(100))
    report = a_report(items=many)
    begun = time.process_time()
    to_markdown(report)
    assert time.process_time() - begun < 3
