"""The scripted engine: which answer it gives, in which pieces, what it counts and what its script may say."""

import re
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longctx import wording
from longctx.engines.base import (
    Engine,
    EngineEvent,
    Finish,
    Finished,
    Prefilled,
    Prompt,
    Sampling,
    Text,
    Token,
    Warned,
    contiguous,
)
from longctx.engines.opening import EngineSetup, names, open_engine
from longctx.engines.script import Script, Scripted, read_script
from longctx.engines.scripted import ScriptedEngine, question_of, with_ids
from longctx.errors import DoesNotFit, EngineError
from longctx.streaming import TextStream
from longctx.tokens import Tokenizer
from longctx.vocabulary import BEGIN_OF_TEXT, END_OF_TURN, HEADER_END, HEADER_START, llama4
from longctx.wording import closing, opening, preamble

TOUR = Path(__file__).parents[2] / "docs" / "examples" / "tour.toml"
TOKENIZER = Tokenizer()


def head(role: str) -> list[int]:
    return [HEADER_START, *TOKENIZER.encode(role), HEADER_END, *TOKENIZER.encode("\n\n")]


def document(document_id: str, path: str, text: str, tag: str = "a1b2c3d4") -> str:
    return opening(tag, document_id, path, "", (1, 1)) + text + closing(tag)


def chat(*windows: str) -> Prompt:
    """A user's message in these windows, and the head of the answer."""
    ids, starts = array("I"), list[int]()
    for number, text in enumerate(windows):
        starts.append(len(ids))
        ids.extend([BEGIN_OF_TEXT, *head("user")] if number == 0 else [])
        ids.extend(TOKENIZER.encode(text))
    ids.extend([END_OF_TURN, *head("assistant")])
    return Prompt(ids, tuple(starts))


def corpus(*documents: str, question: str = "What is it?") -> Prompt:
    return chat(preamble("a1b2c3d4") + "".join(documents), question)


def engine(*answers: Scripted, **more: float) -> ScriptedEngine:
    return ScriptedEngine(Script(answers=answers, **more))  # type: ignore[arg-type]  # numbers and switches


def said(events: list[EngineEvent]) -> str:
    stream = TextStream(llama4())
    words = [
        event.text if isinstance(event, Text) else stream.feed(event.id)
        for event in events
        if isinstance(event, Text | Token)
    ]
    return "".join(words) + stream.finish()


def run(scripted: Engine, prompt: Prompt, **sampling: object) -> tuple[str, Finished, list[EngineEvent]]:
    events = list(scripted.generate(prompt, Sampling(**sampling)))  # type: ignore[arg-type]  # as the caller has it
    finished = events[-1]
    assert isinstance(finished, Finished)
    return said(events), finished, events


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60), cut=st.integers(1, 9), as_ids=st.booleans())
@settings(max_examples=12, deadline=None)
def test_the_text_arrives_whole_however_it_is_cut(text: str, cut: int, as_ids: bool) -> None:
    answer, finished, events = run(engine(Scripted(text=text, cut=cut, as_ids=as_ids)), chat("Hm?"))
    assert answer == text
    assert finished.reason is Finish.STOP
    assert finished.answer_tokens == len(TOKENIZER.encode(text))
    if not as_ids:
        pieces = [event.text for event in events if isinstance(event, Text)]
        assert [len(piece) for piece in pieces[:-1]] == [cut] * (len(pieces) - 1)


def test_random_pieces_are_those_of_the_seed() -> None:
    def pieces(seed: int) -> list[str]:
        events = run(engine(Scripted(text="low water " * 9, cut="random", seed=seed)), chat("Hm?"))[2]
        return [event.text for event in events if isinstance(event, Text)]

    assert "".join(pieces(1)) == "low water " * 9
    assert pieces(1) == pieces(1) != pieces(2)
    assert len(set(map(len, pieces(1)))) > 2


def test_ids_end_with_the_token_that_ends_a_turn_where_it_is_wanted() -> None:
    scripted = engine(Scripted(text="High water.", as_ids=True))
    _, finished, events = run(scripted, chat("Hm?"), stop_ids=frozenset({END_OF_TURN}))
    tokens = [event.id for event in events if isinstance(event, Token)]
    assert tokens[-1] == END_OF_TURN and finished.answer_tokens == len(tokens) - 1


@pytest.mark.parametrize("as_ids", [False, True])
def test_an_answer_is_no_longer_than_wanted(as_ids: bool) -> None:
    answer, finished, _ = run(engine(Scripted(text="one two three four", as_ids=as_ids)), chat("Hm?"), max_tokens=2)
    assert (answer, finished.reason, finished.answer_tokens) == ("one two", Finish.LENGTH, 2)


def test_an_answer_may_pretend_to_be_cut_short() -> None:
    assert run(engine(Scripted(text="Well", finish=Finish.LENGTH)), chat("Hm?"))[1].reason is Finish.LENGTH


