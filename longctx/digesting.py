"""Chooses what to quote of some documents so that a reader learns what they are: no model, the same each time.

Of source code it is what the project says it is, where it begins, and what its modules say they are for, those first
that others use; of texts their central sentences, from as many documents as there are items. Time is bounded: of many
documents those that tell most by their names are looked at, of long ones the beginnings of their sections.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from ingest.document import Document, Kind
from longctx import central, modules
from longctx.digest import ABOUT, BEGINS, Digest, Group, Item
from longctx.digest_sections import WIDE, apart, focused, sectioned
from longctx.manifest import Entry
from longctx.standing import holds_settings, is_aside, leads, standing
from longctx.summary_form import Summary

if TYPE_CHECKING:
    from longctx.corpus import Corpus

DOCUMENTS_MOST, TOKENS_MOST = 600, 4_000_000  # of all documents that are looked at
CHARACTERS, FEWEST_CHARACTERS, MOST_CHARACTERS = 1_200_000, 6_000, 300_000  # in all, and of one document
# From so much of it being source code, a collection is a project.
CODE_SHARE = 0.3
SAME_FOLDER = 0.85
# Of more documents than there are items so many more are read, for those that have no sentence worth so much.
SPARE, WEAK = 4, 0.25
UNCLEAR = 0.1  # a line that says what its path does


@dataclass(frozen=True)
class Read:
    """A document that was looked at."""

    entry: Entry
    path: str
    document: Document

    @cached_property
    def standing(self) -> float:
        """What it is by its name."""
        return standing(self.path)

    @property
    def folder(self) -> str:
        """Its folder with a slash; empty at the top."""
        head, slash, _ = self.path.rpartition("/")
        return head + slash

    @property
    def is_code(self) -> bool:
        """Whether people wrote a program in it."""
        return self.document.kind is Kind.CODE and not holds_settings(self.path)

    def item(self, span: tuple[int, int], **about: object) -> Item:
        """What stands in it there, as one of what is quoted."""
        text = self.document.text[slice(*span)]
        said = modules.without_marks(text) if self.document.kind is Kind.CODE else " ".join(text.split())
        item = Item(
            entry=self.entry,
            path=self.path,
            start=span[0],
            end=span[1],
            said=said,
            is_markdown=self.document.kind in (Kind.MARKDOWN, Kind.NOTEBOOK),
        )
        return replace(item, **about)  # type: ignore[arg-type]  # fields of Item


def digested(corpus: "Corpus", entries: Sequence[Entry], summary: Summary) -> Digest:
    """What to quote of these texts of a corpus for a summary."""
    most = summary.statements
    read = _read(corpus, entries)
    plain = Digest(groups=tuple(groups(read, most)), documents=len(entries), looked_at=len(read))
    if not (summary.sections or summary.focus):
        return plain
    wide = replace(plain, groups=tuple(groups(read, WIDE * most)))
    if summary.sections:
        return sectioned(corpus, entries, wide, summary.sections, summary.focus, most)
    return focused(corpus, entries, wide, plain, summary.focus, most)


def _read(corpus: "Corpus", entries: Sequence[Entry]) -> list[Read]:
    names = {entry: next(iter(corpus.paths_of(entry)), entry.path) for entry in entries}
    return [Read(entry, names[entry], corpus.document(entry)) for entry in worth_reading(names)]


def worth_reading(names: dict[Entry, str]) -> list[Entry]:
    """The documents to look at: those that tell most by their names, of all folders; at least one."""
    worth = {entry: standing(path) * math.log(2 + entry.tokens) for entry, path in names.items()}
    in_folder, ranked = Counter[str](), dict[Entry, float]()
    for entry in sorted(names, key=lambda e: (-worth[e], names[e])):
        folder = names[entry].rpartition("/")[0]
        ranked[entry] = worth[entry] * 0.97 ** in_folder[folder]
        in_folder[folder] += 1
    kept, tokens = list[Entry](), 0
    for entry in sorted(ranked, key=lambda e: (-ranked[e], names[e]))[:DOCUMENTS_MOST]:
        if not kept or tokens + entry.tokens <= TOKENS_MOST:
            kept.append(entry)
            tokens += entry.tokens
    return kept


def groups(read: Sequence[Read], most: int) -> list[Group]:
    """What to quote of documents, under their titles."""
    code = sum(each.entry.tokens for each in read if each.is_code)
    if sum(each.is_code for each in read) > 1 and code > CODE_SHARE * sum(each.entry.tokens for each in read):
        return [group for group in map(_without_empty, _project(read, most)) if group.items]
    return _texts(read, most)


def _without_empty(group: Group) -> Group:
    return replace(group, items=tuple(item for item in group.items if item.said))


# --- a project --------------------------------------------------------------------------------------------------------


def _project(read: Sequence[Read], most: int) -> list[Group]:
    """What it is, where it begins, its modules by folder, and what its documents say."""
    about = _about(read, max(1, most // 6))
    begins = _begins(read, max(1, most // 7))
    texts = [r for r in read if not r.is_code and not holds_settings(r.path) and r.standing > 0.4]
    said = {item.entry for item in about}
    written = _texts([each for each in texts if each.entry not in said], most // 4)
    documents = [group for group in written if max(item.worth for item in group.items) >= WEAK]
    rest = most - len(about) - len(begins) - sum(len(group.items) for group in documents)
    return [
        Group(ABOUT, tuple(about)),
        Group(BEGINS, tuple(begins)),
        *_modules(read, rest, {item.said for item in about}),
        *documents,
    ]


def _about(read: Sequence[Read], most: int) -> list[Item]:
    """What the manifest says the project is, and the README; else what its outermost package says."""
    own = [each for each in read if not is_aside(each.path)] or read
    outermost = sorted(own, key=lambda each: (each.path.count("/"), each.path))
    manifests = (e.item(s, worth=1.0) for e in outermost if (s := modules.described(e.path, e.document.text)))
    readme = next((e for e in outermost if leads(e.path) and e.document.kind in _WRITTEN), None)
    items = list(islice(manifests, 1)) if readme is None or most > 1 else []
    if readme is not None:
        said = [frozenset(central.words_of(item.said, ())) for item in items]
        items += _introduced(readme, most - len(items), said)
    packages = (p for e in outermost if _PACKAGE.search(e.path) and (p := _purpose(e)) and _clarity(p) == 1)
    return items or list(islice(packages, 1))


def _introduced(readme: Read, most: int, said: list[frozenset[str]]) -> list[Item]:
    """The first sentence, since that says what a thing is, and the central ones."""
    span = central.first(readme.document)
    first = [readme.item(span)] if span else []
    known = [*said, *(frozenset(central.words_of(item.said, ())) for item in first)]
    more = [item for item in sentences(readme, most, 30_000, known) if not span or item.start != span[0]]
    return [*first, *more][:most]


_PACKAGE = re.compile(r"(?:^|/)(?:__init__\.py|(?:lib|main|mod)\.rs|(?:doc|main)\.go|index\.[jt]sx?)$")
_WRITTEN = (Kind.MARKDOWN, Kind.PROSE, Kind.HTML)


def _begins(read: Sequence[Read], most: int) -> list[Item]:
    """Where programs begin: commands that are installed before main functions, those of tests last."""
    found: list[tuple[float, Item]] = []
    for each in read:
        installs = holds_settings(each.path) or each.path.endswith(("setup.py", "file"))
        spans = modules.starts(each.path, each.document.text)
        found += [(each.standing * (3 if installs else 1), _line(each, span)) for span in spans]
        if each.path.endswith("__main__.py") and (purpose := _purpose(each)):
            found.append((2 * each.standing, purpose))
    ranked = sorted(found, key=lambda pair: (-pair[0], pair[1].path, pair[1].start))
    return [item for worth, item in ranked if worth > 0.4 or worth == ranked[0][0]][:most]


def _line(read: Read, span: tuple[int, int], **about: object) -> Item:
    span = span[0], min(span[1], span[0] + modules.LONGEST)
    text = " ".join(read.document.text[slice(*span)].split())
    return read.item(span, said=text if len(text) <= 200 else f"{text[:199]}…", is_code=True, worth=0.5, **about)


def _purpose(read: Read) -> Item | None:
    span = modules.purpose(read.document)
    return read.item(span) if span else None


def _modules(read: Sequence[Read], most: int, said: Collection[str]) -> list[Group]:
    """What modules are for, those that are used most before others, not all of one folder; then what they define."""
    code = [each for each in read if each.is_code]
    users, used = _used(code)
    worth = {e.path: e.standing * (1 + math.log(1 + users[e.path]) + math.log(1 + used[e.path])) for e in code}
    names = Counter(name for each in code for _, name in modules.uses(each.document.text))
    lines = {e.path: line for e in code if (line := _told(e, names)) and line.said not in said}
    picked = _spread(
        [each for each in code if each.path in lines], lambda e: worth[e.path] * _clarity(lines[e.path]), most
    )
    items = {each.path: [replace(lines[each.path], worth=_share(worth[each.path]))] for each in picked}
    for item in islice(_definitions(picked, items, names), max(0, most - len(picked))):
        items[item.path].append(item)
    folders = sorted(dict.fromkeys(each.folder for each in picked), key=lambda folder: folder.count("/"))
    return [
        Group(folder, tuple(i for each in picked if each.folder == folder for i in items[each.path]), is_path=True)
        for folder in folders
    ]


def _told(read: Read, names: Mapping[str, int]) -> Item | None:
    """What a module is for, where it says more than its name, else what it defines."""
    purpose = _purpose(read)
    return purpose if purpose and _clarity(purpose) > UNCLEAR else _defines(read, names)


def _share(worth: float) -> float:
    return min(1.0, worth / 10)


def _clarity(item: Item) -> float:
    """A module that says what it is for is more use to a reader than one that only defines something, or is called
    what its path says already."""
    if item.is_code:
        return 0.5
    known = {"module", "package", "subpackage", "file", *_LETTERS.findall(item.path.lower())}
    told = {word.rstrip("s") for word in _LETTERS.findall(item.said.lower()) if len(word) > 3 and word not in known}
    return (UNCLEAR, 0.3, 0.7)[len(told)] if len(told) < 3 else 1.0


_LETTERS = re.compile(r"[^\W\d_]+")


def _used(code: Sequence[Read]) -> tuple[Counter[str], Counter[str]]:
    """How many other modules use each module, and how many it uses, by the names that they import."""
    by_name: dict[str, list[tuple[str, str]]] = {}
    for each in code:
        folder, name = _name(each.path)
        by_name.setdefault(name, []).append((folder, each.path))
    users, used = Counter[str](), Counter[str]()
    for each in code:
        found = (
            _meant(each.path, *use, by_name[use[1]]) for use in modules.uses(each.document.text) if use[1] in by_name
        )
        paths = {path for path in found if path not in (None, each.path)}
        users.update(path for path in paths if path)
        used[each.path] = len(paths)
    return users, used


def _name(path: str) -> tuple[str, str]:
    """Folder and name of a module; a package's file has its folder's name."""
    parts = ["", "", *path.rpartition(".")[0].split("/")]
    return (parts[-3], parts[-2]) if _PACKAGE.search(path) else (parts[-2], parts[-1])


def _meant(path: str, folder: str, name: str, candidates: Sequence[tuple[str, str]]) -> str | None:
    """Which of the modules of one name is imported from `path`: that of the named folder, else the nearest."""
    named = [other for inside, other in candidates if inside == folder]
    near = (
        [other for _, other in candidates if other.split("/")[0] == path.split("/")[0]] if folder in ("", name) else []
    )
    return next(iter(named or near), None)


def _defines(read: Read, names: Mapping[str, int]) -> Item | None:
    """The chief thing that a module defines, where the module does not say what it is for."""
    return next((_definition(read, each) for each in _chief(read, names)), None)


def _chief(read: Read, names: Mapping[str, int]) -> list[modules.Defined]:
    """What a module defines: the larger, the more explained and the oftener imported the sooner."""

    def worth(each: modules.Defined) -> float:
        return (1.0 if each.says else 0.4) * (1 + math.log(1 + names.get(each.name, 0))) * math.log(2 + each.size)

    return sorted(islice(modules.defined(read.document), 60), key=lambda each: -worth(each))


def _definition(read: Read, defined: modules.Defined) -> Item:
    if defined.says is None:
        return _line(read, defined.whole, name=defined.name)
    said = modules.without_marks(read.document.text[slice(*defined.says)])
    return read.item(defined.whole, said=said, name=defined.name, worth=0.4)


def _definitions(picked: Sequence[Read], items: dict[str, list[Item]], names: Mapping[str, int]) -> Iterable[Item]:
    """What modules define and explain, a definition of each in turn."""
    waiting = {each.path: _explained(each, list(items[each.path]), names) for each in picked}
    while waiting:
        for path in list(waiting):
            if waiting[path]:
                yield waiting[path].pop(0)
            else:
                del waiting[path]


def _explained(read: Read, shown: Sequence[Item], names: Mapping[str, int]) -> list[Item]:
    return apart((*shown, *(_definition(read, each) for each in _chief(read, names))))[len(shown) :]


# --- texts ------------------------------------------------------------------------------------------------------------


def _texts(read: Sequence[Read], most: int) -> list[Group]:
    """Central sentences: of each document at least one where there are enough, else of those that tell most."""
    if not read or most < 1:
        return []
    likely = _spread(read, lambda each: each.standing * math.log(2 + each.entry.tokens), most + SPARE)
    each_most = min(MOST_CHARACTERS, max(FEWEST_CHARACTERS, CHARACTERS // len(likely)))
    counts = _counts(likely, most)
    found = {each.path: items_of(each, counts[each.path], each_most) for each in likely}
    weak = [each for each in likely if max((item.worth for item in found[each.path]), default=0) < WEAK]
    chosen = sorted(likely, key=weak.__contains__)[:most]
    ordered = sorted(chosen, key=lambda each: (is_aside(each.path), not leads(each.path), each.path))
    return [
        Group(each.path, tuple(found[each.path]), is_path=True, about=_title(each.document))
        for each in ordered
        if found[each.path]
    ]


def _counts(chosen: Sequence[Read], most: int) -> dict[str, int]:
    """How many items of each document: one, and the more the longer it is."""
    counts = Counter(each.path for each in chosen)
    sizes = {each.path: math.sqrt(1 + each.entry.tokens) * each.standing for each in chosen}
    for _ in range(most - len(chosen)):
        counts[max(sizes, key=lambda path: (sizes[path] / (counts[path] + 0.5), path))] += 1
    return counts


def _spread(read: Sequence[Read], worth: Callable[[Read], float], most: int) -> list[Read]:
    """The best, each folder's next one counting less."""
    left, taken, picked = {each.path: (worth(each), each) for each in read}, Counter[str](), list[Read]()
    while left and len(picked) < most:
        path = max(left, key=lambda path: (left[path][0] * SAME_FOLDER ** taken[left[path][1].folder], path))
        picked.append(left.pop(path)[1])
        taken[picked[-1].folder] += 1
    return picked


