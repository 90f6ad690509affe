"""Token ids to text while they come: whole characters only, special tokens never shown."""

import codecs

from longctx.vocabulary import Vocabulary


class TextStream:
    """The text of ids that are fed one by one; bytes of an unfinished character wait for the rest of it.

    Bytes that are no UTF-8 become U+FFFD as soon as no byte to come could mend them.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._tokens = vocabulary.tokens
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token_id: int) -> str:
        """The text that is certain by now and was not given yet; nothing for a special token."""
        if not 0 <= token_id < len(self._tokens):
            return ""
        return self._decoder.decode(self._tokens[token_id])

    def finish(self) -> str:
        """What was still waiting, after the last id."""
        return self._decoder.decode(b"", final=True)
