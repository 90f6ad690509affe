import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longctx.markers import LONGEST, Absent, Code, Marker, MarkerStream, Piece, raw_of


def pieces_of(*parts: str) -> list[Piece]:
    stream = MarkerStream()
    found = [piece for part in parts for piece in stream.feed(part)] + stream.finish()
    joined: list[Piece] = []
    for piece in found:
        if joined and isinstance(piece, str) and isinstance(joined[-1], str):
            joined[-1] += piece
        elif joined and isinstance(piece, Code) and isinstance(joined[-1], Code):
            joined[-1] = Code(joined[-1].raw + piece.raw)
        else:
            joined.append(piece)
    return joined


def markers(text: str) -> list[tuple[str, str]]:
    return [(piece.document_id, piece.quote) for piece in pieces_of(text) if isinstance(piece, Marker)]


@pytest.mark.parametrize(
    ("written", "quote"),
    [
        ('[d12: "the tide turns"]', "the tide turns"),
        ('[d12 "the tide turns"]', "the tide turns"),
        ('[d12, "the tide turns"]', "the tide turns"),
        ('[D12:"the tide turns" ]', "the tide turns"),
        ("[d12: “the tide turns”]", "the tide turns"),
        ("[d12: „the tide turns“]", "the tide turns"),
        ("[d12: «the tide turns»]", "the tide turns"),
        ("[d12: 'the tide's turn']", "the tide's turn"),
        ("[d12: `the tide turns`]", "the tide turns"),
        ('【d12: "the tide turns"】', "the tide turns"),
        ("［d12：「潮」］", "潮"),
        ('[d12, p. 4: "the tide turns"]', "the tide turns"),
        ('[d12:15-20 "the tide turns"]', "the tide turns"),
        ("[d12: the tide turns]", "the tide turns"),
        ('[d12: "the "tide" turns"]', 'the "tide" turns'),
        (r'[d12: "the \"tide\" turns"]', 'the "tide" turns'),
        ('[d12: "say \\"tide\\""]', 'say "tide"'),
        ('[d12: "x["a"] = y[1]"]', 'x["a"] = y[1]'),
        ('[d12: "see [4], [d3] and more"]', "see [4], [d3] and more"),
        ('[d12: "an open [ bracket"] and on', "an open [ bracket"),
        ('[d12: "ends in ["] and on', "ends in ["),
        ('[d12: "C:\\dir\\"] and on', "C:\\dir\\"),
        ('[d12: "the tide\n  turns"]', "the tide\n  turns"),
        ('[d12: "a", "b"]', 'a", "b'),
        ("[d12]", ""),
        ("[ d12 ]", ""),
        ("[d12, lines 3-9]", ""),
        ('[d012: ""]', ""),
    ],
)
def test_what_models_write_is_a_marker(written: str, quote: str) -> None:
    assert markers(f"Noon. {written} Then") == [("d12", quote)]
    assert markers(written) == [("d12", quote)]


def test_several_in_one_bracket() -> None:
    text = 'It rose [d3: "a; b"; d4: "c, d", d5 "e"; d6] and fell.'
    assert markers(text) == [("d3", "a; b"), ("d4", "c, d"), ("d5", "e"), ("d6", "")]
    assert "".join(map(raw_of, pieces_of(text))) == text


@pytest.mark.parametrize(
    "text",
    [
        "a[d12] = 4",
        "a[none]",
        "[d12](http://example.org)",
        '[d12: "q"](http://example.org)',
        '`[d12: "q"]`',
        "``a ` [d12]``",
        '```\n[d12: "q"]\n```',
        "~~~py\n[d12]\n~~\n[d12]\n~~~",
        "- ```py\n  x\n  [d12]\n  ```",
        "````\n```\n[d12]\n````",
        "```\nnever closed\n[d12]",
        "[d12",
        '[d12: "never closed',
        '[d12: "never closed]',
        "[d12 and more]",
        "[dx]",
        "[12]",
        "[d]",
        "[nonesuch]",
        "[d1234567890]",
        '[d12: "' + "x" * LONGEST + '"]',
    ],
)
def test_what_is_no_marker_is_text(text: str) -> None:
    assert all(isinstance(piece, str | Code) for piece in pieces_of(text))
    assert "".join(map(raw_of, pieces_of(text))) == text


def test_markers_stand_right_behind_characters_of_scripts_without_blanks() -> None:
    assert markers("満潮は正午[d12]。") == [("d12", "")]
    assert markers('noon[d12: "at noon"].') == [("d12", "at noon")]


def test_an_unclosed_marker_does_not_swallow_the_next() -> None:
    assert markers('It is [d1: "never closed. It was [d2: "closed"].') == [("d2", "closed")]


def test_a_stray_backtick_spoils_nothing_behind_its_line() -> None:
    assert markers("a ` stray\n[d1]") == [("d1", "")]
    assert markers("a ` stray [d1]") == [("d1", "")]


@pytest.mark.parametrize("line", ["-```", "- ```", "+~~~", "1. ```", "*```"])
def test_a_fence_behind_a_mark_of_a_list_or_diff_closes_nothing(line: str) -> None:
    text = f'```diff\n{line}\n+x\n```\nSeven [d1: "q"].'
    for size in (1, 2, 3, 9, len(text)):
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        assert pieces_of(*parts) == pieces_of(text)
        assert Code(f"```diff\n{line}\n+x\n```\n") in pieces_of(*parts)


def test_text_behind_a_code_block_has_markers_again() -> None:
    assert markers("```\n[d1]\n```\n[d2]") == [("d2", "")]


@pytest.mark.parametrize("written", ["[none]", "[None]", "[ none ]", "【none】"])
def test_the_answer_is_not_there(written: str) -> None:
    assert pieces_of(f"No. {written}") == ["No. ", Absent(written)]


def test_text_flows_and_only_what_may_be_a_marker_waits() -> None:
    stream = MarkerStream()
    assert stream.feed("The tide [see the table] is 3 metres") == ["The tide [see the table] is 3 metres"]
    assert stream.feed(" high [d1") == [" high "]
    assert stream.feed('2: "half') == []
    assert stream.feed('"]') == []  # a link could still follow
    assert stream.feed(".") == [Marker("d12", "half", '[d12: "half"]'), "."]


def test_a_long_unclosed_marker_is_given_out_before_the_end() -> None:
    stream = MarkerStream()
    assert stream.feed('[d1: "' + "x" * (LONGEST + 10)) != []


ALPHABET = st.sampled_from(
    [
        '[d1: "',
        '"]',
        "[d12]",
        "[none]",
        '"; d3: "',
        "[",
        "]",
        '"',
        "`",
        "``",
        "```",
        "~~~",
        "\n",
        "\n\n",
        " ",
        "(",
        ")",
        "a",
        "d1",
        "no",
        "\\",
        ",",
        ";",
        ":",
        "“",
        "”",
        "【",
        "】",
        "潮",
        "> ",
        "- ",
        "-",
        "+",
        "+x\n",
        "1. ",
        "```\n",
        "```diff\n",
        "\n```",
        "`x`",
        "x" * 150,
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(ALPHABET, max_size=40), st.data())
def test_any_cutting_gives_the_same_pieces(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    cut = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    whole = pieces_of(text)
    assert pieces_of(*cut) == whole
    assert "".join(map(raw_of, whole)) == text


@settings(max_examples=100, deadline=None)
@given(st.lists(ALPHABET, max_size=25))
def test_one_character_at_a_time_gives_the_same_pieces(parts: list[str]) -> None:
    text = "".join(parts)
    assert pieces_of(*text) == pieces_of(text)
