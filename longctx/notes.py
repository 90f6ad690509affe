"""What one call of a summary writes for those above it: statements, each with the quotes that the check has found.

A sentence without such a quote is left out, so that nothing goes on that no document says. Pure functions of answers
in their JSON form, which may come from a file: nothing is taken for granted of it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.naming import safe_text
from longctx import wording
from longctx.citations import CitationStatus
from longctx.coverage import MARK, blocks, sentences, states

QUOTE_MOST = 300  # characters: what is cut off at its end is still a quote
FOUND = (CitationStatus.VERIFIED, CitationStatus.RELOCATED)

NamesOf = Callable[[Mapping[str, Any]], tuple[str, str] | None]


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence with its quotes as a model writes them, and the ids and paths of the documents they are from."""

    text: str
    names: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What one answer states; of `said` statements those in `statements` have a quote that was found."""

    statements: tuple[Statement, ...]
    said: int


def is_answer(value: object) -> bool:
    """Whether notes can be made of it."""
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("answer_markdown"), str)
        and isinstance(value.get("citations"), list)
        and isinstance(value.get("tokens"), Mapping)
        and all(isinstance(count, int) for count in value["tokens"].values())
    )


def notes_of(answer: Mapping[str, Any], names_of: NamesOf) -> Notes:
    """The statements of an answer; `names_of` gives id and path of the document that a citation stands in."""
    found = dict(_found(answer, names_of))
    said = [each for block in blocks(answer["answer_markdown"]) for each in sentences(block) if _is_said(each)]
    stated = [_statement(each, found) for each in said]
    return Notes(statements=tuple(each for each in stated if each.names), said=len(said) if answer.get("found") else 0)


def together(notes: Sequence[Notes]) -> Notes:
    """Several as one; a statement that comes again comes once."""
    stated = dict.fromkeys(statement for each in notes for statement in each.statements)
    return Notes(statements=tuple(stated), said=sum(each.said for each in notes))


def written(notes: Sequence[Notes], tag: str, fits: Callable[[str], bool]) -> tuple[list[str], int]:
    """Notes as they are sent, and how many statements were left out so that each `fits`."""
    texts, left_out = list[str](), 0
    for number, each in enumerate(notes, start=1):
        kept = list(each.statements)
        while kept and not fits(_text(kept, tag, (number, len(notes)))):
            kept.pop()
        texts.append(_text(kept, tag, (number, len(notes))))
        left_out += len(each.statements) - len(kept)
    return texts, left_out


def _text(statements: Sequence[Statement], tag: str, part: tuple[int, int]) -> str:
    names = tuple(dict.fromkeys(name for each in statements for name in each.names))
    lines = "".join(f"- {each.text}\n" for each in statements)
    wrapper = re.compile(rf"<(?=\s*/?\s*(?:notes|doc)-{re.escape(tag)})", re.IGNORECASE)
    return wording.notes_opening(tag, part, names) + wrapper.sub("‹", lines) + wording.notes_closing(tag)


def _found(answer: Mapping[str, Any], names_of: NamesOf) -> Iterator[tuple[int, tuple[str, tuple[str, str]]]]:
    """The citations whose quotes were found, by their numbers: as a model writes them, with their documents."""
    for row in answer["citations"]:
        if isinstance(row, Mapping) and row.get("status") in FOUND and isinstance(row.get("quote"), str):
            name = names_of(row)
            if name and isinstance(row.get("n"), int) and (quote := _quote(row["quote"])):
                yield row["n"], (f'[{name[0]}: "{quote}"]', name)


def _quote(text: str) -> str:
    """A quote on one line, no longer than is needed to find it, and up to where it would seem to end."""
    words = _ENDS.split(" ".join(safe_text(text).split()), maxsplit=1)[0]
    return words if len(words) <= QUOTE_MOST else words[:QUOTE_MOST].rpartition(" ")[0] or words[:QUOTE_MOST]


_ENDS = re.compile(r'"(?= ?[\]】］;,])')


def _is_said(sentence: str) -> bool:
    """Whether it is a statement, or has a quote as one has."""
    return states(sentence) or bool(MARK.search(sentence) and re.search(r"\w", MARK.sub("", sentence)))


def _statement(sentence: str, found: Mapping[int, tuple[str, tuple[str, str]]]) -> Statement:
    """A sentence with the quotes that were found in the place of its marks; nothing else in it looks like a quote."""
    numbers = [int(number) for number in MARK.findall(sentence) if int(number) in found]
    parts = MARK.split(sentence)
    parts[::2] = [_LIKE_A_QUOTE.sub("(", part) for part in parts[::2]]
    parts[1::2] = [found[int(number)][0] if int(number) in found else "" for number in parts[1::2]]
    return Statement(" ".join("".join(parts).split()), tuple(dict.fromkeys(found[number][1] for number in numbers)))


_LIKE_A_QUOTE = re.compile(r"[\[【［](?=[\[【［\s]*d\d)")
