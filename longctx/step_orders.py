"""What each kind of call is asked for that a summary in several takes, and what room its words leave. Values only."""

from dataclasses import dataclass

from longctx import hierarchy, wording
from longctx.analysis import Asking
from longctx.corpus import Corpus
from longctx.hierarchy import Room, Rooms
from longctx.packing import WINDOW_TOKENS
from longctx.plan import begun, lead_ids
from longctx.question_window import question_ids
from longctx.summary_form import Summary

OF_NOTES = "the documents that the notes above are about"


@dataclass(frozen=True, slots=True)
class Orders:
    """What each kind of call is asked for; notes have about so many statements."""

    summary: Summary
    statements: int

    @property
    def leaf(self) -> str:
        """Notes on documents."""
        return wording.take_notes(self.statements, self.summary.sections, self.summary.focus)

    @property
    def joined(self) -> str:
        """Fewer notes of many."""
        return wording.join_notes(self.statements, self.summary.sections, self.summary.focus)

    @property
    def whole(self) -> str:
        """The summary, from notes."""
        form = self.summary
        return wording.summary("", form.statements, form.style, form.sections, form.focus, of=OF_NOTES)

    @property
    def alone(self) -> str:
        """The summary, from all documents at once."""
        form = self.summary
        return wording.summary("", form.statements, form.style, form.sections, form.focus)


def rooms_of(corpus: Corpus, asking: Asking, summary: Summary, limit: int) -> Rooms:
    """What the words about them leave of a limit for texts and for notes."""
    notes, encode, tag = hierarchy.notes_tokens(limit), corpus.tokenizer.encode, corpus.record.tag
    orders = Orders(summary, notes // hierarchy.STATEMENT_TOKENS)
    leaf, joined, whole = (len(question_ids(encode, each)) for each in (orders.leaf, orders.joined, orders.whole))
    documents = len(encode(wording.directive())) + max(leaf + notes, whole + asking.max_tokens)

    def for_notes(order: int, answer: int) -> int:
        behind = len(encode(wording.notes_directive())) + order
        unused = behind if limit > WINDOW_TOKENS else 0  # what an order leaves of the open window that it doesn't fit
        return limit - len(begun(corpus.tokenizer, wording.notes_preamble(tag))) - unused - behind - answer

    return Rooms(
        limit=limit,
        texts=Room.beside(documents, limit, len(lead_ids(corpus.tokenizer, tag))),
        joined=for_notes(joined, notes),
        whole=for_notes(whole, asking.max_tokens),
        notes=notes,
    )
