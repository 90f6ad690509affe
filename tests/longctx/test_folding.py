import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longctx.folding import NEAR_MOST, Folded, cuts, find, folded_quote, has_enough


def places(text: str, quote: str, *, markup: bool = False) -> list[str]:
    return [text[a:b] for a, b in Folded(text, markup=markup).find(folded_quote(quote, markup=markup))]


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("the tide\n    turns", "the tide turns"),
        ("the exam-\nple holds", "the example holds"),
        ("a well-\nknown tide", "a well-known tide"),
        ("the ex\u00adample", "the example"),
        ("the exam\u00ad\nple", "the example"),
        ("zero\u200bwidth", "zerowidth"),
        ("the ﬁrst ﬂow", "the first flow"),
        ("ＦＵＬＬ width １２", "FULL width 12"),
        ("he said “no”—twice", 'he said "no"-twice'),
        ('he said "no"', "he said 'no'"),
        ("a\u00a0b\u2003c", "a b c"),
        ("cafe\u0301 noir", "café noir"),
        ("café noir", "cafe\u0301 noir"),
        ("wait…", "wait..."),
        ("満潮は\n正午です", "満潮は正午です"),
        ("它在，\n正午", "它在，正午"),
        ('print(\\"a\\")', 'print("a")'),
        ("각", unicodedata.normalize("NFD", "각")),
    ],
)
def test_forms_of_the_same_text_are_found_as_they_stand(text: str, quote: str) -> None:
    assert places(text, quote) == [text]
    assert places(f"Zz {text} zz", quote) == [text]


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("the Tide", "the tide"),
        ("138 metres", "38 metres"),
        ("38 metres", "38 metre"),
        ("12,500 ships", "12"),
        ("3.5 metres", "5 metres"),
        ("10² ships", "102 ships"),
        ("10² ships", "10"),
        ("this", "is"),
        ("a recreation", "re-creation of"),
        ("a != b", "a = b"),
        ("12 000 000 shares", "12 000"),
        ("12 000 000 shares", "000 000 shares"),
        ("12\u202f000\u202f000 shares", "12\u202f000"),
        ("12'000'000 shares", "12'000"),
        ("12’000’000 shares", "000 shares"),
        ("LIMIT = 1_000_000", "LIMIT = 1_000"),
        ("−5 degrees", "5 degrees"),
        ("at -5 degrees", "5 degrees"),
        ("at –.5 degrees", ".5 degrees"),
        ("p < .05 here", "05 here"),
        ("pages 3-5 of it", "5 of it"),
        ("pages 3–5 of it", "pages 3"),
        ("if not_locked: raise", "locked: raise"),
        ("the _locked flag", "locked flag"),
        ("the chairman can't", "the chairman can"),
        ("the chairman can’t", "the chairman can"),
        ("5′ thick", "5″ thick"),
        ("5″ thick", "5′"),
        ("the chairman will resign", "will re-sign"),
        ("set nocache=true", "set no-cache=true"),
        ("the soft ex\u00adample", "soft ex-ample"),
        ("x**2", "x2"),
    ],
)
def test_other_text_is_not_found(text: str, quote: str) -> None:
    assert places(text, quote) == []
    assert not list(find(text, quote, 0, len(text)))


def test_emphasis_counts_for_nothing_in_markdown_alone() -> None:
    text = "the **tide** turns at `noon`, *always*"
    assert places(text, "the tide turns at noon, always", markup=True) == [text[:-1]]
    assert places("the tide turns", "the **tide** turns", markup=True) == ["the tide turns"]
    assert places(text, "the tide turns at noon, always") == []
    assert places("2 * 3 * 4", "2 * 3 * 4", markup=True) == ["2 * 3 * 4"]


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("un-\nsafe to drink", "safe to drink"),
        ("it is un-  \r\n    safe to drink", "safe to drink"),
        ("non-\ntoxic", "toxic"),
        ("un\u00adsafe", "safe"),
        ("un\u00ad\nsafe", "safe"),
        ("un\u200bsafe", "safe"),
        ("un\u200bsafe", "\u200bsafe"),
        ("The drug is harm\u00adless", "The drug is harm"),
        ("legit-\nimate", "legit"),
        ("legit-\nimate", "legit-"),
        ("legit-\nimate", "-\nimate"),
    ],
)
def test_half_of_a_parted_word_is_not_found(text: str, quote: str) -> None:
    assert places(text, quote) == []
    assert not list(find(text, quote, 0, len(text)))


@pytest.mark.parametrize("quote", ["light-\nhouse that", "lighthouse that", "the light-house that"])
def test_a_parted_word_is_found_whole(quote: str) -> None:
    assert places("It is the light-\nhouse that stands", quote)


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("a 5' pole", 'a 5" pole'),
        ('a 5" pole', "a 5' pole"),
        ("a 5” pole", "a 5’ pole"),
        ("a 5'6\" pole", "a 5\"6' pole"),
    ],
)
def test_feet_are_not_inches(text: str, quote: str) -> None:
    assert places(text, quote) == []
    assert places(text, text)


