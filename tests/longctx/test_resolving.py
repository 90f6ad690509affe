"""What a model cites is found where it stands, and nothing else passes for it."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ingest.document import Document, Kind
from longctx.citations import CitationStatus
from longctx.manifest import Entry, State
from longctx.markers import Marker
from longctx.resolving import OTHERS_MOST, SPAN_MOST, resolve
from longctx.sent import Sent


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
        ("...turns at noon...", "turns at noon", "tides.md:1"),
        ("The light- house of Ostend", "The light-\nhouse of Ostend", "tides.md:2-3"),
        ("The light-\nhouse of\nOstend", "The light-\nhouse of Ostend", "tides.md:2-3"),
        ("38", "38", "tides.md:3"),
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


@pytest.mark.parametrize(
    "quote",
    [
        "The tide turns … Ostend is 38 metres high",
        "The tide turns [...] house of Ostend ... metres high, says",
        'tide turns at", "house of Ostend',
    ],
)
def test_a_quote_with_a_gap_is_near_at_most(quote: str) -> None:
    text = "The tide turns at noon.\nThe house of Ostend is 38 metres high, says “Pliny”.\n"
    citation = resolve(1, marker("d1", quote), sent({"a": text}))
    assert citation.status is CitationStatus.NEAR and 0 < citation.share < 1
    first, *_, last = re.split(r" … | \[\.\.\.\] | \.\.\. |\", \"", quote)
    assert citation.quote.startswith(first) and citation.quote.endswith(last)


def test_the_share_of_a_quote_with_a_gap_is_what_was_quoted() -> None:
    texts = sent({"a": "one two three" + " x" * 50 + " four five six"})
    assert resolve(1, marker("d1", "one two three … four five six"), texts).share == pytest.approx(26 / 127, abs=0.01)
    close = sent({"a": "満潮は正午に来ると書いてあります。干潮は夕方に来ると書いてあります。"})
    quote = "満潮は正午に来ると書いてあります。…干潮は夕方に来ると書いてあります。"
    assert resolve(1, marker("d1", quote), close).share < 1


def test_parts_must_stand_in_order_and_close() -> None:
    first, last = "the first part here", "the last part there"
    far = sent({"a": first + " x" * SPAN_MOST + " " + last})
    assert resolve(1, marker("d1", f"{first} … {last}"), far).status is CitationStatus.UNVERIFIED
    near = sent({"a": f"{first} and {last}"})
    assert resolve(1, marker("d1", f"{first} … {last}"), near).status is CitationStatus.NEAR
    assert resolve(1, marker("d1", f"{last} … {first}"), near).status is CitationStatus.UNVERIFIED
    again = sent({"a": first + " x" * SPAN_MOST + f" {first} and {last}"})
    assert resolve(1, marker("d1", f"{first} … {last}"), again).quote == f"{first} and {last}"


@pytest.mark.parametrize(
    "quote",
    [
        "The lock is ... released ... while ... safe",
        "The lock is ... released by the reader.",
        "released by … by the reader",
        "The lock is not … released by the … reader. The writer … holds it while",
        "incomprehensibilities … released by the reader",
    ],
)
def test_words_around_gaps_prove_nothing(quote: str) -> None:
    text = "The lock is not released by the reader. The writer holds it while it is safe to do so."
    assert resolve(1, marker("d1", quote), sent({"a": text})).status is CitationStatus.UNVERIFIED


@pytest.mark.parametrize("quote", ["a", "5", "of", "“a”", "a …"])
def test_a_letter_or_two_stand_anywhere_and_are_not_verified(quote: str) -> None:
    assert resolve(1, marker("d1", quote), sent({"a": "a 5 of a"})).status is CitationStatus.UNVERIFIED


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("The chairman will resign on Monday.", "The chairman will re-sign"),
        ("The chairman will resign on Monday.", "The chairman will re- sign"),
        ("known entities", "known en- tities"),
    ],
)
def test_a_hyphen_that_no_line_ends_with_is_not_verified(text: str, quote: str) -> None:
    assert resolve(1, marker("d1", quote), sent({"a": text})).status is not CitationStatus.VERIFIED


def test_a_hyphen_copied_from_a_lines_end_is_verified() -> None:
    texts = sent({"a": "the known en-\ntities of pre- and post-\nwar times"})
    for quote in ("known en- tities of", "known en-tities of", "pre- and post-war times", "known en\u2010 tities of"):
        assert resolve(1, marker("d1", quote), texts).status is CitationStatus.VERIFIED


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


@pytest.mark.parametrize(
    ("text", "quote", "found"),
    [
        ("It is **not safe** to\nrun as root.", "safe** to run as root.", "safe** to\nrun as root."),
        ("It is **not\nsafe** to run", "It is **not safe", "It is **not\nsafe"),
        ("**Note:** use\nit well", "Note:** use it well", "Note:** use\nit well"),
        ("Run `make all` and\nthen wait", "all` and then wait", "all` and\nthen wait"),
        ("Run:\n\n```\nmake all\n```\n\nThen wait.", "make all\n\nThen wait.", "make all\n```\n\nThen wait."),
        ("Run:\n\n```\nmake all\n```\n\nThen wait.", "Run: make all", "Run:\n\n```\nmake all"),
    ],
)
def test_a_markdown_quote_may_begin_or_end_within_its_marks(text: str, quote: str, found: str) -> None:
    citation = resolve(1, marker("d1", quote), sent({"a.md": Document(text, Kind.MARKDOWN)}))
    assert (citation.status, citation.quote) == (CitationStatus.VERIFIED, found)


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("It is un-\nsafe to drink here", "safe to drink"),
        ("It is un\u200bsafe to drink here", "safe to drink"),
        ("The drug is harm\u00adless", "The drug is harm"),
        ("The non-toxic drug", "toxic drug"),
        ("only when !is_ready()", "is_ready()"),
        ("the 12\u00a0345 men", "345 men"),
    ],
)
def test_what_says_the_reverse_is_not_verified(text: str, quote: str) -> None:
    assert resolve(1, marker("d1", quote), sent({"a": text})).status is not CitationStatus.VERIFIED


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
    assume(" ".join(words[first:last]) not in ("at", "of"))
    citation = resolve(1, marker("d1", " ".join(words[first:last])), texts)
    assert citation.status is CitationStatus.VERIFIED and citation.quote.split() == words[first:last]
    changed = [*words[first:last]]
    changed[data.draw(st.integers(0, len(changed) - 1))] += "x"
    assert resolve(1, marker("d1", " ".join(changed)), texts).status in (CitationStatus.NEAR, CitationStatus.UNVERIFIED)
