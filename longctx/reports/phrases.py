"""What a report says of itself in words, the same in each of its forms. Every phrase is safe to show."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from ingest.naming import show
from longctx.counted import counted
from longctx.durations import duration
from longctx.export import MEANINGS, Footnote, conduct, footnotes
from longctx.reports.report import DocumentRow, Evidence, Item, Kind, Report, State
from longctx.terminal import MARKS

SIGNS = {State.PENDING: "…", State.DONE: "✓", State.FAILED: "✗"}
STATES = {State.PENDING: "not yet asked", State.DONE: "done", State.FAILED: "failed"}
SECTIONS = {Kind.SUMMARY: "Summary", Kind.QUESTION: "Questions", Kind.DOCUMENT: "Documents"}  # in this order
FILES = {"skipped": "Left out", "partly_read": "Read in part", "remarks": "Remarks"}  # what is said of some
CHECK = "longctx cite check report.json"
LONGEST_NAME = 160  # characters of a path or title on paper
SETTING_MOST = 400
HASH_SHOWN = 12
COUNTS_MOST = 2**63
SECONDS_MOST = 1e9
OUT_OF_DATE = "!"


def standing(report: Report) -> str:
    """How far it is: `7 of 12 items, 1 failed`, or `12 items`."""
    items = counted(len(report.items), "item")
    if report.done == len(report.items):
        return items
    return f"{report.done:,} of {items}" + (f", {report.failed:,} failed" if report.failed else "")


def extent(report: Report) -> str:
    """How large the corpus is and what of it was left out."""
    tokens = count(report.corpus.get("tokens"))
    parts = [counted(len(report.documents), "document")]
    parts += [f"{tokens:,} tokens"] if tokens is not None else []
    left_out = rows(report.corpus, "skipped")
    return ", ".join([*parts, *([f"{len(left_out):,} left out"] if left_out else [])])


def author(report: Report) -> str:
    """What answered."""
    if is_quoted(report):
        return "quotations chosen by the program"
    kind, model, where = (name(str(report.engine.get(each) or "")) for each in ("kind", "model", "where"))
    return f"{kind}{f' {model}' if model else ''}{f' on {where}' if where else ''}"


def is_quoted(report: Report) -> bool:
    """No model has written anything in it."""
    return report.engine.get("kind") == "evidence"


def notices(report: Report) -> Iterator[str]:
    """What a reader must know before anything else."""
    if is_quoted(report):
        yield "No model wrote this: every answer is made of quotations that the program found in the documents."
    if pending := sum(item.state is State.PENDING for item in report.items):
        yield (
            f"This report is not complete: {pending:,} of {len(report.items):,} items have not been asked yet. "
            f"longctx report {name(report.manifest)} goes on with them."
        )
    if failed := [item for item in report.items if item.state is State.FAILED]:
        few = ", ".join(name(item.id) for item in failed[:8]) + (" and others" if len(failed) > 8 else "")
        yield f"{len(failed):,} of {len(report.items):,} items failed: {few}."
    if sum(not each.is_current for item in report.items for each in item.evidence):
        yield "Some citations are of texts that their files no longer have; they are marked as out of date."


def told(item: Item) -> list[str]:
    """What is to be known of an answer, a phrase each."""
    counted = [citations(item)] if item.evidence else []
    return counted + ([line(each, SETTING_MOST) for each in conduct(item.answer)] if item.answer else [])


def citations(item: Item) -> str:
    """`14 citations, 13 verified`."""
    return f"{counted(len(cited(item)), 'citation')}, {sum(each.is_sound for each in cited(item)):,} verified"


def cited(item: Item) -> tuple[Evidence, ...]:
    """The citations of an item, one for each number."""
    return tuple({each.n: each for each in item.evidence}.values())


def notes(item: Item) -> tuple[Footnote, ...]:
    """The citations of an item as footnotes."""
    found = footnotes({"citations": [msgspec.structs.asdict(each) for each in cited(item)]})
    return tuple(replace(note, place=line(note.place)) for note in found)


def sign(evidence: Evidence) -> str:
    """The sign of a state."""
    found = MARKS.get(evidence.status, "?")
    return OUT_OF_DATE if evidence.status == "verified" and not evidence.is_current else found


def doubt(evidence: Evidence) -> str:
    """The sign of a citation that is not sound; none of one that is."""
    return "" if evidence.is_sound else sign(evidence)


def places(item: Item) -> list[tuple[int, str]]:
    """Each citation's number; its sign and place, and its state where it is not sound."""
    signs = {each.n: (sign(each), each.is_sound) for each in cited(item)}
    return [(note.n, _place(note, *signs[note.n])) for note in notes(item)]


def legend(report: Report) -> str:
    """What the states of citations mean that stand in the report; empty where all are verified."""
    every = [each for item in report.items for each in item.evidence]
    states = {each.status for each in every} & MEANINGS.keys()
    told = [f"{MARKS[state]} {state}: {MEANINGS[state]}" for state in MEANINGS if state in {*states, "verified"}]
    if not all(each.is_current for each in every):
        told.append(f"{OUT_OF_DATE} out of date: its file has another text now")
    return "; ".join(told) + "." if len(told) > 1 else ""