@pytest.mark.parametrize("text", ['lost "in 1911" there', "lost “in 1911” there", "lost «in 1911» there"])
def test_quotes_behind_a_number_are_of_one_kind(text: str) -> None:
    assert places(text, 'lost "in 1911" there') == [text]


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("if !is_ready(): stop", "is_ready()"),
        ("if (!is_ready()) stop", "is_ready()"),
        ("if !(a and b)", "(a and b)"),
        ("¬prime holds", "prime holds"),
        ("only ≤5 mg", "5 mg"),
        ("only <5 mg", "5 mg"),
        ("only >5 mg", "5 mg"),
        ("only <=5 mg", "5 mg"),
        ("only ~5 mg", "5 mg"),
        ("only ≥5 mg", "5 mg"),
        ("only ≈.5 mg", ".5 mg"),
        ("where x <= 15", "where x <"),
        ("a non-toxic drug", "toxic drug"),
        ("a non‑toxic drug", "toxic drug"),
        ("Anti-inflammatory drug", "inflammatory drug"),
        ("it is non-toxic", "it is non"),
        ("set no-cache on", "cache on"),
        ("it is sugar-free", "it is sugar"),
    ],
)
def test_a_quote_is_not_cut_from_what_reverses_or_bounds_it(text: str, quote: str) -> None:
    assert places(text, quote) == []
    assert not list(find(text, quote, 0, len(text)))


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("12 000 000 men", "000 men"),
        ("12 000 000 men", "12 000"),
        ("12 345 678 men", "345 678 men"),
        ("12 345 678 men", "678 men"),
        ("12 000 men", "000 men"),
        ("12\u00a0345 men", "345 men"),
        ("12\u202f345 men", "12"),
    ],
)
def test_a_number_in_groups_is_whole(text: str, quote: str) -> None:
    assert places(text, quote) == []
    assert not list(find(text, quote, 0, len(text)))
    assert places(text, text)


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("in 2019 100 ships", "in 2019"),
        ("2.7 100 workout modes", "100 workout modes"),
        ("2.7 100 200 modes", "100 200 modes"),
        ("iPhone 5 256 GB", "256 GB"),
        ("Year 1 150 students", "150 students"),
        ("chapter 12\u2003345 pages", "345 pages"),
        ("12\t345 men", "345 men"),
        ("a well-known fact", "fact"),
        ("a well-known fact", "known fact"),
        ("<td>5 mg</td>", "5 mg"),
        ("Stop! is_ready() now", "is_ready()"),
        ("come in-between", "come"),
        ("12\n300 ships", "300 ships"),
        ("the tide—38 metres", "38 metres"),
        ("version 1.2.3-beta", "version 1.2.3"),
        ("noon. 38 metres", "38 metres"),
        ("pages 3-5 of it", "pages 3-5"),
        ("a ‘tide’ turns", "tide"),
    ],
)
def test_what_stands_beside_words_and_numbers_cuts_none(text: str, quote: str) -> None:
    assert list(find(text, quote, 0, len(text)))


def test_a_hyphen_of_the_quote_must_be_one_of_the_text() -> None:
    text = "a well-\nknown tide, the wellknown moon, a half-\nhidden well-\nknown sun"
    assert places(text, "well-known tide") == ["well-\nknown tide"]
    assert places(text, "half-hidden well-known sun") == ["half-\nhidden well-\nknown sun"]
    assert places(text, "the well-known moon") == places(text, "wellkno-wn moon") == []


@pytest.mark.parametrize(
    "text",
    [
        "rm -rf *.pyc",
        "rm *.pyc foo.*",
        "call f(*args, **kwargs) now",
        "`f(*args*)` and `*a`, `b*`",
        "```\na *b* c\n\nd **e** f\n```",
        "``a *b* ` c``",
        "2 * 3 and a ** b",
        "one *two\n\nthree* four",
        "****",
    ],
)
def test_asterisks_that_are_no_emphasis_stay(text: str) -> None:
    assert Folded(text, markup=True).text.replace("`", "").count("*") == text.count("*")


def test_emphasis_may_stand_within_emphasis() -> None:
    text = "**the *tide* turns** at ***noon***; ` it *always* does"
    assert Folded(text, markup=True).text == "the tide turns at noon; it always does"


def test_unpaired_marks_are_folded_fast() -> None:
    text = "".join("`" * n + " \n\n *a " * n for n in range(1, 700))
    begun = time.process_time()
    assert Folded(text, markup=True).text
    assert time.process_time() - begun < 5.0


