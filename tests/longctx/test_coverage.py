import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.document import Kind
from longctx.answer import Coverage
from longctx.citations import Citation, CitationStatus
from longctx.coverage import coverage, last_sentence, sentences


def cited(n: int, status: CitationStatus) -> Citation:
    return Citation(n, status, "a.md", None, None, None, "q", "", "a.md", Kind.PROSE)


CITATIONS = [cited(1, CitationStatus.VERIFIED), cited(2, CitationStatus.UNVERIFIED), cited(3, CitationStatus.NEAR)]


def counts(markdown: str) -> tuple[int, int, int]:
    found = coverage(markdown, CITATIONS)
    return found.sentences, found.cited, found.verified


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("", (0, 0, 0)),
        ("The tide turns at noon [^1].", (1, 1, 1)),
        ("The tide turns at noon. [^1] It is high. [^2]", (2, 2, 1)),
        ("The tide turns. It is high. [^1]", (2, 1, 1)),
        ("The tide turns [^3] and is high [^1] [^2]. So it goes", (2, 1, 1)),
        ("# Tides\n\nIt is high [^1].\n\n---\n", (1, 1, 1)),
        ("These are the tides:\n\n- high [^1]\n- low\n* neap [^2]\n1. spring", (4, 2, 1)),
        ("Which tide? It is high! [^1]", (1, 1, 1)),
        ("It is so:\n\n```py\nx = 1. Not this. [^1]\n```\n\nAnd on [^2].", (1, 1, 0)),
        ("It is so.\n~~~\nNever closed. [^1]", (1, 0, 0)),
        ("| tide | m |\n|---|--:|\n| high | 3 [^1] |\n| low | 1 |", (2, 1, 1)),
        ("> It is high [^1].\n> It is low.", (2, 1, 1)),
        ("About 3.5 m, e.g. at noon, vs. Dr. Smith's p. 4 in fig. 2 [^1].", (1, 1, 1)),
        ("A paragraph that\nwas wrapped by hand [^1].", (1, 1, 1)),
        ("潮は満ちる。[^1]正午である。何時か？", (2, 1, 1)),
        ("ज्वार आता है। [^1] फिर जाता है।", (2, 1, 1)),
        ("It said \\[^1] and no more.", (1, 0, 0)),
        ("It is high [^9].", (1, 1, 0)),
        ("[^1]", (0, 0, 0)),
        ('He said "It is high." [^1] Then he left.', (2, 1, 1)),
    ],
)
def test_sentences_and_their_citations(markdown: str, expected: tuple[int, int, int]) -> None:
    assert counts(markdown) == expected


@given(st.text(st.sampled_from("aB .!?。\n#-|`~>[^1]:潮") | st.characters(), max_size=120))
def test_counts_are_in_order_and_sentences_are_all_of_the_text(text: str) -> None:
    found = coverage(text, CITATIONS)
    assert isinstance(found, Coverage)
    assert 0 <= found.verified <= found.cited <= found.sentences
    assert text.startswith("".join(sentences(text)))


def test_the_last_sentence_is_without_its_item_mark() -> None:
    assert last_sentence("One. Two.\n\n- **Three** is so. Four is ") == "Four is"
    assert last_sentence("- Four is 3.5 m. ") == "Four is 3.5 m."
    assert last_sentence("") == ""
    assert last_sentence("The tide - high at noon - turns.") == "The tide - high at noon - turns."


LONG = 200_000
HOSTILE = {
    "leaders": "Introduction" + "." * LONG + "5",
    "exclamations": "What" + "?!" * (LONG // 2) + "x",
    "quotes": "So." + '"' * LONG + "x",
    "closings": "So." + ".*_" * (LONG // 3) + "x",
    "blanks": "a" + " " * LONG + "b",
    "blanks first": "> " + " " * LONG + "x",
    "blanks behind a stop": "a." + " " * LONG + "x. ",
    "blank lines of blanks": ("a" + " " * 1000 + "\n" + " " * 1000 + "\n") * (LONG // 2000),
    "marks": "So." + " [^1]" * (LONG // 5) + "x",
    "digits": "So. " + "1" * LONG,
    "a mark of digits": "So. [^" + "1" * LONG + "]",
    "digits at the beginning": "1" * LONG + "x",
    "rule": "a\n" + "-" * LONG + "x",
    "spaced rule": "a\n" + "- " * (LONG // 2) + "x",
    "table head": "a\n" + " " * LONG + "x",
    "table cells": "a\n" + "|-" * (LONG // 2) + "|" + " " * LONG + "x",
    "fence": "`" * LONG,
    "tildes": "~" * LONG + "x",
    "fences": "```\n" + ("``" + " " * 98 + "\n") * (LONG // 100),
    "headings": "#" * LONG,
    "ideographs": "。" * LONG,
    "abbreviations": "e.g. " * (LONG // 5) + "x",
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_no_text_takes_long(shape: str) -> None:
    begun = time.process_time()
    coverage(HOSTILE[shape], CITATIONS)
    last_sentence(HOSTILE[shape])
    assert time.process_time() - begun < 2
