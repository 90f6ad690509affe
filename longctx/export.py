"""A session as a document to keep or to send: Markdown, or JSON (`longctx.session/1`); the page is `longctx.web_page`.

Pure functions of values. What models, documents and file names say is shown and never obeyed: in Markdown, marks that
this module did not set are escaped, so that no answer can bring a footnote, a link, a picture or HTML of its own.
"""

import math
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ingest.naming import safe_text, show
from longctx.session import Session, Turn

if TYPE_CHECKING:
    from markdown_it.token import Token

SCHEMA = "longctx.session/1"
QUOTE_MOST = 400  # characters of a quote; the JSON has all of it
PATHS_SHOWN = 5
LANGUAGE = re.compile(  # of code, which viewers colour at most
    r"(?i)bash|c|c\+\+|cmake|cpp|cs|csharp|css|csv|diff|dockerfile|go|haskell|html|ini|java|javascript|js|json|kotlin"
    r"|less|lua|makefile|markdown|md|nix|objc|perl|php|plaintext|powershell|protobuf|py|python|r|rb|rs|ruby|rust|scala"
    r"|scss|sh|shell|sql|swift|text|toml|ts|tsx|txt|typescript|xml|yaml|yml|zig|zsh"
)
MEANINGS = {
    "verified": "the quote stands there",
    "relocated": "the quote stands there, not where it was said to",
    "near": "most of the quote stands there",
    "unverified": "the quote was not found",
    "unknown": "no such document was read",
}


@dataclass(frozen=True, slots=True)
class Footnote:
    """A citation, every part safe to show: `status` is what the check of its quote gave, `state` the same in words."""

    n: int
    place: str
    status: str
    state: str
    quote: str


def to_json(session: Session, turns: Sequence[Turn], sources: Sequence[str] = ()) -> dict[str, Any]:
    """The session as plain JSON values; each answer in it is a `longctx.answer/1`, `sources` is what they are about."""
    return {
        "schema": SCHEMA,
        "session": {
            "id": session.id,
            "title": session.title,
            "corpus": session.corpus,
            "sources": list(sources),
            "created": session.created_s,
            "used": session.used_s,
        },
        "turns": [_turn_json(turn) for turn in turns],
    }


def to_markdown(session: Session, turns: Sequence[Turn], sources: Sequence[str] = ()) -> str:
    """The session as Markdown: footnotes are numbered through, each turn says what answered and what was read."""
    parts = [f"# {inert(session.title)}", inert(headline(session, sources))]
    notes: list[str] = []
    for number, turn in enumerate(turns, start=1):
        numbers = {note.n: len(notes) + i for i, note in enumerate(footnotes(turn.answer), start=1)}
        notes += [note_line(numbers[note.n], note) for note in footnotes(turn.answer)]
        said = marked(safe_text(answer_text(turn.answer)).strip("\n"), numbers.get)
        parts += [*_question(number, turn.question), said, _told(turn)]
    return "\n\n".join([*parts, "\n".join(notes), *legend(turns)]).rstrip() + "\n"


def headline(session: Session, sources: Sequence[str]) -> str:
    """Which session it is and what it is about."""
    about_what = f", about {', '.join(map(show, sources))}" if sources else ""
    return f"Session {session.id}, begun {moment(session.created_s)}{about_what}."


def legend(turns: Sequence[Turn]) -> list[str]:
    """What the states of citations mean that stand in these turns, as one paragraph; none where all are verified."""
    states = {note.status for turn in turns for note in footnotes(turn.answer)} & MEANINGS.keys() - {"verified"}
    told = [f"{state}: {meaning}" for state, meaning in MEANINGS.items() if state in {*states, "verified"}]
    return ["; ".join(told) + "."] if states else []


def footnotes(answer: Mapping[str, Any]) -> tuple[Footnote, ...]:
    """The citations of an answer's JSON form, one for each number."""
    rows = [row for row in _list(answer, "citations") if isinstance(row, Mapping) and isinstance(row.get("n"), int)]
    return tuple({row["n"]: _footnote(row) for row in rows}.values())


def answer_text(answer: Mapping[str, Any]) -> str:
    """The Markdown of an answer's JSON form."""
    return str(answer.get("answer_markdown", ""))


def about(turn: Turn) -> list[str]:
    """What is to be known of a turn, a phrase each: how it ended, what answered, its tokens, what was read, when."""
    answer = turn.answer
    told = [*_ending(answer), *_notices(answer), *_engine(answer), *_tokens(answer), *_reading(answer)]
    told += [*_left_out(answer), *_cited(answer)]
    return [*told, moment(turn.created_s)] if turn.created_s else told


