"""What is quoted under the headings that a summary is to have, or to the question that it is to bear on: no model.

Search finds it by the words of a heading or question, within the summary's documents alone; headings that every
reader knows (overview, entry points, numbers) take what the digest of the documents has for them. One quotation of
each document comes before a second of any, and listings of code, which say little alone, last.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ingest.document import Document, Kind
from longctx import evidence, modules
from longctx.corpus import index_key
from longctx.digest import ABOUT, BEGINS, Digest, Group, Item
from longctx.evidence import Found, Quote
from longctx.manifest import Entry
from longctx.query import Query, stem, tokens
from longctx.recap import present_path

if TYPE_CHECKING:
    from longctx.corpus import Corpus

WIDE = 4  # times as many items are looked at as are quoted
HITS, LOOKED_AT, OF_A_DOCUMENT = 60, 480, 4  # passages that are read, of so many; of a document before others' first
SAID_MOST = 240  # characters of code
SAME_DOCUMENT = 0.5  # what a hit elsewhere in its document is worth to an item
# What is quoted under a heading has so much of the weight of its words, and of two words both.
LEAST_SHARE, OF_A_HEADING = 0.35, 1.2
# To a question so much, where its rarest words are not in it: a word is one of them that weighs so much of the rarest.
MUCH, RAREST = 0.6, 0.95
NOTHING_BEARS = "Nothing in it bears on the focus by its words: this is the summary without it."


@dataclass(frozen=True)
class Searched:
    """Search within some texts of a corpus; each is loaded once."""

    corpus: "Corpus"
    entries: Mapping[str, Entry]
    is_project: bool
    loaded: dict[str, Document]

    @classmethod
    def within(cls, corpus: "Corpus", entries: Iterable[Entry], wide: Digest) -> "Searched":
        """Search within these, of which `wide` is the digest."""
        is_project = any(group.title == ABOUT for group in wide.groups)
        return cls(corpus, {index_key(entry): entry for entry in entries}, is_project, {})

    def passages(self, words: str) -> Found:
        """What bears on some words, best first: of a document no more than a few where there are others."""
        found, taken = evidence.search(self.corpus.index, words, LOOKED_AT, self.entries), Counter[str]()
        ranked = list[tuple[bool, int]]()
        for number, hit in enumerate(found.hits):
            ranked.append((taken[hit.digest] >= OF_A_DOCUMENT, number))
            taken[hit.digest] += 1
        kept = sorted(number for _, number in sorted(ranked)[:HITS])
        return Found(found.query, tuple(found.hits[number] for number in kept))

    def of_a_heading(self, words: str, wide: Digest, most: int) -> list[Item]:
        """What has the words of a heading in it, best first: of the digest, then of what search quotes."""
        query = replace(self.passages(words).query, absent=0.0)
        least = _least(query)
        shares = {item: query.share(query.found_in(item.said, item.name, item.heading)) for item in wide.items}
        ours = sorted(wide.items, key=lambda item: -shares[item] * item.worth)
        quoted = self.quotes(words, most)
        shares |= {item: query.share(query.found_in(item.said, item.name)) for item in quoted}
        said = apart(item for item in (*ours, *quoted) if shares[item] >= least)
        return spread(said, is_project=self.is_project)[:most]

    def of_a_question(self, words: str, most: int) -> list[Item]:
        """What answers a question, best first. Behind the best stands only what holds as much of it as what is quoted
        under a heading, and its rarest words or most of it."""
        query, quoted = self.passages(words).query, self.quotes(words, most)
        if self.is_project:  # few functions hold the words that ask for them
            return spread(quoted, is_project=True)[:most]
        said = {each: self._load(index_key(each.entry)).text[each.start : each.end] for each in quoted}
        held = {each: _held(query, text, each.name, each.path) for each, text in said.items()}
        enough = [each for each in quoted if query.share(held[each]) >= LEAST_SHARE]
        bearing = [
            each
            for each in enough[1:]
            if query.share(held[each]) >= _least(query) and bears(query, said[each], each.name)
        ]
        return spread((*enough[:1], *bearing))[:most]

    def quotes(self, words: str, most: int) -> list[Item]:
        """What search quotes for some words, best first; nothing where too little is said of them."""
        said = evidence.quotes(self.passages(words), self._load, WIDE * most)
        return apart(map(self._item, said.quotes)) if said.found else []

    def _load(self, key: str) -> Document:
        if key not in self.loaded:
            self.loaded[key] = self.corpus.document(self.entries[key])
        return self.loaded[key]

    def _item(self, quote: Quote) -> Item:
        """A quote; of code what the function says of itself in which it stands, else its first line."""
        entry, document = self.entries[quote.digest], self._load(quote.digest)
        about = modules.around(document, quote.start, quote.end) if document.kind is Kind.CODE else None
        start, end = about.whole if about else (_behind_headings(document, quote), quote.end)
        says = about.says if about else None
        said = (
            modules.without_marks(document.text[slice(*says)]) if says else " ".join(document.text[start:end].split())
        )
        return Item(
            entry=entry,
            path=present_path(self.corpus, entry),
            start=start,
            end=end,
            said=said if document.kind is not Kind.CODE or len(said) <= SAID_MOST else f"{said[: SAID_MOST - 1]}…",
            worth=min(1.0, quote.score),
            name=about.name if about else quote.name,
            is_code=document.kind is Kind.CODE and says is None,
            is_markdown=document.kind in (Kind.MARKDOWN, Kind.NOTEBOOK),
        )


def _least(query: Query) -> float:
    """The share of a heading's or question's weight that what is quoted for it has; no more than all of the words that
    there are."""
    present = 1 - query.absent / max(query.weight, 1e-9)
    return max(LEAST_SHARE, present * min(1.0, OF_A_HEADING / max(1, len(query.terms)))) - 1e-6


def bears(query: Query, *texts: str) -> bool:
    """Whether texts hold one of a question's rarest words, or else most of it."""
    rarest = max((weight for _, weight in query.terms), default=0.0)
    held = _held(query, *texts)
    return any(query.terms[i][1] >= RAREST * rarest for i in held) or query.share(held) >= MUCH


