"""The text that facts are planted in: real text as token ids, as much of it as is wanted.

Where there is too little it is taken again, each time from another place on, so that a window seldom comes twice.
"""

import sysconfig
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from longctx.errors import CorpusError
from longctx.tokens import Tokenizer
from longctx.vocabulary import BEGIN_OF_TEXT

INSTALLED = {"site-packages", "dist-packages"}  # what is not of the library itself
SHIFT = 4_099  # tokens; has no divisor in common with a window


@dataclass(frozen=True, slots=True)
class Text:
    """Ids, what they are of, and how many of them were there before they were repeated."""

    ids: "array[int]"
    source: str
    own_tokens: int

    @property
    def is_repeated(self) -> bool:
        """Whether some of it stands there more than once."""
        return len(self.ids) > self.own_tokens

    def beginning(self, tokens: int) -> "Text":
        """The first `tokens` of it."""
        return Text(self.ids[:tokens], self.source, min(self.own_tokens, tokens))


def gathered(pieces: Iterable[Sequence[int]], tokens: int, source: str) -> Text:
    """The first `tokens` of the pieces one after the other, again from elsewhere where they are fewer.

    The first id is the control token that begins a text. Raises CorpusError where there is nothing.
    """
    ids = array("I", [BEGIN_OF_TEXT])
    for piece in pieces:
        ids.extend(piece[: tokens - len(ids)])
        if len(ids) >= tokens:
            break
    own = len(ids)
    if own == 1:
        raise CorpusError("there is no text to plant facts in", "name files with text in them: --text PATH")
    for start in _starts(own - 1):
        if len(ids) >= tokens:
            break
        again = ids[1 + start : own] + ids[1 : 1 + start]
        ids.extend(again[: tokens - len(ids)])
    return Text(ids, source, own)


def standard_library(tokenizer: Tokenizer) -> Iterator[Sequence[int]]:
    """The ids of each source file of the running Python's own library, in order of their names."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        if not INSTALLED & set(path.relative_to(root).parts):
            try:
                yield tokenizer.encode(path.read_text("utf-8"))
            except (OSError, ValueError):  # some of its tests are of other encodings on purpose
                continue


def _starts(own: int) -> Iterator[int]:
    at = 0
    while True:
        at = (at + SHIFT) % own
        yield at
