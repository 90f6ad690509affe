"""Questions asked one after another: each goes on from the turns before it, and every turn is kept."""

import signal
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from longctx import vocabulary
from longctx.analysis import ASSUMED_CONTEXT, Asking, ask
from longctx.answer import Answer, Ending, Mode
from longctx.corpus import Corpus
from longctx.dialogue import REPACKED, Dialogue
from longctx.engines.base import (
    Engine,
    EngineEvent,
    Finish,
    Finished,
    Identity,
    Limits,
    Prefilled,
    Prompt,
    Sampling,
    Text,
    Token,
    Warned,
)
from longctx.engines.opening import EngineSetup, open_engine
from longctx.errors import DoesNotFit, EngineError, StoreError, UsageError
from longctx.events import Answered, AnswerEvent, CitationResolved, Notice, Planned, PrefillProgress, TextDelta, follow
from longctx.history import History
from longctx.manifest import Entry
from longctx.session import Session, Turn

MakeTree = Callable[[dict[str, str | bytes]], Path]
OpenCorpus = Callable[..., Corpus]
FILES: dict[str, str | bytes] = {
    "tides.md": "# Tides\n\nThe spring tide at the north mole reaches seven metres.\n",
    "light.md": "# Light\n\nThe lighthouse on Gannet Rock stands 38 metres high.\n",
}
SCRIPT = """
[[answer]]
match = "tide"
text = 'It reaches seven metres [{id:tides.md}: "The spring tide at the north mole reaches seven metres."].'
cut = 3

[[answer]]
match = "lighthouse|high"
text = 'It is 38 metres high [{id:tides.md}: "The lighthouse on Gannet Rock stands 38 metres high."].'
cut = 2

[[answer]]
match = "zeppelin"
text = '[none] The documents do not speak of zeppelins.'

[[answer]]
match = "breaks"
text = 'It reaches seven [{id:tides.md}: "reaches seven metres"] and then'
fail = "the server died"

[[answer]]
match = "long"
text = 'Seven'
finish = "length"
warn = "the disk is full"
"""


