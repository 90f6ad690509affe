"""Text made to fit."""

from hypothesis import given
from hypothesis import strategies as st

from tui.fitting import end_of, one_line


def test_of_a_long_name_the_end_is_kept() -> None:
    assert end_of("a" * 100 + "end.py", 60).endswith("aend.py")
    assert end_of("a" * 100, 60) == "…" + "a" * 59
    assert end_of("short", 60) == "short"


@given(st.text(), st.integers(1, 50))
def test_one_line_is_one_line_and_short(text: str, most: int) -> None:
    line = one_line(text, most)
    assert len(line) <= most + 1
    assert not any(character in line for character in "\n\r\t\x1b\u202e\u2028")


def test_what_is_cut_says_so() -> None:
    assert one_line("one  two\nthree", 9) == "one two t…"
    assert one_line(" " * 30 + "x", 9) == "…"
