"""A report as Markdown that can be read alone; footnotes are numbered through.

Marks that this module did not set are escaped, so that no answer, question or file name brings a heading, a footnote,
a link, a picture or HTML of its own. What differs between two runs that say the same stands in the last section.
"""

import re
from collections.abc import Iterator, Sequence
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
LOWERED_BY = 3  # levels of headings: those of an answer stand below its own
KEPT_MOST = 1024  # answers


def to_markdown(report: Report) -> str:
    """The report, as one text that ends with a line end."""
    notes: list[str] = []
    items = [part for kind in phrases.SECTIONS for part in _section(report, kind, notes)]
    parts = [
        *_head(report),
        *_contents(report),
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


def _contents(report: Report) -> Iterator[str]:
    yield "## Contents"
    listed = _Slugs(["Contents"])
    lines: list[str] = []
    for kind, title in phrases.SECTIONS.items():
        if not (items := _of(report, kind)):
            continue
        lines.append(f"- {listed.link('', title)}")
        for number, item in enumerate(items, start=1):
            lines.append(f"  - {phrases.SIGNS[item.state]} {listed.link(_number(number, item), _title(item))}")
    lines += [f"- {listed.link('', title)}" for title in _rest(report)]
    yield "\n".join(lines)


def _rest(report: Report) -> list[str]:
    return [*(["Coverage"] if coverage(report) else []), "Inputs", "How it was made"]


def _section(report: Report, kind: Kind, notes: list[str]) -> Iterator[str]:
    if items := _of(report, kind):
        yield f"## {phrases.SECTIONS[kind]}"
    for number, item in enumerate(items, start=1):
        yield from _item(number, item, notes)


def _of(report: Report, kind: Kind) -> list[Item]:
    return [item for item in report.items if item.kind is kind]


def _item(number: int, item: Item, notes: list[str]) -> Iterator[str]:
    """An item; its footnotes go to the end of `notes`."""
    yield f"### {_number(number, item)}{inert(_title(item))}"
    if asked := phrases.question_text(item):
        yield "  \n".join(f"> {inert(each)}" for each in safe_text(asked).splitlines())
    if item.state is not State.DONE:
        why = f": {inert(phrases.line(item.error, phrases.SETTING_MOST))}" if item.error else "."
        yield f"**{phrases.STATES[item.state].capitalize()}**{why}"
    own = phrases.notes(item)
    numbers = {note.n: len(notes) + i for i, note in enumerate(own, start=1)}
    notes += [note_line(numbers[note.n], note) for note in own]
    if item.answer:
        yield _said(answer_text(item.answer), tuple(numbers.items()))
        yield f"*{inert(' · '.join(phrases.told(item)))}*" if phrases.told(item) else ""


@lru_cache(KEPT_MOST)
def _said(markdown: str, numbers: tuple[tuple[int, int], ...]) -> str:
    """An answer; kept, since a report is written again whenever an item is done."""
    return marked(lowered(safe_text(markdown).strip("\n"), LOWERED_BY), dict(numbers).get)


def _number(number: int, item: Item) -> str:
    return f"{number}. " if item.kind is Kind.QUESTION else ""


def _title(item: Item) -> str:
    return phrases.line(safe_text(item.title)) or phrases.name(item.id)


def _coverage(report: Report) -> Iterator[str]:
    if not (found := coverage(report)):
        return
    yield "## Coverage"
    yield "Verified citations of each document."
    names = [column.label for column in found.columns]
    rows = [[row.path, *(str(count or "") for count in row.counts)] for row in found.rows]
    yield _table(["document", *names], rows, right=len(names))
    yield _more(found.others, "cited documents", "report.json has them")
    yield _more(found.uncited, "documents without verified citations")


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
    seconds = [item for item in report.items if item.wall_s]
    if seconds:
        slowest = max(seconds, key=lambda item: item.wall_s)
        yield f"The longest item was {inert(phrases.name(slowest.id))}: {duration(slowest.wall_s)}."
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
