"""The sentences that say most of what a text is about."""

import pytest

from ingest.document import Document, Heading, Kind, Page
from longctx import central

TIDES = """# Tides at Saltmere

This report describes how the spring tide at Saltmere is measured and predicted.
The gauge at the mole writes the height of the tide every minute.

## Results

The spring tide reached seven metres, and the predicted tide was within four centimetres of the measured tide.
However, it rained.

See the figure 3 below.

```
the tide tide tide tide tide tide in a block of code is no sentence.
```

## Licence

The tide tables are licensed by the harbour office under terms of its own tide licence.
"""


def texts(document: Document, most: int = 100_000) -> list[str]:
    return [document.text[s.start : s.end] for s in central.read(document, most)]


def best(document: Document, most: int = 1) -> list[str]:
    there = central.read(document, 100_000)
    return [document.text[s.start : s.end] for s, _ in central.chosen(there, central.scores(there), most)]


def test_the_sentence_that_says_what_a_text_is_comes_first_and_asides_never() -> None:
    picked = best(Document(TIDES, Kind.MARKDOWN), 3)
    assert picked[0].startswith("This report describes how the spring tide")
    assert picked[1].startswith("The spring tide reached seven metres")
    assert not any("licensed" in each or "block of code" in each for each in picked)


def test_a_sentence_goes_on_over_wrapped_lines_and_keeps_no_mark_of_its_item() -> None:
    text = "- The logger is a fanless computer in the cellar of the harbour\n  office, on an uninterruptible supply. \n"
    assert texts(Document(text, Kind.MARKDOWN)) == [text[2:].strip()]


def test_narrow_columns_are_wrapped_too() -> None:
    lines = [
        "Barnacles settle in the",
        "stilling well each spring",
        "and narrow its inlet until",
        "the gauge lags behind.",
    ]
    text = "\n".join(lines * 3)
    assert texts(Document(text.replace("behind.\nB", "behind.\n\nB"), Kind.PDF, source_lines=()))[:1] == []  # repeated
    assert texts(Document("\n".join(lines), Kind.PDF, source_lines=())) == ["\n".join(lines)]


def test_an_abbreviation_ends_no_sentence() -> None:
    text = "The gauges of Dr. Hollis and others, e.g. Those at Pell, were set up in May."
    assert texts(Document(text, Kind.PROSE)) == [text]


def test_no_two_picked_sentences_say_the_same() -> None:
    text = (
        "The harbour office measures the spring tide with gauges.\n\n"
        "The harbour office measures the spring tide with many gauges.\n\n"
        "A moulting crab was found in the well in June.\n"
    )
    picked = best(Document(text, Kind.PROSE), 2)
    assert len(picked) == 2 and "crab" in picked[1]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("潮位每分钟都会被记录在一个文件里。港口办公室在风暴潮来临之前发出警告。", 2),
        ("कुल चौहत्तर सीढ़ियाँ हैं पर एक साथ सब कभी दिखाई नहीं देतीं। ज्वार के समय ऊपर की बीस ही बचती हैं।", 2),
    ],
)
def test_scripts_without_spaces_or_with_marks_have_sentences_and_words(text: str, sentences: int) -> None:
    there = central.read(Document(text, Kind.PROSE), 1000)
    assert len(there) == sentences and all(len(each.words) > 3 for each in there)


def test_of_a_long_text_the_beginnings_of_its_sections_are_read() -> None:
    parts = [f"Chapter {n} tells of the tide at mole number {n} in the north. " + "x " * 5000 for n in range(50)]
    starts = [sum(map(len, parts[:n])) for n in range(50)]
    document = Document("".join(parts), Kind.PDF, headings=tuple(Heading(s, 1, f"C{n}") for n, s in enumerate(starts)))
    ranges = central.slices(document, 50_000, starts)
    assert [a for a, _ in ranges] == starts and sum(b - a for a, b in ranges) <= 50_000


def test_pages_stand_for_sections_where_there_are_none() -> None:
    pages = tuple(Page(n + 1, "", n * 1000, n * 1000 + 1000) for n in range(100))
    ranges = central.slices(Document("x" * 100_000, Kind.PDF, pages=pages), 20_000)
    assert len(ranges) == 25 and ranges[1][0] == 4000


@pytest.mark.parametrize(
    "text", ["", "\n\n", "[/red]", "\x1b[31m", "\u202e\udcff", "a" * 10_000, "." * 5000, "# " * 3000]
)
def test_odd_texts_have_no_sentences_and_cost_little(text: str) -> None:
    there = central.read(Document(text, Kind.PROSE), 100_000)
    assert there == [] and central.chosen(there, central.scores(there), 5) == []
    assert central.first(Document(text, Kind.PROSE)) is None


def test_equal_input_gives_equal_output() -> None:
    document = Document(TIDES, Kind.MARKDOWN)
    assert best(document, 5) == best(document, 5)


def test_rare_words_weigh_more() -> None:
    rarity = central.rarity([("tide", "crab"), ("tide",), ("tide", "mole")])
    assert rarity("crab") > rarity("tide")
