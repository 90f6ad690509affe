"""The sentences that say most of what a text is about: by its own words, by where they stand and how they are built.

A sentence counts for the words in it that the text repeats and few other texts have, the more the nearer it stands to
the beginning of the text and of its section. What is no sentence of its own, and what every text has (licences,
references, lists of contents), counts next to nothing. It quotes and writes nothing.
"""

import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ingest.document import Document
from ingest.segments import sections
from longctx.query import stem
from longctx.sent import merged
from longctx.stopwords import stop_words

LEAST_SLICE = 800  # characters of a section that are looked at where not all of a text is
FEWEST_WORDS, MOST_WORDS, LONGEST = 5, 60, 700
# What a picked sentence takes from those that repeat its words, and from others of its section.
REPEATED, SAME_SECTION = 0.95, 0.75
LOWER = 0.4  # what a sentence is worth that begins like the rest of one, unless a paragraph begins there
Rarity = Callable[[str], float]


@dataclass(frozen=True, slots=True)
class Sentence:
    """`text[start:end]` and what is known of it; `order` counts from the beginning, `depth` within its section."""

    start: int
    end: int
    words: frozenset[str]
    section: int
    heading: str
    order: int
    depth: int
    form: float


def read(document: Document, most: int) -> list[Sentence]:
    """The sentences of at most about `most` characters of a document, from the beginning of all its sections."""
    titles = sections(document)
    starts = [start for start, _ in titles]
    found = list(_sentences(document.text, slices(document, most, starts)))
    texts = [document.text[start:end] for start, end in found]
    stop = stop_words([word.lower() for text in texts[:200] for word in text.split()])
    repeated = {line for line, times in Counter(map(_bare, texts)).items() if times > 1}
    read_: list[Sentence] = []
    depths = Counter[int]()
    marks = [(match.end(), 1.6 if match["first"] else 1.25) for match in _TITLES.finditer(document.text)]
    for (start, end), text in zip(found, texts, strict=True):
        section = bisect_right(starts, start) - 1
        heading = titles[section][1] if section >= 0 else ""
        form = 0.0 if _bare(text) in repeated else _form(text) * _part(heading) * _after(marks, start)
        if form and text[0].islower() and _BEGUN.search(document.text, max(0, start - 6), start):
            form /= LOWER
        if form > 0:
            words = frozenset(words_of(text, stop))
            read_.append(Sentence(start, end, words, section, heading, len(read_), depths[section], form))
            depths[section] += 1
    return read_


_BEGUN = re.compile(r"(?:\n[ \t\r]*\n|\A)[ \t]*\Z")


def scores(sentences: Sequence[Sentence], rarity: Rarity = lambda _: 1.0) -> list[float]:
    """How central each sentence is among these, of one text; `rarity` says how seldom a word is in other texts."""
    counts = Counter(word for sentence in sentences for word in sentence.words)
    weights = {
        word: math.log(1 + times) * rarity(word) if times > 1 else 0.2 * rarity(word) for word, times in counts.items()
    }
    raw = [sum(weights[w] for w in s.words) / math.sqrt(4 + len(s.words)) for s in sentences]
    # Of a text of a sentence or two it is not known what it is about.
    top = (max(raw, default=0.0) or 1.0) * (1 + 1 / max(1, len(sentences)))
    return [
        each / top * sentence.form * (1 + 0.8 * math.exp(-sentence.order / 10)) * (1 + 0.25 * math.exp(-sentence.depth))
        for each, sentence in zip(raw, sentences, strict=True)
    ]


def chosen(
    sentences: Sequence[Sentence], points: Sequence[float], most: int, said: Iterable[frozenset[str]] = ()
) -> list[tuple[Sentence, float]]:
    """The best sentences with what they are worth, best first: none that repeats another one, or what was `said`."""
    left, picked = dict(enumerate(points)), list[tuple[Sentence, float]]()
    for words in said:
        _lower(left, sentences, words, -2)
    while left and len(picked) < most:
        best = max(left, key=lambda i: (left[i], -i))
        worth = left.pop(best)
        if worth <= 0.02:
            break
        picked.append((sentences[best], worth))
        _lower(left, sentences, sentences[best].words, sentences[best].section)
    return picked


