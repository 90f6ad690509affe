"""A structured answer on its way: JSON comes in, and out come its citations and then all of it as Markdown.

Nothing can be shown before the JSON has ended: only then is it known what a quote supports.
"""

import json
import re
from collections import deque
from collections.abc import Iterator
from typing import Any

from longctx.answer import Coverage
from longctx.citations import Citation, CitationStatus
from longctx.cited import CLAIM_MOST, CitedText, Delta, identity_of
from longctx.events import CitationResolved, TextDelta
from longctx.markers import Marker
from longctx.resolving import Resolver
from longctx.sent import Sent
from longctx.structured import Claim, Schema, Structured, at, parse
from longctx.value_markdown import leaves, to_markdown


class StructuredText:
    """Text goes in as it comes, as into a CitedText; `value` and `invalid` are known once it is finished.

    What is no JSON at all is taken as an answer in words, with the citations in it. What is broken JSON is shown as it
    came. `lost` is how many pieces of evidence had not the form that was asked for.
    """

    def __init__(self, sent: Sent, schema: Schema) -> None:
        self.raw = self.markdown = ""
        self.found = True
        self.citations: tuple[Citation, ...] = ()
        self.value: Any = None
        self.invalid = ""
        self.lost = 0
        self._sent = sent
        self._schema = schema
        self._marks: dict[str, list[int]] = {}
        self._waiting: deque[Delta] | None = None

    def feed(self, text: str) -> Iterator[Delta]:
        """Take more of the answer; nothing of it can be shown yet."""
        self.raw += text
        return iter(())

    def finish(self) -> Iterator[Delta]:
        """All of it. What a consumer left that was interrupted comes when this is called again."""
        if self._waiting is None:
            self._waiting = deque(self._made())
        while self._waiting:
            yield self._waiting[0]
            self._waiting.popleft()

    def coverage(self) -> Coverage:
        """How much of the value is cited: its leaves take the place of sentences."""
        verified = {citation.n for citation in self.citations if citation.status is CitationStatus.VERIFIED}
        marks = [set(self._marks_over(leaf)) for leaf in leaves(self.value)]
        cited, shown = sum(map(bool, marks)), sum(bool(each & verified) for each in marks)
        return Coverage(sentences=len(marks), cited=cited, verified=shown)

    def _made(self) -> list[Delta]:
        read = parse(self.raw, self._schema)
        self.invalid, self.lost = read.problem, read.lost
        if read.problem:
            return self._in_words() if "{" not in self.raw else self._as_it_came()
        self.value = read.value
        self.found = any(True for _ in leaves(read.value))
        self._cite(read)
        if read.value is not None:
            self.markdown = to_markdown(read.value, self._marks)
        shown = [TextDelta(self.markdown)] if self.markdown else []
        return [*map(CitationResolved, self.citations), *shown]

    def _in_words(self) -> list[Delta]:
        text = CitedText(self._sent)
        told = [*text.feed(self.raw), *text.finish()]
        self.markdown, self.citations, self.found = text.markdown, text.citations, text.found
        return told

    def _as_it_came(self) -> list[Delta]:
        fence = "`" * (1 + max(map(len, re.findall("`{3,}", self.raw)), default=2))
        self.markdown = f"{fence}json\n{self.raw.strip()}\n{fence}"
        return [TextDelta(self.markdown)]

    def _cite(self, read: Structured) -> None:
        """Look up each claim; one that was cited before keeps its number."""
        resolver, known = Resolver(self._sent), dict[tuple[object, ...], int]()
        for claim in read.claims:
            n = len(self.citations) + 1
            citation = resolver.resolve(n, _marker(claim), _said(at(read.value, claim.supports)))
            if (number := known.setdefault(identity_of(citation), n)) == n:
                self.citations += (citation,)
            marks = self._marks.setdefault(claim.supports, [])
            if number not in marks:
                marks.append(number)

    def _marks_over(self, pointer: str) -> Iterator[int]:
        """The marks of a place and of all that hold it."""
        yield from self._marks.get(pointer, ())
        while pointer:
            pointer = pointer.rpartition("/")[0]
            yield from self._marks.get(pointer, ())


def _marker(claim: Claim) -> Marker:
    return Marker(claim.document_id, claim.quote, "")


def _said(value: Any) -> str:
    """What a quote was given for."""
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:CLAIM_MOST]
