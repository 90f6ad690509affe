"""Stop strings are found however a text is cut, and no part of one is ever given out."""

from hypothesis import given
from hypothesis import strategies as st

from longctx.serving.stops import StopStrings

TEXTS = st.text("ab\n", max_size=40)


@given(TEXTS, st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3), st.lists(st.integers(1, 5), max_size=50))
def test_any_cutting_gives_the_text_before_the_first_stop(text: str, stops: list[str], sizes: list[int]) -> None:
    stream, given_out, rest = StopStrings(stops), "", text
    for size in [*sizes, len(text)]:
        piece, rest = rest[:size], rest[size:]
        given_out += stream.feed(piece)
        assert given_out == text[: len(given_out)]
        if stream.found:
            break
    else:
        given_out += stream.finish()
    ends = [text.index(stop) for stop in stops if stop in text]
    # Of two stops the one that is whole first ends the text, be it that the other began before it.
    first_whole = min((text.index(stop) + len(stop) for stop in stops if stop in text), default=None)
    assert stream.found == (first_whole is not None)
    if first_whole is None:
        assert given_out == text
    else:
        assert len(given_out) <= first_whole and not any(stop in given_out for stop in stops)
        assert given_out == text[: len(given_out)] and min(ends) <= len(given_out) <= max(ends)


def test_text_flows_unless_it_may_begin_a_stop() -> None:
    stream = StopStrings(["END"])
    assert [stream.feed(piece) for piece in ("one ", "E", "N", "x", "EN", "D more")] == ["one ", "", "", "ENx", "", ""]
    assert stream.found and stream.finish() == "END more"