def _held(query: Query, *texts: str) -> frozenset[int]:
    """The terms in texts, also those that become one by a second stemming, as "warnings" and "warning" do."""
    stems = {stem(stem(word)) for text in texts for word in tokens(text)}
    return query.found_in(*texts) | {i for i, (term, _) in enumerate(query.terms) if stem(term) in stems}


def _behind_headings(document: Document, quote: Quote) -> int:
    """Where a quote begins without the headings before it, which are no sentences; as it is where there is no more."""
    headings = _HEADING_LINES.match(document.text, quote.start, quote.end)
    return headings.end() if headings and headings.end() < quote.end and document.kind is Kind.MARKDOWN else quote.start


_HEADING_LINES = re.compile(r"(?:#{1,6}[ \t][^\n]*+\n\s*+)+")


def apart(items: Iterable[Item]) -> list[Item]:
    """The items in order without those that overlap one before them, or say the same of the same document."""
    kept = list[Item]()
    for item in items:
        if not any(_is_one(item, each) for each in kept):
            kept.append(item)
    return kept


def _is_one(item: Item, other: Item) -> bool:
    """Whether a reader of both reads one thing twice: functions like `send` and its twin that waits say the same."""
    if item.entry != other.entry:
        return False
    return item.said == other.said or (item.start < other.end and other.start < item.end)


def spread(items: Iterable[Item], *, is_project: bool = False) -> list[Item]:
    """The items with one of each document before a second of any; listings behind all others, but of a project."""
    taken, ranked = Counter[Entry](), list[tuple[bool, int, Item]]()
    for item in items:
        is_last = not is_project and is_listing(item)
        ranked.append((is_last, taken[item.entry], item))
        taken[item.entry] += not is_last
    return [item for *_, item in sorted(ranked, key=lambda each: each[:2])]


def is_listing(item: Item) -> bool:
    """Whether it is code, in a document that is no program too."""
    said = _SPAN.sub("", item.said) if item.is_markdown else item.said
    return item.is_code or len(_SIGNS.findall(said)) > max(2, SIGNS_OF_CODE * len(said))


SIGNS_OF_CODE = 0.04
_SIGNS = re.compile(r"[\\{}\[\]=;<>_$#&^~|]")
_SPAN = re.compile(r"`[^`]*+`")


