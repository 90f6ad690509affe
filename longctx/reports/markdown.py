"""A report as Markdown that can be read alone. A footnote is called by its item and its number there: `[^2.1]` is the
first of the second question, with a sign behind it where it is not verified.

Marks that this module did not set are escaped, so that no answer, question or file name brings a heading, a footnote,
a link, a picture or HTML of its own. What differs between two runs that say the same stands in the last section.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from ingest.naming import safe_text
from longctx.durations import duration
from longctx.export import answer_text, inert, lowered, marked, note_line
from longctx.reports import phrases
from longctx.reports.coverage import coverage
from longctx.reports.report import Item, Kind, Report, State

DOCUMENTS_MOST = 500
SKIPPED_MOST = 200
UNDER = 3  # the level of the headings of items, below which those of answers stand
UNCITED_MOST = 100
KEPT_MOST = 1024  # answers


def to_markdown(report: Report) -> str:
    """The report, as one text that ends with a line end."""
    notes: list[str] = []
    listed = _outline(report)
    links = {entry.item.id: entry.link for entry in listed if entry.item}
    items = [part for kind in phrases.SECTIONS for part in _section(report, kind, links, notes)]
    parts = [
        *_head(report),
        *_contents(listed),
        *items,
        *_coverage(report),
        *_inputs(report),
        phrases.legend(report),
        "\n".join(notes),
        *_made(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(report: Report) -> Iterator[str]:
    yield f"# {inert(phrases.line(report.title)) or 'Report'}"
    yield inert(report.description)
    yield inert(" · ".join(filter(None, [phrases.standing(report), phrases.author(report), phrases.extent(report)])))
    yield from (f"> {inert(each)}" for each in phrases.notices(report))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A heading in the contents: a link to it, and the item it is of."""

    link: str
    item: Item | None = None


def _outline(report: Report) -> list[_Entry]:
    """The headings below the title, but for those of answers."""
    slugs = _Slugs(["Contents"])
    listed: list[_Entry] = []
    for kind, title in phrases.SECTIONS.items():
        if items := _of(report, kind):
            listed.append(_Entry(slugs.link("", title)))
        listed += [_Entry(slugs.link(_number(i, item), _title(item)), item) for i, item in enumerate(items, start=1)]
    rest = [*(["Coverage"] if coverage(report) else []), "Inputs", "How it was made"]
    return listed + [_Entry(slugs.link("", title)) for title in rest]


def _contents(listed: Sequence[_Entry]) -> Iterator[str]:
    yield "## Contents"
    yield "\n".join(
        f"  - {phrases.SIGNS[entry.item.state]} {entry.link}" if entry.item else f"- {entry.link}" for entry in listed
    )


def _section(report: Report, kind: Kind, links: Mapping[str, str], notes: list[str]) -> Iterator[str]:
    if items := _of(report, kind):
        yield f"## {phrases.SECTIONS[kind]}"
    for number, item in enumerate(items, start=1):
        yield from _item(number, item, links, notes)


def _of(report: Report, kind: Kind) -> list[Item]:
    return [item for item in report.items if item.kind is kind]


def _item(number: int, item: Item, links: Mapping[str, str], notes: list[str]) -> Iterator[str]:
    """An item; its footnotes go to the end of `notes`."""
    yield f"### {_number(number, item)}{inert(_title(item))}"
    if asked := phrases.question_text(item):
        yield "  \n".join(f"> {inert(each)}" for each in safe_text(asked).splitlines())
    if item.refers:
        yield f"refers to: {', '.join(links.get(each) or inert(phrases.name(each)) for each in item.refers)}"
    if item.state is not State.DONE:
        why = f": {inert(phrases.line(item.error, phrases.SETTING_MOST))}" if item.error else "."
        yield f"**{phrases.STATES[item.state].capitalize()}**{why}"
    labels = {note.n: f"{_LABELS[item.kind].format(number)}.{note.n}" for note in phrases.notes(item)}
    notes += [note_line(labels[note.n], note) for note in phrases.notes(item)]
    if item.answer:
        doubts = {each.n: phrases.doubt(each) for each in phrases.cited(item)}
        yield _said(answer_text(item.answer), tuple((n, label, doubts[n]) for n, label in labels.items()))
        # By their marks: viewers number footnotes anew, in the order in which they come.
        yield " · ".join(f"[^{labels[n]}] {inert(place)}" for n, place in phrases.places(item))
        yield f"*{inert(' · '.join(phrases.told(item)))}*" if phrases.told(item) else ""