@pytest.mark.parametrize("quote", ["", "a", "ab", "5", "(a) - b", "…", "5%"])
def test_a_quote_of_one_or_two_letters_is_not_enough(quote: str) -> None:
    assert not has_enough(quote)


@pytest.mark.parametrize("quote", ["38", "3.5", "the", "a b c", "満潮は"])
def test_a_word_or_a_number_is_enough(quote: str) -> None:
    assert has_enough(quote)


def test_a_search_starts_at_an_offset_of_the_original() -> None:
    text = "a  a   a"
    assert list(Folded(text).find("a", 3)) == [(3, 4), (7, 8)]
    assert list(Folded(text).find("a", 4)) == [(7, 8)]


def near(text: str, quote: str) -> list[tuple[str, float]]:
    return [(text[a:b], round(share, 2)) for a, b, share in Folded(text).near(folded_quote(quote))]


def test_a_near_run_is_contiguous_and_covers_most() -> None:
    text = "We saw that the lighthouse of Ostend stands 38 metres\nabove the sea at low water."
    said = "the lighthouse of Ostend stands 38 metres above the sea"
    assert near(text, said + " level") == [(said.replace("metres above", "metres\nabove"), 0.9)]
    assert near(text, "The Lighthouse of Ostend stands (38 metres) above the sea")[0][1] == NEAR_MOST
    assert near(text, said.replace("stands", "remains")) == []
    assert near(text, said + " level at very high tide") == []


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("if a != b: stop", "if a == b: stop"),
        ("if a < b: stop", "if a > b: stop"),
        ("total = a + b", "total = a b"),
        ("it holds if n <= 10", "it holds if n >= 10"),
        ("a rise of −12 million shares", "a rise of 12 million shares"),
        ("−12,345,678 shares", "12,345,678 SHARES"),
        ("prices fell by 3.5", "prices fell by 3"),
        ("LIMIT_TOTAL_MAXIMUM", "limit_total"),
        ("5′ it is", "5″ it is"),
        ("if !ok: go", "if ok: go"),
    ],
)
def test_signs_decimals_and_operators_are_words_of_a_near_quote(text: str, quote: str) -> None:
    assert all(share < 0.95 and "12" not in found for found, share in near(text, quote))


def test_every_occurrence_of_a_near_run_is_given() -> None:
    assert len(near("one two three four five! one two three four five?", "one two three four five x")) == 2


def test_near_runs_of_scripts_without_blanks() -> None:
    assert near("満潮は正午に来ると書いてあります。", "満潮は正午に来ると書いてありまし") == [
        ("満潮は正午に来ると書いてありま", 0.94)
    ]


@given(st.text(max_size=80), st.data())
def test_offsets_lead_back_to_what_was_folded(text: str, data: st.DataObject) -> None:
    folded = Folded(text, markup=data.draw(st.booleans()))
    starts = [folded.start(i) for i in range(len(folded.text))]
    ends = [folded.end(i + 1) for i in range(len(folded.text))]
    assert starts == sorted(starts) and ends == sorted(ends)
    assert all(0 <= a < b <= len(text) for a, b in zip(starts, ends, strict=True))


SPECIAL = st.sampled_from("a b\n\t-\u00ad\u200bﬁﬂ“”„—…éＡ潮。，e\u0301²½'\"*`\\\u00a09.,")
# Folded by what stands before it: a hyphen at a line's end, and a quotation mark behind a digit, which is inches.
BY_CONTEXT = str.maketrans({"-": None, '"': "'"})


@given(st.text(SPECIAL, max_size=60), st.data())
def test_any_part_folded_is_found_where_it_stands(text: str, data: st.DataObject) -> None:
    """What stands at a place is found there, where its ends cut nothing."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    for a, b in find(text, text[start:end], start, end) if start < end else ():
        assert text[a:b] == text[start:end] and not cuts(text, a) and not cuts(text, b)
    folded = Folded(text)
    if folded.text:
        first = data.draw(st.integers(0, len(folded.text) - 1))
        last = data.draw(st.integers(first + 1, len(folded.text)))
        part = folded.text[first:last]
        for a, b in folded.find(part):
            assert part.translate(BY_CONTEXT).strip() in Folded(text[a:b]).text.translate(BY_CONTEXT)


def test_what_is_composed_elsewhere_changes_no_fold() -> None:
    ligature = "\ufb01\u0301"
    assert Folded(ligature).text == Folded(f"a\u0301 {ligature}").text[2:] == "f\u00ed"


def test_folding_a_megabyte_is_fast() -> None:
    line = "The tide — as “Pliny” says — turns twice a day, ﬁrst at noon; see the exam-\nple.\n    More text here.\n"
    text = line * (1_000_000 // len(line))
    begun = time.process_time()
    folded = Folded(text)
    assert len(list(folded.find("first at noon"))) == len(text) // len(line)
    assert time.process_time() - begun < 2.0
