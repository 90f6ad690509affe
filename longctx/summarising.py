"""A summary of a corpus, or of some of its documents, told as an answer is: by a model, or without one in quotations.

A model is sent the same prompt as for any question, with an order in the question's place. Where the documents do not
fit, they are read in several calls, and what is said in the end still quotes the documents; what was not read is named.
"""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ingest.naming import show
from longctx.analysis import ASSUMED_CONTEXT, Asking, Before, asked
from longctx.errors import NotWhole, UsageError
from longctx.events import AnswerEvents
from longctx.steps import MemorySteps, Steps
from longctx.summary_form import NAMES_SHOWN, Length, Scope, Summary

if TYPE_CHECKING:
    from longctx.composing import Subject
    from longctx.corpus import Corpus
    from longctx.engines.base import Engine
    from longctx.manifest import Entry

AUTO = "auto"


def summarise(
    corpus: "Corpus",
    engine: "Engine | None",
    asking: Asking,
    summary: Summary,
    *,
    before: Before | None = None,
    prefill_tokens_per_s: float | None = None,
    steps: Steps | None = None,
    entries: "Sequence[Entry] | None" = None,
) -> AnswerEvents:
    """Summarise from an up-to-date corpus; the last event is Answered. Raises what `ask` raises, and UsageError for
    a scope in which there is nothing to read. What `steps` knows of a summary in several calls is not asked again.
    `entries` are the texts of the scope, where the caller has them."""
    entries = within(corpus, summary.scope) if entries is None else entries
    if not entries:
        raise UsageError("there is no text to summarise", "longctx plan lists what there is")
    if engine is None:
        from longctx.digest_answer import quoted
        from longctx.digesting import digested

        yield from quoted(corpus, digested(corpus, entries, summary), summary)
        return
    longer = replace(asking, max_tokens=_most(engine, asking, summary.length))
    subject = _subject(corpus, summary, entries, whole=asking.mode == AUTO)
    with suppress(NotWhole):
        yield from asked(
            corpus,
            summary.title,
            engine,
            longer,
            before=before or Before(),
            prefill_tokens_per_s=prefill_tokens_per_s,
            subject=subject,
        )
        return
    from longctx.stepwise import in_steps

    known = MemorySteps() if steps is None else steps
    yield from in_steps(
        corpus, engine, longer, summary, entries, _limit(engine), known, before or Before(), prefill_tokens_per_s
    )


def _subject(corpus: "Corpus", summary: Summary, entries: "Sequence[Entry]", *, whole: bool) -> "Subject":
    """What the prompt is about."""
    from longctx.composing import Subject
    from longctx.digesting import digested
    from longctx.wording import summary as ordered

    which = described(corpus, summary.scope, entries)
    order = ordered(which, summary.statements, summary.style, summary.sections, summary.focus)
    passages = digested(corpus, entries, summary).excerpts
    return Subject(summary.scope.label, order, tuple(entries), passages, whole)


def _limit(engine: "Engine") -> int:
    return engine.limits().context_tokens or ASSUMED_CONTEXT


def within(corpus: "Corpus", scope: Scope) -> "list[Entry]":
    """The texts of a scope in the corpus's order; raises UsageError where a path of it has none."""

    current = list(corpus.current)
    if not scope.paths:
        return current
    names = {entry: corpus.paths_of(entry) or [entry.path] for entry in current}
    known = {path for paths in names.values() for path in paths}
    meant = [_meant(corpus, known, path) for path in scope.paths]
    files = {path for path in meant if path and not path.endswith("/")}
    folders = tuple(path for path in meant if not path or path.endswith("/"))
    return [e for e, paths in names.items() if any(path in files or path.startswith(folders) for path in paths)]


def _meant(corpus: "Corpus", known: set[str], path: str) -> str:
    """A file or folder that has text, folders with a slash at their end; the one that holds all is empty."""
    folder = path.removeprefix("./").rstrip("/") + "/"
    if path in known:
        return path
    if folder in ("/", "./"):
        return ""
    if any(each.startswith(folder) for each in known):
        return folder
    raise _nothing(corpus, known, path)


def _nothing(corpus: "Corpus", known: set[str], path: str) -> UsageError:
    left_out = [
        record for each, record in corpus.files.items() if each == path or each.startswith(path.rstrip("/") + "/")
    ]
    if left_out:
        outcome = left_out[0].outcome
        why = f"{outcome.status}: {outcome.detail}" if outcome.detail else str(outcome.status)
        return UsageError(
            f"there is no text to summarise in {show(path)}", f"{show(outcome.path)} was left out ({show(why)})"
        )
    near = " or ".join(map(show, nearest(path, known)))
    hint = f"did you mean {near}?" if near else "longctx plan lists what there is"
    return UsageError(f"{show(path)} is not in this corpus", hint)


def nearest(path: str, known: set[str], most: int = NAMES_SHOWN) -> list[str]:
    """The files and folders whose names are most like `path`, those of the same last part first."""
    folders = {f"{each[:place]}/" for each in known for place in _slashes(each)}
    last = path.rstrip("/").rpartition("/")[2].lower()[:200]
    names: dict[str, list[str]] = {}
    for each in sorted(known | folders):
        names.setdefault(each.rstrip("/").rpartition("/")[2].lower()[:200], []).append(each)
    close = [last] if last in names else difflib.get_close_matches(last, _alike(last, names), most)
    return [each for name in close for each in names[name]][:most]


def _slashes(path: str) -> Iterator[int]:
    return (place for place, character in enumerate(path) if character == "/" and place)


def _alike(last: str, names: dict[str, list[str]]) -> list[str]:
    """Few enough names to be compared letter by letter."""
    return [name for name in names if abs(len(name) - len(last)) <= 4 and set(name[:3]) & set(last[:3])][:5000]


def described(corpus: "Corpus", scope: Scope, entries: "Sequence[Entry]") -> str:
    """A scope as a model is told of it: names, and the ids of the documents; empty for the whole corpus."""
    if len(entries) == len(corpus.current):
        return ""
    from longctx.wording import LONGEST_NAME

    names = [show(path)[-LONGEST_NAME:] for path in scope.paths[:20]]
    return f"{', '.join(names)} ({', '.join(_runs([entry.position for entry in entries])[:100])})"


def _runs(positions: Sequence[int]) -> list[str]:
    """Document ids, neighbours as `d3-d9`."""
    runs: list[tuple[int, int]] = []
    for position in positions:
        if runs and position == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], position
        else:
            runs.append((position, position))
    return [f"d{a + 1}" if a == b else f"d{a + 1}-d{b + 1}" for a, b in runs]


def _most(engine: "Engine", asking: Asking, length: Length) -> int:
    """What a summary may have at the most: what somebody chose, else enough for its length."""
    if asking.max_tokens_set:
        return asking.max_tokens
    return max(asking.max_tokens, min(length.tokens, _limit(engine) // 4))