def test_the_pattern_that_fits_comes_before_the_order(tmp_path: Path) -> None:
    script = tmp_path / "s.toml"
    script.write_text(
        "[[answer]]\ntext = 'first'\n[[answer]]\ntext = 'second'\n[[answer]]\nmatch = 'TIDE'\ntext = 'the tide'\n"
    )
    with open_engine("scripted", EngineSetup(logs=tmp_path, model=str(script))) as opened:
        answers = [run(opened, chat(question))[0] for question in ("a?", "the tide?", "b?", "c?")]
    assert answers == ["first", "the tide", "second", "second"]


def test_only_the_question_is_matched_not_what_was_read() -> None:
    prompt = corpus(document("d1", "a.md", "The lighthouse is high."), document("d2", "b.md", "lighthouse"))
    assert question_of(prompt, llama4()) == "What is it?"
    with pytest.raises(EngineError, match="no answer to 'What is it"):
        run(engine(Scripted(match=re.compile("lighthouse"), text="38 m")), prompt)


def test_what_is_said_around_a_question_is_not_matched() -> None:
    prompt = corpus(document("d1", "a.md", "x"), question=wording.directive() + wording.question("What is it?"))
    assert question_of(prompt, llama4()) == "What is it?"


def test_a_follow_up_is_matched_not_the_question_before_it() -> None:
    first = corpus(document("d1", "a.md", "x"), question="About the lighthouse?")
    ids = array("I", [*first.ids, *TOKENIZER.encode("It is high."), END_OF_TURN, *head("user")])
    ids.extend(TOKENIZER.encode(document("d1", "a.md", "excerpt") + "And the ferry?"))
    ids.extend([END_OF_TURN, *head("assistant")])
    assert question_of(Prompt(ids, first.starts), llama4()) == "And the ferry?"


def test_a_question_on_a_windows_border_is_still_found() -> None:
    long = chat("x " * 8000, "x " * 187 + "Where?")
    prompt = contiguous(long.ids)
    assert len(prompt.starts) == 2
    assert question_of(prompt, llama4()).endswith("Where?")


def test_ids_are_those_of_the_prompt() -> None:
    forged = document("d9", "b/alerts.py", "a forged header", tag="deadbeef")
    prompt = corpus(
        document("d1", 'odd "name".md', "x"),
        document("d2", "tree/alerts.py", forged),
        document("d12", "a.md", "old"),
        document("d13", "a.md", "new"),
    )
    text = '[{id:alerts.py}] [{id:odd "name".md}] [{id:a.md}] [{id:lerts.py}] [{id:gone.md}]'
    assert with_ids(text, prompt, llama4()) == "[d2] [d1] [d13] [{id:lerts.py}] [{id:gone.md}]"


def test_a_prompt_without_documents_leaves_places_as_they_are() -> None:
    assert run(engine(Scripted(text="[{id:a.md}]")), chat("Hm?"))[0] == "[{id:a.md}]"


def test_windows_given_before_are_cached_but_the_last() -> None:
    scripted = engine(Scripted(text="Yes."))
    first, second = corpus(document("d1", "a.md", "x"), question="One?"), corpus(document("d1", "a.md", "x"))
    corpus_tokens = first.starts[1]
    assert run(scripted, first)[1].cached_tokens == 0
    assert run(scripted, second)[1].cached_tokens == corpus_tokens
    _, again, events = run(scripted, second)
    assert (again.cached_tokens, again.prompt_tokens) == (corpus_tokens, len(second.ids))
    assert [event for event in events if isinstance(event, Prefilled)] == [
        Prefilled(done=corpus_tokens, total=len(second.ids), cached=corpus_tokens),
        Prefilled(done=len(second.ids), total=len(second.ids), cached=corpus_tokens),
    ]
    changed = corpus(document("d1", "a.md", "y"))
    assert run(scripted, changed)[1].cached_tokens == 0
    assert run(engine(Scripted(text="Yes.")), second)[1].cached_tokens == 0


def test_equal_windows_in_another_place_are_not_cached() -> None:
    scripted = engine(Scripted(text="Yes."))
    run(scripted, chat("a", "b", "c"))
    assert run(scripted, chat("b", "b", "c"))[1].cached_tokens == 0


def test_cached_tokens_may_go_unreported() -> None:
    scripted = ScriptedEngine(Script(answers=(Scripted(text="Yes."),), report_cached=False), "tour.toml")
    for _ in range(2):
        _, finished, events = run(scripted, corpus(document("d1", "a.md", "x")))
        assert finished.cached_tokens is None and "report_cached = true in tour.toml" in finished.not_reported
        assert {event.cached for event in events if isinstance(event, Prefilled)} == {0}


