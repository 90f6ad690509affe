"""How footnote marks are told from text that looks like them: a rule for markdown-it, for all that show answers.

`parser.inline.ruler.push(MARK, footnote_rule)`; the environment of a run has `is_known`, which says whether a number
has a footnote. Code is no text to an inline rule, so marks in it stay as they are.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.rules_inline import StateInline

MARK = "footnote"  # the type of a token whose content is the number of a citation
DIGITS_MOST = 9


def footnote_rule(state: "StateInline", silent: bool) -> bool:
    """`[^3]`, where there is a footnote 3."""
    if not state.src.startswith("[^", state.pos):
        return False
    close = state.src.find("]", state.pos, state.pos + DIGITS_MOST + 3)
    digits = state.src[state.pos + 2 : close] if close >= 0 else ""
    if not (digits.isascii() and digits.isdigit()) or not state.env["is_known"](int(digits)):
        return False
    if not silent:
        state.push(MARK, "", 0).content = str(int(digits))
    state.pos = close + 1
    return True