def facts(report: Report) -> list[tuple[str, str]]:
    """How the report was made, but for when: a name and its value each; no setting that what answered has not."""
    idle = _MODELS_OWN if is_quoted(report) else _QUOTATIONS_OWN
    settings = [(f"setting {name(key)}", _setting(value)) for key, value in report.settings.items() if key not in idle]
    every = [
        ("manifest", name(report.manifest)),
        ("manifest sha256", name(report.manifest_sha256)),
        ("sources", ", ".join(map(name, report.sources[:20])) + (" and others" if len(report.sources) > 20 else "")),
        ("corpus", name(str(report.corpus.get("id") or ""))),
        ("engine", author(report)),
        *((f"engine {name(key)}", _setting(report.engine[key])) for key in sorted(report.engine) if key not in _SAID),
        *settings,
        ("wording", name(report.wording)),
    ]
    return [(key, value) for key, value in every if value]


def occasion(report: Report) -> list[tuple[str, str]]:
    """When and how long: what differs between two reports that say the same."""
    made, (cached, prompt) = report.made, cached_tokens(report)
    share = f"{cached:,} of {prompt:,} ({percent(cached, prompt)})" if prompt else ""
    every = [
        ("program", name(made.program)),
        ("begun", moment(made.begun)),
        ("written", moment(made.written)),
        ("runs", f"{made.runs:,}"),
        ("time", duration(seconds(made.wall_s))),
        ("tokens from the cache", share),
    ]
    return [(key, value) for key, value in every if value]


def cached_tokens(report: Report) -> tuple[int, int]:
    """How many tokens of prompts were taken from a cache, and how many there were of items that tell."""
    told = [tokens(item) for item in report.items]
    return sum(cached or 0 for _, cached in told), sum(prompt or 0 for prompt, cached in told if cached is not None)


def tokens(item: Item) -> tuple[int | None, int | None]:
    """The tokens of an item's prompts, and those of them that came from a cache."""
    counts = (item.answer or {}).get("tokens")
    prompt, cached = (counts.get(each) if isinstance(counts, Mapping) else None for each in ("prompt", "cached"))
    return count(prompt), count(cached)


def count(value: object) -> int | None:
    """A number of tokens or the like; None where it can be none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < COUNTS_MOST else None


def seconds(value: float) -> float:
    """A time that something took; 0 where it can be none."""
    return value if 0 < value < SECONDS_MOST else 0.0


def percent(part: float, whole: float) -> str:
    """`12 %`, `0.4 %`, `< 0.1 %`."""
    share = 100 * part / whole
    if share >= 10 or share == 0:
        return f"{share:.0f} %"
    return f"{share:.1f} %" if share >= 0.1 else "< 0.1 %"


def moment(written: str) -> str:
    """A time of a report as it is read."""
    parts = _MOMENT.fullmatch(written)
    return f"{parts[1]} {parts[2]} UTC" if parts else name(written)


def rows(corpus: Mapping[str, Any], part: str) -> list[tuple[str, str]]:
    """Files of a part of the corpus (`skipped`, `partly_read`, `remarks`), each with the reason."""
    listed = corpus.get(part)
    found = [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list | tuple) else []
    return [(name(str(row.get("path", ""))), _reason(row)) for row in found]


def question_text(item: Item) -> str:
    """What was asked, where its title does not say it whole."""
    text = item.text.strip()
    return "" if text == item.title.strip() or item.kind is not Kind.QUESTION else text


def document_note(row: DocumentRow) -> str:
    """What is to be said of a document besides its figures."""
    also = f"also {', '.join(map(name, row.also[:3]))}{' and others' if len(row.also) > 3 else ''}" if row.also else ""
    status = "" if row.status == "read" and not row.detail else name(f"{row.status}: {row.detail}".removesuffix(": "))
    return "; ".join(filter(None, [status, also]))


def name(text: str, most: int = LONGEST_NAME) -> str:
    """A path or another name in one line; of a long one the middle is left out."""
    shown = show(text if len(text) <= 4 * most else text[: 2 * most] + text[-2 * most :])
    return shown if len(shown) <= most else f"{shown[: most // 3]}…{shown[most // 3 - most + 1 :]}"


def tail(path: str, most: int) -> str:
    """The end of a path in one line, where there is no room for all of it."""
    shown = show(path[-4 * most :])
    return shown if len(shown) <= most else f"…{shown[1 - most :]}"


def line(text: str, most: int = LONGEST_NAME) -> str:
    """A text in one line; of a long one the end is left out."""
    said = " ".join(text[: 4 * most].split())
    return said if len(said) <= most else said[: most - 1] + "…"


_SAID = ("kind", "model", "where")
_MODELS_OWN = ("mode", "max_tokens", "temperature", "top_p", "seed", "context")
_QUOTATIONS_OWN = ("quotes",)
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d(?:\.\d+)?Z")


def _place(note: Footnote, mark: str, sound: bool) -> str:
    return f"{mark} {note.place}" + ("" if sound else f" ({note.state})")


def _reason(row: Mapping[str, Any]) -> str:
    reason, detail = str(row.get("reason") or ""), str(row.get("detail") or "")
    return line(f"{reason}: {detail}" if reason and detail else reason or detail, SETTING_MOST)


def _setting(value: Any) -> str:
    if value is None or value == "":
        return ""
    return name(value if isinstance(value, str) else json.dumps(value), SETTING_MOST)
