"""What the sessions screen says, in words that fit: a row of the list, and the turns of one session in short.

Titles, questions and answers are whatever was once typed or generated: all go through `show` or `safe_text`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len

from ingest.naming import safe_text, show
from longctx.backend.replies import SessionIs, TurnIs
from longctx.citations import CitationStatus
from tui.fitting import fitted, one_line
from tui.marks import CITATION_COLORS, CITATION_SIGNS, superscript

TURNS_SHOWN = 30
_ANSWER_LINES = 3
_LONGEST = 300  # characters of a question, and of a line of an answer
_NARROW, _WIDE = 46, 72  # cells of a row: below it has no sources, from there the id too
_STEPS = ((60, "min"), (3600, "h"), (86400, "d"), (7 * 86400, "wk"), (365 * 86400, "y"))
_FOOTNOTE = re.compile(r"\[\^([0-9]{1,4})\]")
_MARKUP = re.compile(r"\*\*|`|^#{1,6} +", re.MULTILINE)
_ITEM = re.compile(r"^[-*+] +", re.MULTILINE)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_ENDINGS = {"length": "cut off", "interrupted": "stopped", "failed": "failed"}
_STATUSES = {str(status): status for status in CitationStatus}

Styled = tuple[str, str]  # text, and its style in the theme's variables


def ago(then_s: float, now_s: float) -> str:
    """How long ago that was, in at most ten characters: `now`, `5 min ago`, `3 h ago`, `2 wk ago`."""
    age = now_s - then_s
    known = [(size, unit) for size, unit in _STEPS if age >= size]
    if not known:
        return "now"
    size, unit = known[-1]
    return f"{int(age // size)} {unit} ago"


def titled(session: SessionIs) -> str:
    """A session's title in one line."""
    return show(session.title[:_LONGEST].strip()) or "(no title)"


def sources_in_short(session: SessionIs) -> str:
    """The sources by the last part of their names."""
    return ", ".join(show(each.rstrip("/").rpartition("/")[2] or each) for each in session.sources[:9])


def row_pieces(session: SessionIs, width: int, now_s: float, *, is_current: bool) -> list[tuple[str, str]]:
    """A row: title, sources (or what a search found), turns, when it was last used, its id."""
    ending = [(f"{session.turns:>5,} {'turn ' if session.turns == 1 else 'turns'}", "sessions--muted")]
    ending.append((f"{ago(session.used_s, now_s):>11}", "sessions--muted"))
    if width >= _WIDE:
        ending.append((f"  {show(session.id[:8]):<8}", "sessions--muted"))
    room = width - 2 - sum(cell_len(text) for text, _ in ending)
    about = one_line(session.found) if session.found else sources_in_short(session)
    aside = room // 3 if width >= _NARROW and about else 0
    mark = "● " if is_current else "  "
    pieces = [(mark, "sessions--current"), (fitted(titled(session), room - aside), "")]
    if aside:
        pieces.append(("  " + fitted(about, aside - 2), "sessions--found" if session.found else "sessions--muted"))
    return pieces + ending


def head(session: SessionIs, now_s: float) -> Iterator[Styled]:
    """What a session is: its title, and where it comes from."""
    yield titled(session) + "\n", "bold"
    sources = ", ".join(show(source) for source in session.sources[:9]) or "no sources"
    yield f"{show(session.id)} · begun {ago(session.created_s, now_s)}\n{sources[:_LONGEST]}\n", "$text-muted"
    if session.found:
        yield f"found: {one_line(session.found)}\n", "$text-accent"


def turns_in_short(turns: Sequence[TurnIs], now_s: float) -> Iterator[Styled]:
    """The last turns: each question, how its answer begins, the states of what that cites."""
    hidden = len(turns) - TURNS_SHOWN
    if hidden > 0:
        yield f"\n… {hidden:,} earlier turn{'s' * (hidden != 1)}\n", "$text-muted"
    for turn in turns[-TURNS_SHOWN:]:
        yield "\n❯ ", "$text-accent"
        yield (f"Summary of {show(turn.summary_of)}" if turn.summary_of else one_line(turn.question)) + "\n", "bold"
        yield _beginning(turn.answer) + "\n", ""
        yield ago(turn.created_s, now_s), "$text-muted"
        yield from _states(turn.answer)
        yield "\n", ""


def _beginning(answer: Mapping[str, Any]) -> str:
    text = answer.get("answer_markdown")
    lines = safe_text(text[: 20 * _LONGEST]).split("\n") if isinstance(text, str) else []
    said = [line.strip()[:_LONGEST] for line in lines if line.strip()]
    more = " …" if len(said) > _ANSWER_LINES else ""
    shown = "\n".join(said[:_ANSWER_LINES]) + more or "(no answer)"
    shown = _MARKUP.sub("", _ITEM.sub("• ", shown))
    return _ESCAPED.sub(r"\1", _FOOTNOTE.sub(lambda mark: superscript(int(mark[1])), shown))


def _states(answer: Mapping[str, Any]) -> Iterator[Styled]:
    """How many citations of each state; an ending that is none of a whole answer."""
    cited = answer.get("citations")
    found = Counter(_status(each) for each in cited) if isinstance(cited, Sequence) else Counter()
    for status, sign in CITATION_SIGNS.items():
        if found[status]:
            yield " · ", "$text-muted"
            yield f"{sign} {found[status]:,} {status}", CITATION_COLORS[status]
    ending = answer.get("ending")
    if isinstance(ending, str) and ending in _ENDINGS:
        yield f" · ! {_ENDINGS[ending]}", "$text-warning"


def _status(citation: object) -> CitationStatus | None:
    status = citation.get("status") if isinstance(citation, Mapping) else None
    return _STATUSES.get(status) if isinstance(status, str) else None
