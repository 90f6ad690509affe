"""A conversation over a corpus: values only. Identity belongs to the content, so a turn that was changed is noticed.

Turns form a tree: each names the one before it, and a session is a name for a tip. Editing a question makes a sibling.
"""

import hashlib
import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer as they stand in a prompt, in token ids.

    `question` is all that was put behind what came before it: recap, question, the head of the answer. `answer` is
    what the model said, without the token that ended it. With `opens_window` the question began a window of its own.
    """

    question: "array[int]"
    answer: "array[int]"
    opens_window: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """The texts whose ids a turn's words refer to: how many stood in the manifest, and a digest of them in order."""

    entries: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question with its answer. `answer` is its JSON form, `longctx.answer/1`; `settings` what shaped it.

    `exchange` is None for an engine that is sent no prompt.
    """

    parent: str | None
    question: str
    answer: Mapping[str, Any]
    corpus: str
    order: Order
    plan: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    exchange: Exchange | None = None
    created_s: float = 0.0

    @property
    def id(self) -> str:
        """Sixteen hex digits of SHA-256 over all of it, the parent's id included."""
        digest = hashlib.sha256(canonical(self))
        if self.exchange:
            for ids in (self.exchange.question, self.exchange.answer):
                digest.update(len(ids).to_bytes(8, "little") + ids.tobytes())
            digest.update(bytes([self.exchange.opens_window]))
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation by name; `tip` is its last turn, None before the first."""

    id: str
    title: str
    corpus: str
    tip: str | None
    turns: int
    created_s: float
    used_s: float


def canonical(turn: Turn) -> bytes:
    """All of a turn but its token ids, always in the same bytes. Half surrogates stay as they are, which escaped JSON
    would join in pairs."""
    fields = {
        "parent": turn.parent,
        "question": turn.question,
        "answer": turn.answer,
        "corpus": turn.corpus,
        "order": [turn.order.entries, turn.order.digest],
        "plan": turn.plan,
        "settings": turn.settings,
        "created_s": turn.created_s,
    }
    text = json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")
