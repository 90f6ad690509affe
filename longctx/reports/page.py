"""A report as one HTML page: no script, nothing fetched, no link but to its own parts, no style but its own sheet.

Every text passes `safe_text` and is escaped by the templates; the only HTML that does not come from them is what
`answer_html` makes of answers. A content policy forbids the rest.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ingest.naming import safe_text
from longctx.answer_html import answer_html
from longctx.durations import duration
from longctx.export import answer_text
from longctx.reports import phrases, plots
from longctx.reports.album import Album, Picture, album
from longctx.reports.anchors import anchors, evidence_anchor, item_anchor, mark_anchor
from longctx.reports.coverage import coverage
from longctx.reports.exhibits import exhibits, tone
from longctx.reports.report import DocumentRow, Evidence, Item, Kind, Report, State

UNDER = 3  # the level of the headings of items, below which those of answers stand
DOCUMENTS_MOST = 500
FILES_MOST = 500
TIMED_MOST = 500
FOLDED_FROM = 60  # items of a kind, above which the contents are folded
UNCITED_MOST = 500
VALUE_MOST = 20_000  # characters of a structured answer


def to_html(report: Report, picture: Picture, rendered: MutableMapping[str, str]) -> str:
    """The report as a page. `picture` gives the bytes of a page's picture by its name; `rendered` keeps what was made,
    so that a page made again with the same one costs only what is new."""
    names = anchors(item.id for item in report.items)
    prints = album(report, picture, rendered)
    parts = [_part(report.items, place, names, prints, rendered) for place in range(len(report.items))]
    style = _style()
    page = _templates().get_template("page.html")
    return page.render(
        report=report,
        policy=_policy(style),
        style=Markup(style),  # our own file
        said=phrases,
        groups=[
            (title, [part for part in parts if part.item.kind is kind]) for kind, title in phrases.SECTIONS.items()
        ],
        evidence=_evidence(parts),
        coverage=coverage(report),
        names=names,
        inputs=_inputs(report),
        made=_made(report),
        plots=plots,
        folded=FOLDED_FROM,
        uncited=UNCITED_MOST,
    )


@dataclass(frozen=True, slots=True)
class Part:
    """An item as the page shows it; questions have a `number`. `article` and `group` are HTML: the item, and
    its evidence."""

    item: Item
    number: str
    name: str
    article: Markup
    group: Markup

    @property
    def anchor(self) -> str:
        """Where the item stands."""
        return item_anchor(self.name)

    @property
    def title(self) -> str:
        """Its heading in one line."""
        return title(self.item)

    @property
    def sign(self) -> str:
        """Its state as a sign."""
        return phrases.SIGNS[self.item.state]

    @property
    def state(self) -> str:
        """Its state in words."""
        return phrases.STATES[self.item.state]


@dataclass(frozen=True, slots=True)
class Gathered:
    """The evidence of all items: how many citations there are, how many are not sound, and the groups that have any."""

    count: int
    doubtful: int
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was read: the largest documents with their shares, how many others there are, files by what is said of
    them."""

    documents: Sequence[tuple[DocumentRow, str]]
    others: int
    has_pages: bool
    has_notes: bool
    files: Sequence[tuple[str, Sequence[tuple[str, str]], int]]


@dataclass(frozen=True, slots=True)
class MadeBy:
    """How it was made: facts, and the figures of each item in those `columns` in which any has one but 0."""

    facts: Sequence[tuple[str, str]]
    columns: Sequence[str]
    items: Sequence[tuple[str, ...]]
    others: int


def title(item: Item) -> str:
    """The heading of an item in one line."""
    return phrases.line(item.title) or phrases.name(item.id)


def _part(
    items: Sequence[Item], place: int, names: tuple[str, ...], prints: Album, rendered: MutableMapping[str, str]
) -> Part:
    item, name = items[place], names[place]
    number = str(sum(each.kind is item.kind for each in items[: place + 1])) if item.kind is Kind.QUESTION else ""
    referred = _referred(item, items, names)
    key = f"{place} {number} {name} {referred} {_digest(item, place, names, prints)}"
    if f"item {key}" not in rendered:
        html, marks = _answer(item, name)
        shown = exhibits(item, place, names, prints, marks)
        view = {"item": item, "number": number, "name": name, "title": title(item), "exhibits": shown, "said": phrases}
        more = {"answer": html, "value": _value(item), "referred": referred}
        rendered[f"item {key}"] = _fragment("item.html", **view, **more)
        rendered[f"evidence {key}"] = _fragment("evidence.html", **view)
    return Part(item, number, name, Markup(rendered[f"item {key}"]), Markup(rendered[f"evidence {key}"]))


