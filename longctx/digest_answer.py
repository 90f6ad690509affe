"""A digest as an answer: Markdown in one of three forms, each quotation with its citation, which was checked.

What documents say is shown and never obeyed: marks in it are escaped, so that none can bring a footnote, a link or
a picture of its own.
"""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from ingest.naming import show
from longctx.answer import Answer
from longctx.citations import Citation, CitationStatus, Claimed, check
from longctx.digest import Digest, Group, Item
from longctx.engines.base import Identity
from longctx.events import Answered, AnswerEvents
from longctx.summary_form import Style, Summary

if TYPE_CHECKING:
    from longctx.corpus import Corpus

NOTICE = (
    "These are quotations chosen by their words and places: no model wrote this summary. `longctx engine doctor` says "
    "how to ask one."
)
NOTHING = "Nothing there can be quoted as a summary."
EMPTY, ALL_EMPTY = "Nothing was found for it.", "Nothing was found for any of these: "
Marks = Mapping[tuple[str, int, int], int]


def quoted(corpus: "Corpus", digest: Digest, summary: Summary) -> AnswerEvents:
    """The digest as the summary that was ordered; told as every answer is."""
    begun = time.perf_counter()
    citations = tuple(_citations(corpus, digest))
    marks = {(c.sha256, *c.chars): c.n for c in citations if c.chars}
    yield Answered(
        Answer(
            question=summary.title,
            found=bool(citations),
            answer_markdown=markdown(digest, marks, summary.style) or NOTHING,
            citations=citations,
            engine=Identity(kind="evidence"),
            corpus=corpus.summary,
            notice=f"{NOTICE} {told(digest, summary.scope.label)}{f' {digest.note}' if digest.note else ''}",
            tokens={"corpus": corpus.summary.tokens, "prompt": 0, "cached": 0, "output": 0},
            timing={"total_s": time.perf_counter() - begun},
        )
    )


def told(digest: Digest, scope: str) -> str:
    """How much of the documents is in a digest."""
    looked = "" if digest.looked_at == digest.documents else f"; {digest.looked_at:,} were looked at"
    return f"Quoted of {scope}: {digest.quoted:,} of {digest.documents:,} documents{looked}."


def _citations(corpus: "Corpus", digest: Digest) -> Iterator[Citation]:
    """A citation for each place, those of one document together; numbered in the order in which they are read."""
    places = dict.fromkeys((item.entry, item.start, item.end, item.name) for item in digest.items)
    loaded = {entry: corpus.document(entry) for entry in dict.fromkeys(place[0] for place in places)}
    n = 1
    for entry, start, end, name in places:
        text = loaded[entry].text[start:end]
        paths = tuple(corpus.paths_of(entry)) or (entry.path,)
        citation = check(n, Claimed(paths, entry.digest, start, end, text, name), loaded[entry])
        if citation.status is CitationStatus.VERIFIED:
            n += 1
            yield citation


def markdown(digest: Digest, marks: Marks, style: Style) -> str:
    """The digest in Markdown; `marks` are the numbers of its citations. That nothing was found is said once."""
    if len(digest.groups) > 1 and all(group.is_section and not group.items for group in digest.groups):
        return f"{ALL_EMPTY}{'; '.join(inline(group.title) for group in digest.groups)}."
    asked_for = [
        _section(group, marks, style, alone=digest.documents == 1) for group in digest.groups if group.is_section
    ]
    others = tuple(group for group in digest.groups if not group.is_section)
    match style:
        case Style.BULLETS:
            parts = ["\n".join([f"**{_heading(g)}**", "", *_bullets(g, marks)]) for g in others]
        case Style.PROSE:
            parts = [_paragraph(group, marks) for group in others]
        case Style.OUTLINE:
            parts = ["\n".join(_outline(others, marks))]
    return "\n\n".join(filter(None, [*asked_for, *parts]))


def _section(group: Group, marks: Marks, style: Style, *, alone: bool) -> str:
    """What was asked for, under its heading; where all is of one document `alone` its name is not said again."""
    heading = f"### {inline(group.title)}\n\n"
    if not group.items:
        return heading + EMPTY
    named = replace(group, title=group.items[0].path, is_path=True) if alone else group
    return heading + (" ".join(_sentences(named, marks)) if style is Style.PROSE else "\n".join(_bullets(named, marks)))


