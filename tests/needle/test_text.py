"""The text that facts are planted in."""

import pytest

from longctx.errors import CorpusError
from longctx.needle.text import gathered, standard_library
from longctx.tokens import Tokenizer
from longctx.vocabulary import BEGIN_OF_TEXT


def test_pieces_follow_each_other_and_no_more_are_read_than_needed() -> None:
    def pieces():  # type: ignore[no-untyped-def]
        yield [1, 2, 3]
        yield [4, 5, 6]
        raise AssertionError("read on")

    text = gathered(pieces(), 6, "some")
    assert list(text.ids) == [BEGIN_OF_TEXT, 1, 2, 3, 4, 5]
    assert not text.is_repeated and text.own_tokens == 6


def test_a_short_text_is_repeated_and_a_window_seldom_comes_twice() -> None:
    own = list(range(8191))
    text = gathered([own], 8 * 8192, "some")
    assert text.is_repeated and text.own_tokens == 8192 and len(text.ids) == 8 * 8192
    windows = {text.ids[at : at + 8192].tobytes() for at in range(0, len(text.ids), 8192)}
    assert len(windows) == 8
    assert set(text.ids[8192:]) == set(own)
    assert text.beginning(9000).ids == text.ids[:9000] and text.beginning(9000).is_repeated
    assert not text.beginning(8192).is_repeated and text.beginning(100).own_tokens == 100


def test_a_single_token_is_text_too() -> None:
    assert list(gathered([[7]], 4, "one").ids) == [BEGIN_OF_TEXT, 7, 7, 7]


def test_nothing_is_refused() -> None:
    with pytest.raises(CorpusError, match="no text"):
        gathered([[], []], 10, "none")


def test_the_library_of_this_python_is_always_there_and_the_same() -> None:
    tokenizer = Tokenizer()
    first = gathered(standard_library(tokenizer), 20_000, "library")
    assert len(first.ids) == 20_000 == first.own_tokens
    assert first.ids == gathered(standard_library(tokenizer), 20_000, "library").ids
    assert "import" in tokenizer.decode(first.ids[1:])
