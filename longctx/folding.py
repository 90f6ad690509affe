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
NEAR_SHARE = 0.85  # of the characters of a quote's words, for a run of them to be near it
NEAR_MOST = 0.99  # a run that had all words of a quote is still not the quote
FENCE_LEAST = 3  # backticks around code of more than one paragraph
WORD_PARTED_MOST = 120  # characters on either side of a place in which a word may go on, indentation and all
LETTERS_LEAST = 3  # letters or digits of a quote that can be looked for; a number has two digits


class Folded:
    """`text` folded; `start` and `end` lead back.

    With `markup`, Markdown's backticks are gone too, and its asterisks where they stand in pairs around text.
    """

    def __init__(self, text: str, *, markup: bool = False) -> None:
        self._original = text
        table, others = _folds(text)
        plain = text.translate(table)
        pieces: list[str] = []
        # Even pieces are as long as in the original, odd ones are not: each stands for what it replaced as a whole.
        self._starts, self._origins = [0], [0]
        self._parted: set[int] = set()  # where a hyphen at a line's end was taken out
        emphasis = _emphasis(text) if markup else set()
        length = done = 0
        for found in re.finditer(_pattern("".join(others), markup, _has_marks(text)), text):
            if found.lastgroup == "stars" and found.start() not in emphasis:
                continue
            new = others[found[0]] if found[0] in others else _replacement(found)
            pieces += (plain[done : found.start()], new)
            length += found.start() - done
            if len(new) != len(found[0]):
                self._starts += (length, length + len(new))
                self._origins += found.span()
            length += len(new)
            done = found.end()
            if found.lastgroup == "join" and found[0][0] in _HYPHENS:
                self._parted.add(length)
        self.text = _NO_INCHES.sub("'", "".join((*pieces, plain[done:])))

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

        `start` is an offset of the original. A hyphen of the quote may be one at the end of a line of the original.
        """
        for first, last in self._occurrences(quote, self._index(start)):
            yield self.start(first), self.end(last)

    def _occurrences(self, quote: str, start: int) -> Iterator[tuple[int, int]]:
        found = False
        for span in _spans(self.text, quote, start, len(self.text)) if quote else ():
            if not self._cut(*span):
                found = True
                yield span
        optional = _HYPHEN.sub("(-?)", re.escape(quote))
        if found or not self._parted or optional == re.escape(quote):
            return
        for match in re.compile(optional).finditer(self.text, start):
            taken = {match.start(i) for i, hyphen in enumerate(match.groups(), start=1) if not hyphen}
            if taken <= self._parted and not self._cut(*match.span()):
                yield match.span()

    def _cut(self, first: int, last: int) -> bool:
        """Whether what is folded is cut there, or the original, in which blanks are still of several kinds."""
        return (
            _cuts_word(self.text, first)
            or _cuts_word(self.text, last)
            or cuts(self._original, self.start(first))
            or cuts(self._original, self.end(last))
        )

    def _index(self, offset: int) -> int:
        piece = bisect_right(self._origins, offset) - 1
        return self._starts[piece] + (0 if piece % 2 else offset - self._origins[piece])

    def near(self, quote: str) -> Iterator[tuple[int, int, float]]:
        """Where NEAR_SHARE of a folded quote stands as one run of words, whatever their case: its place and share.

        Operators and signs are words too. No run ends within a word or number.
        """
        words = [found[0].casefold() for found in _WORDS.finditer(quote)]
        first, last = _core(words)
        joined, ends = self._joined
        core = f" {' '.join(words[first:last])} "
        at = joined.find(core) if first < last else -1
        while at >= 0:
            run = self._run(words, first, last, bisect_right(ends, at))
            if run[2] >= NEAR_SHARE and not self._cut(run[0], run[1]):
                yield self.start(run[0]), self.end(run[1]), min(run[2], NEAR_MOST)
            at = joined.find(core, at + 1)

    def _run(self, words: list[str], first: int, last: int, index: int) -> tuple[int, int, float]:
        """The run of which `words[first:last]` is the core, made as long as it goes, as offsets of what is folded."""
        places, offset = self._words, index - first
        while first > 0 and first + offset > 0 and self._said(first + offset - 1) == words[first - 1]:
            first -= 1
        while last < len(words) and last + offset < len(places) and self._said(last + offset) == words[last]:
            last += 1
        share = sum(map(len, words[first:last])) / sum(map(len, words))
        return places[first + offset][0], places[last + offset - 1][1], share

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
    for first, last in _spans(text, quote, start, end):
        if not cuts(text, first) and not cuts(text, last):
            yield first, last


def _spans(text: str, quote: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    at = text.find(quote, start, end)
    while at >= 0:
        yield at, at + len(quote)
        at = text.find(quote, at + 1, end)


def folded_quote(quote: str, *, markup: bool = False) -> str:
    """A quote as it is to be looked for in folded text."""
    return Folded(quote, markup=markup).text.strip()


def has_enough(quote: str) -> bool:
    """Whether a quote can be looked for: three letters or digits, or a number of two digits; "a" stands anywhere."""
    return sum(map(str.isalnum, quote)) >= LETTERS_LEAST or re.search(r"\d[.,]?\d", quote) is not None


def words_of(text: str) -> list[str]:
    """The words, numbers and operators of a folded text; of scripts without blanks, its characters."""
    return _WORDS.findall(text)


def cuts(text: str, at: int) -> bool:
    """Whether `at` lies within a word, identifier, number or range, or behind a sign; not in unspaced scripts.

    Of a word that is parted, by a line's end or by what has no width, each part is within it.
    """
    return _cuts_word(text, at) or _cuts_parted(text, at) or _GROUPS.search(_around(text, at)) is not None


def _cuts_word(text: str, at: int) -> bool:
    if not 0 < at < len(text):
        return False
    left, right = text[at - 1], text[at]
    if _in_word(left) and _in_word(right):
        return not UNSPACED.match(left) and not UNSPACED.match(right)
    return _CUT.search(_around(text, at)) is not None


def _cuts_parted(text: str, at: int) -> bool:
    start = max(0, at - WORD_PARTED_MOST)
    around = text[start : at + WORD_PARTED_MOST]
    return any(found.start() <= at - start <= found.end() for found in _PARTING.finditer(around))


def _around(text: str, at: int) -> str:
    return f"{text[max(0, at - 12) : at]}\0{text[at : at + 12]}"


_OPERATOR = r"[=<>!]=+|&&|\|\||[=<>+%¬±≠≤≥′″]|!(?=\w)"
_LETTERS = rf"[^\W_{UNSPACED_CHARACTERS}]+"
_WORDS = re.compile(
    rf"[{UNSPACED_CHARACTERS}]"
    rf"|(?:(?<!\w)[-+±]?\.?(?=\d))?{_LETTERS}(?:(?<=\d)[.,:/'](?=\d){_LETTERS})*"
    rf"|{_OPERATOR}"
)
_DASHES = "\\-\u2010-\u2013\u2212\ufe63\uff0d"
_MARKS_IN_NUMBERS = f"[.,:/'’．，{_DASHES}\u2014\u2015]"
_REVERSING = "(?<!\\w)(?i:non?|not|un|anti|in|dis|mis|pre)"
_WORD_HYPHENS = "[-\u2010\u2011]"
# \0 is the place that may cut: within 3.5, 3-5, 12'000, can't or <=, behind a sign, a bound, a leading point or a
# negation, between non- and toxic, or sugar and -free.
_CUT = re.compile(
    rf"\d(?:\0{_MARKS_IN_NUMBERS}|{_MARKS_IN_NUMBERS}\0)\d|[^\W\d_]\0['’][^\W\d_]"
    rf"|(?:[+±~≈≤≥<{_DASHES}]|[<>!]=|(?<![^\s(\[])>)\0\.?\d|(?<![\w)])\.\0\d"
    rf"|(?:¬|(?<!\w)!)\0[\w(]|[<>!=]\0="
    rf"|{_REVERSING}(?:{_WORD_HYPHENS}\0|\0{_WORD_HYPHENS})[^\W\d_]|[^\W\d_]\0{_WORD_HYPHENS}(?i:free|less)(?!\w)"
)
_TIED = "\u00a0\u2007\u2009\u202f"
_GROUP = r"(?<!\d)(?<!\d[.,])\d{1,3}"
# Within 12 000: an ordinary blank may as well stand between two numbers, but for further groups or a leading zero.
_GROUPS = re.compile(
    rf"{_GROUP}(?:\0[{_TIED}]|[{_TIED}]\0)\d{{3}}(?!\d)"
    rf"|{_GROUP}(?:\0 | \0)0\d\d(?!\d)"
    rf"|{_GROUP}(?:\0[ {_TIED}]|[ {_TIED}]\0)\d{{3}}[ {_TIED}]\d{{3}}(?!\d)"
    rf"|{_GROUP}[ {_TIED}]\d{{3}}(?:\0[ {_TIED}]|[ {_TIED}]\0)\d{{3}}(?!\d)"
)
_QUOTES = frozenset("„＂「」『』")
_SINGLE_QUOTES = frozenset("‘’‚‛‹›＇´")
_NO_INCHES = re.compile(r'(?<!\d)"')  # 5" is not 5'
_PRIMES = frozenset("′″‴⁗‵‶‷")  # 5′ is not 5″
_HYPHENS = "-\u2010\u00ad"
_NO_WIDTH = "\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
_PARTING = re.compile(
    rf"(?<=[\w\u0300-\u036f])(?<![{UNSPACED_CHARACTERS}])"
    rf"(?:(?<!\d)[{_NO_WIDTH}]*[{_HYPHENS}][{_NO_WIDTH}]*[ \t]*\r?\n[\s{_NO_WIDTH}]*(?=[^\W\d_])|[{_NO_WIDTH}]+(?=\w))"
    rf"(?![{UNSPACED_CHARACTERS}])"
)
_IS_NO_WIDTH = re.compile(f"[{_NO_WIDTH}]")
# What differs in more than its form: 10² is not 102.
_KEPT_FORMS = ("<super>", "<sub>", "<fraction>", "<circle>", "<square>")
_SPACELESS = "\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef"
_ALWAYS = (
    rf"(?P<join>(?<=[^\W\d_])[{_HYPHENS}][ \t]*\r?\n\s*(?=[^\W\d_])"
    rf"|(?<=[{_SPACELESS}])\s+(?=[{_SPACELESS}])|\\(?=[\"']))"
)
_BLANK = rf"(?P<blank>\s[\s{_NO_WIDTH}]+|[^\S ])"
_MARKUP = rf"(?P<blank>\s[\s{_NO_WIDTH}`]+|[^\S ])|(?P<mark>`+)|(?P<stars>\*+)"
_MARKS = r"\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u064b-\u065f\u3099\u309a"
_JAMO = r"\u1100-\u11ff"
_DECOMPOSED = rf"(?P<composed>[\w<=>][{_MARKS}]+|[{_JAMO}]+)"
_MARK = re.compile(f"[{_MARKS}{_JAMO}]")


def _has_marks(text: str) -> bool:
    """Whether characters may have to be composed; in all of a text or in none, so that its parts fold as it does."""
    return not text.isascii() and _MARK.search("".join(set(text))) is not None


def _pattern(others: str, markup: bool, has_marks: bool) -> str:
    """What is longer or shorter once it is folded; `others` are single characters of that kind."""
    parts = [_ALWAYS, _MARKUP if markup else _BLANK, _DECOMPOSED if has_marks else ""]
    return "|".join(filter(None, [*parts, f"[{re.escape(others)}]" if others else ""]))


def _replacement(found: re.Match[str]) -> str:
    if found.lastgroup == "blank":
        return " "
    return unicodedata.normalize("NFC", "".join(map(_fold, found[0]))) if found.lastgroup == "composed" else ""


def _emphasis(text: str) -> set[int]:
    """Where asterisks begin that stand in pairs around text, within a paragraph and not in code."""
    runs = list(_RUNS.finditer(text))
    twins = _twins(runs)
    paired: set[int] = set()
    opened: list[re.Match[str]] = []
    number = 0
    while number < len(runs):
        run = runs[number]
        number = twins.get(number, number) + 1
        if not run[0].strip():
            opened = []
        elif _CLOSES.match(text, run.start()) and run[0] in [other[0] for other in opened]:
            while (last := opened.pop())[0] != run[0]:
                pass
            paired |= {last.start(), run.start()}
        elif _OPENS.match(text, run.start()):
            opened = [*opened[-2:], run]
    return paired


def _twins(runs: list[re.Match[str]]) -> dict[int, int]:
    """Of each run of backticks that begins code, by its number, the number of that which ends it."""
    twins: dict[int, int] = {}
    following: dict[str, tuple[int, int]] = {}
    paragraph = 0
    for number in reversed(range(len(runs))):
        ticks = runs[number][0]
        if ticks[0] == "`":
            twin, its_paragraph = following.get(ticks, (0, -1))
            if its_paragraph == paragraph or (twin and len(ticks) >= FENCE_LEAST):
                twins[number] = twin
            following[ticks] = number, paragraph
        paragraph += ticks[0] == "\n"
    return twins


_RUNS = re.compile(r"`+|\*+|\n[ \t\r]*\n")
_OPENS = re.compile(r"(?<!\w)\*{1,3}(?=[^\s*.,/)])")
_CLOSES = re.compile(r"(?<=[^\s/(,])\*{1,3}(?![\w*])")


def _folds(text: str) -> tuple[dict[int, str], dict[str, str]]:
    """The folds of this text's characters: to one character, and to none or several."""
    table: dict[int, str] = {}
    others: dict[str, str] = {}
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
    if character in _PRIMES:
        return character
    if character in _SINGLE_QUOTES:
        return "'"
    if category in ("Pi", "Pf") or character in _QUOTES:
        return '"'
    if category == "Pd" or character == "−":
        return "-"
    if unicodedata.decomposition(character).startswith(_KEPT_FORMS):
        return character
    form = unicodedata.normalize("NFKC", character)
    return character if form.startswith(" ") and len(form) > 1 else form


_HYPHEN = re.compile(r"(?<=[^\W\d_])\\-(?=[^\W\d_])")


def _core(words: list[str]) -> tuple[int, int]:
    """The words that every run with enough of the quote must hold."""
    ends = list(accumulate(map(len, words)))
    lost = (1 - NEAR_SHARE) * ends[-1] if ends else 0
    inner = [i for i, end in enumerate(ends) if end > lost and end - len(words[i]) < ends[-1] - lost]
    return (inner[0], inner[-1] + 1) if inner else (0, 0)


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"