def _referred(item: Item, items: Sequence[Item], names: Sequence[str]) -> list[tuple[str, str]]:
    """The items whose answers a question refers to, and where each stands; nowhere if there is none of that id."""
    if not item.refers:
        return []
    anchors_of = {each.id: item_anchor(name) for each, name in zip(items, names, strict=True)}
    return [(phrases.name(each), anchors_of.get(each, "")) for each in item.refers]


def _digest(item: Item, place: int, names: tuple[str, ...], prints: Album) -> str:
    """Of all that the HTML of an item is made of."""
    sites = [(place, each.n) for each in item.evidence]
    shown = [(site in prints.prints, prints.seen.get(site)) for site in sites]
    others = [names[other[0]] for _, other in shown if other]
    out = [each.picture in prints.left_out for each in item.evidence]
    return hashlib.sha256(repr((item, shown, others, out)).encode("utf-8", "surrogatepass")).hexdigest()


def _answer(item: Item, name: str) -> tuple[Markup, set[int]]:
    """The answer as HTML, and which footnotes it has marks of."""
    known = {each.n: each for each in phrases.cited(item)}
    marks: set[int] = set()

    def mark(n: int) -> str:
        html = _mark(known[n], name, is_first=n not in marks)
        marks.add(n)
        return html

    if not item.answer:
        return Markup(), marks
    said = answer_text(item.answer)
    html = answer_html(said, known.__contains__, mark, under=UNDER, has_styles=False)
    return Markup(html), marks  # escaped by its renderer


def _mark(each: Evidence, name: str, *, is_first: bool) -> str:
    anchor = Markup(' id="{}"').format(mark_anchor(name, each.n)) if is_first else ""
    where = phrases.name(f"{each.place} ({each.status})")
    return Markup('<sup><a class="{}" href="#{}"{} title="{}">[{}{}]</a></sup>').format(
        tone(each), evidence_anchor(name, each.n), anchor, where, each.n, phrases.doubt(each)
    )


def _value(item: Item) -> str:
    """A structured answer as JSON."""
    if item.value is None:
        return ""
    written = json.dumps(item.value, indent=2, ensure_ascii=False)
    return written if len(written) <= VALUE_MOST else f"{written[:VALUE_MOST]}…\n(report.json has all of it)"


def _evidence(parts: Sequence[Part]) -> Gathered:
    cited = [each for part in parts for each in phrases.cited(part.item)]
    doubtful = sum(not each.is_sound for each in cited)
    return Gathered(len(cited), doubtful, [part for part in parts if part.item.evidence])


def _inputs(report: Report) -> Inputs:
    ordered = sorted(report.documents, key=lambda row: -row.tokens)
    total = sum(row.tokens for row in ordered)
    shown = [(row, phrases.percent(row.tokens, total) if total else "") for row in ordered[:DOCUMENTS_MOST]]
    told = [(title, phrases.rows(report.corpus, part)) for part, title in phrases.FILES.items()]
    listed = [(title, rows[:FILES_MOST], len(rows[FILES_MOST:])) for title, rows in told if rows]
    has_pages, has_notes = any(row.pages for row, _ in shown), any(phrases.document_note(row) for row, _ in shown)
    return Inputs(shown, len(ordered[DOCUMENTS_MOST:]), has_pages, has_notes, listed)


def _made(report: Report) -> MadeBy:
    facts = [*phrases.facts(report), *phrases.occasion(report)]
    items = [item for item in report.items if item.state is not State.PENDING]
    figures = [tuple(_figures(item)) for item in items]
    told = [i for i, column in enumerate(COLUMNS) if any(row[i] not in ("", "0") for row in figures)]
    is_drawn = plots.timings(report) is None or len(items) <= plots.TIMED_MOST
    if is_drawn and told == [COLUMNS.index("time")]:
        told = []
    rows = [(phrases.name(item.id), *(row[i] for i in told)) for item, row in zip(items, figures, strict=True)]
    columns = [COLUMNS[i] for i in told]
    return MadeBy(facts, columns, rows[:TIMED_MOST] if told else [], len(rows[TIMED_MOST:]))


def _figures(item: Item) -> Iterator[str]:
    """What an item took, a text for each of `COLUMNS`; nothing for what there is none of."""
    yield f"{item.calls:,}" if item.calls else ""
    yield from ("" if count is None else f"{count:,}" for count in phrases.tokens(item))
    seconds = phrases.seconds(item.wall_s)
    yield duration(seconds) if seconds else ""


COLUMNS = ("calls", "tokens of prompt", "from the cache", "time")


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


def _fragment(template: str, **view: Any) -> str:
    return _templates().get_template(template).render(view)


@cache
def _style() -> str:
    return (files("longctx.reports") / "templates" / "page.css").read_text("utf-8")


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("longctx.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_safe,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _safe(value: Any) -> Any:
    """What is put into a template: text that nothing obeys."""
    return safe_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value
