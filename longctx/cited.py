"""A model's answer on its way: markers become footnote marks, each looked up before its mark is given out.

What the model wrote is kept as it is in `raw`. Footnotes of its own can't pass for ours. Control characters stay: what
shows the answer makes them visible.
"""

import re
from collections import deque
from collections.abc import Iterator

from longctx.citations import Citation
from longctx.coverage import last_sentence
from longctx.events import CitationResolved, TextDelta
from longctx.markers import Absent, Code, Marker, MarkerStream, Piece, raw_of
from longctx.resolving import Resolver
from longctx.sent import Sent

CLAIM_MOST = 600  # characters
Delta = TextDelta | CitationResolved


class CitedText:
    """Text goes in as it comes; out come what to show of it and the citations in it.

    `raw`, `markdown`, `citations` and `found` are those of all that was fed; `found` is false once the model has said
    that the documents do not hold the answer. A citation that comes again keeps its number.
    """

    def __init__(self, sent: Sent) -> None:
        self.raw = self.markdown = ""
        self.found = True
        self.citations: tuple[Citation, ...] = ()
        self._resolver = Resolver(sent)
        self._stream = MarkerStream()
        self._pieces: deque[Piece] = deque()  # what is not yet part of the answer
        self._prose = ""  # the last of the text without marks
        self._blank = ""  # white space that waits for what comes behind it
        self._marked = False  # the Markdown ends with a mark of ours
        self._told = 0  # characters of the Markdown that were given out

    def feed(self, text: str) -> Iterator[Delta]:
        """What more of the answer can be shown now."""
        self.raw += text
        self._pieces.extend(self._stream.feed(text))
        yield from self._take()

    def finish(self) -> Iterator[Delta]:
        """The rest, once the answer has ended; white space at its end is dropped.

        What a consumer left that was interrupted comes too.
        """
        self._pieces.extend(self._stream.finish())
        yield from self._take()
        self._blank = ""

    def _take(self) -> Iterator[Delta]:
        """A piece stays until nothing more is given out for it: a consumer may be interrupted at any yield."""
        while self._pieces:
            piece = self._pieces[0]
            if isinstance(piece, Absent):
                self.found = False
            elif isinstance(piece, Marker):
                citation = self._resolved(piece)
                if citation not in self.citations:
                    yield from self._shown()
                    self.citations += (citation,)
                    yield CitationResolved(citation)
                self._mark(citation.n, is_bare=not piece.quote)
            else:
                self._write(piece)
            self._pieces.popleft()
        yield from self._shown()

    def _resolved(self, marker: Marker) -> Citation:
        """What the marker cites, as it was cited before if it was."""
        citation = self._resolver.resolve(len(self.citations) + 1, marker, last_sentence(self._prose))
        return next((known for known in self.citations if identity_of(known) == identity_of(citation)), citation)

    def _shown(self) -> Iterator[TextDelta]:
        if self._told < len(self.markdown):
            text, self._told = self.markdown[self._told :], len(self.markdown)
            yield TextDelta(text)

    def _write(self, piece: str | Code) -> None:
        raw = raw_of(piece)
        self._prose = (self._prose + raw)[-CLAIM_MOST:]
        before = self._blank or self.markdown[-100:]
        text = self._blank + (_neutral(raw, before) if isinstance(piece, str) else raw)
        body = text.rstrip()
        if body:
            self.markdown += _behind_mark(body) if self._marked else body
            self._marked = False
        self._blank = text[len(body) :]

    def _mark(self, number: int, *, is_bare: bool) -> None:
        """Put a mark behind the word before it; on a line of its own only where it must stand there."""
        self._prose = self._prose.rstrip(" ")
        mark = f"[^{number}]"
        starts_line = "\n" in self._blank and (is_bare or _FENCE_AT_END.search(self.markdown[-200:]))
        if not starts_line and self._marked and self.markdown.endswith(mark):
            return
        blank = self._blank if starts_line else " " if self.markdown else ""
        self.markdown += blank + mark
        self._blank, self._marked = "", True


_FENCE_AT_END = re.compile(r"(?:^|\n)[ \t>]*(?:```+|~~~+)[^\n]*$")
_FOOTNOTE = re.compile(r"(\\*)\[\^")
_PUNCTUATION = re.compile(r"^[ \t]+([.,;!?)\]。，；！？])")


def identity_of(citation: Citation) -> tuple[object, ...]:
    """What makes two citations of an answer the same."""
    if citation.chars:
        return citation.document_id, citation.path, citation.chars, citation.status
    return citation.document_id, citation.quote


def _neutral(text: str, before: str) -> str:
    """Text of the model's own, its footnote marks escaped; `before` are the last characters in front of it."""
    ends_mark = text.startswith("^") and before.endswith("[") and _backslashes(before[:-1]) % 2 == 0
    escaped = _FOOTNOTE.sub(lambda found: _escaped(found, "" if found.start() else before), text)
    return "\\" + escaped if ends_mark else escaped


def _escaped(found: re.Match[str], before: str) -> str:
    return found[0] if _backslashes(before + found[1]) % 2 else f"{found[1]}\\[^"


def _backslashes(text: str) -> int:
    """How many stand at its end."""
    return len(text) - len(text.rstrip("\\"))


def _behind_mark(text: str) -> str:
    """Text behind a mark: punctuation stands close, and nothing makes a link or a definition of the mark."""
    if text[:1] in (":", "("):
        return " " + text
    return _PUNCTUATION.sub(r"\1", text, count=1)