def items_of(read: Read, most: int, characters: int) -> list[Item]:
    """What to quote of one document, in its order."""
    if read.is_code:
        purpose = _purpose(read)
        first = [purpose] if purpose else []
        return sorted([*first, *_explained(read, first, {})][:most], key=lambda item: item.start)
    if read.document.kind in (Kind.TABLE, Kind.SHEETS):
        return [_line(read, span, name=name) for span, name in _heads(read.document)][:most]
    return sorted(sentences(read, most, characters) or _beginning(read), key=lambda item: item.start)


def sentences(read: Read, most: int, characters: int, said: Iterable[frozenset[str]] = ()) -> list[Item]:
    """The central sentences of a text, best first."""
    there = central.read(read.document, characters)
    picked = central.chosen(there, central.scores(there), most, said)
    return [read.item((s.start, s.end), worth=min(1.0, worth), heading=s.heading) for s, worth in picked]


def _heads(document: Document) -> list[tuple[tuple[int, int], str]]:
    """The first row of each table: the names of its columns."""
    parts = [(page.start, page.end, page.label) for page in document.pages] or [(0, len(document.text), "")]
    rows = [(re.compile(r"\S[^\n]{0,400}").search(document.text, a, b), name) for a, b, name in parts]
    return [(row.span(), name) for row, name in rows if row]


def _beginning(read: Read) -> list[Item]:
    """The first line that is not blank, where no sentence was found."""
    line = re.compile(r"\S[^\n]{0,300}").search(read.document.text)
    return [read.item(line.span(), worth=0.1)] if line else []


def _title(document: Document) -> str:
    """The document's own title, where it stands at its beginning."""
    title = " ".join(document.title.split())
    return title if 8 <= len(title) <= 200 and title in " ".join(document.text[:3000].split()) else ""
