"""What the calls of a summary have come to: what they have read, what they took, what must be known of how it was made.

Makes the answer of the last call that of all of them. Nothing is sent.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from longctx.answer import Answer, Mode, Reading
from longctx.corpus import Corpus
from longctx.engines.base import Identity
from longctx.focus import Focus, of_pieces
from longctx.hierarchy import Leaf, Plan
from longctx.manifest import Entry
from longctx.plan import lead_ids

Given = Mapping[str, Any]
NAMES_SHOWN = 3
EMPTY = "No statement that was made of these documents has a quote that stands in them."


@dataclass(slots=True)
class Made:
    """What has been made until now of a plan: `answers` in the order of their calls, `known` of them from earlier runs.

    The leaves of calls that `failed` were not read.
    """

    plan: Plan
    answers: list[Given] = field(default_factory=list)
    done: int = 0
    known: int = 0
    failed: list[Leaf] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    begun_s: float = field(default_factory=time.perf_counter)

    @property
    def read(self) -> list[Leaf]:
        """The leaves that were read."""
        return [leaf for leaf in self.plan.leaves if leaf not in self.failed]

    @property
    def read_tokens(self) -> int:
        """The tokens of their texts."""
        return sum(piece.size - piece.wrapper_tokens for leaf in self.read for piece in leaf.pieces)


def focus_of(corpus: Corpus, leaves: Sequence[Leaf]) -> Focus:
    """The pieces of some leaves as they are sent, and where what is quoted of them is looked up."""
    lead = len(lead_ids(corpus.tokenizer, corpus.record.tag))
    return of_pieces(corpus, chain.from_iterable(leaf.pieces for leaf in leaves), lead)


def finished(corpus: Corpus, made: Made, answer: Answer) -> Answer:
    """The answer of the last call as that of all."""
    tokens = [*(each["tokens"] for each in made.answers), answer.tokens]
    return replace(
        answer,
        notice=" ".join(filter(None, [answer.notice, _how(made, len(tokens))])),
        reading=reading_of(corpus, made),
        calls=len(tokens),
        tokens=_sums(tokens),
        timing=_timing(made, answer),
        warnings=(*made.warnings, *answer.warnings),
    )


def nothing(corpus: Corpus, made: Made, title: str, engine: Identity) -> Answer:
    """The answer where no statement is left to write from."""
    return Answer(
        question=title,
        found=False,
        answer_markdown=EMPTY,
        citations=(),
        engine=engine,
        corpus=corpus.summary,
        notice=_how(made, len(made.answers)),
        tokens=_sums([each["tokens"] for each in made.answers]),
        timing={"total_s": time.perf_counter() - made.begun_s},
        reading=reading_of(corpus, made),
        warnings=tuple(made.warnings),
        calls=len(made.answers),
    )


def _how(made: Made, calls: int) -> str:
    """What a reader must know of it; nothing where all was read at once."""
    if made.plan.calls == 1:
        return ""
    told = made.plan.counted if calls == made.plan.calls else f"{calls:,} of {made.plan.calls:,} calls"
    how = f"Made in {told}; every quote was looked up in the documents."
    failed = [leaf.label for leaf in made.failed]
    if not failed:
        return how
    more = f" and {len(failed) - NAMES_SHOWN:,} more" if len(failed) > NAMES_SHOWN else ""
    return f"{how} Not read, because the engine failed: {', '.join(failed[:NAMES_SHOWN])}{more}."


def _timing(made: Made, answer: Answer) -> dict[str, float]:
    """Seconds from the first call of this run on."""
    total = time.perf_counter() - made.begun_s
    timing = {**answer.timing, "total_s": total}
    if (first := answer.timing.get("ttft_s")) is None:
        return timing
    return {**timing, "ttft_s": total - answer.timing["total_s"] + first}


def reading_of(corpus: Corpus, made: Made) -> Reading:
    """What the calls have read, and of the summary's own documents what they have not."""
    ranges = focus_of(corpus, made.read).ranges
    current = corpus.current
    meant = {piece.entry.position for leaf in made.plan.leaves for piece in leaf.pieces}
    mine = [entry for entry in current if entry.position in meant]
    unread = _paths(corpus, (entry for entry in mine if entry not in ranges))
    partly = _paths(corpus, (entry for entry in mine if ranges.get(entry) is not None))
    whole = len(mine) == len(current) and not (unread or partly)
    return Reading(
        mode=Mode.FULL if whole else Mode.FOCUS,
        read_tokens=made.read_tokens,
        corpus_tokens=sum(entry.tokens for entry in current),
        unread=unread,
        partly=partly,
    )


def _paths(corpus: Corpus, entries: Iterable[Entry]) -> tuple[str, ...]:
    return tuple(sorted(path for entry in entries for path in corpus.paths_of(entry)))


def _sums(tokens: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """What all calls took; what one of them does not report is not known of all."""
    alone = {name: tokens[-1][name] for name in ("corpus", "window") if tokens and name in tokens[-1]}
    known = (name for name in SUMMED if all(name in each for each in tokens))
    return {**alone, **{name: sum(each[name] for each in tokens) for name in known}}


SUMMED = ("prompt", "counted_locally", "output", "cached")
