"""Text in a form in which only what is read counts, with the way back to the original's offsets.

Runs of white space are one blank, words parted at a line's end are whole, soft hyphens and what has no width is gone,
ligatures, full-width forms, quotes and dashes are of one kind. Case stays. It decides nothing about a quote.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property, lru_cache
from itertools import accumulate

# Scripts written without blanks between words, and Hangul, whose endings stand on the word.
UNSPACED_CHARACTERS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003134f"
)
UNSPACED = re.compile(f"[{UNSPACED_CHARACTERS}]")
NEAR_SHARE = 0.85  # of the letters and digits of a quote, for a run of its words to be near it


class Folded:
    """`text` folded; `start` and `end` lead back. With `markup`, Markdown's emphasis and backticks are gone too."""

    def __init__(self, text: str, *, markup: bool = False) -> None:
        table, others = _folds(text)
        plain = text.translate(table)
        pieces: list[str] = []
        # Even pieces are as long as in the original, odd ones are not: each stands for what it replaced as a whole.
        self._starts, self._origins = [0], [0]
        length = done = 0
        is_composed = text.isascii() or unicodedata.is_normalized("NFC", text)
        for found in re.finditer(_pattern("".join(others), markup, is_composed), text):
            new = others[found[0]] if found[0] in others else _replacement(found)
            pieces += (plain[done : found.start()], new)
            length += found.start() - done
            if len(new) != len(found[0]):
                self._starts += (length, length + len(new))
                self._origins += found.span()
            length += len(new)
            done = found.end()
        self.text = "".join((*pieces, plain[done:]))

    def start(self, index: int) -> int:
        """Where in the original the character at `index` begins."""
        piece = bisect_right(self._starts, index) - 1
        return self._origins[piece] + (0 if piece % 2 else index - self._starts[piece])

    def end(self, index: int) -> int:
        """Where in the original the character before `index` ends."""
        piece = bisect_right(self._starts, index - 1) - 1
        return self._origins[piece + 1] if piece % 2 else self._origins[piece] + index - self._starts[piece]

    def find(self, quote: str, start: int = 0) -> Iterator[tuple[int, int]]:
        """Where a folded quote stands, as offsets of the original; not where it would cut a word or number.

        `start` is an offset of the original. A hyphen between the quote's letters may be one that a line's end took.
        """
        for first, last in _occurrences(self.text, quote, self._index(start)):
            yield self.start(first), self.end(last)

    def _index(self, offset: int) -> int:
        piece = bisect_right(self._origins, offset) - 1
        return self._starts[piece] + (0 if piece % 2 else offset - self._origins[piece])

    def near(self, quote: str) -> Iterator[tuple[int, int, float]]:
        """Where NEAR_SHARE of a folded quote stands as one run of words, whatever their case: its place and share."""
        words = [found[0].casefold() for found in _WORDS.finditer(quote)]
        first, last = _core(words)
        joined, ends = self._joined
        core = f" {' '.join(words[first:last])} "
        at = joined.find(core) if first < last else -1
        while at >= 0:
            run = self._run(words, first, last, bisect_right(ends, at))
            if run[2] >= NEAR_SHARE:
                yield run
            at = joined.find(core, at + 1)

    def _run(self, words: list[str], first: int, last: int, index: int) -> tuple[int, int, float]:
        """The run of which `words[first:last]` is the core, made as long as it goes."""
        places, offset = self._words, index - first
        while first > 0 and first + offset > 0 and self._said(first + offset - 1) == words[first - 1]:
            first -= 1
        while last < len(words) and last + offset < len(places) and self._said(last + offset) == words[last]:
            last += 1
        share = sum(map(len, words[first:last])) / sum(map(len, words))
        return self.start(places[first + offset][0]), self.end(places[last + offset - 1][1]), share

    def _said(self, word: int) -> str:
        start, end = self._words[word]
        return self.text[start:end].casefold()

    @cached_property
    def _words(self) -> list[tuple[int, int]]:
        return [found.span() for found in _WORDS.finditer(self.text)]

    @cached_property
    def _joined(self) -> tuple[str, list[int]]:
        """All words between blanks, and where in that each word ends."""
        words = [self.text[start:end].casefold() for start, end in self._words]
        return f" {' '.join(words)} ", list(accumulate(len(word) + 1 for word in words))


