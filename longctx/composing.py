"""The prompt of one question over a corpus, as token ids: corpus windows, then the question window.

    user       preamble, corpus windows      as `plan` packs them, or the pieces that `focus` chose
               notes, directive              here the question window begins
               recap, question
    assistant  answer
    user       recap, question               the next turn, behind all that came before
    assistant

The corpus comes first and the conversation last, and turns are only added: so what an engine has kept of a prompt is
good for the next. A turn that with its answer no longer fits the open window begins one of its own. Text becomes
ordinary tokens here and never control tokens. Nothing is sent, and no model is known.
"""

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ingest.naming import show
from longctx import plan, wording
from longctx.answer import Mode, Reading
from longctx.corpus import Corpus
from longctx.engines.base import Prompt
from longctx.errors import DoesNotFit
from longctx.focus import Focus, choose
from longctx.manifest import Entry, State, total_tokens
from longctx.packing import WINDOW_TOKENS, Window
from longctx.plan import Branch
from longctx.question_window import LEAST_RECAP, Asked, QuestionWindows, in_words, lay, least_tokens, shown_before
from longctx.recap import passages_for, search
from longctx.sent import Sent, merged
from longctx.session import Exchange, Order

__all__ = ["Composed", "compose", "in_words", "order_of"]

AUTO = "auto"
RECAP_TOKENS = 3000
# With less room than this for pieces of the corpus the recap is all there is of it, up to half of the limit.
LEAST_PIECES = 4096
# A follow-up keeps the pieces that were chosen before while they hold this share of what search finds for it.
KEPT_FROM = 0.5
LIKELY = 40  # passages in which the words of a quote are looked for
HEAVIEST = 7  # folders and files that are named where a corpus does not fit


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A prompt, and what is to be known of it.

    `question` is what this turn added, for `Exchange`; with `opens_window` it began a window of its own. `plan` names
    all that stands before the conversation; `topic` is the question that the pieces of a focus were chosen for, to be
    given with the next turn. `left_out` are the oldest turns of the conversation that went to meet a limit.
    """

    prompt: Prompt
    question: "array[int]"
    opens_window: bool
    reading: Reading
    sent: Sent
    plan: str
    topic: str = ""
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Before:
    """What stands before the question windows: ids, where windows begin, what of which text stands in it."""

    ids: "array[int]"
    starts: tuple[int, ...]
    ranges: Mapping[Entry, tuple[tuple[int, int], ...] | None]
    tokens: int


def compose(
    corpus: Corpus,
    question: str,
    *,
    conversation: Sequence[Exchange] = (),
    earlier: Sequence[str] = (),
    mode: str = AUTO,
    limit_tokens: int | None = None,
    answer_tokens: int = 1024,
    topic: str = "",
) -> Composed:
    """The prompt for a question after a conversation, whose questions in words are `earlier`.

    `limit_tokens` is for prompt and answer together; without it all is sent. `topic` is that of the turn before.
    Raises DoesNotFit.
    """
    asked = Asked(
        text=question,
        ranked=passages_for(corpus, question, earlier),
        conversation=tuple(conversation),
        answer_tokens=answer_tokens,
    )
    if mode == Mode.FOCUS and limit_tokens is not None:
        return _focused(corpus, asked, limit_tokens, _topics(question, earlier, topic))
    if limit_tokens is None or total_tokens(corpus.entries) < limit_tokens:
        composed = _full(corpus, asked)
        if limit_tokens is None or len(composed.prompt.ids) + answer_tokens <= limit_tokens:
            return composed
    if mode == Mode.FULL:
        raise _too_large(corpus, asked, limit_tokens)
    return _focused(corpus, asked, limit_tokens, _topics(question, earlier, topic))


def order_of(corpus: Corpus, entries: int | None = None) -> Order:
    """The first `entries` texts of the manifest, all of them where None is given: what their ids stand for."""
    counted = corpus.entries[:entries]
    digest = hashlib.sha256()
    for entry in counted:
        digest.update(f"{entry.document_id} {entry.digest} {entry.reader}\n".encode())
    return Order(len(counted), digest.hexdigest()[:16])


def _full(corpus: Corpus, asked: Asked) -> Composed:
    windows = list(plan.pack(corpus))
    before = _written(corpus, windows, dict.fromkeys(corpus.entries))
    head = [*plan.ledger_ids(corpus), *corpus.tokenizer.encode(wording.directive())]
    laid = lay(corpus, asked, head, recap_tokens=RECAP_TOKENS)
    return _composed(corpus, Mode.FULL, before, head, laid)


def _focused(corpus: Corpus, asked: Asked, limit: int, topics: tuple[str, str]) -> Composed:
    """Pieces and recap where there is room for both, else the recap alone; raises DoesNotFit where not even that."""
    lead = len(plan.lead_ids(corpus.tokenizer, corpus.record.tag))
    head = corpus.tokenizer.encode(wording.directive(partial=True))
    asked, left_out = _shortened(corpus, asked, limit - lead - len(head))
    laid = lay(corpus, asked, head, recap_tokens=RECAP_TOKENS, limit=limit - lead)
    # Whole windows, so that the next turn finds the same room and the same pieces.
    room = limit - max(WINDOW_TOKENS * len(laid.windows.starts), len(laid.windows.ids) + asked.answer_tokens)
    if room < LEAST_PIECES:
        laid = lay(corpus, asked, head, recap_tokens=limit // 2, limit=limit - lead)
        room = _spare(limit, lead + len(laid.windows.ids) + asked.answer_tokens)
    focus, topic = _chosen(corpus, asked, room, lead, topics)
    before = _written(corpus, focus.windows, focus.ranges)
    composed = _composed(corpus, Mode.FOCUS, before, head, laid, asked)
    return replace(composed, topic=topic, left_out=left_out)


def _spare(limit: int, used: int) -> int:
    """Room for pieces in a small limit, where search has found too little to fill a recap; some is kept for turns."""
    return limit - used - limit // 4 if used < limit // 2 else 0


def _topics(question: str, earlier: Sequence[str], topic: str) -> tuple[str, str]:
    """What pieces are chosen for: the topic until now, and the one that this question begins."""
    begun = f"{earlier[-1]} {question}" if earlier else question
    return topic or next(iter(earlier), question), begun


def _chosen(corpus: Corpus, asked: Asked, room: int, lead: int, topics: tuple[str, str]) -> tuple[Focus, str]:
    """The pieces of the turn before while they serve this question too, else new ones; and what they are for."""
    before, begun = topics
    focus = choose(corpus, before, room, lead)
    scores = [(excerpt.score, focus.holds(excerpt)) for excerpt in search(corpus, asked.text, LIKELY)]
    held = sum(score for score, is_held in scores if is_held)
    if before == begun or held >= KEPT_FROM * sum(score for score, _ in scores):
        return focus, before
    return choose(corpus, begun, room, lead), begun


def _shortened(corpus: Corpus, asked: Asked, limit: int) -> tuple[Asked, int]:
    """The question after as many of the last turns as fit, and how many were left out; raises DoesNotFit.

    Where turns have to go, the rest takes half of what it could: so the next turn goes on from the same ones.
    """
    encode, turns = corpus.tokenizer.encode, asked.conversation
    alone = least_tokens(encode, replace(asked, conversation=()), ())
    if alone > limit:
        raise DoesNotFit(
            f"the question and its answer take {alone:,} tokens, but {max(0, limit):,} are left of the limit",
            "ask shorter, or allow less for the answer with --max-tokens",
        )
    if least_tokens(encode, asked, ()) + LEAST_RECAP <= limit:
        return asked, 0
    most = (limit - alone - LEAST_RECAP) // 2
    while turns and least_tokens(encode, replace(asked, conversation=turns), ()) - alone > most:
        turns = turns[1:]
    return replace(asked, conversation=turns), len(asked.conversation) - len(turns)


def _written(
    corpus: Corpus, windows: Iterable[Window], ranges: Mapping[Entry, tuple[tuple[int, int], ...] | None]
) -> _Before:
    ids, starts, tokens = array("I"), list[int](), 0
    for window in windows:
        starts.append(len(ids))
        ids.extend(plan.window_ids(corpus, window))
        tokens += sum(p.size - p.wrapper_tokens for p in window.pieces if p.entry.state is State.CURRENT)
    return _Before(ids, tuple(starts), ranges, tokens)


def _composed(
    corpus: Corpus, mode: Mode, before: _Before, head: Sequence[int], laid: QuestionWindows, asked: Asked | None = None
) -> Composed:
    behind = len(before.ids)
    ids, windows = array("I", before.ids), laid.windows
    ids.extend(windows.ids)
    return Composed(
        prompt=Prompt(ids, (*before.starts, *(behind + start for start in windows.starts)), WINDOW_TOKENS),
        question=laid.question,
        opens_window=laid.opens_window,
        reading=_reading(corpus, mode, before, len(laid.recap.ids)),
        sent=_sent(corpus, before, laid, asked),
        plan=_digest(mode, before, head),
    )


def _digest(mode: Mode, before: _Before, head: Sequence[int]) -> str:
    digest = hashlib.sha256(mode.encode())
    for numbers in (before.ids, array("Q", before.starts), array("I", head)):
        digest.update(len(numbers).to_bytes(8, "little"))
        digest.update(numbers)
    return digest.hexdigest()[:16]


def _reading(corpus: Corpus, mode: Mode, before: _Before, recap_tokens: int) -> Reading:
    """What was read; the recap counts where there is nothing else, as it repeats the rest."""
    current = [entry for entry in corpus.entries if entry.state is State.CURRENT]
    unread = [path for entry in current if entry not in before.ranges for path in corpus.paths_of(entry)]
    partly = [path for entry in current if before.ranges.get(entry) for path in corpus.paths_of(entry)]
    return Reading(
        mode=mode,
        read_tokens=before.tokens or recap_tokens,
        corpus_tokens=total_tokens(current),
        unread=tuple(sorted(unread)),
        partly=tuple(sorted(partly)),
    )


def _sent(corpus: Corpus, before: _Before, laid: QuestionWindows, asked: Asked | None) -> Sent:
    """What stands in the prompt of each text; passages of earlier turns too, where not all was sent."""
    ranges = dict(before.ranges)
    shown = [(entry, place) for entry, places in laid.recap.ranges.items() for place in places]
    if asked is not None:
        shown += shown_before(corpus, asked.conversation)
    for entry, place in shown:
        known = ranges.get(entry, ())
        if known is not None:
            ranges[entry] = merged((*known, place))
    return Sent(
        ranges,
        load=corpus.document,
        paths=lambda entry: tuple(corpus.paths_of(entry)),
        search=lambda words: dict.fromkeys(hit.entry for hit in search(corpus, words, LIKELY)),
    )


def _too_large(corpus: Corpus, asked: Asked, limit: int) -> DoesNotFit:
    tokens = total_tokens(corpus.entries)
    rows = [f"{branch.tokens:>12,}  {show(branch.name)}" for branch in _heaviest(plan.tree(corpus.files, ""))]
    return DoesNotFit(
        f"the corpus has {tokens:,} tokens and the answer may have {asked.answer_tokens:,}, but {limit:,} fit",
        "\n".join(["--mode focus sends what bears most on the question; or leave out some of", *rows]),
    )


def _heaviest(tree: Branch) -> list[Branch]:
    """The heaviest folders and files: of the first folder that holds more than one."""
    within = ""
    while len(tree.children) == 1 and tree.children[0].children:
        tree = tree.children[0]
        within += f"{tree.name}/"
    return [replace(each, name=within + each.name + "/" * bool(each.children)) for each in tree.children[:HEAVIEST]]
