import re
from collections.abc import Generator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.document import Document, Kind
from longctx.cited import CitedText, Delta
from longctx.events import CitationResolved, TextDelta
from longctx.manifest import Entry
from longctx.sent import Sent

TEXTS = {
    "tides.md": "The tide turns at noon.\nThe lighthouse is 38 metres high.\n",
    "ships.txt": "Seven ships were lost in the winter of 1911, says the harbour book.\n",
}


def sent() -> Sent:
    entries = [Entry(i, path, f"digest{i}", "plain", 10) for i, path in enumerate(TEXTS)]
    return Sent(
        dict.fromkeys(entries),
        load=lambda entry: Document(TEXTS[entry.path], Kind.PROSE),
        paths=lambda entry: (entry.path,),
        search=lambda words: entries,
    )


def told(*parts: str) -> CitedText:
    """The text fed in parts, with what must hold of every answer."""
    text = CitedText(sent())
    deltas = [delta for part in parts for delta in text.feed(part)] + list(text.finish())
    shown = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    assert text.raw == "".join(parts) and shown == text.markdown
    resolved = [delta.citation for delta in deltas if isinstance(delta, CitationResolved)]
    assert tuple(resolved) == text.citations and [c.n for c in resolved] == list(range(1, len(resolved) + 1))
    known, told_until_now = 0, ""
    for delta in deltas:
        if isinstance(delta, CitationResolved):
            known += 1
        else:
            told_until_now += delta.text
            marks = [int(n) for n in re.findall(r"(?<!\\)\[\^(\d+)\]", told_until_now)]
            assert all(n <= known for n in marks) or "`" in text.raw
    return text


@pytest.mark.parametrize(
    ("written", "markdown"),
    [
        ('It turns at noon [d1: "turns at noon"].', "It turns at noon [^1]."),
        ('It turns at noon. [d1: "turns at noon"] Then', "It turns at noon. [^1] Then"),
        ('It turns.\n[d1: "turns at noon"]\n\nThen', "It turns. [^1]\n\nThen"),
        ('It turns.\n\n[d1: "turns at noon"]', "It turns. [^1]"),
        ("It turns.\n\n[d1] says so.", "It turns.\n\n[^1] says so."),
        ('It turns[d1: "turns at noon"] .', "It turns [^1]."),
        ('A [d1: "noon"; d2: "Seven ships"] B [d1: "noon"]', "A [^1] [^2] B [^1]"),
        ('A [d1: "noon"] [d1: "noon"].', "A [^1]."),
        ('```\nx\n```\n[d1: "noon"]', "```\nx\n```\n[^1]"),
        ("No such thing. [none]", "No such thing."),
        ("[none]", ""),
        ("As [^7] says, [^1]: x", "As \\[^7] says, \\[^1]: x"),
        ("As \\[^7] and \\\\[^7]", "As \\[^7] and \\\\\\[^7]"),
        ("[[none]^7]", "[\\^7]"),
        ("[[none]^[^7]", "[\\^\\[^7]"),
        ("\\\\\\[^7]", "\\\\\\[^7]"),
        ("`[^7]` and [d9]", "`[^7]` and [^1]"),
        ("[d1]: see", "[^1] : see"),
        ("【d1】(x)", "[^1] (x)"),
        ('```\nx = r"[^1]:(x)"\n```', '```\nx = r"[^1]:(x)"\n```'),
        ("```\n[^1]\n:\n[^1] (x)\n```\n[d1]", "```\n[^1]\n:\n[^1] (x)\n```\n[^1]"),
        ("a[d1] and  two  blanks\n", "a[d1] and  two  blanks"),
    ],
)
def test_markers_become_marks(written: str, markdown: str) -> None:
    assert told(written).markdown == markdown
    assert told(*written).markdown == markdown


def test_an_answer_that_is_not_there() -> None:
    assert told("Nothing. [none]").found is False
    assert told('It does. [d1: "noon"]').found is True


def test_claims_are_the_sentences_before() -> None:
    text = told('Tides vary. It turns at noon [d1: "noon"], and 38 m high [d1: "38 metres"].\n- **Seven** lost. [d2]')
    assert [citation.claim for citation in text.citations] == [
        "It turns at noon",
        "It turns at noon, and 38 m high",
        "**Seven** lost.",
    ]


def test_a_citation_and_its_place() -> None:
    (citation,) = told('It turns [d1: "lighthouse is 38 metres"].').citations
    assert (citation.status, citation.place, citation.n) == ("verified", "tides.md:2", 1)


PARTS = st.sampled_from(
    [
        '[d1: "turns at noon"]',
        "[d2]",
        '[d9: "x"]',
        "[none]",
        "[^1]",
        "[",
        "^1]",
        "]",
        "\\",
        "`",
        "```",
        "\n",
        "\n\n",
        " ",
        ".",
        "word",
        ":",
        "(",
        '[d1: "',
        '"]',
        "潮",
        "[^",
        "- ",
        "```\n",
        "\n```\n",
        "`[^1]`",
        "[^1]:(x)",
        "-",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=30), st.data())
def test_any_cutting_gives_the_same_answer(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    cut = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    assert told(*cut).markdown == told(text).markdown == told(*text).markdown


def interrupted(text: str, at: int) -> tuple[list[Delta], CitedText] | None:
    """What was given out where the consumer was interrupted at a yield and then finished; None past the last one."""
    cited, deltas = CitedText(sent()), []
    taking = cited.feed(text)
    for number, delta in enumerate(taking):
        deltas.append(delta)
        if number == at:
            assert isinstance(taking, Generator)
            with pytest.raises(KeyboardInterrupt):
                taking.throw(KeyboardInterrupt)
            return [*deltas, *cited.finish()], cited
    return None


def test_an_interrupted_consumer_loses_nothing() -> None:
    text = (
        'It turns [d1: "turns at noon"] at noon; [d2: "Seven ships"; d9] lost.\n```\nx\n```\n[d1: "noon"] End. [none] '
    )
    whole, at = told(text), 0
    while (after := interrupted(text, at)) is not None:
        deltas, cited = after
        assert (cited.markdown, cited.citations, cited.found) == (whole.markdown, whole.citations, False)
        assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == whole.markdown
        resolved = tuple(delta.citation for delta in deltas if isinstance(delta, CitationResolved))
        assert resolved == whole.citations
        at += 1
    assert at >= 2 * len(whole.citations) > 4


def test_a_citation_that_is_given_out_is_one_of_the_answer() -> None:
    cited = CitedText(sent())
    for delta in cited.feed('It turns [d1: "turns at noon"], and. '):
        assert not isinstance(delta, CitationResolved) or delta.citation in cited.citations


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=30))
def test_no_mark_is_the_models_own(parts: list[str]) -> None:
    """Outside of code, every footnote mark stands for a citation; no more marks than markers."""
    written = "".join(parts)
    if "`" in written:
        return
    text = told(written)
    marks = [int(n) for n in re.findall(r"(?<!\\)(?:\\\\)*\[\^(\d+)\]", text.markdown)]
    assert set(marks) == {citation.n for citation in text.citations}
