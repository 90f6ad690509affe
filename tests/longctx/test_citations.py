from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.document import Document, Kind, Page, PageKind
from longctx.citations import OTHERS_MOST, SPAN_MOST, CitationStatus, Claimed, check, resolve
from longctx.manifest import Entry, State
from longctx.markers import Marker
from longctx.sent import Sent

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


def marker(document_id: str, quote: str) -> Marker:
    return Marker(document_id, quote, "")


def sent(
    texts: Mapping[str, str | Document],
    ranges: Mapping[str, list[tuple[int, int]]] | None = None,
    states: Mapping[str, State] | None = None,
) -> Sent:
    """Texts by path, as d1, d2 and on; every one is likely to hold any words, the last first."""
    documents = {path: t if isinstance(t, Document) else Document(t, Kind.PROSE) for path, t in texts.items()}
    entries = [
        Entry(i, path, f"digest {path}", "plain", 10, (states or {}).get(path, State.CURRENT))
        for i, path in enumerate(documents)
    ]
    return Sent(
        {entry: (ranges or {}).get(entry.path) for entry in entries},
        load=lambda entry: documents[entry.path],
        paths=lambda entry: (entry.path, f"copy/{entry.path}"),
        search=lambda words: reversed(entries),
    )


TIDES = "The tide turns at noon.\nThe light-\nhouse of Ostend is 38 metres high, says “Pliny”.\n"
SHIPS = "Seven ships were lost in the winter of 1911, says the harbour book.\n"
BOTH = sent({"tides.md": TIDES, "ships.txt": SHIPS})


@pytest.mark.parametrize(
    ("quote", "found", "place"),
    [
        ("The tide turns at noon.", "The tide turns at noon.", "tides.md:1"),
        ("noon. The lighthouse of Ostend", "noon.\nThe light-\nhouse of Ostend", "tides.md:1-3"),
        ('high, says "Pliny"', "high, says “Pliny”", "tides.md:3"),
        ("The tide … 38 metres", "The tide turns at noon.\nThe light-\nhouse of Ostend is 38 metres", "tides.md:1-3"),
        ("...turns at noon...", "turns at noon", "tides.md:1"),
        ('tide turns", "is 38', "tide turns at noon.\nThe light-\nhouse of Ostend is 38", "tides.md:1-3"),
    ],
)
def test_a_quote_is_verified_as_the_documents_own_text(quote: str, found: str, place: str) -> None:
    citation = resolve(3, marker("d1", quote), BOTH, "It is so.")
    assert (citation.status, citation.quote, citation.place) == (CitationStatus.VERIFIED, found, place)
    assert citation.chars and TIDES[slice(*citation.chars)] == found
    assert (citation.n, citation.claim, citation.share, citation.document_id) == (3, "It is so.", 1.0, "d1")
    assert (citation.path, citation.also, citation.sha256) == ("tides.md", ("copy/tides.md",), "digest tides.md")


def test_a_quote_of_another_document_is_relocated_there() -> None:
    citation = resolve(1, marker("d1", "ships were lost in the winter"), BOTH)
    assert (citation.status, citation.place, citation.document_id) == ("relocated", "ships.txt:1", "d1")
    assert (citation.path, citation.also, citation.sha256) == ("ships.txt", ("copy/ships.txt",), "digest ships.txt")


def test_a_whole_quote_elsewhere_beats_most_of_it_here() -> None:
    quote = "the tide turns at noon and again at midnight today"
    texts = sent({"a": quote.removesuffix("today") + "too", "b": f"Some say {quote}."})
    assert resolve(1, marker("d1", quote), texts).status is CitationStatus.RELOCATED


@pytest.mark.parametrize("quote", ["lost", "Seven ships were", "Seven boats were lost in the winter"])
def test_a_short_or_other_quote_is_not_looked_for_elsewhere(quote: str) -> None:
    citation = resolve(1, marker("d1", quote), BOTH)
    assert (citation.status, citation.quote, citation.share) == (CitationStatus.UNVERIFIED, quote, 0.0)
    assert (citation.path, citation.place, citation.lines, citation.chars) == ("tides.md", "tides.md", None, None)


def test_most_of_a_quote_is_near() -> None:
    citation = resolve(1, marker("d2", "Seven ships were lost in the winter of 1911, says the harbour log"), BOTH)
    assert (citation.status, citation.quote) == (CitationStatus.NEAR, SHIPS[: SHIPS.index(" book")])
    assert 0.85 <= citation.share < 1 and citation.lines == (1, 1)


@pytest.mark.parametrize("quote", ["Seven SHIPS", "Seven ships were not lost in the winter of 1911", "Seven or so"])
def test_less_than_most_or_a_gap_or_a_short_quote_is_not_near(quote: str) -> None:
    assert resolve(1, marker("d2", quote), BOTH).status is CitationStatus.UNVERIFIED


