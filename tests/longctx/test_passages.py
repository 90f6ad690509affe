"""Passages hold all of a document's text once, and are cut where it breaks."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.document import Document, Kind, Page, PageKind
from longctx.passages import CODE_MOST, NAME_MOST, PROSE_MOST, Passage, passages

WORDS = st.sampled_from(
    ["word ", "A sentence. ", "\n", "\n\n", "# Head\n", "def f(x):\n", "    y = 1\n", "ab|cd\n", "ที่นี่", "x" * 400]
)
TEXT = st.lists(WORDS, max_size=60).map("".join)


@given(TEXT, st.sampled_from(list(Kind)))
def test_all_text_once_in_order(text: str, kind: Kind) -> None:
    found = list(passages(Document(text=text, kind=kind)))
    place = 0
    for passage in found:
        assert passage.start >= place and passage.end > passage.start
        assert not text[place : passage.start].strip()
        place = passage.end
    assert not text[place:].strip()


@given(TEXT, st.sampled_from(list(Kind)))
def test_no_passage_is_much_longer_than_it_may_be(text: str, kind: Kind) -> None:
    most = max(CODE_MOST, PROSE_MOST)
    assert all(p.end - p.start <= most for p in passages(Document(text=text, kind=kind)))


def test_functions_and_methods_are_passages_with_names() -> None:
    method = "    def get(self):\n        def inner():\n            pass\n        return 1\n"
    text = f"import os\n\nclass Store:\n    '''Doc.'''\n\n{method}\nX = 1\n"
    found = [(p.kind, p.name, p.heading) for p in passages(Document(text=text, kind=Kind.CODE))]
    assert found == [
        ("code", "", ""),
        ("class", "Store", ""),
        ("function", "get", "Store"),
        ("code", "", ""),
    ]


def test_a_long_function_keeps_its_name_in_every_part() -> None:
    text = "def long():\n" + "    value = compute(value)\n\n" * 200
    found = list(passages(Document(text=text, kind=Kind.CODE)))
    assert len(found) > 2 and {p.name for p in found} == {"long"}
    assert [p.kind for p in found][:2] == ["function", "part"]


def test_prose_passages_know_their_heading_and_do_not_cross_it() -> None:
    text = "# One\n\n" + "First things are said. " * 30 + "\n\n# Two\n\nSecond.\n"
    found = list(passages(Document(text=text, kind=Kind.MARKDOWN)))
    assert {p.heading for p in found} == {"One", "Two"}
    assert text[found[-1].start : found[-1].end].startswith("# Two")


def test_rows_of_a_sheet_are_headed_by_its_first_row() -> None:
    rows = "name\tprice\n" + "".join(f"item {i}\t{i}\n" for i in range(200))
    page = Page(1, "Costs", 0, len(rows), PageKind.SHEET)
    found = list(passages(Document(text=rows, kind=Kind.SHEETS, pages=(page,))))
    assert len(found) > 1
    assert all(p.name == "Costs" and p.heading == "name\tprice" for p in found)
    assert all(rows[p.start - 1] == "\n" for p in found[1:])


def test_a_passage_stays_on_its_page() -> None:
    text = "Short.\n\nOther page.\n"
    pages = (Page(1, "1", 0, 8), Page(2, "2", 8, len(text)))
    found = list(passages(Document(text=text, kind=Kind.PDF, pages=pages)))
    assert [(p.start, p.end) for p in found] == [(0, 8), (8, len(text))]
    assert isinstance(found[0], Passage)


def test_names_and_headings_are_cut() -> None:
    long = "word " * 10_000
    for text, kind in (
        (f"# {long}\n\n" + "A paragraph of some length here.\n\n" * 40, Kind.MARKDOWN),
        (f"class {'C' * 5000}:\n    def {'f' * 5000}(self):\n        pass\n", Kind.CODE),
        (f"{long}\n" * 3, Kind.TABLE),
    ):
        found = list(passages(Document(text=text, kind=kind, title=long)))
        assert found and all(len(p.name) <= NAME_MOST and len(p.heading) <= NAME_MOST for p in found)
    page = Page(1, long, 0, 5, PageKind.SHEET)
    (only,) = passages(Document(text="a\tb\nc", kind=Kind.SHEETS, pages=(page,)))
    assert only.name == long[:NAME_MOST]


def test_of_a_long_path_of_titles_the_last_are_kept() -> None:
    text = f"# {'Book ' * 30}\n\n## {'Chapter ' * 10}\n\n### Ovens\n\nHot.\n"
    last = list(passages(Document(text=text, kind=Kind.MARKDOWN)))[-1]
    assert last.heading == f"{' '.join(['Chapter'] * 10)} › Ovens"