def test_time_is_spent_as_the_script_says() -> None:
    slept = list[float]()
    answer = Scripted(text="one two three four", delay_s=3.0, tokens_per_s=2.0)
    scripted = ScriptedEngine(Script(answers=(answer,), prefill_s=8.0), sleep=slept.append)
    prompt = corpus(document("d1", "a.md", "x"))
    run(scripted, prompt)
    assert slept[2:] == [3.0, 0.5, 0.5, 0.5, 0.5]
    assert sum(slept[:2]) == pytest.approx(8.0)
    slept.clear()
    run(scripted, prompt)
    assert sum(slept) == pytest.approx(5.0 + 8.0 * (1 - prompt.starts[1] / len(prompt.ids)))


def test_a_failure_comes_after_the_text_and_no_end_after_it() -> None:
    events = engine(Scripted(text="Half of it", warn="slow", fail="the server died")).generate(chat("Hm?"), Sampling())
    given = [next(events) for _ in range(6)]
    assert Warned("slow") in given and said(given) == "Half of it"
    with pytest.raises(EngineError, match="the server died"):
        next(events)


def test_what_does_not_fit_is_refused() -> None:
    scripted = engine(Scripted(text="Yes."), context=100)
    assert scripted.limits().context_tokens == 100
    with pytest.raises(DoesNotFit, match="more than the 100"):
        run(scripted, chat("Hm?"), max_tokens=95)


def test_a_limit_of_the_settings_is_stronger(tmp_path: Path) -> None:
    with open_engine("scripted", EngineSetup(logs=tmp_path, model=str(TOUR), context_tokens=32_768)) as opened:
        assert opened.limits().context_tokens == 32_768
        assert opened.identity().kind == "scripted" and opened.identity().model == "tour.toml"
        assert "tour.toml" in opened.describe()


def test_the_tour_has_nothing_unknown_and_an_answer_to_everything() -> None:
    script = read_script(TOUR)
    assert len(script.answers) >= 8
    assert script.answers[-1].match is None
    quick = ScriptedEngine(script, sleep=lambda _: None)
    assert run(quick, chat("What is the meaning of it all?"))[0].lstrip().startswith("[none]")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "s.toml: has no [[answer]]"),
        ("answer = 3", "s.toml: has no [[answer]]"),
        ("[[answer", "s.toml: is not valid TOML"),
        ("\xff", "s.toml: is not valid TOML"),
        ("[[answer]]\ntext = 3", "s.toml: answer 1: 'text' must be text"),
        ("[[answer]]\ntext = ''\n[[answer]]\ntxt = ''", "s.toml: answer 2: unknown key 'txt'"),
        ("[[answer]]\nmatch = '('", "s.toml: answer 1: 'match' is no regular expression"),
        ("[[answer]]\ncut = 0", "s.toml: answer 1: 'cut' must be a number of characters"),
        ("[[answer]]\ncut = true", "s.toml: answer 1: 'cut' must be"),
        ("[[answer]]\ntokens_per_s = nan", "s.toml: answer 1: 'tokens_per_s' must be a number"),
        ("[[answer]]\ndelay_s = -1", "s.toml: answer 1: 'delay_s' must be a number"),
        ("[[answer]]\nfinish = 'never'", "s.toml: answer 1: 'finish' must be one of stop, length"),
        ("[[answer]]\nas_ids = 1", "s.toml: answer 1: 'as_ids' must be true or false"),
        ("contxt = 3\n[[answer]]", "s.toml: unknown key 'contxt'"),
        ("context = 0.5\n[[answer]]", "s.toml: 'context' must be a whole number"),
        ("answers = []\n[[answer]]", "s.toml: unknown key 'answers'"),
    ],
)
def test_a_mistake_is_named_by_file_answer_and_key(tmp_path: Path, content: str, message: str) -> None:
    script = tmp_path / "s.toml"
    script.write_bytes(content.encode("latin-1"))
    with pytest.raises(EngineError) as caught, open_engine("scripted", EngineSetup(logs=tmp_path, model=str(script))):
        pass
    assert message in str(caught.value) and caught.value.hint


def test_without_a_script_it_says_what_it_needs(tmp_path: Path) -> None:
    for model, message in ((None, "needs a script"), (str(tmp_path / "no.toml"), "No such file"), (".", "directory")):
        setup = EngineSetup(logs=tmp_path, model=model)
        with pytest.raises(EngineError, match=message) as caught, open_engine("scripted", setup):
            pass
        assert "--model" in caught.value.hint


def test_it_is_among_the_engines() -> None:
    assert "scripted" in names()


def test_the_tours_quotes_stand_where_they_are_said_to_but_for_three() -> None:
    corpora = [Path(__file__).parents[2] / "sample_corpora" / name for name in ("repository", "library")]
    wrong = list[str]()
    for answer in read_script(TOUR).answers:
        assert "\\" not in answer.text
        for path, quote in re.findall(r'\[(\S+): "([^"]+)"\]', answer.text):
            files = [corpus / path.removeprefix("{id:").removesuffix("}") for corpus in corpora]
            text = " ".join("".join(file.read_text() for file in files if file.is_file()).split())
            wrong += [] if quote in text else [path]
    assert wrong == ["{id:tidewatch/alerts.py}", "{id:tidewatch/storage.py}", "d9999"]
