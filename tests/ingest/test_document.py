import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest.document import Document, Heading, Kind, Page, PageKind, from_json, to_json

TEXT = st.text(max_size=200)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(TEXT)
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=5)))
    bounds = [0, *places, len(text)]
    pages = tuple(
        Page(n, draw(st.text(max_size=5)), start, end, draw(st.sampled_from(PageKind)))
        for n, (start, end) in enumerate(pairwise(bounds), start=1)
    )
    headings = tuple(Heading(place, draw(st.integers(1, 6)), draw(st.text(max_size=9))) for place in places)
    lines = draw(st.none() | st.just(()) | st.just(tuple((place, n) for n, place in enumerate(places, start=1))))
    return Document(
        text=text,
        kind=draw(st.sampled_from(Kind)),
        title=draw(st.text(max_size=9)),
        pages=draw(st.sampled_from([(), pages])),
        headings=headings,
        source_lines=lines,
        encoding=draw(st.sampled_from(["utf-8", "cp1252"])),
        replaced=draw(st.integers(0, 9)),
        notes=tuple(draw(st.lists(st.text(max_size=9), max_size=3))),
        metadata=draw(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)),
    )


@given(documents())
def test_a_document_comes_back_from_json(document: Document) -> None:
    assert from_json(document.text, json.loads(json.dumps(to_json(document)))) == document


@given(documents(), st.data())
def test_an_anchor_holds_its_range(document: Document, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(document.text)))
    end = data.draw(st.integers(start, len(document.text)))
    anchor = document.anchor(start, end)
    if document.pages:
        assert anchor.page is not None
        assert anchor.page.start <= start <= anchor.page.end
    if document.source_lines is None:
        assert anchor.lines is not None
        first, last = anchor.lines
        assert first == document.text.count("\n", 0, start) + 1
        assert first <= last <= document.text.count("\n", 0, max(start, end - 1)) + 1
    titles = [heading.title for heading in document.headings if heading.start <= start]
    assert anchor.heading == (titles[-1] if titles else None)


def test_the_newline_at_the_end_of_a_range_is_not_a_line_of_it() -> None:
    document = Document("one\ntwo\nthree\n", Kind.PROSE)
    assert document.anchor(0, 4).lines == (1, 1)
    assert document.anchor(4, 8).lines == (2, 2)
    assert document.anchor(4, 9).lines == (2, 3)


def test_windows_line_ends_count_once() -> None:
    document = Document("one\r\ntwo\r\nthree", Kind.PROSE)
    assert document.anchor(5, 8).lines == (2, 2)
    assert document.anchor(10, 15).lines == (3, 3)
