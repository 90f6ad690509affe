"""Words that stand nowhere in a text, and the facts that are made of them."""

from array import array

import pytest

from longctx.errors import CorpusError
from longctx.needle.fact import invented
from longctx.needle.words import absent_words
from longctx.tokens import Tokenizer


def test_absent_words_are_rare_words_of_one_token_that_the_text_has_not() -> None:
    tokenizer = Tokenizer()
    text = tokenizer.encode(" cones and Nicolae went home")
    words = set(absent_words(text))
    everything = set(absent_words([]))
    assert everything - words == {token for token in text if token >= 100_000} != set()
    for token in sorted(words)[:: len(words) // 50]:
        word = tokenizer.decode([token])
        assert token >= 100_000 and word[0] == " " and len(word) >= 5 and word[1:].isascii() and word[1:].isalpha()
        assert list(tokenizer.encode(f"x{word} y"))[1] == token


def test_no_word_stands_in_two_facts_and_the_same_seed_draws_the_same() -> None:
    facts = invented(1280, [], 3)
    words = [token for fact in facts for token in fact.ids]
    assert len(words) == len(set(words)) == 4 * 1280
    assert facts == invented(1280, [], 3) != invented(1280, [], 4)


def test_a_text_with_too_many_words_is_refused() -> None:
    free = absent_words([])
    text = array("I", free[7:])
    assert len(invented(1, text, 0)) == 1
    with pytest.raises(CorpusError, match="2 facts take 8 rare words that the text has not, and it leaves 7"):
        invented(2, text, 0)