def _heading(group: Group) -> str:
    """Its title, and what a document says that it is called."""
    if not group.is_path:
        return inline(group.title)
    about = f": {inline(group.about)}" if group.about else ""
    return code(show(group.title)) + about if group.title else "At the top"


def _bullets(group: Group, marks: Marks) -> list[str]:
    return [f"- {_lead(group, item)}{_said(item)}{_mark(item, marks)}" for item in group.items]


def _paragraph(group: Group, marks: Marks) -> str:
    return f"**{_heading(group)}.** {' '.join(_sentences(group, marks))}"


def _sentences(group: Group, marks: Marks) -> Iterator[str]:
    return (f"{_lead(group, item)}{_ended(_said(item))}{_mark(item, marks)}" for item in group.items)


def _outline(groups: tuple[Group, ...], marks: Marks) -> Iterator[str]:
    """Folders, documents, headings, and what stands under them; a level of indentation each."""
    for group in groups:
        yield f"- **{_heading(group)}**"
        parts = [(_part(group, item), item) for item in group.items]
        for part, items in groupby(parts, lambda pair: pair[0]):
            if part:
                yield f"  - {part}"
            for _, item in items:
                named = f"{code(item.name)}: " if item.name and not item.is_code else ""
                yield f"{'    ' if part else '  '}- {named}{_said(item)}{_mark(item, marks)}"


def _part(group: Group, item: Item) -> str:
    """Under what an item stands in its group: its file in that of a folder, its heading in that of a document."""
    if _is_named(group, item):
        return inline(item.heading)
    return code(show(item.path.removeprefix(group.title) if group.is_path else item.path))


def _lead(group: Group, item: Item) -> str:
    """Of what an item is, where its group does not say it."""
    names = [] if _is_named(group, item) else [show(item.path.removeprefix(group.title))]
    if item.name and not (item.is_code and item.name in item.said):
        names.append(item.name)
    return f"{', '.join(map(code, names))}: " if names else ""


def _is_named(group: Group, item: Item) -> bool:
    """Whether a group is called what the item is of: its file, or the folder that the file speaks for."""
    return group.is_path and item.path in (group.title, f"{group.title}__init__.py") and bool(group.title)


def _said(item: Item) -> str:
    return code(item.said) if item.is_code else inline(item.said, is_markdown=item.is_markdown)


def _ended(text: str) -> str:
    return text if text.rstrip("`*_\"')”’").endswith((".", "!", "?", "…", "。", "।", ":")) else f"{text}."


def _mark(item: Item, marks: Marks) -> str:
    number = marks.get((item.entry.digest, item.start, item.end))
    return f" [^{number}]" if number else ""


# --- texts of strangers as Markdown ---------------------------------------------------------------------------------


def code(text: str) -> str:
    """Text between backticks, on one line."""
    line = " ".join(text.split())
    ticks = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def inline(text: str, *, is_markdown: bool = False) -> str:
    """Text as one line of Markdown that means itself; what stands between backticks stays code."""
    line = " ".join(text.split())
    line = _LINK.sub(lambda link: link["said"] or link["other"] or "", line)
    parts = _CODE.split(_TAG.sub("", line) if is_markdown else line)
    if is_markdown:
        parts[::2] = [_STRESS.sub("", part) for part in parts[::2]]
    return "".join(part if n % 2 else _escaped(part, is_first=not n) for n, part in enumerate(parts))


_LINK = re.compile(
    r"!?\[(?P<said>[^\[\]]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s[^()]*)?\)|\[(?P<other>[^\[\]^]+)\]\[[^\[\]]*\]"
)
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_CODE = re.compile(r"((?<!`)(?:`[^`]+`|``[^`]+``)(?!`))")
_SIGNS = re.compile(r"([\\`\[\]<~|]|(?<!\w)&(?=#?\w+;))")
_EMPHASIS = re.compile(r"(\*|(?<![^\W_])_|_(?![^\W_]))")
_STRESS = re.compile(r"\*{1,3}(?=\S)|(?<=\S)\*{1,3}|(?<!\w)_{1,3}(?=\w)|(?<=\w)_{1,3}(?!\w)")
_BEGINNING = re.compile(r"^([#+=>-]|\d+[.)])")


def _escaped(text: str, *, is_first: bool) -> str:
    text = _EMPHASIS.sub(r"\\\1", _SIGNS.sub(r"\\\1", text))
    return _BEGINNING.sub(lambda match: f"{match[1][:-1]}\\{match[1][-1]}", text) if is_first else text
