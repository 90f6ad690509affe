"""Citation markers in what a model writes, found while the text streams in, cut at any character.

A marker stands behind a statement: `[d12: "verbatim words"]`, several as `[d3: "a"; d4: "b"]`; `[none]` says that the
documents hold no answer. What models make of that is taken too: other quotes and brackets, no colon, no quote at all.
What stands in code is no marker, and what never closes is text again. Nothing is looked up here.
"""

import re
from dataclasses import dataclass

from longctx.folding import UNSPACED

LONGEST = 2_000  # characters of a marker
CODE_MOST = 300  # characters that a code span may have; a backtick without its twin holds text back no longer
INFO_MOST = 100  # characters behind the fence that opens a code block
DOUBT_MOST = 300  # characters to look on for a better end of a quote that may have ended


@dataclass(frozen=True, slots=True)
class Marker:
    """A document cited by its id, with the words quoted from it, "" where there are none; `raw` is as written."""

    document_id: str
    quote: str
    raw: str


@dataclass(frozen=True, slots=True)
class Absent:
    """The model's word that the documents do not contain the answer."""

    raw: str


@dataclass(frozen=True, slots=True)
class Code:
    """A code span, or lines of a code block with their fences."""

    raw: str


Piece = str | Code | Marker | Absent


class MarkerStream:
    """Text goes in as it comes, pieces come out as soon as they are certain; together they are the text again."""

    def __init__(self) -> None:
        self._pending = ""
        self._before = ""  # the last character that was given out
        self._margin = True  # nothing stands on this line yet but what may stand before a fence
        self._fence = ""

    def feed(self, text: str) -> list[Piece]:
        """The pieces that are certain now; what may be the beginning of a marker waits."""
        self._pending += text
        return self._take(final=False)

    def finish(self) -> list[Piece]:
        """The rest, once the text has ended."""
        return self._take(final=True)

    def _take(self, *, final: bool) -> list[Piece]:
        text, at = self._pending, 0
        pieces: list[Piece] = []
        while at < len(text) and (step := self._step(text, at, final)) is not None:
            for piece in step:
                at += len(raw_of(piece))
                self._pass(raw_of(piece))
            pieces.extend(step)
        self._pending = text[at:]
        return _joined(pieces)

    def _pass(self, raw: str) -> None:
        line = raw.rpartition("\n")[2]
        opens = not line.strip(" \t>*+-.)0123456789") if not self._fence else not line
        self._margin = ("\n" in raw or self._margin) and opens
        self._before = raw[-1]

    def _step(self, text: str, at: int, final: bool) -> list[Piece] | None:
        """What begins at `at`; None where more text must come first."""
        if self._fence:
            return self._fenced(text, at, final)
        special = _SPECIAL.search(text, at)
        if special is None:
            return [text[at:]]
        if special.start() > at:
            return [text[at : special.start()]]
        return self._code(text, at, final) if text[at] in "`~" else self._bracket(text, at, final)

    def _fenced(self, text: str, at: int, final: bool) -> list[Piece] | None:
        """The rest of this line of a code block, which may be the fence that closes it."""
        newline = text.find("\n", at) + 1
        line = text[at : newline or len(text)]
        if self._margin and (newline or final) and _closes(self._fence, line):
            self._fence = ""
        elif self._margin and not (newline or final) and _may_close(self._fence, line):
            return None
        return [Code(line)]

    def _code(self, text: str, at: int, final: bool) -> list[Piece] | None:
        run = _RUN.match(text, at)
        assert run is not None, "called at a backtick or a tilde"
        if run.end() == len(text) and not final:
            return None
        info = text[run.end() : run.end() + INFO_MOST + 1].partition("\n")
        may_open = self._margin and len(run[0]) >= 3 and len(info[0]) <= INFO_MOST and "`" not in info[0]
        if may_open and not (info[1] or final):
            return None
        if may_open:
            self._fence = run[0]
            return [Code(run[0] + info[0] + info[1])]
        return [run[0]] if run[0][0] == "~" else _span(text, at, run[0], final)

    def _bracket(self, text: str, at: int, final: bool) -> list[Piece] | None:
        window = text[at : at + LONGEST + 1]
        try:
            found = _Bracket(window, self._before, whole=final and at + len(window) == len(text)).read()
        except _MoreNeeded:
            if len(window) <= LONGEST:
                return None
            found = None
        return found or [text[at]]


