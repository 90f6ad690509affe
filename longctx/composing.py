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
import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from ingest.naming import show
from longctx import plan, wording
from longctx.answer import Mode, Reading
from longctx.corpus import Corpus
from longctx.engines.base import Prompt
from longctx.errors import DoesNotFit, NotWhole
from longctx.focus import Focus, choose, cover
from longctx.manifest import Entry, State, total_tokens
from longctx.packing import WINDOW_TOKENS, Window
from longctx.plan import Branch
from longctx.question_window import (
    LEAST_RECAP,
    Asked,
    QuestionWindows,
    Windows,
    encodable,
    in_words,
    lay,
    question_tokens,
    shown_before,
    turn_tokens,
)
from longctx.recap import Excerpt, Recap, passages_for, search
from longctx.sent import Sent, merged, outside
from longctx.session import Exchange, Order

__all__ = ["Composed", "Subject", "compose", "compose_notes", "compose_pieces", "in_words", "order_of"]

Places = tuple[tuple[int, int], ...]
Ranges = Mapping[Entry, Places | None]

AUTO = "auto"
RECAP_TOKENS = 3000
# With less room than this for pieces of the corpus the recap is all there is of it, up to half of the limit.
LEAST_PIECES = 4096
# Room for a conversation is kept in steps of this share of the limit, or of a window where that is more.
STEP = 1 / 8
# A follow-up keeps the pieces that were chosen before while they hold this share of what search finds for it.
KEPT_FROM = 0.5
LIKELY = 40  # passages in which the words of a quote are looked for
HEAVIEST = 7  # folders and files that are named where a corpus does not fit


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A prompt, and what is to be known of it.

    `question` is what this turn added, for `Exchange`; with `opens_window` it began a window of its own. `plan` names
    all that stands before the conversation; `topic` is the question that the pieces of a focus were chosen for, to be
    given with the next turn; so is `left_out`, how many of the oldest turns went to meet a limit. `recap` is what
    stands directly before the question, `conversation_tokens` what the turns before it take.
    """

    prompt: Prompt
    question: "array[int]"
    opens_window: bool
    reading: Reading
    sent: Sent
    plan: str
    topic: str = ""
    left_out: int = 0
    recap: Recap
    conversation_tokens: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What a prompt is about where the words of its question do not say it: texts, and passages of them, best first.

    `order` is sent in the question's place; `label` names the texts to a person. With `whole` they are sent whole, or
    not at all.
    """

    label: str
    order: str
    entries: tuple[Entry, ...]
    passages: tuple[Excerpt, ...]
    whole: bool = False

    def missing(self, reading: Reading) -> str:
        """What is to be said where not all of the texts are sent."""
        if not (reading.unread or reading.partly):
            return ""
        told = [(reading.unread, "not read"), (reading.partly, "read in part")]
        what = " and ".join(f"{len(paths):,} files are {how}" for paths, how in told if paths)
        return f"{self.label} does not fit what the engine takes: {what}; a smaller scope is read whole"


@dataclass(frozen=True, slots=True)
class _Before:
    """What stands before the question windows: ids, where windows begin, what of which text stands in it."""

    ids: "array[int]"
    starts: tuple[int, ...]
    ranges: Ranges
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
    left_out: int = 0,
    subject: Subject | None = None,
    schema: str = "",
) -> Composed:
    """The prompt for a question after a conversation, whose questions in words are `earlier`.

    `limit_tokens` is for prompt and answer together; without it all is sent. `topic` and `left_out` are those of the
    turn before; `schema` is that of the answer. With a `subject` only its texts are chosen where not all fits, and what
    is unread is said of them alone. Raises DoesNotFit.
    """
    asked = Asked(
        text=subject.order if subject else question,
        ranked=subject.passages if subject else passages_for(corpus, question, earlier),
        conversation=tuple(conversation),
        answer_tokens=answer_tokens,
        schema=schema,
    )
    if limit_tokens is None or (mode != Mode.FOCUS and total_tokens(corpus.entries) < limit_tokens):
        composed = _full(corpus, asked)
        if limit_tokens is None or len(composed.prompt.ids) + answer_tokens <= limit_tokens:
            return composed
        if mode == Mode.FULL:
            raise _too_long(corpus, asked, limit_tokens, len(composed.prompt.ids))
    if mode == Mode.FULL:
        raise _too_large(corpus, asked, limit_tokens)
    if subject:
        composed = _about(corpus, _focused(corpus, asked, limit_tokens, (topic, topic), left_out, subject), subject)
        if subject.whole and (missing := subject.missing(composed.reading)):
            raise NotWhole(missing)
        return composed
    return _focused(corpus, asked, limit_tokens, _topics(question, earlier, topic), left_out)


