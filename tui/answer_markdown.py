"""An answer's Markdown in blocks, as it comes: only the last block is read again when more is added.

Answers may be hostile: there is no HTML, no link and no picture in them, what is taken for one elsewhere stands as it
was written. What is too long, too deep or too much for Markdown is plain text, so that no answer holds up the screen.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ingest.naming import safe_text
from longctx.footnote_rule import MARK, footnote_rule

MARKDOWN_MOST = 80_000  # characters; what takes longest of all that long takes 0.3 s
TEXT_MOST = 150_000
TOKENS_MOST = 20_000  # of blocks, and of what stands in them
UNSETTLED_MOST = 15_000  # characters of a block that may still change, read anew with each piece
DEEPEST = 20  # levels, of which a list has two
PIECE_MOST = 2_000  # characters of plain text in a block
LINKED = ("link", "autolink", "image", "html_inline", "html_block", "reference")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list, table… with all that is in it; `plain` in its place where the answer is no Markdown."""

    tokens: tuple[Token, ...] = ()
    plain: str = ""

    @property
    def begins_at(self) -> int:
        """The line of what was parsed in which it begins."""
        lines = self.tokens[0].map
        return lines[0] if lines else 0


@dataclass(slots=True)
class AnswerMarkdown:
    """The blocks of all that was added. `is_known` says which citations there are."""

    is_known: Callable[[int], bool]
    blocks: list[Block] = field(default_factory=list)
    source: str = ""
    is_plain: bool = False
    _tail: int = 0  # from where on it is read again
    _settled: int = 0  # the blocks before that
    _read: int = 0  # how far it was read; what was put off stands behind that as plain text
    _found: int = 0  # the blocks before that
    _read_next: int = 0  # how long the source is when what was put off is read

    def add(self, text: str) -> int:
        """Add to the source; the number of blocks that stay as they were."""
        self.source += text
        if not self.is_plain and len(self.source) > MARKDOWN_MOST:
            return self._give_up()
        if self.is_plain:
            return self._add_plain()
        return self._read_tail() if len(self.source) >= self._read_next else self._put_off()

    def settle(self) -> int:
        """Nothing more comes: read what was put off; the number of blocks that stay as they were."""
        is_put_off = not self.is_plain and self._read < len(self.source)
        return self._read_tail() if is_put_off else len(self.blocks)

    def _read_tail(self) -> int:
        tail = self.source[self._tail :]
        if _is_vast(tail):
            return self._give_up()
        tokens = _parser().parse(safe_text(tail), {"is_known": self.is_known})
        if _count(tokens) > TOKENS_MOST or _depth(tokens) >= DEEPEST:
            return self._give_up()
        kept, found = self._settled, _blocks(tokens)
        self.blocks[kept:] = found
        self._settle(found, tail)
        self._read, self._found = len(self.source), len(self.blocks)
        unsettled = self._read - self._tail
        self._read_next = self._read + (unsettled // 4 if unsettled > UNSETTLED_MOST else 0)
        return kept

    def _put_off(self) -> int:
        """A long block is read again once it is a quarter longer; until then what came is plain text below it."""
        self.blocks[self._found :] = [Block(plain=safe_text(self.source[self._read :].strip("\n")))]
        return self._found

    def _settle(self, found: Sequence[Block], tail: str) -> None:
        """Where to read on: at the last block whose first two lines are whole, since the rest of them may undo it."""
        whole = tail.count("\n")
        for i, block in reversed(list(enumerate(found))):
            if block.begins_at + 1 < whole:
                self._tail += _line_start(tail, block.begins_at)
                self._settled += i
                return

    def _give_up(self) -> int:
        """From now on it is plain text."""
        self.is_plain, self._tail, self._settled = True, 0, 0
        self.blocks.clear()
        return self._add_plain()

    def _add_plain(self) -> int:
        if self._tail >= TEXT_MOST:
            self.blocks[-1] = self._rest()
            return len(self.blocks) - 1
        pieces = _pieces(self.source[self._tail : TEXT_MOST])
        kept = self._settled
        self.blocks[kept:] = [Block(plain=safe_text(piece.removesuffix("\n"))) for piece in pieces]
        self._tail += sum(map(len, pieces[:-1]))
        self._settled += max(0, len(pieces) - 1)
        if len(self.source) > TEXT_MOST:
            self._tail = TEXT_MOST
            self.blocks.append(self._rest())
        return kept

    def _rest(self) -> Block:
        return Block(plain=f"… {len(self.source) - TEXT_MOST:,} more characters; an export of the session has them")


def _is_vast(text: str) -> bool:
    """Whether it may be a table with too many cells: a row is filled up to as many as its head has."""
    lines = text.split("\n")
    return len(lines) * max(line.count("|") for line in lines) > TOKENS_MOST


def _count(tokens: Sequence[Token]) -> int:
    """How many there are, with those in them."""
    return sum(1 + len(token.children or ()) for token in tokens)


def _depth(tokens: Sequence[Token]) -> int:
    """How deep blocks are, or what stands in them."""
    return max((each.level for token in tokens for each in (token, *(token.children or ()))), default=0)


def _blocks(tokens: Sequence[Token]) -> list[Block]:
    """The tokens of each block at the top."""
    blocks: list[Block] = []
    begun = 0
    for i, token in enumerate(tokens):
        if token.level == 0 and token.nesting <= 0:
            blocks.append(Block(tuple(tokens[begun : i + 1])))
            begun = i + 1
    return blocks


def _line_start(text: str, line: int) -> int:
    """Where a line begins."""
    start = 0
    for _ in range(line):
        start = text.index("\n", start) + 1
    return start


def _pieces(text: str) -> list[str]:
    """A text in parts that end with a line where they can; joined they are the text."""
    return re.findall(rf"(?s:.{{0,{PIECE_MOST - 1}}}\n|.{{1,{PIECE_MOST}}})", text)


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": DEEPEST + 2})
    parser.enable(["table", "strikethrough"]).disable(LINKED)
    parser.inline.ruler.push(MARK, footnote_rule)
    return parser