def raw_of(piece: Piece) -> str:
    """What the model wrote of a piece."""
    return piece if isinstance(piece, str) else piece.raw


class _MoreNeeded(Exception):
    """What this is depends on text that has not come yet."""


class _Bracket:
    """One bracket from its beginning; with `whole`, no text comes behind this."""

    def __init__(self, text: str, before: str, *, whole: bool) -> None:
        self._text = text
        self._whole = whole
        self._close = _BRACKETS[text[0]]
        self._in_word = bool(before) and (before.isalnum() or before == "_") and not UNSPACED.match(before)

    def read(self) -> list[Piece] | None:
        """The markers of the bracket, or None where it holds something else; raises _MoreNeeded."""
        at = self._blank(1)
        found, end = self._none(at) or self._markers(at) or (None, 0)
        if found is None or end > LONGEST or (self._text[0] == "[" and self._peek(end) == "("):
            return None
        bare = any(isinstance(piece, Absent) or not piece.quote for piece in found)
        return None if bare and self._in_word else list(found)

    def _none(self, at: int) -> "tuple[list[Marker | Absent], int] | None":
        end = self._blank(at + len(self._word(at)))
        if self._word(at).lower() != "none" or self._peek(end) != self._close:
            return None
        return [Absent(self._text[: end + 1])], end + 1

    def _markers(self, at: int) -> "tuple[list[Marker | Absent], int] | None":
        found: list[Marker | Absent] = []
        begun = 0
        while (name := _ID.fullmatch(self._word(at))) is not None:
            said = self._said(at + len(name[0]))
            if said is None:
                return None
            quote, end = said
            at = self._blank(end)
            closes = self._peek(at) == self._close
            if not closes and self._peek(at) not in _SEPARATORS:
                return None
            found.append(Marker(f"d{int(name[1])}", quote, self._text[begun : at + 1]))
            if closes:
                return found, at + 1
            begun, at = at + 1, self._blank(at + 1)
        return None

    def _said(self, at: int) -> tuple[str, int] | None:
        """The quote behind an id and where it ends: "" where none follows, None where it never closes."""
        place = self._place(at)
        start = self._blank(place)
        colon = self._peek(start) in _COLONS
        if colon or self._peek(start) in _SEPARATORS:
            start = self._blank(start + 1)
        closers = _QUOTES.get(self._peek(start))
        if closers is not None:
            end = self._closing(start + 1, closers)
            return None if end is None else (_unescaped(self._text[start + 1 : end]), end + 1)
        return self._unquoted(start) if colon else ("", place)

    def _place(self, at: int) -> int:
        """Behind `, p. 4` or `:12-15`, which a model may add to an id."""
        run = _PLACE_RUN.match(self._text, at)
        self._peek(run.end() if run else at)
        place = _PLACE.match(self._text, at)
        behind = place.end() if place else at
        next_ = self._text[behind : behind + 1]
        return behind if next_ in (self._close, *_SEPARATORS, *_COLONS, *_QUOTES) else at

    def _unquoted(self, start: int) -> tuple[str, int] | None:
        found = _UNQUOTED.match(self._text, start)
        end = found.end() if found else start
        return (self._text[start:end].strip(), end) if self._peek(end) == self._close else None

    def _closing(self, at: int, closers: str) -> int | None:
        """Where the quote closes: before the bracket's end or the next id, not at quotes that stand within it."""
        doubtful: int | None = None
        for found in re.finditer(f"[{closers}]|{_NEW_MARKER}", self._text[at:]):
            end = at + found.start()
            if len(found[0]) > 1 or (doubtful is not None and end > doubtful + DOUBT_MOST):
                return doubtful
            if self._ends_item(end + 1):
                if not _is_doubtful(self._text[at:end]):
                    return end
                doubtful = end if doubtful is None else doubtful
        if not self._whole and (doubtful is None or len(self._text) <= doubtful + DOUBT_MOST):
            raise _MoreNeeded
        return doubtful

    def _ends_item(self, at: int) -> bool:
        at = self._blank(at)
        if self._peek(at) == self._close:
            return True
        return self._peek(at) in _SEPARATORS and bool(_ID.fullmatch(self._word(self._blank(at + 1))))

    def _word(self, at: int) -> str:
        """The letters and digits at `at`; they must be all there where they may be an id or "none"."""
        found = _WORD.match(self._text, at)
        word = found[0] if found else ""
        if _BEGINS.fullmatch(word):
            self._peek(at + len(word))
        return word

    def _blank(self, at: int) -> int:
        """Behind white space."""
        while self._peek(at).isspace():
            at += 1
        return at

    def _peek(self, at: int) -> str:
        """The character at `at`, "" behind the end of it all."""
        if at >= len(self._text) and not self._whole:
            raise _MoreNeeded
        return self._text[at : at + 1]


