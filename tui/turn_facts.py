"""What is to be known of a turn, from its answer's JSON form: what it took, how it is cited, what was not read.

Pure; each phrase is safe to show. Nothing in a stored answer is trusted to be of its type.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ingest.naming import show
from longctx.counted import counted
from longctx.durations import duration
from longctx.export import how_quoted
from tui.cited import citations_of
from tui.fitting import one_line
from tui.marks import short

PATHS_SHOWN = 3
NO_MODEL = "no model wrote this: quotations "


class Weight(StrEnum):
    """How a fact is to be taken."""

    PLAIN = "plain"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Fact:
    """A line below an answer."""

    text: str
    weight: Weight = Weight.PLAIN


def facts(answer: Mapping[str, Any]) -> list[Fact]:
    """The lines below an answer, what matters most first."""
    lines = [Fact(line, Weight.WARNING) for line in (*_ending(answer), *_notices(answer))]
    told = (" · ".join(phrases) for phrases in (_cited(answer), _took(answer), _reading(answer)))
    return lines + [Fact(line) for line in told if line]


def _ending(answer: Mapping[str, Any]) -> Iterator[str]:
    error = one_line(answer.get("error") or "")
    match answer.get("ending", "stop"):
        case "stop":
            return
        case "length":
            yield one_line(answer.get("notice") or "cut at the most tokens an answer may have")
        case "interrupted":
            yield "stopped by you: this is not the whole answer"
        case "failed":
            yield f"failed: this is not the whole answer{f' ({error})' if error else ''}"
        case ending:
            yield f"not whole: {one_line(ending)}"


def _notices(answer: Mapping[str, Any]) -> Iterator[str]:
    """What a reader must know of how the answer was made."""
    if is_extracted(answer):
        yield NO_MODEL + how_quoted(answer)
    elif answer.get("notice") and answer.get("ending", "stop") == "stop":
        yield one_line(answer["notice"])
    for warning in _list(answer, "warnings"):
        yield one_line(warning)


def is_extracted(answer: Mapping[str, Any]) -> bool:
    """Whether no model wrote it."""
    return _mapping(answer, "engine").get("kind") == "evidence"


def _cited(answer: Mapping[str, Any]) -> Iterator[str]:
    """`3 sources · 2 verified, 1 near · 5 of 6 sentences cited`."""
    citations = citations_of(answer).values()
    if citations:
        yield counted(len({citation.path or citation.document_id for citation in citations}), "source")
        states = Counter(str(citation.status) for citation in citations)
        yield ", ".join(f"{count} {state}" for state, count in states.items())
    elif answer.get("answer_markdown"):
        yield "no citations"
    coverage = _mapping(answer, "coverage")
    cited, sentences = _count(coverage, "cited"), _count(coverage, "sentences")
    if cited is not None and sentences:
        yield f"{cited:,} of {counted(sentences, 'sentence')} cited"


def _took(answer: Mapping[str, Any]) -> Iterator[str]:
    """`1.42M tokens read, 92 % cached · first word after 4.1 s · 212 tokens at 31/s`."""
    tokens, timing = _mapping(answer, "tokens"), _mapping(answer, "timing")
    if prompt := _count(tokens, "prompt"):
        yield f"{short(prompt)} prompt tokens, {_cached(answer, prompt)}".removesuffix(", ")
    if (first := _number(timing, "ttft_s")) is not None:
        yield f"first word after {duration(first)}"
    if prompt and (output := _count(tokens, "output")):
        rate = _number(timing, "decode_tokens_per_s")
        yield counted(output, "token") + (f" at {rate:,.0f}/s" if rate else "")


def _cached(answer: Mapping[str, Any], prompt: int) -> str:
    """How much of the prompt was not read again; never 0 % where that was not reported."""
    cached = _count(_mapping(answer, "tokens"), "cached")
    if cached is not None:
        return f"{cached / prompt:.0%} cached"
    return "cache: not reported" if answer.get("ending", "stop") in ("stop", "length") else ""


def _reading(answer: Mapping[str, Any]) -> Iterator[str]:
    reading = _mapping(answer, "reading")
    read, whole = _count(reading, "read_tokens"), _count(reading, "corpus_tokens")
    if read is None or whole is None or reading.get("mode") == "full":
        return
    yield f"read {short(read)} of {short(whole)} tokens"
    for name, manner in (("unread", "left out"), ("partly", "read in part")):
        paths = [str(path) for path in _list(reading, name)]
        yield from left_out(paths, _count(reading, f"{name}_count") or len(paths), manner)


def left_out(paths: Sequence[str], count: int, manner: str) -> Iterator[str]:
    """`31 documents left out: a.py, b.py, c.py and 28 more`, where these paths are the first of so many."""
    if paths:
        more = f" and {count - PATHS_SHOWN:,} more" if count > PATHS_SHOWN else ""
        names = ", ".join(one_line(show(path)) for path in paths[:PATHS_SHOWN])
        yield f"{counted(count, 'document')} {manner}: {names}{more}"


def _mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _list(values: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = values.get(name)
    return found if isinstance(found, list | tuple) else ()


def _count(values: Mapping[str, Any], name: str) -> int | None:
    found = values.get(name)
    return found if isinstance(found, int) and 0 <= found < 10**15 else None


def _number(values: Mapping[str, Any], name: str) -> float | None:
    found = values.get(name)
    return float(found) if isinstance(found, int | float) and 0 <= found < 10**9 else None
