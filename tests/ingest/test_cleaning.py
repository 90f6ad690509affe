import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.cleaning import (
    MarginBlock,
    RawPage,
    clean_pages,
    is_legible,
    leave_out,
    line_end_hyphens,
    noise,
    running_heads,
    vocabulary,
)

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted).map(tuple), max_size=8)


def dehyphenated(text: str, words: str = "") -> str:
    return leave_out(text, line_end_hyphens(text, vocabulary([text, words]))).text


def page_with_margins(number: int, *blocks: tuple[str, float], label: str = "") -> RawPage:
    """A page of blocks, each given by its text and the height at which it stands; all may be heads."""
    text, margins = "", []
    for block, top in blocks:
        margins.append(MarginBlock(len(text), len(text) + len(block) + 2, top))
        text += block + "\n\n"
    return RawPage(text, number, label or str(number), tuple(margins))


def texts(pages: list[RawPage]) -> list[str]:
    return [page.text.strip() for page in clean_pages(pages)]


@given(raw=st.text(max_size=60), ranges=RANGES)
def test_each_kept_character_leads_back_to_itself(raw: str, ranges: list[tuple[int, int]]) -> None:
    cleaned = leave_out(raw, ranges)
    gone = {offset for start, end in ranges for offset in range(start, end)}
    kept = [offset for offset in range(len(raw)) if offset not in gone]
    assert cleaned.text == "".join(raw[offset] for offset in kept)
    assert [cleaned.raw_offset(offset) for offset in range(len(cleaned.text))] == kept
    assert [cleaned.clean_offset(offset) for offset in kept] == list(range(len(kept)))


@given(raw=st.text(max_size=60), ranges=RANGES)
def test_what_was_left_out_maps_to_where_it_would_stand(raw: str, ranges: list[tuple[int, int]]) -> None:
    cleaned = leave_out(raw, ranges)
    places = [cleaned.clean_offset(offset) for offset in range(len(raw) + 1)]
    assert places == sorted(places)
    assert places[-1] <= len(cleaned.text)
    for start, end in ranges:
        if start < end <= len(raw):
            assert cleaned.clean_offset(start) == cleaned.clean_offset(end - 1)


@given(raw=st.text(alphabet="ab-\n\xad \x00é", max_size=60))
def test_cleaning_only_leaves_out(raw: str) -> None:
    [cleaned] = clean_pages([RawPage(raw)])
    assert all(cleaned.text[i] == raw[cleaned.raw_offset(i)] for i in range(len(cleaned.text)))
    assert [pair[0] for pair in cleaned.edits] == sorted({pair[0] for pair in cleaned.edits})


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("inter-\nnational law", "international law"),
        ("inter- \nnational", "international"),
        ("inter\u2010\nnational", "international"),
        ("Inter-\nnational", "International"),
        ("inter\xad\nNational", "interNational"),
        ("Über-\nprüfung", "Überprüfung"),
        ("a state-of-\nthe-art thing", "a state-of-the-art thing"),
        ("case-insensi-\ntive", "case-insensitive"),
        ("see /usr/some-\nthing", "see /usr/some-thing"),
        ("an e-\nmail", "an e-mail"),
        ("Franco-\nPrussian", "Franco-\nPrussian"),
        ("1914-\n1918", "1914-\n1918"),
        ("a -\nb", "a -\nb"),
        ("dash-\n\nbelow", "dash-\n\nbelow"),
        ("mid\xadword", "mid\xadword"),
    ],
)
def test_hyphens_by_form(broken: str, whole: str) -> None:
    assert dehyphenated(broken) == whole


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        ("", "wellknown"),
        ("a well-known name", "well-known"),
        ("all is well where it is known now", "well-known"),
        ("a wellknown name, well known", "wellknown"),
    ],
)
def test_the_document_decides_on_compounds(words: str, whole: str) -> None:
    assert dehyphenated("well-\nknown", words) == whole


def test_the_halves_of_a_broken_word_are_no_words() -> None:
    assert dehyphenated("for-\nmat and for a while") == "format and for a while"


def test_noise_goes_and_printed_characters_stay() -> None:
    raw = "ﬁne\x00 caf\x07é  \n\tcell\x9f\ud800\u200b ok\n"
    assert leave_out(raw, noise(raw)).text == "ﬁne café\n\tcell\u200b ok\n"


def test_heads_go_but_for_the_first() -> None:
    pages = [page_with_margins(n, ("Annual report 2013", 30.0), (f"Body {'x' * n}", 200.0)) for n in range(1, 5)]
    assert texts(pages) == ["Annual report 2013\n\nBody x", "Body xx", "Body xxx", "Body xxxx"]


def test_two_pages_may_be_chance() -> None:
    pages = [page_with_margins(n, ("Same line", 30.0)) for n in range(1, 3)]
    assert texts(pages) == ["Same line", "Same line"]


def test_another_height_is_another_line() -> None:
    pages = [page_with_margins(n, ("Same line", 30.0 * n)) for n in range(1, 5)]
    assert texts(pages) == ["Same line"] * 4


def test_page_numbers_go_whatever_they_start_with() -> None:
    pages = [page_with_margins(n, (f"Body {'x' * n}", 90.0), (str(n + 16), 800.0)) for n in range(1, 5)]
    assert texts(pages) == ["Body x", "Body xx", "Body xxx", "Body xxxx"]


def test_roman_page_numbers_go_by_their_label() -> None:
    romans = ["i", "ii", "iii", "iv"]
    pages = [page_with_margins(n, (roman, 800.0), label=roman) for n, roman in enumerate(romans, 1)]
    assert texts(pages) == [""] * 4


def test_heads_with_a_page_number_are_one_head() -> None:
    pages = [page_with_margins(n, (f"{n} of 4 | Chapter 2", 30.0)) for n in range(1, 5)]
    assert texts(pages) == ["1 of 4 | Chapter 2", "", "", ""]


def test_titles_that_differ_by_another_number_all_stay() -> None:
    titles = ["Q1 2013", "Q3 2013", "Q2 2014", "Q1 2015"]
    pages = [page_with_margins(n, (title, 30.0)) for n, title in enumerate(titles, 1)]
    assert texts(pages) == titles


def test_a_line_twice_on_one_page_counts_once() -> None:
    pages = [page_with_margins(n, ("n/a", 30.0), ("n/a", 30.0)) for n in range(1, 3)]
    assert running_heads(pages) == [[], []]


def test_legible_pages() -> None:
    assert not is_legible("5\x03\x04\x05\x03\x06\x04\x07 \t\n " * 5)
    assert not is_legible("\ufffd" * 9)
    assert is_legible("fine \x01 text")
    assert is_legible("")
