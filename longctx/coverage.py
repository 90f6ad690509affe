"""How much of an answer is cited: its sentences, and the marks that stand in them. Whether they are right is not asked.

A sentence counts where it states something: not a heading, a question, what leads in to a list, code or a rule.
"""

import re
from collections.abc import Iterable, Iterator

from longctx.answer import Coverage
from longctx.citations import Citation, CitationStatus


def coverage(markdown: str, citations: Iterable[Citation]) -> Coverage:
    """The sentences of an answer that state something, those with a citation, and those with a verified one."""
    verified = {citation.n for citation in citations if citation.status is CitationStatus.VERIFIED}
    stated = [sentence for block in blocks(markdown) for sentence in sentences(block) if states(sentence)]
    marks = [{int(number) for number in MARK.findall(sentence)} for sentence in stated]
    return Coverage(
        sentences=len(stated), cited=sum(map(bool, marks)), verified=sum(bool(each & verified) for each in marks)
    )


def sentences(text: str) -> Iterator[str]:
    """The sentences of one paragraph; a mark right behind a sentence's end belongs to it."""
    begun = 0
    for end in _ENDS.finditer(text):
        if not _ABBREVIATION.search(text, max(begun, end.start() - 12), end.start() + 1):
            yield text[begun : end.end()]
            begun = end.end()
    if text[begun:].strip():
        yield text[begun:]


def states(sentence: str) -> bool:
    """Whether a sentence states something."""
    said = MARK.sub("", sentence).rstrip(" \t\"'”’»)*_|")
    return bool(re.search(r"[^\W_]", said)) and not said.endswith((":", "：", "?", "？", "؟"))


def last_sentence(text: str) -> str:
    """The last sentence of a text, without what makes it an item, a quote or a heading."""
    lines = text.rstrip().splitlines()
    found = list(sentences(_item(lines[-1]))) if lines else []
    return found[-1].strip(" \t>#|") if found else ""


# Possessive wherever what comes next can't begin with what is repeated: answers are long, and may be hostile.
MARK = re.compile(r"(?<!\\)\[\^(\d{1,9})\]")
_MARKS = r"(?:\s*+\[\^\d{1,9}\])*"
_CLOSING = r"['\"”’»)\]*_]*+"
_STOP = "[.!?…؟।॥။។]"
_ENDS = re.compile(
    rf"(?:(?<!{_STOP}){_STOP}++{_CLOSING}{_MARKS}(?=\s++(?:[^\s\da-z]|\d++[^\s\d]|\Z)|\Z)"
    rf"|[。！？]++[”’」』）\"]*+{_MARKS})"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:\w|e\.g|i\.e|z\.B|d\.h|u\.a|cf|vs|etc|approx|ca|pp?|no|nr|fig|sec|ch|vol|dr|mr|mrs|ms|prof|st)\.$",
    re.IGNORECASE,
)
_FENCED = re.compile(
    r"^[ \t>]*+(?P<fence>`{3,}+|~{3,}+)[^\n]*+\n(?:.*?^[ \t>]*+(?P=fence)[`~]*+[ \t]*+$|.*\Z)", re.DOTALL | re.MULTILINE
)
_TABLE_HEAD = re.compile(r"^[^\n]*+\n[ \t>]*+\|?+(?:[ \t]*+:?+-++:?+[ \t]*+\|)++[ \t:-]*+$", re.MULTILINE)
_OTHER = re.compile(r"[ \t>]*+(?:#{1,6}[ \t].*|[-=*_][-=*_ \t]{2,})")
_ITEM = re.compile(r"[ \t>]*+(?:(?:[-*+•]|\d++[.)])[ \t]++|\|)")


def blocks(markdown: str) -> Iterator[str]:
    """Paragraphs, items and rows, each on one line, without code, headings and rules."""
    lines: list[str] = []
    for line in _TABLE_HEAD.sub("", _FENCED.sub("", markdown)).splitlines():
        apart = not line.strip(" \t>") or _OTHER.fullmatch(line) is not None
        if lines and (apart or _ITEM.match(line)):
            yield " ".join(lines)
            lines = []
        if not apart:
            lines.append(_item(line).strip(" \t>"))
    if lines:
        yield " ".join(lines)


def _item(line: str) -> str:
    """A line without the mark that makes it an item or a row."""
    mark = _ITEM.match(line)
    return line[mark.end() :] if mark else line
