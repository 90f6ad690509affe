"""The events of the core as replies, at a pace that a face can show."""

from collections.abc import Callable

from longctx import events
from longctx.answer import Answer
from longctx.backend.pace import Coalescer, Latest
from longctx.backend.replies import (
    Answered,
    Cited,
    Delta,
    Evidence,
    Notice,
    Place,
    Planned,
    Prefill,
    ReadingFiles,
    Reply,
)

TEN_A_SECOND, TWENTY_A_SECOND = 0.1, 0.05
STEPS_TOLD = 20  # about so many of the calls that a summary takes

Tell = Callable[[Reply], None]


class Reading:
    """Tells how far a corpus is; `total` is how many files it had the last time, None for a new one."""

    def __init__(self, tell: Tell, total: int | None) -> None:
        self._latest = Latest(tell, TEN_A_SECOND)
        self._total = total
        self._files = self._tokens = 0
        self._doing = ""

    def tell(self, event: events.Event) -> None:
        """Tell of an event, or of a later one in its place."""
        match event:
            case events.FileDone(outcome, tokens):
                self._files += 1
                self._tokens += tokens
                self._put("reading", self._files, self._total, outcome.path)
            case events.Indexed(path, done, total):
                self._put("indexing", done, total, path)
            case events.Refreshed():
                self._latest.flush()

    def _put(self, doing: str, done: int, total: int | None, path: str) -> None:
        if doing != self._doing:
            self._latest.flush()
            self._doing = doing
        self._latest.put(ReadingFiles(doing=doing, done=done, total=total, path=path, tokens=self._tokens))


class Answering:
    """Tells an answer as it comes; `answered` is what there is to tell once it has."""

    def __init__(self, tell: Tell, answered: Callable[[], Answered]) -> None:
        self._tell = tell
        self._answered = answered
        self._prefill: Latest[Prefill] = Latest(tell, TEN_A_SECOND)
        self._text = Coalescer(lambda text: tell(Delta(text)), TWENTY_A_SECOND)
        self._has_plan = self._has_begun = False
        self.is_ended = False

    def tell(self, event: events.AnswerEvent) -> None:
        """Tell of an event; text and progress may be told with what comes later."""
        match event:
            case events.PrefillProgress(done=done, total=total, cached=cached):
                self._prefill.put(Prefill(done=done, total=total, cached=cached))
            case events.TextDelta(text):
                self._prefill.flush()
                self._has_begun = True
                self._text.put(text)
            case _:
                self.flush()
                self._at_once(event)

    def flush(self) -> None:
        """Tell what was held back."""
        self._prefill.flush()
        self._text.flush()

    def _at_once(self, event: events.AnswerEvent) -> None:
        match event:
            case events.Planned():
                self._has_plan = True
                self._tell(planned(event))
                self._tell(Evidence(tuple(Place(*place) for place in event.passages)))
            case events.CitationResolved(citation):
                self._has_begun = True
                self._tell(Cited(citation))
            case events.Stepped(done, total, what):
                if done % max(1, total // STEPS_TOLD) == 0:
                    self._tell(Notice(f"call {done + 1:,} of {total:,}: {what}"))
            case events.Notice(message):
                self._tell(Notice(message))
            case events.Answered(answer):
                if not self._has_begun:
                    self._whole(answer)
                self._tell(self._answered())
                self.is_ended = True

    def _whole(self, answer: Answer) -> None:
        """An answer of which nothing has come before: that of search, and one that ended before its first word."""
        if not self._has_plan:  # a plan came with the evidence for it
            places = [Place(each.sha256, *each.chars) for each in answer.citations if each.chars]
            self._tell(Evidence(tuple(places)))
        for citation in answer.citations:
            self._tell(Cited(citation))
        if answer.answer_markdown:
            self._tell(Delta(answer.answer_markdown))


def planned(event: events.Planned) -> Planned:
    """A plan as it is told."""
    reading = event.reading
    return Planned(
        prompt_tokens=event.prompt_tokens,
        limit_tokens=event.limit_tokens,
        mode=reading.mode,
        read_tokens=reading.read_tokens,
        corpus_tokens=reading.corpus_tokens,
        recap_tokens=event.recap_tokens,
        conversation_tokens=event.conversation_tokens,
        unread=reading.unread,
        partly=reading.partly,
        has_rolled=event.rolled,
        prefill_tokens_per_s=event.prefill_tokens_per_s,
    )