def find(text: str, quote: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where a quote stands in `text[start:end]` as it is; not where it would cut a word or number."""
    at = text.find(quote, start, end)
    while at >= 0:
        if not cuts(text, at) and not cuts(text, at + len(quote)):
            yield at, at + len(quote)
        at = text.find(quote, at + 1, end)


def folded_quote(quote: str, *, markup: bool = False) -> str:
    """A quote as it is to be looked for in folded text."""
    return Folded(quote, markup=markup).text.strip()


def has_words(text: str) -> bool:
    """Whether there is a letter or digit in it."""
    return _WORDS.search(text) is not None


def cuts(text: str, at: int) -> bool:
    """Whether `at` lies within a word or number of a script that parts its words."""
    if not 0 < at < len(text):
        return False
    left, right = text[at - 1], text[at]
    if _in_word(left) and _in_word(right):
        return not UNSPACED.match(left) and not UNSPACED.match(right)
    return bool(_NUMBER.search(text[max(0, at - 2) : at + 2]))


_WORDS = re.compile(rf"[{UNSPACED_CHARACTERS}]|[^\W_{UNSPACED_CHARACTERS}]+")
_NUMBER = re.compile(r"\d[.,]\d")
_QUOTES = frozenset("„‚″′＂＇´「」『』")
_NO_WIDTH = "\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
_IS_NO_WIDTH = re.compile(f"[{_NO_WIDTH}]")
# What differs in more than its form: 10² is not 102.
_KEPT_FORMS = ("<super>", "<sub>", "<fraction>", "<circle>", "<square>")
_SPACELESS = "\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef"
_ALWAYS = (
    r"(?P<join>(?<=[^\W\d_])[-\u2010\u00ad][ \t]*\r?\n\s*(?=[^\W\d_])"
    rf"|(?<=[{_SPACELESS}])\s+(?=[{_SPACELESS}])|\\(?=[\"']))"
    rf"|(?P<blank>\s[\s{_NO_WIDTH}]+|[^\S ])"
)
_MARKUP = r"(?P<mark>`+|(?<!\w)\*{1,3}(?=\S)|(?<=\S)\*{1,3}(?!\w))"
_DECOMPOSED = r"(?P<composed>\w[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u064b-\u065f\u3099\u309a]+|[\u1100-\u11ff]+)"


def _pattern(others: str, markup: bool, is_composed: bool) -> str:
    """What is longer or shorter once it is folded; `others` are single characters of that kind."""
    parts = [_ALWAYS, _MARKUP if markup else "", "" if is_composed else _DECOMPOSED]
    return "|".join(filter(None, [*parts, f"[{re.escape(others)}]" if others else ""]))


def _replacement(found: re.Match[str]) -> str:
    if found.lastgroup == "blank":
        return " "
    return unicodedata.normalize("NFC", found[0]) if found.lastgroup == "composed" else ""


def _folds(text: str) -> tuple[dict[int, str], dict[str, str]]:
    """The folds of this text's characters: to one character, and to none or several."""
    table, others = {ord('"'): "'"}, {}
    for character in set(text) if not text.isascii() else ():
        folded = _fold(character)
        if len(folded) != 1:
            others[character] = folded
        elif folded != character:
            table[ord(character)] = folded
    return table, others


@lru_cache(maxsize=4096)
def _fold(character: str) -> str:
    category = unicodedata.category(character)
    if _IS_NO_WIDTH.match(character):
        return ""
    if category in ("Pi", "Pf") or character in _QUOTES:
        return "'"
    if category == "Pd" or character == "−":
        return "-"
    if unicodedata.decomposition(character).startswith(_KEPT_FORMS):
        return character
    form = unicodedata.normalize("NFKC", character)
    return character if form.startswith(" ") and len(form) > 1 else form


def _occurrences(text: str, quote: str, start: int) -> Iterator[tuple[int, int]]:
    if not quote:
        return
    found = False
    for span in find(text, quote, start, len(text)):
        found = True
        yield span
    if not found and (optional := _HYPHEN.sub("-?", re.escape(quote))) != re.escape(quote):
        for match in re.compile(optional).finditer(text, start):
            if not cuts(text, match.start()) and not cuts(text, match.end()):
                yield match.span()


_HYPHEN = re.compile(r"(?<=[^\W\d_])\\-(?=[^\W\d_])")


def _core(words: list[str]) -> tuple[int, int]:
    """The words that every run with enough of the quote must hold."""
    ends = list(accumulate(map(len, words)))
    lost = (1 - NEAR_SHARE) * ends[-1] if ends else 0
    inner = [i for i, end in enumerate(ends) if end > lost and end - len(words[i]) < ends[-1] - lost]
    return (inner[0], inner[-1] + 1) if inner else (0, 0)


def _in_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "M"