def conduct(answer: Mapping[str, Any]) -> list[str]:
    """How an answer came about, a phrase each, without what differs when it is asked again: how it ended, what is to
    be known of it, which part was read, how much is cited. That no model wrote it is left to the caller."""
    is_quoted = _mapping(answer, "engine").get("kind") == "evidence"
    is_partial = _mapping(answer, "reading").get("mode") != "full"
    notices = list(_notices(answer))[1 if is_quoted else 0 :]
    return [*_ending(answer), *notices, *(_reading(answer) if is_partial else ()), *_cited(answer)]


def moment(seconds: float) -> str:
    """A time as it reads the same everywhere."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "at an unknown time"


def inert(text: str) -> str:
    """Text as one line of Markdown that means itself, and that no viewer makes a link of."""
    line = " ".join(safe_text(text).split())
    escaped = re.sub(r"([\\`*\[\]<>&~!|]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", line)
    escaped = _BARE.sub(lambda found: _broken(found[0]), escaped)
    return re.sub(r"^([#+=-]|\d+[.)](?=\s|\Z))", lambda match: f"{match[1][:-1]}\\{match[1][-1]}", escaped)


def marked(markdown: str, number: Callable[[int], int | str | None], sign: Callable[[int], str] | None = None) -> str:
    """Markdown with its footnote marks renumbered, each with the sign of its number behind it; marks without a number,
    links, addresses, pictures, mathematics and HTML are escaped.

    Code is left as it is, where it surely is code: in blocks, and between backticks as `_parts` has it. A block keeps
    the name of its language only if viewers do no more than colour it. A block that was left open is closed, else all
    that follows would be code.
    """

    def mark(n: int) -> str | None:
        label = number(n)
        return None if label is None else f"[^{label}]{inert(sign(n)) if sign else ''}"

    return _rewritten(markdown, lambda prose: _escaped(prose, mark), _opening)


def renumbered(markdown: str, number: Callable[[int], int | None]) -> str:
    """Markdown with its footnote marks renumbered where `marked` would do it, and else as it is; a block of code that
    was left open is closed."""

    def mark(match: re.Match[str]) -> str:
        label = number(int(match["n"])) if match["n"] else None
        return match[0] if label is None else f"[^{label}]{match['behind'] or ''}"

    return _rewritten(markdown, lambda prose: _MARKS.sub(mark, prose), lambda line, _: line)


def _rewritten(markdown: str, prose: Callable[[str], str], opening: "Callable[[str, _Block], str]") -> str:
    """Markdown with what is no code in it, and the first lines of blocks of code, as these make it."""
    markdown = re.sub(r"\r\n?", "\n", markdown)
    markdown += _closing(markdown)
    lines, blocks = markdown.split("\n"), _blocks(markdown)
    for block in blocks:
        lines[block.first] = opening(lines[block.first], block)
    code = {line for block in blocks for line in range(block.first, block.end)}
    written: list[str] = []
    for is_prose, places in groupby(range(len(lines)), lambda i: i not in code and bool(lines[i].strip(" \t"))):
        group = [lines[i] for i in places]
        written += _paragraph(group, prose) if is_prose else group
    return "\n".join(written)


def lowered(markdown: str, under: int) -> str:
    """Markdown whose highest heading stands a level below `under`, the others below it as they did."""
    markdown = re.sub(r"\r\n?", "\n", markdown)
    tokens = _tokens_of(markdown)
    headings = [(token, tokens[i + 1].content) for i, token in enumerate(tokens) if token.type == "heading_open"]
    shift = under + 1 - min((int(token.tag[1]) for token, _ in headings), default=0)
    lines = markdown.split("\n")
    for token, content in reversed(headings):
        first, end = token.map or (0, 0)
        marks = "#" * min(6, int(token.tag[1]) + shift)
        if token.markup.startswith("#"):
            lines[first] = lines[first].replace(token.markup, marks, 1)
        elif token.level == 0:  # one that is underlined
            lines[first:end] = [f"{marks} {' '.join(content.split())}"]
    return "\n".join(lines)


def _paragraph(lines: Sequence[str], prose: Callable[[str], str]) -> Iterator[str]:
    """Lines without a blank one between them, which may be one paragraph, as `prose` makes what is no code in them.

    Backticks pair over the whole of a paragraph, so one without its like on its line leaves it open what is code from
    there on: it is taken for prose then, as are the lines behind it.
    """
    has_cells = any("-" in line and _DELIMITERS.issuperset(line) for line in lines)
    is_sure = True
    for line in lines:
        parts = list(_parts(line, has_cells)) if is_sure else [(line, False)]
        is_sure = is_sure and not any(_UNSURE.search(part) for part, is_code in parts if not is_code)
        yield "".join(part if is_code else prose(part) for part, is_code in parts)


_DELIMITERS = frozenset(" \t\v\f>|:*+-.)0123456789")  # all that the line below a table's head is made of
# Comments, of which some viewers know, take backticks in; what a backslash escapes opens nothing.
_UNSURE = re.compile(r"`|%%|\\\Z")
# What viewers make links of by themselves, and what begins mathematics.
_ADDRESS = r"//|(?i:www)\."
_BARE = re.compile(rf"{_ADDRESS}|\$|(?<=[\w.+-])@(?=\S)")
# The sign of a mail address, however it is written; what is escaped already; a footnote mark, with what would make a
# link or a definition of it; brackets and tags.
_MARKS = re.compile(
    r"(?<=[\w.+;-])(?P<at>\\?@|&(?:#0*64|#[xX]0*40|commat);)(?=\S)|\\[!-/:-@\[-`{-~]"
    rf"|(?<![!^])\[\^(?P<n>\d{{1,9}})\](?P<behind>[:(])?|\[|<(?=\S)|\$|{_ADDRESS}"
)
_ENTITIES = {"[": "&#91;", "<": "&lt;", ":": "&#58;", "(": "&#40;", "$": "&#36;", "/": "&#47;", ".": "&#46;"}
_JOINER = "&#8288;"  # not to be seen: viewers look for mail addresses once entities are characters again


def _escaped(prose: str, mark: Callable[[int], str | None]) -> str:
    """Entities, since what a backslash does depends on those before it."""

    def replaced(match: re.Match[str]) -> str:
        renumbered = mark(int(match["n"])) if match["n"] else None
        if renumbered is not None:
            return f"{renumbered}{_ENTITIES.get(match['behind'], '')}"
        if match["at"]:
            return match["at"] + _JOINER
        if match[0].startswith(("[", "<")):
            return _ENTITIES[match[0][0]] + match[0][1:]
        return match[0] if match[0].startswith("\\") else _broken(match[0])

    return _MARKS.sub(replaced, prose)


def _broken(address: str) -> str:
    """What `_BARE` has found, so that it is none any more and reads the same."""
    return f"@{_JOINER}" if address == "@" else address[:-1] + _ENTITIES[address[-1]]


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of code: its first line, the one behind its last; fences belong to it. `info` is what stands behind the
    first."""

    first: int
    end: int
    fence: str
    info: str


