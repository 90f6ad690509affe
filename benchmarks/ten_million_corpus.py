"""The corpus of the benchmark: real packages, a fact in about every window, cut to as many windows as are wanted.

A fact is a line `# key word word word` of a file, put there before anything is read: the product reads, counts and
packs it like any other line. Each word is one rare token and stands nowhere else. Afterwards each fact is looked up in
the ids of the packed windows; one that is not found there as it was planted is left out.
"""

import json
import re
import shutil
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, islice, pairwise
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.ten_million_sources import Unpacked, unpack_all
from longctx import paths, plan
from longctx.corpus import Corpus
from longctx.manifest import Entry
from longctx.needle.fact import ANSWER_WORDS, Fact
from longctx.needle.words import absent_words
from longctx.packing import WINDOW_TOKENS, Piece, Window
from longctx.refresh import refresh
from longctx.request import Request
from longctx.tokens import Tokenizer

SEED = 7
# Where a fact's line can stand: between any two lines, in HTML behind the end of a paragraph.
SUFFIXES = frozenset({".py", ".txt", ".rst", ".html", ".md", ".js", ".css"})
HTML_BREAK, BREAK = b"</p>", b"\n"
# The last window is left half empty, so that the edit of one file finds room behind it.
LAST_WINDOW_TOKENS = WINDOW_TOKENS // 2
SECRET = bytes(range(32))


@dataclass(frozen=True, slots=True)
class Placed:
    """A fact and where it stands: the index of its window, that of its key among all ids."""

    fact: Fact
    window: int
    at: int


@dataclass(frozen=True, slots=True)
class Work:
    """The folders and files of one benchmark."""

    folder: Path

    @property
    def downloads(self) -> Path:
        return self.folder / "downloads"

    @property
    def sources(self) -> Path:
        return self.folder / "sources"

    @property
    def home(self) -> Path:
        """LONGCTX_HOME of everything that is run."""
        return self.folder / "home"

    @property
    def windows(self) -> Path:
        """What `longctx pack --as ids` wrote."""
        return self.folder / "windows.jsonl"

    @property
    def edited(self) -> Path:
        """The same after one file was edited."""
        return self.folder / "windows-edited.jsonl"

    @property
    def facts(self) -> Path:
        return self.folder / "facts.json"

    @property
    def corpus(self) -> Path:
        """What the corpus is made of."""
        return self.folder / "corpus.json"


def make(work: Work, windows: int) -> dict[str, Any]:
    """Write the sources with their facts, at most `windows` windows of them; what they are made of."""
    shutil.rmtree(work.sources, ignore_errors=True)
    for path in (work.windows, work.edited, work.facts, *work.folder.glob("edited.*")):
        path.unlink(missing_ok=True)
    packages = unpack_all(work.downloads, work.sources)
    forget(work)
    with read(work) as corpus:
        used = _ids(corpus)
        entries = corpus.current
        words = single_words(used, corpus.tokenizer)
    planted = plant(work.sources, entries, words)
    forget(work)
    with read(work) as corpus:
        packed = list(plan.pack(corpus))
        cut(work.sources, corpus, packed, windows)
    forget(work)
    made: dict[str, Any] = {
        "packages": [_described(each, work) for each in packages],
        "planted": len(planted),
        "facts": [asdict(fact) for fact in planted],
    }
    work.corpus.write_text(json.dumps(made))
    return made


def forget(work: Work) -> None:
    """Empty the home but for its secret, from which the wrappers' tag is made: it is to take as many tokens again."""
    shutil.rmtree(work.home, ignore_errors=True)
    place = paths.ensure(work.home / "data") / "secret"
    place.write_bytes(SECRET)
    place.chmod(0o600)


def read(work: Work) -> Corpus:
    """The corpus of the sources, up to date; close it."""
    corpus = Corpus(Request((str(work.sources),)), paths.locate({paths.HOME_VARIABLE: str(work.home)}))
    for _ in refresh(corpus, index=False):
        pass
    return corpus


def _ids(corpus: Corpus) -> "array[int]":
    """The ids of all windows, wrappers included."""
    ids = array("I")
    for window in plan.pack(corpus):
        ids.extend(plan.window_ids(corpus, window))
    return ids


def single_words(used: Sequence[int], tokenizer: Tokenizer) -> list[int]:
    """Rare words that are absent from `used` and that the tokenizer makes one token of where they stand in a line."""
    texts = tokenizer.vocabulary.tokens
    words = [word for word in absent_words(used) if re.fullmatch(rb" [A-Za-z]+", texts[word])]
    return [word for word in words if list(tokenizer.encode(texts[word].decode())) == [word]]


def plant(sources: Path, entries: Sequence[Entry], words: Sequence[int]) -> list[Fact]:
    """Put a fact into the middle of every stretch of as many tokens as a window has; the facts that were planted."""
    facts = _drawn(words)
    tokens = Tokenizer().vocabulary.tokens
    planted = []
    for entry, shares in _places(entries):
        path = sources / entry.path
        if path.suffix not in SUFFIXES:
            continue
        chosen = [fact for _, fact in zip(shares, facts, strict=False)]
        lines = [b"#" + b"".join(tokens[word] for word in fact.ids) for fact in chosen]
        planted += [fact for fact, put in zip(chosen, _put(path, lines, shares), strict=True) if put]
    return planted


def _drawn(words: Sequence[int]) -> Iterator[Fact]:
    """Facts of words in an order of chance, the same each time."""
    order = Random(SEED).sample(words, len(words))
    size = 1 + ANSWER_WORDS
    for start in range(0, len(order) - size + 1, size):
        yield Fact(order[start], tuple(order[start + 1 : start + size]))


