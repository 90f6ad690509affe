"""Words of which facts are made: rare ones that are one token, and stand nowhere in a text.

Nor does the token of the negative code, the id with the bit of 16 turned (`codes`): what a key should not find could
else score as high as what it should. Of each such pair only the id without that bit is a word: no two
facts hold both.
"""

import re
from collections.abc import Sequence
from functools import cache

import numpy as np

from longctx.needle.codes import OPPOSITE
from longctx.needle.construction import RARE_FROM
from longctx.tokens import packed
from longctx.vocabulary import VOCABULARY_TOKENS, llama4

WORD = re.compile(rb" [A-Za-z]{4,}")


def absent_words(text: Sequence[int]) -> list[int]:
    """The ids of rare words that are not among the ids of `text`, nor are their opposites, in ascending order."""
    seen = np.zeros(VOCABULARY_TOKENS, dtype=bool)
    seen[np.frombuffer(packed(text), dtype=np.uint32)] = True
    return [token for token in _rare_words() if not seen[token] and not seen[token ^ OPPOSITE]]


@cache
def _rare_words() -> tuple[int, ...]:
    tokens = llama4().tokens
    ids = (token for token in range(RARE_FROM, len(tokens)) if not token & OPPOSITE)
    return tuple(token for token in ids if WORD.fullmatch(tokens[token]))
