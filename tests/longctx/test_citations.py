from hypothesis import given
from hypothesis import strategies as st

from ingest.document import Document, Kind, Page, PageKind
from longctx.citations import CitationStatus, Claimed, check

TEXT = "alpha\nbeta gamma\n\ndelta beta gamma\n"
DOCUMENT = Document(TEXT, Kind.PROSE)


def claim(quote: str, start: int) -> Claimed:
    return Claimed(("notes/a.txt",), "digest", start, start + len(quote), quote)


def test_a_quote_at_its_place_is_verified() -> None:
    citation = check(1, claim("beta gamma", 6), DOCUMENT)
    assert citation.status is CitationStatus.VERIFIED
    assert (citation.lines, citation.chars, citation.place) == ((2, 2), (6, 16), "notes/a.txt:2")


def test_a_quote_that_stands_elsewhere_is_relocated() -> None:
    citation = check(1, claim("delta", 0), DOCUMENT)
    assert citation.status is CitationStatus.RELOCATED
    assert citation.lines == (4, 4)


def test_a_quote_that_stands_nowhere_is_unverified_and_has_no_place() -> None:
    citation = check(1, claim("omega", 0), DOCUMENT)
    assert citation.status is CitationStatus.UNVERIFIED
    assert (citation.lines, citation.chars, citation.page) == (None, None, None)


def test_an_empty_quote_is_never_verified() -> None:
    assert check(1, claim("", 3), DOCUMENT).status is CitationStatus.UNVERIFIED


def test_a_page_is_cited_with_its_number_and_its_label() -> None:
    pages = (Page(1, "i", 0, 6), Page(2, "ii", 6, len(TEXT)))
    citation = check(1, claim("beta gamma", 6), Document(TEXT, Kind.PDF, pages=pages, source_lines=()))
    assert (citation.page, citation.lines, citation.place) == (2, None, "notes/a.txt, p. 2 (printed ii)")


def test_a_sheet_is_called_a_sheet() -> None:
    pages = (Page(1, "Costs", 0, len(TEXT), PageKind.SHEET),)
    document = Document(TEXT, Kind.SHEETS, pages=pages, source_lines=())
    assert check(1, claim("alpha", 0), document).place == "notes/a.txt, sheet 1 (Costs)"


@given(st.text(min_size=1, max_size=200), st.data())
def test_lines_are_those_of_the_quote(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    citation = check(1, Claimed(("a",), "d", start, end, text[start:end]), Document(text, Kind.PROSE))
    assert citation.status is CitationStatus.VERIFIED and citation.lines is not None
    assert citation.lines == (text.count("\n", 0, start) + 1, text.count("\n", 0, end - 1) + 1)
    first, last = citation.lines
    assert text[start:end].removesuffix("\n") in "\n".join(text.split("\n")[first - 1 : last])


@given(st.text(min_size=2, max_size=80), st.data())
def test_a_changed_quote_is_never_verified(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 2))
    quote = text[start : start + 2]
    changed = quote[0] + ("x" if quote[1] != "x" else "y")
    assert check(1, Claimed(("a",), "d", start, start + 2, changed), Document(text, Kind.PROSE)).status != "verified"