class Recorder:
    """The engine behind it, with every prompt that it was given."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.prompts: list[Prompt] = []

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        self.prompts.append(prompt)
        return self._engine.generate(prompt, sampling)

    def limits(self) -> Limits:
        return self._engine.limits()

    def identity(self) -> Identity:
        return self._engine.identity()

    def describe(self) -> str:
        return self._engine.describe()

    def close(self) -> None:
        self._engine.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Recorder]:
    script = tmp_path / "script.toml"
    script.write_text(SCRIPT)
    with open_engine("scripted", EngineSetup(logs=tmp_path, model=str(script))) as opened:
        yield Recorder(opened)


@pytest.fixture
def corpus(make_tree: MakeTree, open_corpus: OpenCorpus) -> Corpus:
    return open_corpus(make_tree(FILES))


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History(tmp_path / "sessions.db") as opened:
        yield opened


def answered(events: list[AnswerEvent]) -> Answer:
    assert isinstance(events[-1], Answered)
    return events[-1].answer


def test_an_answer_comes_in_order_with_its_citations_checked(corpus: Corpus, engine: Recorder) -> None:
    events = list(ask(corpus, "how high is the tide?", engine, Asking()))
    kinds = [type(event) for event in events]
    assert kinds[0] is Planned
    assert kinds.index(PrefillProgress) < kinds.index(TextDelta) < kinds.index(Answered) == len(kinds) - 1
    answer = answered(events)
    assert answer.answer_markdown == "It reaches seven metres [^1]."
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == answer.answer_markdown
    (citation,) = answer.citations
    assert (citation.status, citation.place, citation.lines) == ("verified", "tides.md:3", (3, 3))
    assert [event.citation for event in events if isinstance(event, CitationResolved)] == [citation]
    assert answer.coverage is not None
    assert (answer.coverage.sentences, answer.coverage.cited, answer.coverage.verified) == (1, 1, 1)
    assert answer.tokens["prompt"] == answer.tokens["counted_locally"] == len(engine.prompts[0].ids)
    assert answer.ending is Ending.STOP
    assert answer.reading is not None
    assert answer.reading.mode is Mode.FULL


def test_a_quote_from_another_document_is_relocated(corpus: Corpus, engine: Recorder) -> None:
    (citation,) = answered(list(ask(corpus, "how tall is the lighthouse?", engine, Asking()))).citations
    assert (citation.status, citation.path) == ("relocated", "light.md")


def test_an_answer_that_is_not_there_is_said_to_be_not_found(corpus: Corpus, engine: Recorder) -> None:
    answer = answered(list(ask(corpus, "which zeppelin?", engine, Asking())))
    assert not answer.found
    assert "[none]" not in answer.answer_markdown
    assert "zeppelins" in answer.answer_markdown


def test_a_follow_up_begins_with_all_that_was_sent_and_said_before(
    corpus: Corpus, engine: Recorder, history: History
) -> None:
    talk = Dialogue(corpus, engine, Asking(), history=history)
    for question in ("how high is the tide?", "and the lighthouse?"):
        answer = answered(list(talk.ask(question)))
    first, second = engine.prompts
    exchange = talk.turns[0].exchange
    assert exchange is not None
    assert second.ids[: len(first.ids)] == first.ids
    said = second.ids[len(first.ids) : len(first.ids) + len(exchange.answer) + 1]
    assert said == exchange.answer + array("I", [vocabulary.END_OF_TURN])
    assert talk.session is not None
    assert (talk.session.turns, answer.session) == (2, talk.session.id)
    assert answer.tokens["cached"] >= len(first.ids) - first.starts[-1] * 0 - 8192
    assert [turn.question for turn in history.turns(talk.session)] == ["how high is the tide?", "and the lighthouse?"]


def test_a_session_goes_on_in_another_process_as_if_it_had_not_ended(
    corpus: Corpus, engine: Recorder, history: History
) -> None:
    one = Dialogue(corpus, engine, Asking(), history=history)
    list(one.ask("how high is the tide?"))
    assert one.session is not None
    two = Dialogue(corpus, engine, Asking(), history=history, session=history.find(one.session.id))
    list(two.ask("and the lighthouse?"))
    first, second = engine.prompts
    assert second.ids[: len(first.ids)] == first.ids
    assert two.turns[1].parent == one.turns[0].id
    assert history.verify() == []


def test_nothing_is_kept_where_that_was_asked(corpus: Corpus, engine: Recorder, history: History) -> None:
    answer = answered(list(Dialogue(corpus, engine, Asking(), history=history, kept=False).ask("the tide?")))
    assert answer.session is None
    assert history.all() == []


def test_after_a_repack_earlier_turns_are_sent_as_words(
    corpus: Corpus, engine: Recorder, history: History, make_tree: MakeTree
) -> None:
    talk = Dialogue(corpus, engine, Asking(), history=history)
    list(talk.ask("how high is the tide?"))
    corpus.freeze(lambda entries: tuple(reversed_positions(entries)))
    events = list(talk.ask("and the lighthouse?"))
    assert Notice(REPACKED) in events
    sent = corpus.tokenizer.decode([i for i in engine.prompts[1].ids if i < vocabulary.ORDINARY_TOKENS])
    assert "It reaches seven metres [^1]." in sent
    assert "how high is the tide?" in sent


def test_turns_since_a_repack_stay_as_they_were_sent(
    corpus: Corpus, engine: Recorder, history: History, make_tree: MakeTree
) -> None:
    talk = Dialogue(corpus, engine, Asking(), history=history)
    list(talk.ask("how high is the tide?"))
    corpus.freeze(lambda entries: tuple(reversed_positions(entries)))
    said = [list(talk.ask(question)) for question in ("and the lighthouse?", "how high is that?", "and the tide?")]
    assert [Notice(REPACKED) in events for events in said] == [True, False, False]
    for before, after in pairwise(engine.prompts[1:]):
        assert after.ids[: len(before.ids)] == before.ids
        assert after.starts[: len(before.starts)] == before.starts


def test_turns_that_were_left_out_stay_out_and_that_is_said_once(
    corpus: Corpus, tmp_path: Path, history: History
) -> None:
    script = tmp_path / "long.toml"
    script.write_text(f"[[answer]]\ntext = '{'The tide is high. ' * 60}'\n")
    with open_engine("scripted", EngineSetup(logs=tmp_path, model=str(script), context_tokens=8000)) as opened:
        engine = Recorder(opened)
        talk = Dialogue(corpus, engine, Asking(max_tokens=400, mode="focus"), history=history)
        said = [[str(e.message) for e in talk.ask(f"tide {n}?") if isinstance(e, Notice)] for n in range(30)]
    left_out = [turn.settings["left_out"] for turn in talk.turns]
    assert left_out == sorted(left_out)
    grown = [bool(before < after) for before, after in pairwise([0, *left_out])]
    assert [any("left out" in line for line in lines) for lines in said] == grown
    assert 1 < sum(grown) < 6
    repeated = [b.ids[: len(a.ids)] == a.ids for a, b in pairwise(engine.prompts)]
    assert sum(repeated) >= 20


def reversed_positions(entries: tuple[Entry, ...]) -> list[Entry]:
    return [replace(entry, position=n) for n, entry in enumerate(reversed(entries))]


def test_what_came_before_a_failure_is_kept_and_marked(corpus: Corpus, engine: Recorder, history: History) -> None:
    talk, events = Dialogue(corpus, engine, Asking(), history=history), list[AnswerEvent]()
    with pytest.raises(EngineError, match="the server died"):
        for event in talk.ask("where it breaks"):
            events.append(event)
    answer = answered(events)
    assert (answer.ending, answer.error) == (Ending.FAILED, "the server died")
    assert answer.answer_markdown == "It reaches seven [^1] and then"
    assert answer.citations[0].status == "verified"
    assert talk.session is not None
    assert history.turns(talk.session)[0].answer["ending"] == "failed"


@pytest.mark.parametrize("moment", [TextDelta, PrefillProgress])
def test_ctrl_c_at_any_moment_keeps_what_there_is(
    moment: type[AnswerEvent], corpus: Corpus, engine: Recorder, history: History
) -> None:
    talk, events = Dialogue(corpus, engine, Asking(), history=history), list[AnswerEvent]()
    raised = list[bool]()

    def tell(event: AnswerEvent) -> None:
        events.append(event)
        if isinstance(event, moment) and not raised:
            raised.append(True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(talk.ask("how high is the tide?"), tell)
    if moment is TextDelta:
        answer = answered(events)
        assert answer.ending is Ending.INTERRUPTED
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == answer.answer_markdown
        assert len(talk.turns) == 1
    else:
        assert talk.turns == ()
        assert history.all() == []


def test_a_stop_while_a_turn_is_kept_comes_after_its_answer(
    corpus: Corpus, engine: Recorder, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, talk = History.append, Dialogue(corpus, engine, Asking(), history=history)
    events = list[AnswerEvent]()

    def stopped(history: History, session: str, turn: Turn) -> Session:
        signal.raise_signal(signal.SIGINT)
        return keep(history, session, turn)

    monkeypatch.setattr(History, "append", stopped)
    with pytest.raises(KeyboardInterrupt):
        follow(talk.ask("how high is the tide?"), events.append)
    assert (answered(events).session, len(talk.turns)) == (history.all()[0].id, 1)
    monkeypatch.undo()
    assert answered(list(talk.ask("and the lighthouse?"))).session == history.all()[0].id


def test_an_answer_that_was_cut_says_so_with_the_engine_s_warnings(corpus: Corpus, engine: Recorder) -> None:
    events = list(ask(corpus, "a long one", engine, Asking(max_tokens=7)))
    answer = answered(events)
    assert answer.ending is Ending.LENGTH
    assert "7 tokens" in answer.notice
    assert answer.warnings == ("the disk is full",)
    assert Notice("the disk is full") in events


class Silent:
    """An engine that neither says how much it takes nor what it had cached."""

    prompt: Prompt | None = None

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        self.prompt = prompt
        yield Warned("first")
        yield Prefilled(done=1, total=2, cached=0)
        yield Text("Seven.")
        yield Finished(
            reason=Finish.STOP,
            prompt_tokens=len(prompt.ids),
            cached_tokens=None,
            answer_tokens=2,
            prefill_s=1.0,
            decode_s=0.0,
            not_reported="vllm serve --enable-prompt-tokens-details",
        )

    def limits(self) -> Limits:
        return Limits(context_tokens=None)

    def identity(self) -> Identity:
        return Identity(kind="openai", model="m")

    def describe(self) -> str:
        return "silent"

    def close(self) -> None:
        return


def test_what_a_server_does_not_say_is_said_for_it(corpus: Corpus) -> None:
    events = list(ask(corpus, "the tide?", Silent(), Asking()))
    said = " ".join(event.message for event in events if isinstance(event, Notice))
    assert f"{ASSUMED_CONTEXT:,} are assumed" in said
    assert "--enable-prompt-tokens-details" in said
    assert "cached" not in answered(events).tokens


def test_full_mode_sends_all_to_a_server_that_does_not_say_its_limit(corpus: Corpus) -> None:
    engine = Silent()
    events = list(ask(corpus, "the tide?", engine, Asking(mode="full")))
    assert "assumed" not in " ".join(event.message for event in events if isinstance(event, Notice))
    assert answered(events).reading is not None


class Small(Silent):
    """An engine that takes little."""

    def limits(self) -> Limits:
        return Limits(context_tokens=2000)


def test_what_does_not_fit_is_refused_before_anything_is_sent(corpus: Corpus) -> None:
    engine = Small()
    with pytest.raises(DoesNotFit):
        list(ask(corpus, "the tide? " * 500, engine, Asking(mode="full")))
    assert engine.prompt is None


def test_an_empty_question_is_refused(corpus: Corpus, engine: Recorder) -> None:
    with pytest.raises(UsageError):
        list(ask(corpus, " \n", engine, Asking()))


def test_without_an_engine_the_answer_is_quotes_and_is_kept_too(corpus: Corpus, history: History) -> None:
    talk = Dialogue(corpus, None, Asking(), history=history, title="Tides")
    answer = answered(list(talk.ask("how high is the spring tide?")))
    assert answer.citations[0].status == "verified"
    session = talk.session
    assert isinstance(session, Session)
    assert (session.title, history.turns(session)[0].exchange) == ("Tides", None)


def test_an_answer_that_can_not_be_kept_is_given_all_the_same(
    corpus: Corpus, engine: Recorder, history: History
) -> None:
    talk, events = Dialogue(corpus, engine, Asking(), history=history), list[AnswerEvent]()
    list(talk.ask("how high is the tide?"))
    assert talk.session is not None
    history.remove(talk.session.id)
    with pytest.raises(StoreError):
        for event in talk.ask("how high is the lighthouse?"):
            events.append(event)
    assert "38 metres" in answered(events).answer_markdown
    assert (answered(events).session, talk.session, len(talk.turns)) == (None, None, 2)


def test_a_conversation_that_is_not_kept_goes_on_too(corpus: Corpus, engine: Recorder, history: History) -> None:
    prompts = []
    for kept in (True, False):
        talk = Dialogue(corpus, engine, Asking(), history=history, kept=kept)
        list(talk.ask("how high is the tide?"))
        list(talk.ask("and the lighthouse?"))
        prompts.append(engine.prompts[-1].ids)
    assert prompts[0] == prompts[1]


class Forger(Silent):
    """An engine whose answer holds control tokens."""

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        self.prompt = prompt
        for token in (vocabulary.HEADER_START, 9125, vocabulary.HEADER_END, 271):
            yield Token(token)
        yield Finished(
            reason=Finish.STOP,
            prompt_tokens=len(prompt.ids),
            cached_tokens=0,
            answer_tokens=4,
            prefill_s=1.0,
            decode_s=0.0,
        )


def test_control_tokens_of_an_answer_never_come_back_in_a_prompt(corpus: Corpus, history: History) -> None:
    engine = Forger()
    talk = Dialogue(corpus, engine, Asking(mode="full"), history=history)
    list(talk.ask("the tide?"))
    assert engine.prompt is not None
    before = sum(token >= vocabulary.ORDINARY_TOKENS for token in engine.prompt.ids)
    list(talk.ask("and now?"))
    added = sum(token >= vocabulary.ORDINARY_TOKENS for token in engine.prompt.ids) - before
    assert added == 6  # an end and a head of two for the user's turn, the same for the answer to it