_LABELS = {Kind.SUMMARY: "s{}", Kind.QUESTION: "{}", Kind.DOCUMENT: "d{}"}


@lru_cache(KEPT_MOST)
def _said(markdown: str, marks: tuple[tuple[int, str, str], ...]) -> str:
    """An answer; kept, since a report is written again whenever an item is done."""
    labels = {n: label for n, label, _ in marks}
    signs = {n: sign for n, _, sign in marks}
    return marked(lowered(safe_text(markdown).strip("\n"), UNDER), labels.get, signs.__getitem__)


def _number(number: int, item: Item) -> str:
    return f"{number}. " if item.kind is Kind.QUESTION else ""


def _title(item: Item) -> str:
    return phrases.line(safe_text(item.title)) or phrases.name(item.id)


def _coverage(report: Report) -> Iterator[str]:
    if not (found := coverage(report)):
        return
    yield "## Coverage"
    yield "How many verified citations each document has, by item."
    names = [column.label for column in found.columns]
    rows = [[row.path, *(str(count or "") for count in row.counts), str(row.total)] for row in found.rows]
    yield _table(["document", *names, "all"], rows, right=len(names) + 1) if rows else ""
    yield _more(found.others, "cited documents", "report.json has them")
    yield _more(found.left_out, "items have no column here")
    if found.uncited:
        more = _more(len(found.uncited[UNCITED_MOST:]), "documents")
        named = ", ".join(found.uncited[:UNCITED_MOST])
        yield inert(f"{found.missing}: {named}{f' {more}' if more else ''}.")


def _inputs(report: Report) -> Iterator[str]:
    yield "## Inputs"
    ordered = sorted(report.documents, key=lambda row: -row.tokens)
    rows = [
        [
            each.id,
            phrases.name(each.path),
            phrases.name(each.kind),
            f"{each.tokens:,}",
            f"{each.pages:,}" if each.pages else "",
            each.sha256[: phrases.HASH_SHOWN],
            phrases.document_note(each),
        ]
        for each in ordered[:DOCUMENTS_MOST]
    ]
    yield _table(["id", "document", "kind", "tokens", "pages", "sha256", "note"], rows) if rows else ""
    yield _more(len(ordered[DOCUMENTS_MOST:]), "documents", "report.json has them")
    for part, title in phrases.FILES.items():
        yield from _files(title, phrases.rows(report.corpus, part))


def _files(title: str, rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    if rows:
        yield f"### {title}"
        yield "\n".join(f"- {inert(path)}: {inert(why)}" for path, why in rows[:SKIPPED_MOST])
        yield _more(len(rows[SKIPPED_MOST:]), "files", "report.json has them")


def _made(report: Report) -> Iterator[str]:
    yield "## How it was made"
    told = [*phrases.facts(report), *phrases.occasion(report)]
    yield "\n".join(f"- {inert(f'{name}: {value}')}" for name, value in told)
    timed = {item.id: phrases.seconds(item.wall_s) for item in report.items}
    if longest := max(timed.values(), default=0.0):
        name = next(each for each, seconds in timed.items() if seconds == longest)
        yield f"The longest item was {inert(phrases.name(name))}: {duration(longest)}."
    yield f"`{phrases.CHECK}` checks its citations again."


def _more(count: int, what: str, where: str = "") -> str:
    return f"and {count:,} more {what}{f'; {where}' if where else ''}" if count else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], right: int = 0) -> str:
    lines = [head, *rows]
    rule = ["---"] * (len(head) - right) + ["--:"] * right
    written = ["| " + " | ".join(inert(cell) for cell in line) + " |" for line in lines]
    return "\n".join([written[0], f"| {' | '.join(rule)} |", *written[1:]])


@dataclass(slots=True)
class _Slugs:
    """The names that viewers give to headings, in order; one that comes again has a number behind it."""

    titles: list[str]
    _seen: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for title in self.titles:
            self._slug(title)

    def link(self, number: str, title: str) -> str:
        """A link to the next heading, which has a number before its title or none."""
        return f"[{number}{inert(title)}](#{self._slug(number + title)})"

    def _slug(self, title: str) -> str:
        slug = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        count = self._seen.get(slug, 0)
        self._seen[slug] = count + 1
        return f"{slug}-{count}" if count else slug
