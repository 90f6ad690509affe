"""A document beside its token ids, and the way from a character to a token and back."""

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ingest.document import Document
from longctx.tokens import Tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TokenisedDocument:
    """A document and its ids; offsets are made when first asked for.

    Tokens are byte sequences, so a token may begin inside a character; such places have no character offset.
    """

    document: Document
    ids: "array[int]"
    tokenizer: Tokenizer

    @cached_property
    def _token_bytes(self) -> "NDArray[np.int64]":
        """int64 [tokens + 1]: the byte offset of each token's start, and the end."""
        import numpy as np

        return np.concatenate(([0], self.tokenizer.byte_ends(self.ids)))

    @cached_property
    def _char_bytes(self) -> "NDArray[np.int64] | None":
        """int64 [characters + 1]: the byte offset of each character, or None where they are the same (ASCII)."""
        import numpy as np

        if self.document.text.isascii():
            return None
        points = np.frombuffer(self.document.text.encode("utf-32-le"), dtype="<u4")
        widths = 1 + (points >= 0x80).astype(np.int64) + (points >= 0x800) + (points >= 0x10000)
        return np.concatenate(([0], np.cumsum(widths)))

    def char_of(self, token: int) -> int | None:
        """The character at which `token` begins, or None where it begins inside one."""
        offset = int(self._token_bytes[token])
        if self._char_bytes is None:
            return offset
        index = bisect_left(self._char_bytes, offset)
        return index if self._char_bytes[index] == offset else None

    def token_of(self, char: int) -> int | None:
        """The token that begins at character `char`, or None where none begins there."""
        offset = char if self._char_bytes is None else int(self._char_bytes[char])
        index = bisect_left(self._token_bytes, offset)
        return index if index < len(self._token_bytes) and self._token_bytes[index] == offset else None

    def whole_char(self, token: int) -> int:
        """The last token at or before `token` that begins at a character; 0 always does."""
        while self.char_of(token) is None:
            token -= 1
        return token
