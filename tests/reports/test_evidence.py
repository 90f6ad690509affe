import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pymupdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.document import Document, Kind, Page
from longctx.answer import to_json
from longctx.corpus import Corpus
from longctx.quoting import quote
from longctx.refresh import refresh
from longctx.reports.evidence import CHARS_MOST, LINES, around, evidence_of, to_lines
from longctx.reports.report import Evidence

Make = Callable[[dict[str, str | bytes]], Path]
Open = Callable[..., Corpus]
LIBRARY: Any = pymupdf
POEM = "".join(f"Line {n} of the poem is here.\n" for n in range(1, 20))
HARBOUR = "".join(f"In the harbour lies ship {n}.\r\n" for n in range(40))
HIGH = f"{HARBOUR}\r\nThe lighthouse \U0001f30a is 38 metres high.\r\n\r\n{HARBOUR}"


def plain(text: str, *pages: tuple[int, int]) -> Document:
    return Document(text, Kind.PROSE, pages=tuple(Page(n, "", *page) for n, page in enumerate(pages, 1)))


def context(text: str, cited: str) -> tuple[str, str]:
    start = text.index(cited)
    return around(plain(text), start, start + len(cited))


def test_three_lines_on_either_side() -> None:
    before, after = context(POEM, "10 of the poem")
    assert before == "".join(f"Line {n} of the poem is here.\n" for n in (7, 8, 9)) + "Line "
    assert after == " is here.\n" + "\n".join(f"Line {n} of the poem is here." for n in (11, 12, 13))


def test_whole_lines_and_the_ends_of_a_text() -> None:
    assert context(POEM, "Line 10 of the poem is here.\n")[0].count("\n") == LINES
    assert context("tide", "tide") == ("", "")
    assert context("  the\n\ttide\nturns\n", "tide") == ("  the\n\t", "\nturns")


def test_long_lines_are_cut_at_a_word() -> None:
    before, after = context("word " * 500 + "tide" + " word" * 500, "tide")
    for side in (before, after):
        assert CHARS_MOST - 5 <= len(side) <= CHARS_MOST and set(side.split()) == {"word"}
    before, after = context("\u6f6e" * 900 + "tide" + "\u6f6e" * 900, "tide")
    assert (len(before), len(after)) == (CHARS_MOST, CHARS_MOST)


def test_no_context_comes_from_another_page() -> None:
    text = "one\ntwo\nthree\nfour\n"
    document = plain(text, (0, 4), (4, 14), (14, 19))
    assert around(document, 4, 7) == ("", "\nthree")
    assert around(document, 8, 18) == ("two\n", "")


@given(st.text("a\U0001f30a e\u0301\n\r\t \u2028", max_size=1500), st.data())
def test_context_and_quote_stand_together_in_the_text(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=3))})
    pages = list(pairwise(cuts))
    before, after = around(plain(text, *pages), start, end)
    assert text[start - len(before) : end + len(after)] == before + text[start:end] + after
    assert max(len(before), len(after)) <= CHARS_MOST
    assert before.count("\n") <= LINES and after.count("\n") <= LINES + 1
    for page_start, page_end in pages:
        assert not (page_start <= start < page_end) or start - len(before) >= page_start
        assert not (start < end and page_start <= end - 1 < page_end) or end + len(after) <= page_end


def answered(corpus: Corpus, question: str) -> dict[str, Any]:
    return to_json(quote(corpus, question))


def test_every_citation_of_an_answer_is_evidence(make_tree: Make, open_corpus: Open) -> None:
    corpus = open_corpus(make_tree({"a.md": HIGH}))
    answer = answered(corpus, "how high is the lighthouse?")
    found = evidence_of(corpus, "height", answer)
    assert [each.n for each in found] == [row["n"] for row in answer["citations"]]
    (first, *_) = found
    assert (first.item, first.path, first.status, first.page) == ("height", "a.md", "verified", None)
    assert first.chars is not None
    assert HIGH.startswith(first.before + first.quote + first.after, first.chars[0] - len(first.before))
    assert "lighthouse" in first.quote and "harbour" in first.before and "harbour" in first.after


def test_what_is_not_found_has_no_context(make_tree: Make, open_corpus: Open) -> None:
    corpus = open_corpus(make_tree({"a.md": POEM}))
    answer = answered(corpus, "line 4 of the poem?")
    (row, *_) = answer["citations"]
    forged = [{**row, "chars": None}, {**row, "sha256": "0" * 64}, {**row, "quote": "x"}, {**row, "chars": [-9, 10**9]}]
    for each in forged:
        (evidence,) = evidence_of(corpus, "a", {**answer, "citations": [each]})
        assert (evidence.before, evidence.after) == ("", "")


def test_a_text_that_its_file_has_no_longer(make_tree: Make, open_corpus: Open) -> None:
    tree = make_tree({"a.md": POEM, "b.md": "More.\n"})
    corpus = open_corpus(tree)
    answer = answered(corpus, "line 4 of the poem?")
    whole = evidence_of(corpus, "a", answer)
    (tree / "a.md").write_text("Nothing.\n")
    list(refresh(corpus))
    assert evidence_of(corpus, "a", answer) == whole and whole[0].before


def test_a_page_of_a_pdf_is_named(make_tree: Make, open_corpus: Open, tmp_path: Path) -> None:
    with LIBRARY.open() as document:
        for text in ("The tide turns at noon.", "The lighthouse is 38 metres high."):
            document.new_page().insert_text((60, 200), text)
        tree = make_tree({"a.pdf": document.tobytes()})
    corpus = open_corpus(tree)
    (first, *_) = evidence_of(corpus, "a", answered(corpus, "how high is the lighthouse?"))
    assert (first.kind, first.page, first.before) == ("pdf", 2, "")


def test_lines_are_json_whatever_is_in_them() -> None:
    one = Evidence(
        item="a", n=1, status="verified", path="\udcff\n.md", place="\udcff", quote="a\u2028\n\x00b", sha256=""
    )
    lines = to_lines([one, one])
    assert lines.count("\n") == 2 and lines.isascii() and lines == to_lines([one, one])
    assert json.loads(lines.splitlines()[0])["quote"] == one.quote
    assert to_lines([]) == ""


@pytest.mark.parametrize("field", ["name", "claim", "share", "is_current"])
def test_fields_that_older_answers_lack(make_tree: Make, open_corpus: Open, field: str) -> None:
    corpus = open_corpus(make_tree({"a.md": POEM}))
    answer = answered(corpus, "line 4 of the poem?")
    row = {name: value for name, value in answer["citations"][0].items() if name != field}
    assert evidence_of(corpus, "a", {**answer, "citations": [row]})[0].before