def compose_pieces(corpus: Corpus, focus: Focus, order: str, answer_tokens: int) -> Composed:
    """The prompt of these pieces alone and an order in the question's place."""
    head = corpus.tokenizer.encode(wording.directive())
    before = _written(corpus, focus.windows, focus.ranges)
    return _ordered(corpus, before, head, order, answer_tokens)


def compose_notes(
    corpus: Corpus, notes: Sequence[str], focus: Focus, order: str, answer_tokens: int, tokens: int
) -> Composed:
    """The prompt of notes on these pieces, of so many `tokens`, and an order in the question's place.

    What is cited is looked up in the pieces, which do not stand in it.
    """
    encode = corpus.tokenizer.encode
    windows = Windows()
    windows.extend(plan.begun(corpus.tokenizer, wording.notes_preamble(corpus.record.tag)))
    for note in notes:
        windows.extend(encode(encodable(note)))
    before = _Before(windows.ids, tuple(windows.starts), focus.ranges, tokens)
    return _ordered(corpus, before, encode(wording.notes_directive()), order, answer_tokens)


def _ordered(corpus: Corpus, before: _Before, head: Sequence[int], order: str, answer_tokens: int) -> Composed:
    """The prompt of what stands before an order, which goes on in the open window where it fits there whole."""
    asked = Asked(text=order, ranked=(), conversation=(), answer_tokens=answer_tokens)
    composed = _composed(corpus, Mode.FOCUS, before, head, lay(corpus, asked, head, recap_tokens=0))
    prompt = composed.prompt
    if prompt.starts[-1] == len(before.ids) and len(prompt.ids) - prompt.starts[-2] <= WINDOW_TOKENS:
        return replace(composed, prompt=replace(prompt, starts=prompt.starts[:-1]))
    return composed


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


def _about(corpus: Corpus, composed: Composed, subject: Subject) -> Composed:
    """What was not read of the subject's texts, whatever was not read of others."""
    paths, reading = set(_paths(corpus, subject.entries)), composed.reading
    unread, partly = (tuple(filter(paths.__contains__, each)) for each in (reading.unread, reading.partly))
    return replace(composed, reading=replace(reading, unread=unread, partly=partly))


def _focused(
    corpus: Corpus,
    asked: Asked,
    limit: int,
    topics: tuple[str, str],
    left_out: int,
    subject: Subject | None = None,
) -> Composed:
    """Pieces and recap where there is room for both, else the recap alone; raises DoesNotFit where not even that."""
    lead = len(plan.lead_ids(corpus.tokenizer, corpus.record.tag))
    head = corpus.tokenizer.encode(wording.directive(partial=True))
    asked, left_out = _shortened(corpus, asked, limit - lead - len(head), left_out)
    laid = lay(corpus, asked, head, recap_tokens=RECAP_TOKENS, limit=limit - lead)
    room = _room(limit, laid, asked.answer_tokens)
    if room < LEAST_PIECES:
        laid = lay(corpus, asked, head, recap_tokens=_longest_recap(corpus, asked, limit), limit=limit - lead)
        room = _spare(limit, lead + len(laid.windows.ids) + asked.answer_tokens)
    if subject:
        focus, topic = cover(corpus, subject.entries, subject.passages, room, lead, limit), topics[0]
    else:
        focus, topic = _chosen(corpus, asked, lambda about: choose(corpus, about, room, lead, limit), topics)
    before = _written(corpus, focus.windows, focus.ranges)
    composed = _composed(corpus, Mode.FOCUS, before, head, laid, asked.conversation)
    return replace(composed, topic=topic, left_out=left_out)


def _room(limit: int, laid: QuestionWindows, answer_tokens: int) -> int:
    """Room for pieces: what is kept for the conversation grows in long steps, so that few turns find other pieces."""
    step = max(WINDOW_TOKENS, int(limit * STEP))
    return limit - step * math.ceil((len(laid.windows.ids) + answer_tokens) / step)


