"""Code in an answer, in the colours that it has in the source.

It refuses what would hold up the screen: very long lines, much code, and code that a lexer takes its time over; that
is shown as it is.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from time import thread_time

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from textual.content import Content, Span

from tui.syntax import Word, word_of

CODE_MOST = 8_000  # characters of one piece
LONGEST_LINE = 500
LONGEST_S = 0.05
KEPT = 64  # pieces
LANGUAGES = frozenset(
    """bash c c++ cpp css diff go html ini java javascript js json kotlin py python rust sh shell sql toml ts typescript
    xml yaml yml""".split()  # noqa: SIM905 - a list of words
)
COLOURS: Mapping[Word, str] = {
    Word.COMMENT: "italic $text-muted",
    Word.STRING: "$text-success",
    Word.NUMBER: "$text-warning",
    Word.KEYWORD: "$text-accent",
    Word.NAME: "$text-primary",
    Word.TAG: "$text-secondary",
    Word.HEADING: "bold $text-accent",
    Word.STRONG: "bold",
    Word.EMPHASIS: "italic",
}


def coloured(code: str, language: str) -> Content:
    """Code in colours, where its language is known and it is not too much."""
    is_too_much = len(code) > CODE_MOST or max(map(len, code.split("\n"))) > LONGEST_LINE
    return Content(code) if is_too_much or language.lower() not in LANGUAGES else _kept(code, language.lower())


@lru_cache(KEPT)
def _kept(code: str, language: str) -> Content:
    """The width changes, and what is below it grows, more often than what is written here."""
    spans: list[Span] = []
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    deadline = thread_time() + LONGEST_S  # the first of a language costs its import, which is not the code's fault
    for span in _spans(code, lexer):
        if thread_time() > deadline:
            return Content(code)
        if span is not None:
            spans.append(span)
    return Content(code, spans)


def _spans(code: str, lexer: Lexer) -> Iterator[Span | None]:
    """The colour of each token; None where it has none."""
    for start, kind, text in lexer.get_tokens_unprocessed(code):
        word = word_of(kind)
        yield None if word is None else Span(start, start + len(text), COLOURS[word])
