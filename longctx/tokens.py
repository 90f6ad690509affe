"""Exact Llama 4 tokens of document text; text never becomes a special token here.

Two encoders give the same ids. tiktoken's is fast but takes 0.25 CPU seconds to load; for a little text (one edited
file) a plain byte-pair merge over the vocabulary file is ready in 0.05. A test compares them on every code point.
"""

from array import array
from binascii import b2a_base64
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from longctx.vocabulary import SPLIT_PATTERN, Vocabulary, llama4

if TYPE_CHECKING:
    import numpy as np
    import tiktoken

SMALL_TEXT = 120_000  # characters in all; beyond it loading tiktoken pays
LONG_RUN = 500  # characters without white space
NO_SPECIAL: frozenset[str] = frozenset()
PIECE_LIMIT = 400_000  # characters; the reference tokenizer cuts here too (llama-models, tokenizer.py)


class Tokenizer:
    """Text to ids; loads what it needs at the first call."""

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        self.vocabulary = vocabulary or llama4()
        self._small_budget = SMALL_TEXT
        self._fast: tiktoken.Encoding | None = None
        self._merges = ByteMerges(self.vocabulary)

    @property
    def fingerprint(self) -> str:
        """Names vocabulary and splitting rule."""
        return self.vocabulary.fingerprint

    def encode(self, text: str) -> Sequence[int]:
        """The ids of `text` as ordinary text: what looks like a special token is encoded letter by letter."""
        if self._fast is None and len(text) <= self._small_budget and suits_merges(text):
            self._small_budget -= len(text)
            return self._merges.encode(text)
        return self.encode_fast(text)

    def expect_much(self) -> None:
        """Say that much text is to come, so that the plain merge isn't even begun."""
        self._small_budget = 0

    def encode_fast(self, text: str) -> "array[int]":
        """As `encode`, always through tiktoken."""
        fast = self._fast = self._fast or fast_encoding(self.vocabulary)
        ids = array("I")
        for at in range(0, len(text), PIECE_LIMIT):
            # The ids as they lie in memory: a list of ten million Python integers costs a tenth more.
            buffer = fast._core_bpe.encode_to_tiktoken_buffer(text[at : at + PIECE_LIMIT], NO_SPECIAL)
            ids.frombytes(memoryview(buffer).cast("B"))
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ordinary ids; bytes cut inside a character become U+FFFD."""
        self._fast = self._fast or fast_encoding(self.vocabulary)
        return self._fast.decode(list(ids))

    @cached_property
    def byte_lengths(self) -> "np.ndarray":
        """uint16, by id: UTF-8 bytes of each ordinary token."""
        import numpy as np

        return np.array(self.vocabulary.lengths(), dtype=np.uint16)

    def byte_ends(self, ids: Sequence[int]) -> "np.ndarray":
        """int64 [len(ids)]: the byte offset at which each token ends in the encoded text."""
        import numpy as np

        return np.cumsum(self.byte_lengths[np.frombuffer(packed(ids), dtype=np.uint32)], dtype=np.int64)


@lru_cache(maxsize=2)
def fast_encoding(vocabulary: Vocabulary) -> "tiktoken.Encoding":
    """tiktoken's encoder for a vocabulary; built once a process.

    Its one special token is never allowed, so it stands for nothing; with none at all tiktoken searches for the empty
    string at each character.
    """
    import tiktoken

    ranks = vocabulary.ranks()
    return tiktoken.Encoding(
        "llama4",
        pat_str=SPLIT_PATTERN,
        mergeable_ranks=ranks,
        special_tokens={"<|no special token|>": len(ranks)},
    )


def suits_merges(text: str) -> bool:
    """Whether `ByteMerges` gives tiktoken's ids for `text`, and gives them soon.

    Its splitting library and tiktoken's differ on 11 code points above U+FFFF; a long run without a break costs it
    quadratic time.
    """
    return max(text, default="") <= "\uffff" and max(map(len, text.split()), default=0) <= LONG_RUN


class ByteMerges:
    """Byte-pair encoding in plain Python over the vocabulary as its file has it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; meant for up to some hundred thousand characters."""
        import regex

        ids: list[int] = []
        for piece in regex.findall(SPLIT_PATTERN, text):
            found = self._known.get(piece)
            if found is None:
                found = self._known[piece] = self._merge(piece.encode())
            ids += found
        return ids

    def _rank(self, token: bytes) -> int | None:
        rank = self._vocabulary.encoded_ranks.get(b2a_base64(token, newline=False))
        return None if rank is None else int(rank)

    def _merge(self, piece: bytes) -> list[int]:
        whole = self._rank(piece)
        if whole is not None:
            return [whole]
        parts = [piece[at : at + 1] for at in range(len(piece))]
        while (best := self._lowest_pair(parts)) is not None:
            parts[best : best + 2] = [parts[best] + parts[best + 1]]
        return [rank for part in parts if (rank := self._rank(part)) is not None]

    def _lowest_pair(self, parts: list[bytes]) -> int | None:
        ranked = [
            (rank, at)
            for at, (left, right) in enumerate(pairwise(parts))
            if (rank := self._rank(left + right)) is not None
        ]
        return min(ranked)[1] if ranked else None


def packed(ids: Sequence[int]) -> "array[int]":
    """Little-endian uint32s, the form in which ids are stored: SQLite takes an array as it lies in memory."""
    return ids if isinstance(ids, array) else array("I", ids)


def from_bytes(stored: bytes) -> "array[int]":
    """The inverse of `packed`, from its bytes; raises ValueError on a torn value."""
    ids = array("I")
    ids.frombytes(stored)
    return ids