def _places(entries: Sequence[Entry]) -> Iterator[tuple[Entry, list[float]]]:
    """Each text in which a stretch of a window's tokens has its middle, and at which shares of its length."""
    ends = [0, *accumulate(entry.tokens for entry in entries)]
    for entry, (begin, end) in zip(entries, pairwise(ends), strict=True):
        first = begin // WINDOW_TOKENS
        middles = (at * WINDOW_TOKENS + WINDOW_TOKENS // 2 for at in range(first, end // WINDOW_TOKENS + 1))
        if shares := [(middle - begin) / entry.tokens for middle in middles if begin <= middle < end]:
            yield entry, shares


def _put(path: Path, lines: Sequence[bytes], shares: Sequence[float]) -> list[bool]:
    """Insert each line at about its share of the file; whether there was a place for it."""
    content, done = path.read_bytes(), []
    is_html = path.suffix == ".html"
    mark = HTML_BREAK if is_html else BREAK
    for line, share in sorted(zip(lines, shares, strict=True), key=lambda pair: -pair[1]):
        found = content.find(mark, int(share * len(content)))
        place = found + len(mark)
        done.append(found >= 0)
        if found >= 0:
            text = b"\n<p>" + line + b"</p>\n" if is_html else line + b"\n"
            content = content[:place] + text + content[place:]
    path.write_bytes(content)
    return done[::-1]


def cut(sources: Path, corpus: Corpus, packed: Sequence[Window], windows: int) -> None:
    """Shorten the text in the middle of the last window that is wanted, and remove all files behind it."""
    if len(packed) < windows:
        raise SystemExit(f"the sources fill {len(packed):,} windows only, not {windows:,}")
    last, before = _middle(packed[windows - 1])
    part = last.part.tokens[0] if last.part else 0
    text = corpus.tokenised(last.entry)
    char = text.char_of(text.whole_char(min(part + LAST_WINDOW_TOKENS - before, len(text.ids) - 1)))
    kept = text.document.text[:char].rpartition("\n")[0]
    removed = [entry for entry in corpus.entries if entry.position > last.entry.position]
    for entry in removed:
        (sources / entry.path).unlink()
    (sources / last.entry.path).write_text(kept + "\n", "utf-8")


def _middle(window: Window) -> tuple[Piece, int]:
    """The piece at which a window is half full, and what stands before its text."""
    done = 0
    for piece in window.pieces:
        if done + piece.size > LAST_WINDOW_TOKENS:
            break
        done += piece.size
    return piece, done + piece.wrapper_tokens


def _described(unpacked: Unpacked, work: Work) -> dict[str, object]:
    """What is left of a package in the corpus, and from where it comes."""
    package = unpacked.package
    files = [path for path in (work.sources / package.title).rglob("*") if path.is_file()]
    return {
        "title": package.title,
        "origin": package.origin,
        "version": package.version,
        "about": package.about,
        "folders": list(package.folders),
        "archive": unpacked.archive,
        "sha256": unpacked.sha256,
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
    }


def packed_windows(work: Work, written: Path | None = None, most: int | None = None) -> "list[array[int]]":
    """The ids that `longctx pack --as ids` wrote, a window each; the first `most` of them."""
    with (written or work.windows).open("rb") as lines:
        return [array("I", json.loads(line)) for line in islice(lines, most)]


def planted_facts(work: Work) -> list[Fact]:
    """Every fact that was planted, also those in files that were cut off."""
    return [Fact(each["key"], tuple(each["answer"])) for each in json.loads(work.corpus.read_text())["facts"]]


def keep_facts(work: Work) -> list[Placed]:
    """Look up the planted facts in the packed windows, and keep where they stand."""
    placed = located(packed_windows(work), planted_facts(work))
    work.facts.write_text(json.dumps([asdict(each) for each in placed]))
    return placed


def load_facts(work: Work) -> list[Placed]:
    """What `keep_facts` kept, in the order of the text."""
    kept = json.loads(work.facts.read_text())
    facts = (Fact(each["fact"]["key"], tuple(each["fact"]["answer"])) for each in kept)
    return [Placed(fact, each["window"], each["at"]) for fact, each in zip(facts, kept, strict=True)]


def located(windows: "Sequence[array[int]]", facts: Sequence[Fact]) -> list[Placed]:
    """Each fact that stands once and whole in one window, in the order of the text; no word of it stands elsewhere."""
    seen, places = _seen(windows, facts)
    return sorted((p for fact in facts if (p := _placed(fact, seen, places))), key=lambda placed: placed.at)


def cut_by_packing(windows: "Sequence[array[int]]", facts: Sequence[Fact]) -> int:
    """How many facts are there with each word once, but not whole in one window."""
    seen, places = _seen(windows, facts)
    there = (fact for fact in facts if all(seen.get(word) == 1 for word in fact.ids))
    return sum(_placed(fact, seen, places) is None for fact in there)


def _seen(windows: "Sequence[array[int]]", facts: Sequence[Fact]) -> tuple[dict[int, int], dict[int, tuple[int, int]]]:
    """How often each word of the facts stands in the windows, and where last: its window, its place among all ids."""
    words = {word for fact in facts for word in fact.ids}
    seen: dict[int, int] = {}
    places: dict[int, tuple[int, int]] = {}
    begin = 0
    for index, window in enumerate(windows):
        for at, token in enumerate(window):
            if token in words:
                seen[token] = seen.get(token, 0) + 1
                places[token] = index, begin + at
        begin += len(window)
    return seen, places


def _placed(fact: Fact, seen: Mapping[int, int], places: Mapping[int, tuple[int, int]]) -> Placed | None:
    if any(seen.get(word) != 1 for word in fact.ids):
        return None
    window, at = places[fact.key]
    whole = all(places[word] == (window, at + n) for n, word in enumerate(fact.ids))
    return Placed(fact, window, at) if whole else None