def _closing(markdown: str) -> str:
    """What closes the code block at the end, if one is open there."""
    behind = markdown.count("\n") + 2
    blocks = _blocks(f"{markdown}\n\nx")
    return next((f"\n{block.fence}" for block in blocks if block.first <= behind < block.end), "")


def _opening(line: str, block: _Block) -> str:
    """The first line of a block: viewers draw maps, diagrams and formulas of some languages, or run them."""
    if not block.info:
        return line
    language = block.info.split()[0]
    return line[: line.index(block.fence)] + block.fence + (language if LANGUAGE.fullmatch(language) else "")


def _blocks(markdown: str) -> list[_Block]:
    """The blocks of code in it."""
    code = [token for token in _tokens_of(markdown) if token.type in ("fence", "code_block")]
    return [_Block(t.map[0], t.map[1], t.markup, t.info.strip()) for t in code if t.map]


def _tokens_of(markdown: str) -> "list[Token]":
    """Its blocks; HTML and definitions of links are prose here, as they are once escaped."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).disable(["inline", "reference"]).parse(markdown)


def _parts(line: str, has_cells: bool) -> Iterator[tuple[str, bool]]:
    """A line in pieces, those in backticks being code up to the first that may be none; in linear time."""
    runs = [match.span() for match in re.finditer("`+", line)]
    by_length: dict[int, list[int]] = defaultdict(list)
    for start, end in runs:
        by_length[end - start].append(start)
    done = 0
    for start, end in runs:
        if start < done:
            continue
        same = by_length[end - start]
        following = bisect_left(same, end)
        if following == len(same) or _UNSURE.search(line[done:start]):
            break
        if has_cells and "|" in line[end : same[following]]:
            break
        stop = same[following] + end - start
        yield line[done:start], False
        yield line[start:stop], True
        done = stop
    yield line[done:], False


def _question(number: int, question: str) -> list[str]:
    """A question as a heading; one of several lines stands below it too, as it was asked."""
    lines = safe_text(question).strip().splitlines()
    heading = f"## {number}. {inert(lines[0]) if lines else ''}".rstrip()
    return [heading] if len(lines) < 2 else [heading, "  \n".join(f"> {inert(line)}" for line in lines)]


def note_line(number: int | str, note: Footnote) -> str:
    """A footnote; its last character keeps viewers that know none from taking it for a link's definition."""
    quote = f' "{inert(note.quote)}"' if note.quote else "."
    return f"[^{number}]: {inert(note.place) or '?'} ({inert(note.state)}){quote}"


