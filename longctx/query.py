"""A question as search sees it: its words that carry a subject, each weighed by how rare it is in the corpus.

It also holds how words are compared once text has been read: folded, parted at humps and underscores, and stemmed
about as the index stems. It understands no question beyond its words and a few cues.
"""

import itertools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from longctx.index import Index, searchable
from longctx.stopwords import stop_words

# A word has one weight however often it is asked; longer questions are cut to the words that weigh most.
TERMS_MOST = 32


@dataclass(frozen=True, slots=True)
class Query:
    """`terms` are (stem, weight) in order of the question; `absent` is the weight of words the corpus lacks.

    `expression` is for the index; `within` the same for the files of the corpus that the question names, `places`.
    """

    question: str
    terms: tuple[tuple[str, float], ...]
    expression: str
    absent: float
    wants_code: bool
    places: tuple[str, ...] = ()
    within: str = ""
    known: dict[str, int | None] = field(default_factory=dict, compare=False, repr=False)

    def names(self, path: str) -> bool:
        """Whether the question names this file."""
        return any(_is_at(path, place) for place in self.places)

    def term_of(self, word: str) -> int | None:
        """Which term a word of a text is: the same stem, or near enough ("criticism", "criticized")."""
        if word not in self.known:
            self.known[word] = self._match(stem(word))
        return self.known[word]

    def _match(self, found: str) -> int | None:
        for i, (term, _) in enumerate(self.terms):
            if found == term:
                return i
        for i, (term, _) in enumerate(self.terms):
            least = max(5, (2 * max(len(term), len(found)) + 2) // 3)
            if len(found) >= least and term[:least] == found[:least]:
                return i
        return None

    def found_in(self, *texts: str) -> frozenset[int]:
        """The terms that stand in any of the texts."""
        found = {self.term_of(word) for text in texts for word in tokens(text)}
        return frozenset(i for i in found if i is not None)

    def share(self, found: Iterable[int]) -> float:
        """How much of the question's weight these terms have, from 0 to 1."""
        return sum(self.terms[i][1] for i in found) / max(self.weight, 1e-9)

    def density(self, text: str) -> float:
        """As `share`, but a term counts more the oftener it stands in the text, up to twice."""
        counts = Counter(map(self.term_of, tokens(text)))
        weighed = (weight * 2 * counts[i] / (counts[i] + 1) for i, (_, weight) in enumerate(self.terms))
        return sum(weighed) / max(self.weight, 1e-9)

    def pair_share(self, pairs: Iterable[int]) -> float:
        """The same for pairs of neighbouring terms, each named by its first."""
        weights = [a[1] + b[1] for a, b in itertools.pairwise(self.terms)]
        return sum(weights[i] for i in pairs) / max(sum(weights), 1e-9)

    def sharpened(self, texts: Sequence[str]) -> "Query":
        """The query for choosing among `texts`, its best passages: a word that all hold tells them less apart.

        On docs-dev this lifts cite@3 by 0.02; more than about 20 texts dilute it.
        """
        held = [self.found_in(text) for text in texts]
        scale = math.log(1 + len(held))
        counts = [sum(i in terms for terms in held) for i in range(len(self.terms))]
        factors = [math.log(1 + len(held) / max(1, count)) / scale for count in counts]
        terms = tuple((term, weight * f) for (term, weight), f in zip(self.terms, factors, strict=True))
        return replace(self, terms=terms, absent=0.0)

    @property
    def weight(self) -> float:
        """The weight of all words together, absent ones included."""
        return sum(weight for _, weight in self.terms) + self.absent


def read(index: Index, question: str) -> Query:
    """Weigh the words of `question` by the passages of `index` that hold them.

    A word that none holds weighs as one that a single passage does: the smaller the corpus, the less it tells that
    a word is absent.
    """
    size = max(1, index.size())
    places = _places(index, question)
    words: dict[str, tuple[str, float]] = {}
    absent: set[str] = set()
    for word in _without(subject_words(question), places):
        expression = _forms(word)
        held = min(size, index.frequency(expression))
        if held:
            words.setdefault(stem(word), (expression, _rarity(size, held)))
        else:
            absent.add(stem(word))
    ranked = sorted((weight for _, weight in words.values()), reverse=True)[:TERMS_MOST] or [0.0]
    kept = {term: pair for term, pair in words.items() if pair[1] >= ranked[-1]}
    expression = " OR ".join(forms for forms, _ in kept.values())
    return Query(
        question=question,
        terms=tuple((term, weight) for term, (_, weight) in kept.items()),
        expression=expression,
        absent=_rarity(size, 1) * len(absent - words.keys()),
        wants_code=bool(_WANTS_CODE.search(question)),
        places=places,
        within=f"({expression}) AND ({_at(places)})" if expression and places else "",
    )


def _places(index: Index, question: str) -> tuple[str, ...]:
    """What a question names of the files of the corpus; "app.run" looks like a file and is none."""
    named = {name.lower().lstrip("./") for name in _FILE_NAME.findall(question)} - {""}
    if not named:
        return ()
    paths = [path for path, _ in index.all_paths()]
    return tuple(sorted(place for place in named if any(_is_at(path, place) for path in paths)))


def _is_at(path: str, place: str) -> bool:
    return f"/{path.lower()}".endswith(f"/{place}")


def _without(words: list[str], places: Iterable[str]) -> list[str]:
    """The words that are not of the places, which say where to look, not what for; all where none is left."""
    of_places = {word for place in places for word in tokens(place)}
    return [word for word in words if word not in of_places] or words


def _at(places: Iterable[str]) -> str:
    return " OR ".join("(" + " AND ".join(f'path : "{word}"' for word in tokens(place)) + ")" for place in places)


def _rarity(size: int, held: int) -> float:
    return math.log(1 + (size - held + 0.5) / (held + 0.5))


def _forms(word: str) -> str:
    """The FTS5 expression for a word: with its irregular forms, which the index stems apart ("grow", "grew")."""
    return " OR ".join(f'"{form}"' for form in dict.fromkeys((word, *_FAMILY_OF.get(stem(word), ()))))


_WANTS_CODE = re.compile(r"\b(?:which|what|name|the|find)\s+(?:\w+\s+)?(function|method|class|decorator)s?\b", re.I)
_FILE_NAME = re.compile(r"[\w./-]*\w\.[A-Za-z]\w{0,7}\b(?!\()|[\w.-]+/[\w./-]+")
# Sentences after the question that say how to write the answer ("Give me an integer.").
_FORM = re.compile(
    r"(?<=[.?!])\s+(?:please\s+)?(?:give me|write|answer|the answer|for example|please|round)\b.*",
    re.IGNORECASE | re.DOTALL,
)
_LEAD = re.compile(
    r"^\s*(?:(?:which|what)\s+(?:function|method|class)\s+(?:does this|is this|does)?\s*:?)", re.IGNORECASE
)


def subject_words(question: str) -> list[str]:
    """The words of a question without its stop words; all of them where nothing else is left."""
    about = _FORM.sub(" ", _LEAD.sub(" ", question))
    words = list(dict.fromkeys(tokens(about) or tokens(question)))
    stops = stop_words(words)
    return [word for word in words if word not in stops] or words


# Anything but spaces and punctuation: `\w` would end a Hindi or Thai word at its vowel signs.
_WORD = re.compile(
    "[^\\s\\x00-/:-@\\[-`{-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf×÷\u2000-\u206f\u20a0-\u20cf\u2100-\u2bff\u3000-\u303f।॥،؛؟۔၊။។]+"
)


def tokens(text: str) -> list[str]:
    """The words of `text` as the index holds them before stemming, in order; parts of camelCase names last."""
    return _WORD.findall(_folded(searchable(text).lower()))


def _folded(text: str) -> str:
    """Latin letters without their accents; marks of other scripts are part of the word."""
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(c for c in parts if not "\u0300" <= c <= "\u036f"))


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A word without its common English endings, cut the same in question and text."""
    word = _IRREGULAR.get(word, word)
    for ending, rest, least in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= least:
            return word[: len(word) - len(ending)] + rest
    return word


_FAMILIES = """
write wrote written, build built, lead led, make made, begin began begun, choose chose chosen, find found,
give gave given, grow grew grown, hold held, keep kept, know knew known, leave left, lose lost, mean meant,
meet met, pay paid, run ran, say said, sell sold, send sent, show shown, speak spoke spoken, spend spent,
stand stood, take took taken, teach taught, think thought, understand understood, win won, sing sang sung,
draw drew drawn, fall fell fallen, feel felt, fight fought, go went gone, come came, become became,
bring brought, buy bought, catch caught, break broke broken, drive drove driven, get got, hear heard,
rise rose risen, see saw seen, seek sought, shoot shot, throw threw thrown, wear wore worn, die died,
child children, woman women, man men, person people, wife wives, life lives, analysis analyses,
hypothesis hypotheses, criterion criteria, index indices, matrix matrices"""
_IRREGULAR = {form: forms.split()[0] for forms in _FAMILIES.split(",") for form in forms.split()[1:]}
_ENDINGS = (
    ("ational", "ate", 3), ("ization", "ize", 2), ("ations", "at", 3), ("ation", "at", 3), ("ities", "", 3),
    ("ments", "", 4), ("ment", "", 4), ("ness", "", 4), ("ingly", "", 3), ("edly", "", 3), ("sses", "ss", 1),
    ("ies", "i", 2), ("ied", "i", 2), ("ing", "", 3), ("ers", "", 4), ("ors", "or", 3), ("ion", "", 4), ("ions", "", 4),
    ("ity", "", 4), ("est", "", 5), ("ely", "", 3), ("es", "", 3), ("ed", "", 3), ("er", "", 4), ("ly", "", 4),
    ("ss", "ss", 1), ("us", "us", 1), ("is", "is", 1), ("s", "", 2), ("e", "", 3), ("y", "i", 2),
)  # fmt: skip
_FAMILY_OF = {stem(forms.split()[0]): tuple(forms.split()) for forms in _FAMILIES.split(",")}
