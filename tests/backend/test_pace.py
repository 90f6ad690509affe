"""How often things are told, by a clock that a test moves."""

from hypothesis import given
from hypothesis import strategies as st

from longctx.backend.pace import Coalescer, Latest


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_newest_value_is_told_no_oftener_than_wanted_and_the_last_always() -> None:
    clock, told = Clock(), list[int]()
    latest = Latest(told.append, 0.1, clock)
    for value in range(100):
        latest.put(value)
        clock.now_s += 0.01
    latest.flush()
    latest.flush()
    assert told[0] == 0
    assert told[-1] == 99
    assert len(told) in (10, 11)


def test_pieces_are_joined_while_they_come_fast_and_given_at_once_when_slow() -> None:
    clock, told = Clock(), list[str]()
    text = Coalescer(told.append, 0.05, clock)
    for piece in ("a", "b", "c"):
        text.put(piece)
    assert told == ["a"]
    clock.now_s += 0.06
    text.put("d")
    assert told == ["a", "bcd"]
    text.put("e")
    text.flush()
    text.flush()
    assert told == ["a", "bcd", "e"]


@given(st.lists(st.tuples(st.text(max_size=3), st.floats(0, 0.2), st.booleans())))
def test_no_piece_is_lost_or_moved(pieces: list[tuple[str, float, bool]]) -> None:
    clock, told = Clock(), list[str]()
    text = Coalescer(told.append, 0.05, clock)
    for piece, seconds, is_flushed in pieces:
        text.put(piece)
        clock.now_s += seconds
        if is_flushed:
            text.flush()
    text.flush()
    assert "".join(told) == "".join(piece for piece, _, _ in pieces)
    assert all(told)