def _told(turn: Turn) -> str:
    return f"*{inert(' · '.join(about(turn)))}*" if about(turn) else ""


def _footnote(row: Mapping[str, Any]) -> Footnote:
    quote = " ".join(safe_text(str(row.get("quote") or "")).split())
    status, share = show(str(row.get("status", "unverified"))), row.get("share")
    near = f": {share:.0%} of it stands there" if status == "near" and isinstance(share, float) else ""
    return Footnote(
        n=row["n"],
        place=show(str(row.get("place") or row.get("path") or row.get("document_id") or "?")),
        status=status,
        state=f"{status}{near}{'' if row.get('is_current', True) else ', out of date'}",
        quote=quote if len(quote) <= QUOTE_MOST else quote[:QUOTE_MOST] + "…",
    )


def _turn_json(turn: Turn) -> dict[str, Any]:
    return {
        "id": turn.id,
        "parent": turn.parent,
        "question": turn.question,
        "answer": _finite(turn.answer),
        "settings": _finite(turn.settings),
        "created": turn.created_s,
    }


def _finite(value: Any) -> Any:
    """JSON values as every reader of JSON takes them: without infinities and what is no number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _ending(answer: Mapping[str, Any]) -> Iterator[str]:
    ending = str(answer.get("ending", "stop"))
    if ending != "stop":
        why = _sentence(answer.get("error")).removeprefix(ending)
        yield f"not whole: {show(ending)}" + (f", {why}" if why else "")


def _sentence(said: object) -> str:
    """What was said in one line; names in it are as `show` has them already."""
    return " ".join(safe_text(str(said or "")).split())


def how_quoted(answer: Mapping[str, Any]) -> str:
    """How the quotations came together of an answer that no model wrote."""
    is_summary = "quotations chosen" in str(answer.get("notice") or "")
    return "chosen by their words and places" if is_summary else "found by search"


def _notices(answer: Mapping[str, Any]) -> Iterator[str]:
    """What a reader must know of how the answer was made."""
    kind = _mapping(answer, "engine").get("kind")
    notice = str(answer.get("notice") or "")
    if kind == "evidence":
        notice = f"quotations {how_quoted(answer)}, no model wrote this"
    for said in (notice, *_list(answer, "warnings")):
        if said:
            yield _sentence(said)


def _engine(answer: Mapping[str, Any]) -> Iterator[str]:
    engine = _mapping(answer, "engine")
    kind, model, where = (show(str(engine.get(name) or "")) for name in ("kind", "model", "where"))
    if kind:
        yield f"{kind}{f' {model}' if model else ''}{f' on {where}' if where else ''}"


def _tokens(answer: Mapping[str, Any]) -> Iterator[str]:
    tokens = _mapping(answer, "tokens")
    if not tokens.get("prompt"):
        return
    prompt, cached, output = (tokens.get(name) for name in ("prompt", "cached", "output"))
    if isinstance(prompt, int):
        yield f"{prompt:,} tokens of prompt" + (f", {cached:,} of them cached" if isinstance(cached, int) else "")
    if isinstance(output, int):
        yield f"{output:,} tokens of answer"


def _reading(answer: Mapping[str, Any]) -> Iterator[str]:
    """What was read of the corpus, and what was not."""
    reading = _mapping(answer, "reading")
    read, whole = reading.get("read_tokens"), reading.get("corpus_tokens")
    if isinstance(read, int) and isinstance(whole, int):
        share = "all" if reading.get("mode") == "full" else f"{read:,} ({100 * read / max(1, whole):.0f} %)"
        yield f"read {share} of {whole:,} tokens"
    for name, meaning in (("unread", "not read"), ("partly", "read in part")):
        if paths := _list(reading, name):
            yield f"{meaning}: {_few(paths)}"


def _left_out(answer: Mapping[str, Any]) -> Iterator[str]:
    if skipped := _list(_mapping(answer, "corpus"), "skipped"):
        yield f"left out: {_few([row.get('path', '') if isinstance(row, Mapping) else row for row in skipped])}"


def _few(paths: Sequence[object]) -> str:
    more = len(paths) - PATHS_SHOWN
    return ", ".join(show(str(path)) for path in paths[:PATHS_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _cited(answer: Mapping[str, Any]) -> Iterator[str]:
    coverage = _mapping(answer, "coverage")
    counts = [coverage.get(name) for name in ("sentences", "cited", "verified")]
    if all(isinstance(count, int) for count in counts):
        yield "{} sentences, {} cited, {} verified".format(*counts)


def _mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _list(values: Mapping[str, Any], name: str) -> list[Any]:
    found = values.get(name)
    return list(found) if isinstance(found, list | tuple) else []