def _spare(limit: int, used: int) -> int:
    """Room for pieces in a small limit: half of it where search has found too little to fill a recap, else none."""
    return limit // 2 if used <= limit // 2 else 0


def _longest_recap(corpus: Corpus, asked: Asked, limit: int) -> int:
    """Half of a small limit together with the turns before, but as long as with pieces at the least."""
    turns = sum(turn_tokens(corpus.tokenizer.encode, exchange) for exchange in asked.conversation)
    return max(limit // 2 - turns, min(limit // 2, RECAP_TOKENS))


def _topics(question: str, earlier: Sequence[str], topic: str) -> tuple[str, str]:
    """What pieces are chosen for: the topic until now, and the one that this question begins."""
    begun = f"{earlier[-1]} {question}" if earlier else question
    return topic or next(iter(earlier), question), begun


def _chosen(corpus: Corpus, asked: Asked, pieces: Callable[[str], Focus], topics: tuple[str, str]) -> tuple[Focus, str]:
    """The pieces of the turn before while they serve this question too, else new ones; and what they are for."""
    before, begun = topics
    focus = pieces(before)
    scores = [(excerpt.score, focus.holds(excerpt)) for excerpt in search(corpus, asked.text, LIKELY)]
    held = sum(score for score, is_held in scores if is_held)
    if before == begun or held >= KEPT_FROM * sum(score for score, _ in scores):
        return focus, before
    return pieces(begun), begun


def _shortened(corpus: Corpus, asked: Asked, limit: int, left_out: int) -> tuple[Asked, int]:
    """The question after the turns it can go on from, and how many were left out; raises DoesNotFit.

    What was left out before stays out, so that the rest stays where it is, until all takes half of what it could.
    Where more has to go, what is left takes half too: so the next turns go on from the same ones.
    """
    encode, turns = corpus.tokenizer.encode, asked.conversation
    alone = question_tokens(encode, asked)
    if alone > limit:
        raise DoesNotFit(
            f"the question and its answer take {alone:,} tokens, but {max(0, limit):,} are left of the limit",
            "ask shorter, or allow less for the answer with --max-tokens",
        )
    sizes = [turn_tokens(encode, exchange) for exchange in turns]
    most = limit - alone - LEAST_RECAP
    gone = 0 if sum(sizes) <= most // 2 else min(left_out, len(turns))
    if sum(sizes[gone:]) > most:
        while gone < len(turns) and sum(sizes[gone:]) > most // 2:
            gone += 1
    return replace(asked, conversation=turns[gone:]), gone


def _written(corpus: Corpus, windows: Iterable[Window], ranges: Ranges) -> _Before:
    ids, starts, tokens = array("I"), list[int](), 0
    for window in windows:
        starts.append(len(ids))
        ids.extend(plan.window_ids(corpus, window))
        tokens += sum(p.size - p.wrapper_tokens for p in window.pieces if p.entry.state is State.CURRENT)
    return _Before(ids, tuple(starts), ranges, tokens)


def _composed(
    corpus: Corpus,
    mode: Mode,
    before: _Before,
    head: Sequence[int],
    laid: QuestionWindows,
    conversation: Sequence[Exchange] = (),
) -> Composed:
    """The prompt; `conversation` is what passages may stand in that do not stand before it too."""
    behind = len(before.ids)
    ids, windows = array("I", before.ids), laid.windows
    ids.extend(windows.ids)
    ranges = _shown(corpus, before, laid, conversation)
    return Composed(
        prompt=Prompt(ids, (*before.starts, *(behind + start for start in windows.starts)), WINDOW_TOKENS),
        question=laid.question,
        opens_window=laid.opens_window,
        reading=_reading(corpus, mode, before, ranges),
        sent=_sent(corpus, ranges),
        plan=_digest(mode, before, head),
        recap=laid.recap,
        conversation_tokens=len(windows.ids) - len(head) - len(laid.question),
    )


def _digest(mode: Mode, before: _Before, head: Sequence[int]) -> str:
    digest = hashlib.sha256(mode.encode())
    for numbers in (before.ids, array("Q", before.starts), array("I", head)):
        digest.update(len(numbers).to_bytes(8, "little"))
        digest.update(numbers)
    return digest.hexdigest()[:16]


def _shown(corpus: Corpus, before: _Before, laid: QuestionWindows, conversation: Sequence[Exchange]) -> Ranges:
    """Which characters of each text stand in the prompt: in pieces, and in passages of this turn or earlier ones."""
    ranges = dict(before.ranges)
    passages = [(entry, place) for entry, places in laid.recap.ranges.items() for place in places]
    for entry, place in chain(passages, shown_before(corpus, conversation)):
        known = ranges.get(entry, ())
        if known is not None:
            ranges[entry] = merged((*known, place))
    return ranges


def _reading(corpus: Corpus, mode: Mode, before: _Before, ranges: Ranges) -> Reading:
    """What was read: all that stands in pieces, and of passages what does not stand there too."""
    current = corpus.current
    parts = {entry: (before.ranges.get(entry) or (), shown) for entry in current if (shown := ranges.get(entry))}
    added = {entry: _added(corpus, entry, held, shown) for entry, (held, shown) in parts.items() if held != shown}
    partly = (entry for entry in parts if entry not in added or not added[entry][1])
    return Reading(
        mode=mode,
        read_tokens=before.tokens + sum(tokens for tokens, _ in added.values()),
        corpus_tokens=total_tokens(current),
        unread=_paths(corpus, (entry for entry in current if entry not in ranges)),
        partly=_paths(corpus, partly),
    )


def _added(corpus: Corpus, entry: Entry, held: Places, shown: Places) -> tuple[int, bool]:
    """The tokens of a text that stand in passages alone, and whether no more than white space of it is missing."""
    text = corpus.document(entry).text
    is_whole = not any(text[start:end].strip() for start, end in outside(shown, [(0, len(text))]))
    if is_whole and not held:
        return entry.tokens, True
    return sum(len(corpus.tokenizer.encode(text[start:end])) for start, end in outside(held, shown)), is_whole


def _paths(corpus: Corpus, entries: Iterable[Entry]) -> tuple[str, ...]:
    return tuple(sorted(path for entry in entries for path in corpus.paths_of(entry)))


def _sent(corpus: Corpus, ranges: Ranges) -> Sent:
    return Sent(
        ranges,
        load=corpus.document,
        paths=lambda entry: tuple(corpus.paths_of(entry)),
        search=lambda words: dict.fromkeys(hit.entry for hit in search(corpus, words, LIKELY)),
    )


def _too_long(corpus: Corpus, asked: Asked, limit: int, prompt_tokens: int) -> DoesNotFit:
    """What to say where the texts alone would fit: it is the conversation, where a prompt without it would."""
    turns = sum(turn_tokens(corpus.tokenizer.encode, exchange) for exchange in asked.conversation)
    over = prompt_tokens + asked.answer_tokens - limit
    if turns < over:
        return _too_large(corpus, asked, limit, prompt_tokens)
    return DoesNotFit(
        f"with {turns:,} tokens of conversation the prompt has {prompt_tokens:,} and the answer may have "
        f"{asked.answer_tokens:,}, but {limit:,} fit",
        "longctx ask without -c begins a new session; --mode focus sends less of the corpus",
    )


def _too_large(corpus: Corpus, asked: Asked, limit: int, prompt_tokens: int = 0) -> DoesNotFit:
    whole = (
        f"the prompt with the whole corpus has {prompt_tokens:,}"
        if prompt_tokens
        else f"the corpus has {total_tokens(corpus.entries):,}"
    )
    rows = [f"{branch.tokens:>12,}  {show(branch.name)}" for branch in _heaviest(plan.tree(corpus.files, ""))]
    return DoesNotFit(
        f"{whole} tokens and the answer may have {asked.answer_tokens:,}, but {limit:,} fit",
        "\n".join(["--mode focus sends what bears most on the question; or leave out some of", *rows]),
    )


def _heaviest(tree: Branch) -> list[Branch]:
    """The heaviest folders and files: of the first folder that holds more than one."""
    within = ""
    while len(tree.children) == 1 and tree.children[0].children:
        tree = tree.children[0]
        within += f"{tree.name}/"
    return [replace(each, name=within + each.name + "/" * bool(each.children)) for each in tree.children[:HEAVIEST]]
