"""The windows behind the corpus: directive, conversation, recap and question, with room for the answer.

A turn stands in the open window where it fits with a recap and its answer, else it begins one of its own, so that
the layers that see one window only see question and passages together. What was laid before is never changed.
"""

import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from longctx import vocabulary, wording
from longctx.corpus import Corpus
from longctx.manifest import Entry
from longctx.packing import WINDOW_TOKENS
from longctx.recap import Excerpt, Recap, recap
from longctx.session import Exchange

LEAST_RECAP = 600
# More room than this is not kept for an answer in the window of its question.
LONGEST_RESERVE = 4096

Encode = Callable[[str], Sequence[int]]


@dataclass(slots=True)
class Windows:
    """Ids on their way into windows."""

    ids: "array[int]" = field(default_factory=lambda: array("I"))
    starts: list[int] = field(default_factory=list)
    _closed: bool = True

    @property
    def room(self) -> int:
        """Tokens that the open window still takes; none where none is open."""
        return 0 if self._closed else WINDOW_TOKENS - (len(self.ids) - self.starts[-1])

    def close(self) -> None:
        """What comes next begins a window."""
        self._closed = True

    def extend(self, ids: Sequence[int]) -> None:
        """Go on in the open window, and where it is full in new ones."""
        done = 0
        while done < len(ids):
            if not self.room:
                self.starts.append(len(self.ids))
                self._closed = False
            taken = ids[done : done + self.room]
            self.ids.extend(taken)
            done += len(taken)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question as it is to be laid: the passages found for it, the turns before it, room for its answer.

    `schema` is the text of the JSON schema that the answer is to obey, "" where there is none.
    """

    text: str
    ranked: tuple[Excerpt, ...]
    conversation: tuple[Exchange, ...]
    answer_tokens: int
    schema: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionWindows:
    """All that stands behind the corpus; `question` is what the last turn added, in a window it began or not."""

    windows: Windows
    question: "array[int]"
    opens_window: bool
    recap: Recap


def lay(
    corpus: Corpus, asked: Asked, head: Sequence[int], *, recap_tokens: int, limit: int | None = None
) -> QuestionWindows:
    """The question windows, beginning with `head`; the recap is shortened to keep to `limit`, the question never."""
    encode, windows = corpus.tokenizer.encode, Windows()
    windows.extend(head)
    for n, exchange in enumerate(asked.conversation):
        _part(windows, between(encode) if n else (), opens_window=exchange.opens_window)
        windows.extend(exchange.question)
        windows.extend(exchange.answer)
    tail = question_ids(encode, asked.text, asked.schema)
    reserve = min(asked.answer_tokens, LONGEST_RESERVE)
    joint = between(encode) if asked.conversation else ()
    brief = encode(wording.reminder())
    least = LEAST_RECAP + len(tail) + reserve
    is_begun = len(windows.ids) > len(head) or len(head) > WINDOW_TOKENS // 2
    opens_window = is_begun and windows.room < len(joint) + least and len(brief) + least <= WINDOW_TOKENS
    _part(windows, joint, opens_window=opens_window)
    added = array("I", brief if opens_window else ())
    room = (WINDOW_TOKENS if opens_window else windows.room) - len(added) - len(tail) - reserve
    room = min(max(room, LEAST_RECAP), recap_tokens)
    if limit is not None:
        room = min(room, limit - len(windows.ids) - len(added) - len(tail) - asked.answer_tokens)
    passages = recap(corpus, asked.ranked, room)
    added.extend(passages.ids)
    added.extend(tail)
    windows.extend(added)
    return QuestionWindows(windows=windows, question=added, opens_window=opens_window, recap=passages)


def question_tokens(encode: Encode, asked: Asked) -> int:
    """What a question takes at the least: with room for its answer, without a recap and what stands before it."""
    return len(question_ids(encode, asked.text, asked.schema)) + asked.answer_tokens


def turn_tokens(encode: Encode, exchange: Exchange) -> int:
    """What a turn takes in a later prompt."""
    return len(exchange.question) + len(exchange.answer) + len(between(encode))


def in_words(encode: Encode, question: str, answer: str) -> Exchange:
    """A turn from its words alone, without the passages that once stood before its question."""
    return Exchange(array("I", question_ids(encode, question)), array("I", encode(encodable(answer))))


def question_ids(encode: Encode, text: str, schema: str = "") -> list[int]:
    """A question, the end of the user's turn, and the head of the answer."""
    asked = encodable(text)
    return [
        *encode(wording.structured(asked, schema) if schema else wording.question(asked)),
        vocabulary.END_OF_TURN,
        *vocabulary.message_head("assistant", encode),
    ]


def between(encode: Encode) -> list[int]:
    """What stands between an answer and the next turn."""
    return [vocabulary.END_OF_TURN, *vocabulary.message_head("user", encode)]


def encodable(text: str) -> str:
    """`text` without lone surrogates, which stand for bytes of a command line that are no text."""
    return text.encode("utf-8", "replace").decode()


def shown_before(corpus: Corpus, conversation: Sequence[Exchange]) -> Iterator[tuple[Entry, tuple[int, int]]]:
    """The characters of each text that stand in the recaps of earlier turns."""
    tag = re.escape(corpus.record.tag)
    passage = re.compile(rf"<doc-{tag} id=(d\d+) [^\n]*\bexcerpt>\n(.*?)\n</doc-{tag}>\n", re.DOTALL)
    entries = {entry.document_id: entry for entry in corpus.entries}
    for exchange in conversation:
        text = corpus.tokenizer.decode([token for token in exchange.question if token < vocabulary.ORDINARY_TOKENS])
        for found in passage.finditer(text):
            entry = entries.get(found[1])
            start = corpus.document(entry).text.find(found[2]) if entry else -1
            if entry and start >= 0:
                yield entry, (start, start + len(found[2]))


def _part(windows: Windows, joint: Sequence[int], *, opens_window: bool) -> None:
    """Between two turns: the joint stays with the answer before it, but for a window that can't take it."""
    if opens_window and len(joint) > windows.room:
        windows.close()
        windows.extend(joint)
        return
    windows.extend(joint)
    if opens_window:
        windows.close()