def test_parts_must_stand_in_order_and_close() -> None:
    far = sent({"a": "first part here" + " x" * SPAN_MOST + " last part there"})
    assert resolve(1, marker("d1", "first part … last part"), far).status is CitationStatus.UNVERIFIED
    assert resolve(1, marker("d1", "last part … first part"), far).status is CitationStatus.UNVERIFIED
    again = sent({"a": "first part" + " x" * SPAN_MOST + " first part and last part"})
    assert resolve(1, marker("d1", "first part … last part"), again).quote == "first part and last part"


def test_an_ellipsis_of_the_documents_own_is_text() -> None:
    assert resolve(1, marker("d1", "a, ..., z"), sent({"a": "from a, ..., z on"})).quote == "a, ..., z"


@pytest.mark.parametrize("quote", ["", " ", "...", "“”", "[]"])
def test_a_quote_without_words_cites_the_document_only(quote: str) -> None:
    citation = resolve(1, marker("d1", quote), BOTH)
    assert (citation.status, citation.path, citation.chars) == (CitationStatus.UNVERIFIED, "tides.md", None)


@pytest.mark.parametrize("document_id", ["d3", "d0", "../../etc/passwd", "d\x1b[2J"])
def test_an_id_that_was_not_sent_is_unknown(document_id: str) -> None:
    citation = resolve(1, marker(document_id, "No tide ever turns at all."), BOTH)
    assert (citation.status, citation.path, citation.sha256) == (CitationStatus.UNKNOWN, "", "")
    assert citation.place.isprintable()


def test_a_quote_under_an_id_that_was_not_sent_is_found_where_it_stands() -> None:
    citation = resolve(1, marker("d99", "The tide turns at noon."), BOTH)
    assert (citation.status, citation.document_id, citation.path) == (CitationStatus.RELOCATED, "d99", "tides.md")


def test_only_what_was_sent_is_looked_at() -> None:
    text = "The tide turns.\nThe moon is full.\nThe tide turns.\n"
    part = sent({"a": text}, {"a": [(16, 33), (33, len(text))]})
    assert resolve(1, marker("d1", "The tide turns."), part).lines == (3, 3)
    assert resolve(1, marker("d1", "The  tide turns."), part).lines == (3, 3)
    half = sent({"a": text}, {"a": [(16, 34)]})
    for quote in ("The tide turns.", "The  tide turns.", "the moon is full. the tide turns"):
        assert resolve(1, marker("d1", quote), half).status is CitationStatus.UNVERIFIED


def test_a_superseded_text_is_said_to_be_one() -> None:
    old = sent({"tides.md": TIDES}, states={"tides.md": State.SUPERSEDED})
    assert resolve(1, marker("d1", "turns at noon"), old).is_current is False


def test_markdown_is_quoted_with_or_without_its_emphasis() -> None:
    documents = sent({"a.md": Document("The **tide** turns at `noon`.", Kind.MARKDOWN)})
    assert resolve(1, marker("d1", "The tide turns at noon."), documents).quote == "The **tide** turns at `noon`."


def test_relocation_looks_at_few_documents() -> None:
    looked: list[str] = []
    entries = [Entry(i, f"{i}.txt", f"{i}", "plain", 10) for i in range(3 * OTHERS_MOST)]

    def load(entry: Entry) -> Document:
        looked.append(entry.path)
        return Document(SHIPS if entry.position == 2 * OTHERS_MOST else "Nothing here.", Kind.PROSE)

    many = Sent(dict.fromkeys(entries), load=load, paths=lambda entry: (entry.path,), search=lambda words: entries)
    assert resolve(1, marker("d1", "ships were lost in the winter"), many).status is CitationStatus.UNVERIFIED
    assert len(looked) <= OTHERS_MOST


WORDS = st.lists(
    st.sampled_from(["the", "tide", "turns", "at", "noon", "38", "metres", "of"]),
    min_size=3,
    max_size=30,
)


@given(WORDS, WORDS, st.data())
def test_what_is_verified_stands_there_and_a_changed_word_never_is(
    words: list[str], others: list[str], data: st.DataObject
) -> None:
    texts = sent({"a": " \n".join(words), "b": "  ".join(others)})
    first = data.draw(st.integers(0, len(words) - 2))
    last = data.draw(st.integers(first + 1, len(words)))
    citation = resolve(1, marker("d1", " ".join(words[first:last])), texts)
    assert citation.status is CitationStatus.VERIFIED and citation.quote.split() == words[first:last]
    changed = [*words[first:last]]
    changed[data.draw(st.integers(0, len(changed) - 1))] += "x"
    assert resolve(1, marker("d1", " ".join(changed)), texts).status in (CitationStatus.NEAR, CitationStatus.UNVERIFIED)