def sectioned(
    corpus: "Corpus", entries: Sequence[Entry], wide: Digest, sections: Sequence[str], focus: str, most: int
) -> Digest:
    """Under each heading what is found for it, not twice the same; a heading without any stays, empty."""
    searched, taken = Searched.within(corpus, entries, wide), list[Item]()
    each, groups = max(2, most // len(sections)), list[Group]()
    for section in sections:
        known = [] if focus else _known(section, wide)
        known = known if searched.is_project else spread(known)
        found = searched.of_a_heading(f"{section} {focus}".strip(), wide, 2 * each) if len(known) < each else []
        chosen = apart((*taken, *known, *found))[len(taken) :][:each]
        taken += chosen
        groups.append(Group(section, tuple(chosen), is_section=True))
    return replace(wide, groups=tuple(groups))


def focused(corpus: "Corpus", entries: Sequence[Entry], wide: Digest, plain: Digest, focus: str, most: int) -> Digest:
    """What answers the question first, then of the digest what stands near what search finds for it."""
    searched = Searched.within(corpus, entries, wide)
    items = searched.of_a_question(focus, (most + 1) // 2)
    if not items:
        nothing = Group(focus, (), is_section=True)
        return replace(plain, groups=(nothing, *plain.groups), note=NOTHING_BEARS)
    found = searched.passages(focus)
    near = _near(found, searched.entries)
    others = [
        item
        for item in apart((*items, *wide.items))[len(items) :]
        if searched.is_project or bears(found.query, item.said, item.name)
    ]
    nearest = sorted(others, key=lambda item: -item.worth * near(item))
    ranked = spread(nearest, is_project=searched.is_project)[: most - len(items)]
    kept = {(item.entry, item.start) for item in ranked if near(item) > 0}
    groups = [replace(g, items=tuple(i for i in g.items if (i.entry, i.start) in kept)) for g in wide.groups]
    return replace(wide, groups=(Group(focus, tuple(items), is_section=True), *(g for g in groups if g.items)))


def _near(found: Found, entries: Mapping[str, Entry]) -> Callable[[Item], float]:
    """How much of what search found stands about an item."""
    best = dict[Entry, float]()
    for hit in found.hits:
        entry = entries[hit.digest]
        best[entry] = max(best.get(entry, 0.0), hit.score)

    def near(item: Item) -> float:
        there = [
            h.score for h in found.hits if entries[h.digest] == item.entry and h.start < item.end and item.start < h.end
        ]
        return max([*there, SAME_DOCUMENT * best.get(item.entry, 0.0)])

    return near


# --- headings that every reader knows --------------------------------------------------------------------------------


def _known(section: str, wide: Digest) -> list[Item]:
    """What the digest has for a heading, best first."""
    for pattern, takes in _HEADINGS:
        if pattern.search(section):
            return takes(wide)
    return []


def _best(wide: Digest) -> list[Item]:
    """What the documents say they are, else what is worth most."""
    about = [item for group in wide.groups if group.title == ABOUT for item in group.items]
    return about or sorted((item for item in wide.items if not item.is_code), key=lambda item: -item.worth)


def _begins(wide: Digest) -> list[Item]:
    return [item for group in wide.groups if group.title == BEGINS for item in group.items]


def _modules(wide: Digest) -> list[Item]:
    """One of each folder in turn."""
    folders = [g.items for g in wide.groups if g.is_path and (g.title.endswith("/") or not g.title)]
    longest = max(map(len, folders), default=0)
    return [items[n] for n in range(longest) for items in folders if n < len(items)]


def _numbers(wide: Digest) -> list[Item]:
    """Sentences with numbers in them."""
    counts = {item: len(re.findall(r"\d+", item.said)) for item in wide.items}
    stated = (item for item in wide.items if counts[item] and len(_WORDS.findall(item.said)) >= WORDS_LEAST)
    return sorted(stated, key=lambda item: (-counts[item], -item.worth))


WORDS_LEAST = 6
_WORDS = re.compile(r"[^\W\d_]{2,}")


def _heading(words: str) -> re.Pattern[str]:
    return re.compile(rf"^(?:the )?(?:{words})$", re.IGNORECASE)


_HEADINGS: tuple[tuple[re.Pattern[str], Callable[[Digest], list[Item]]], ...] = (
    (
        _heading(r"overview|summary|abstract|purpose|introduction|(?:key|main) (?:points|findings|ideas)|what it is"),
        _best,
    ),
    (_heading(r"entry points?|where it begins|commands?|how to start"), _begins),
    (_heading(r"(?:main )?(?:architecture|structure|modules?|components?|packages|parts)"), _modules),
    (_heading(r"(?:key )?(?:numbers|figures|quantities|amounts)"), _numbers),
)
