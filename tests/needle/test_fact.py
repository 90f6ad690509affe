"""Words that stand nowhere in a text, and the facts that are made of them."""

from array import array

import numpy as np
import pytest

from longctx.errors import CorpusError
from longctx.needle.codes import OPPOSITE, codes
from longctx.needle.construction import RARE_FROM
from longctx.needle.fact import invented
from longctx.needle.words import absent_words
from longctx.tokens import Tokenizer


def test_absent_words_are_rare_words_of_one_token_that_the_text_has_not() -> None:
    tokenizer = Tokenizer()
    everything = set(absent_words([]))
    text = tokenizer.encode(" cones and Nicolae went home")
    rare = {token for token in text if token >= RARE_FROM}
    words = set(absent_words(text))
    assert everything - words == {token & ~OPPOSITE for token in rare} & everything and len(rare) == 2
    for token in sorted(words)[:: len(words) // 50]:
        word = tokenizer.decode([token])
        assert token >= RARE_FROM and word[0] == " " and len(word) >= 5 and word[1:].isascii() and word[1:].isalpha()
        assert list(tokenizer.encode(f"x{word} y"))[1] == token


def test_neither_a_word_nor_the_token_of_the_opposite_code_meets_the_other() -> None:
    everything = absent_words([])
    assert len(everything) > 10_000 and not [token for token in everything if token & OPPOSITE]
    word = everything[70]
    assert word not in absent_words([word ^ OPPOSITE]) and word not in absent_words([word])
    assert (codes(np.array([word])) @ codes(np.array([word ^ OPPOSITE])).T).item() == -8


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
