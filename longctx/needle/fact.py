"""A fact to plant and to ask for: a key and what follows it, each a word that is one token and stands nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from longctx.errors import CorpusError
from longctx.needle.words import absent_words

ANSWER_WORDS = 3
FACT_TOKENS = 1 + ANSWER_WORDS


@dataclass(frozen=True, slots=True)
class Fact:
    """The model finds `answer` token by token: each follows the one before it in one place of the text only."""

    key: int
    answer: tuple[int, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """As it stands in the text, without a token between."""
        return (self.key, *self.answer)


def invented(count: int, text: Sequence[int], seed: int) -> list[Fact]:
    """So many facts of words that the text has not, each word in one of them; the same seed draws the same.

    Raises CorpusError where the text leaves too few words.
    """
    words = absent_words(text)
    needed = count * FACT_TOKENS
    if len(words) < needed:
        raise CorpusError(
            f"{count:,} facts take {needed:,} rare words that the text has not, and it leaves {len(words):,}",
            "fewer --tokens, or another --text",
        )
    drawn = Random(seed).sample(words, needed)
    return [Fact(drawn[at], tuple(drawn[at + 1 : at + FACT_TOKENS])) for at in range(0, len(drawn), FACT_TOKENS)]