def _lower(left: dict[int, float], sentences: Sequence[Sentence], words: frozenset[str], section: int) -> None:
    for i in left:
        shared = len(words & sentences[i].words) / max(1, min(len(words), len(sentences[i].words)))
        left[i] *= (1 - REPEATED * shared**2) * (SAME_SECTION if sentences[i].section == section else 1.0)


def words_of(text: str, stop: Collection[str]) -> Iterator[str]:
    """Stems of the words that carry a subject; of scripts that part none, pairs of characters."""
    for word in _WORD.findall(text.lower()):
        if _UNSPACED.match(word):
            yield from (word[i : i + 2] for i in range(len(word) - 1))
        elif word not in stop and len(word) > 2:
            yield stem(word)


def first(document: Document, most: int = 4000) -> tuple[int, int] | None:
    """The first sentence of a document that says something."""
    for start, end in _sentences(document.text, [(0, min(most, len(document.text)))]):
        if _form(document.text[start:end]) >= 0.5:
            return start, end
    return None


def slices(document: Document, most: int, starts: Sequence[int] = ()) -> list[tuple[int, int]]:
    """Ranges of at most about `most` characters in all: the whole text, or the beginnings of its sections or pages."""
    size = len(document.text)
    if size <= most:
        return [(0, size)]
    room = max(1, most // LEAST_SLICE)
    places = sorted({0, *starts}) if len(starts) >= room // 8 else sorted({0, *(page.start for page in document.pages)})
    if len(places) < room // 8:
        places = list(range(0, size, max(1, size // room)))
    kept = places[:: -(-len(places) // room)]
    each = most // len(kept)
    return [(a, min(b, a + each)) for a, b in zip(kept, [*kept[1:], size], strict=True)]


# --- sentences --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _ends(width: int) -> re.Pattern[str]:
    """What ends a sentence where lines are wrapped that are at least so wide."""
    return re.compile(
        r"(?<=[.!?…])['\"”’)\]`*_]*\s+(?=[^\sa-z,;:)])|(?<=[。！？।॥။។])|\n[ \t\r]*\n\s*"
        rf"|(?<![^\n]{{{width}}})\n(?![a-z])|\n(?=[^\n]*\|)|\n(?=[ \t]*(?:[-*•●▪–]|\d+[.)])\s)|\n(?=#{{1,6}} )|\f"
    )


def _wrapped(text: str) -> int:
    """How wide a line is at the least that goes on in the next one: lines of the text's usual length."""
    lengths = sorted(len(line) for line in text[:60_000].splitlines() if len(line) > 15)
    usual = lengths[len(lengths) // 2] if lengths else 60
    return min(60, max(20, int(0.7 * usual)))


_ABBREVIATED = re.compile(
    r"(?:\b(?:[A-Za-z]|e\.g|i\.e|z\.B|d\.h|u\.a|cf|vs|etc|approx|ca|pp?|no|nr|fig|figs|eq|sec|ch|vol|dr|mr|mrs|ms|prof|st|al|"
    r"resp|incl|inc|ltd|co|corp|jr|sr|dept|est|tab|ref|refs))\.$",
    re.IGNORECASE,
)
_MARK = re.compile(r"[ \t]*(?:(?:[-*+•●▪–>]|\d{1,3}[.)]|\(\w\))\s+|#{1,6}[ \t]+|\||\*+(?=\S))*")


def _sentences(text: str, ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Sentences, without what makes one an item or a heading; no part of a fenced block."""
    end_of = _ends(_wrapped(text))
    for first_, last in ranges:
        fences = _fences(text, first_, last)
        start = first_
        for match in end_of.finditer(text, first_, last):
            if match.start() and _ABBREVIATED.search(text, max(start, match.start() - 8), match.start()):
                continue
            yield from _sentence(text, start, match.start(), fences)
            start = match.end()
        if last == len(text):
            yield from _sentence(text, start, last, fences)


def _sentence(text: str, start: int, end: int, fences: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    mark = _MARK.match(text, start, end)
    start = mark.end() if mark else start
    while end > start and text[end - 1].isspace():
        end -= 1
    at = bisect_left(fences, (start + 1, 0)) - 1
    if start < end and not (at >= 0 and start < fences[at][1]):
        yield start, end


_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?(?:^[ \t]*\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_ELEMENT = re.compile(r"<(/?)(script|style|svg|table)\b", re.IGNORECASE)


def _fences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Blocks of code, and elements of HTML that hold no sentences; sorted and apart."""
    found = [match.span() for match in _FENCE.finditer(text, start, end)]
    opened: tuple[int, str] | None = None
    for match in _ELEMENT.finditer(text, start, end):
        if not match[1] and opened is None:
            opened = match.start(), match[2].lower()
        elif match[1] and opened is not None and opened[1] == match[2].lower():
            found.append((opened[0], match.end()))
            opened = None
    return list(merged(found))


# Marks are part of words: without them every vowel sign of Hindi would end one.
_LETTER = "[^\\W\\d_\u0300-\u036f\u064b-\u065f]|[\u0300-\u036f\u064b-\u065f\u0900-\u0963\u0971-\u0dff\u0e31-\u0e4e]"
_WORD = re.compile(f"(?:{_LETTER})+(?:['’](?:{_LETTER})+)?")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def _bare(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


# --- what a sentence is worth for its form ---------------------------------------------------------------------------

_STOPS = (".", "!", "…", "。", "！", "।", "॥", "။", "។", '."', ".”", ".)", ".’", ".]", ".'", ".`", ".*", "._")
_NO_STATEMENT = re.compile(
    r"(?:\.[ ]?){5,}|!\[|^\s*(?:[-*+]|\d+\.)?[ ]*\[[^\]\n]*\]\(#|^\[[\w.-]+\]:|^[\s\d.,:;%$€()–-]*$|^:\w+:|^\.\. "
)
_MIDDLE = re.compile(r"[^\w\"'“‘«¿¡`(*_]|\d+\.\s")
_SIGNS = re.compile(
    r"[{}=|\\]|', '|\b(?:table|figure|fig\.|eq\.|equation|section|appendix)\s*\(?[\dA-Z]\b", re.IGNORECASE
)
_NAMES = re.compile(r"(?<![`\w])[^\W_]+_\w+")  # of a program, and not marked as such
_BOILERPLATE = re.compile(
    r"copyright|©|\blicen[cs]e|all rights reserved|hereby|warrant|https?://|www\.|\bdoi\b|\bisbn\b|\bissn\b|arxiv|@|"
    r"click here|\bplease\b|^(?:feel\s+free|thank|welcome)\b|\b(?:mailing list|gitter|discord|slack|community)\b|"
    r"\bcan (?:also )?be (?:found|read|viewed|downloaded)\b|"
    r"\b(?:generated|written) (?:by|with)\b|et al\.|\bproceedings of\b|\bpp\. \d|\bin proc\b|"
    r"^(?:figure|fig\.|table|abbildung|tabelle|tableau|figura)\s*\d|see (?:also|section|the)\b|\[\d+(?:[,–-]\s?\d+)*\]",
    re.IGNORECASE,
)
_TELLING = re.compile(
    r"\bthis (?:paper|report|document|guide|hand?book|manual|study|work|chapter|module|package|library|project|program|"
    r"file|article|notice|policy|book|tool)\b|\bwe (?:propose|present|introduce|show|find|found|demonstrate|develop)|"
    r"\b(?:is|are) (?:an?|the|designed|used|based|responsible)\b|\bin (?:summary|conclusion|short)\b|\bconclu[ds]|"
    r"\bresults? (?:show|suggest|indicate|demonstrate)|\b(?:main|purpose|goal|aim|key|must|provides?|consists? of|"
    r"contains?|describes?|explains?|summari[sz]es?)\b",
    re.IGNORECASE,
)
_LEANING = re.compile(
    r"(?:however|this|these|those|that|it|its|they|their|he|she|his|her|but|and|or|also|therefore|thus|hence|moreover|"
    r"furthermore|such|here|there|then|so|for example|for instance|in addition|additionally|similarly|instead|"
    r"otherwise|finally|first|second|next|another|both|while|yes|no|note|if|when|in this case|on the other hand)\b"
    r"(?! (?:paper|report|document|guide|"
    r"handbook|manual|study|work|module|package|library|project|program|notice|policy|book|tool)\b)",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"\b(?:references?|bibliography|acknowledg\w*|appendix|licen[cs]e|contribut\w+|change ?log|index|contents|"
    r"related work|further reading|disclaimer|copyright|about the authors?|see also|literatur\w*|footnotes?|credits)\b",
    re.IGNORECASE,
)
_CENTRE = re.compile(
    r"\b(?:abstract|introduction|summary|overview|conclusions?|about|key (?:findings|points)|highlights|"
    r"zusammenfassung|einleitung|résumé|resumen|resumo|sommario)\b",
    re.IGNORECASE,
)


def _form(text: str) -> float:
    """From 0, no statement, to a little over 1: a sentence that says by itself what something is."""
    if len(text) > LONGEST or _NO_STATEMENT.search(text):
        return 0.0
    words = _WORD.findall(text)
    letters = sum(map(len, words))
    size = letters / 2.5 if _UNSPACED.search(text) else len(words)
    if not FEWEST_WORDS <= size <= MOST_WORDS or letters < 0.65 * len(text):
        return 0.0
    worth = 1.0 if 9 <= size <= 35 else 0.7
    if not text.endswith(_STOPS) and not _UNSPACED.search(text[-1:]):
        worth *= 0.25 if text.endswith((":", "?", "：", "？", ",", ";")) else 0.4
    if text[0].islower() or _MIDDLE.match(text):
        worth *= LOWER
    if _SIGNS.search(text) or len(_NAMES.findall(text)) > 1:
        worth *= 0.3
    if _LEANING.match(text):
        worth *= 0.6
    if _BOILERPLATE.search(text):
        worth *= 0.2
    return worth * 1.25 if _TELLING.search(text) else worth


def _part(heading: str) -> float:
    """What a sentence is worth for the section that it stands in."""
    last = heading.rpartition("›")[2]
    if _ASIDE.search(last):
        return 0.15
    return 1.3 if _CENTRE.search(last) else 1.0


_TITLES = re.compile(
    r"^[ \t]{0,40}(?:(?P<first>abstract|(?:executive )?summary|key findings|zusammenfassung|résumé|resumen|resumo)"
    r"|\d{0,3}\.?[ \t]{0,9}(?:introduction|overview|conclusions?|einleitung|introducción|introdução))\b[^\n]{0,12}$",
    re.IGNORECASE | re.MULTILINE,
)
_REACH = 1500  # characters below a title that has no section of its own


def _after(marks: Sequence[tuple[int, float]], start: int) -> float:
    """What a sentence is worth a little below a title like Abstract, which not every reader tells from text."""
    at = bisect_right(marks, start, key=lambda mark: mark[0]) - 1
    return marks[at][1] if at >= 0 and start - marks[at][0] <= _REACH else 1.0


def rarity(texts: Sequence[Iterable[str]]) -> Rarity:
    """How seldom a word is among these texts, each given by its words: 1 for one that a single text has."""
    held: Mapping[str, int] = Counter(word for words in texts for word in set(words))
    scale = math.log(1 + len(texts)) or 1.0
    return lambda word: math.log(1 + len(texts) / max(1, held.get(word, 1))) / scale