_SPECIAL = re.compile("[`~\\[【［]")
_RUN = re.compile("`+|~+")
_BRACKETS = {"[": "]", "【": "】", "［": "］"}
_QUOTES = {
    '"': '"”',
    "“": '”“"',
    "„": '“”"',
    "«": "»",
    "»": "«",
    "‹": "›",
    "‘": "’'",
    "‚": "‘’'",
    "'": "'’",
    "「": "」",
    "『": "』",
    "＂": "＂",
    "`": "`",
}
_SEPARATORS = (",", ";", "，", "；", "、")
_COLONS = (":", "：")
_ID = re.compile(r"[dD](\d{1,9})", re.ASCII)
_BEGINS = re.compile(r"(?:[dD]\d*|n|no|non|none)?", re.ASCII | re.IGNORECASE)
_WORD = re.compile(r"[^\W_]*")
_NEW_MARKER = r"[\[【]\s*[dD]\d+\s*[:,]?\s*[\"“„«]"
_PLACE_RUN = re.compile(r"[\w\s,:.§/–-]{0,40}")
_PLACE = re.compile(
    r"\s*[,:]?\s*(?:(?:lines?|pages?|pp?\.?|parts?|ll?\.?|§)\s*)?\d+(?:\s*[-–/]\s*\d+)?\s*", re.IGNORECASE
)
_UNQUOTED = re.compile(r"[^\[\]【】［］\"“”„«»]{1,400}")


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Without two strings side by side."""
    joined: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def _span(text: str, at: int, run: str, final: bool) -> list[Piece] | None:
    """A code span, which ends on its line; else its backticks are text."""
    newline = text.find("\n", at, at + CODE_MOST)
    stop = newline if newline >= 0 else min(len(text), at + CODE_MOST)
    certain = final or newline >= 0 or len(text) - at >= CODE_MOST
    end = re.compile(rf"(?<!`){run}(?!`)").search(text, at + len(run), stop)
    if end is not None and (certain or end.end() < len(text)):
        return [Code(text[at : end.end()])]
    return [run] if certain else None


def _closes(fence: str, line: str) -> bool:
    return bool(re.fullmatch(rf"[ \t>]*{fence}{fence[0]}*\s*", line))


def _may_close(fence: str, line: str) -> bool:
    return bool(re.fullmatch(rf"[ \t>]*{fence[0]}*[ \t\r]*", line))


def _is_doubtful(quote: str) -> bool:
    """Whether a quote that could end here may go on: its last quote is escaped, or a bracket within is still open."""
    backslashes = len(quote) - len(quote.rstrip("\\"))
    return backslashes % 2 == 1 or quote.count("[") > quote.count("]")


def _unescaped(quote: str) -> str:
    return re.sub(r"\\(?=[\"'“”])", "", quote).strip()
