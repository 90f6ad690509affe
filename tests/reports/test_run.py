"""A run answers each item once, keeps each as soon as it has it, and lets none cost another."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longctx.analysis import Asking
from longctx.corpus import Corpus
from longctx.engines.base import Engine, EngineEvent, Identity, Limits, Prompt, Sampling
from longctx.engines.script import read_script
from longctx.engines.scripted import ScriptedEngine, question_of
from longctx.errors import EngineError, StoreError
from longctx.journal import Journal
from longctx.reports import items, records
from longctx.reports.manifest import LoadedManifest, Manifest, Question, SummaryPart
from longctx.reports.open_engine import OpenEngine
from longctx.reports.report import Item, State
from longctx.reports.run import FailedFast, Run
from longctx.reports.run_events import (
    AGAIN,
    FALLEN,
    FORCED,
    NEW,
    WAITS,
    Agenda,
    GaveUp,
    RunEvent,
    Settled,
    Wish,
)
from longctx.vocabulary import llama4

Make = Callable[[dict[str, str | bytes]], Path]
Open = Callable[..., Corpus]
FILES: dict[str, str | bytes] = {
    "tides.md": "# Tides\n\nThe spring tide at the north mole reaches seven metres.\n",
    "light.md": "# Light\n\nThe lighthouse on Gannet Rock stands 38 metres high.\n",
}
SCRIPT = """
[[answer]]
match = "breaks"
text = 'It reaches seven'
fail = "the server died"

[[answer]]
match = "nothing"
text = '[none] The documents do not say.'

[[answer]]
match = "invents"
text = 'It is 40 metres [{id:light.md}: "stands forty metres high and glows"].'

[[answer]]
match = "tide|Summary of tides"
text = 'It reaches seven metres [{id:tides.md}: "The spring tide at the north mole reaches seven metres."].'

[[answer]]
text = 'It is 38 metres high [{id:light.md}: "The lighthouse on Gannet Rock stands 38 metres high."].'
"""


class Recorder:
    """The scripted engine, with the questions it was asked and how many of them at once."""

    def __init__(self, engine: Engine, asked: list[str], concurrent: int, together: threading.Barrier | None) -> None:
        self._engine, self.asked, self._concurrent, self._together = engine, asked, concurrent, together
        self._vocabulary = llama4()

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        question = question_of(prompt, self._vocabulary)
        self.asked.append(question)
        if self._together is not None and "together" in question:
            self._together.wait(20)
        yield from self._engine.generate(prompt, sampling)

    def limits(self) -> Limits:
        return Limits(context_tokens=self._engine.limits().context_tokens, concurrent=self._concurrent)

    def identity(self) -> Identity:
        return self._engine.identity()

    def describe(self) -> str:
        return self._engine.describe()

    def close(self) -> None:
        """Nothing is held."""


class Bench:
    """A corpus, a script and a journal, over which runs go one after another."""

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self.corpus, self.folder = corpus, folder
        self.asked: list[str] = []
        self.opened = 0
        self.together: threading.Barrier | None = None
        self._scripted: ScriptedEngine | None = None
        self.script(SCRIPT)

    def script(self, text: str, name: str = "script.toml") -> None:
        self.place, self._scripted = self.folder / name, None
        self.place.write_text(text)

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        self.opened += 1
        if self._scripted is None:
            self._scripted = ScriptedEngine(read_script(self.place), self.place.name)
        yield Recorder(self._scripted, self.asked, 4, self.together)

    def run(self, manifest: Manifest, **wish: Any) -> tuple[list[RunEvent], tuple[Item, ...]]:
        """The events of a run and its items; `events` is filled also where it raises."""
        return self._run(manifest, self.engine, **wish)

    def quoted(self, manifest: Manifest, **wish: Any) -> tuple[list[RunEvent], tuple[Item, ...]]:
        """As `run`, with the engine that quotes."""

        @contextmanager
        def none() -> Iterator[None]:
            yield None

        return self._run(manifest, none, **wish)

    def _run(self, manifest: Manifest, opened: Any, **wish: Any) -> tuple[list[RunEvent], tuple[Item, ...]]:
        loaded = LoadedManifest(manifest=manifest, path="r.toml", folder="/", name="r", sha256="")
        works = items.on_paper(loaded, self.corpus)
        self.events: list[RunEvent] = []
        with Journal(self.folder / "run.jsonl") as journal, OpenEngine(opened) as engine:
            past = records.read(journal, "run.jsonl")
            run = Run(self.corpus, engine, Asking(), works, journal, past, Wish(**wish))
            for event in run.events():
                self.events.append(event)
            return self.events, run.items

    def rows(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in (self.folder / "run.jsonl").read_bytes().splitlines()]


@pytest.fixture
def bench(make_tree: Make, open_corpus: Open, tmp_path: Path) -> Bench:
    return Bench(open_corpus(make_tree(FILES)), tmp_path)


def ask(*texts: str, **more: Any) -> Manifest:
    """A manifest of questions a, b, c …"""
    names = "abcdefghijklmnopqrstuvwxyz"
    return Manifest(question=tuple(Question(id=names[i], text=text) for i, text in enumerate(texts)), **more)


def planned(events: list[RunEvent]) -> Agenda:
    return next(event for event in events if isinstance(event, Agenda))


def states(rows: tuple[Item, ...]) -> dict[str, str]:
    return {item.id: str(item.state) for item in rows}


def test_items_are_answered_kept_and_not_asked_again(bench: Bench) -> None:
    manifest = ask("How high is the tide?", "How high is the light?", summary=SummaryPart(per_document=True))
    events, first = bench.run(manifest)
    assert planned(events).asked == {NEW: 5}
    assert states(first) == dict.fromkeys(["summary", "a", "b", "summary/light.md", "summary/tides.md"], "done")
    assert [len(item.evidence) for item in first] == [1] * 5
    assert {item.calls for item in first} == {1}
    assert first[1].answer is not None
    assert first[1].answer["answer_markdown"] == "It reaches seven metres [^1]."
    assert len(bench.asked) == 5
    again, second = bench.run(manifest)
    assert (planned(again).done, planned(again).asked) == (5, {})
    assert second == first, "what is taken from the journal is what was put there"
    assert len(bench.asked) == 5


def test_only_what_changed_is_asked(bench: Bench, tmp_path: Path) -> None:
    bench.run(ask("How high is the tide?", "How high is the light?"))
    events, rows = bench.run(ask("How high is the tide?", "How tall is the light?", "What of the mole?"))
    assert planned(events).asked == {"it is asked differently": 1, NEW: 1}
    assert len(bench.asked) == 4
    assert set(states(rows).values()) == {"done"}


def test_a_changed_corpus_and_another_model_ask_anew(bench: Bench, open_corpus: Open, tmp_path: Path) -> None:
    manifest = ask("How high is the tide?", "How high is the light?")
    bench.run(manifest)
    (tmp_path / "tree" / "light.md").write_text("The lighthouse on Gannet Rock stands 38 metres high.\n")
    bench.corpus = open_corpus(tmp_path / "tree")
    events, rows = bench.run(manifest)
    assert planned(events).asked == {"the corpus has changed": 2}
    assert len(bench.asked) == 4
    assert [each.status for each in rows[1].evidence] == ["verified"]
    bench.script(SCRIPT, "other.toml")
    events, _ = bench.run(manifest)
    assert planned(events).asked == {"another model answers": 2}


def test_what_failed_costs_no_other_and_is_tried_again(bench: Bench) -> None:
    manifest = ask("What breaks?", "How high is the tide?")
    _, rows = bench.run(manifest)
    assert states(rows) == {"a": "failed", "b": "done"}
    assert rows[0].error == "the server died"
    assert rows[0].answer is not None, "what there was of it is kept"
    assert rows[0].answer["ending"] == "failed"
    events, _ = bench.run(manifest)
    assert planned(events).asked == {"failed before": 1}
    assert [question for question in bench.asked if "tide" in question] == ["How high is the tide?"]


def test_an_engine_that_failed_is_opened_again(bench: Bench) -> None:
    bench.run(ask("What breaks?", "How high is the tide?", "What breaks then?", "How high is the light?"))
    assert bench.opened == 3


@pytest.mark.parametrize("jobs", [1, 3])
def test_what_an_engine_refuses_costs_no_other_item(bench: Bench, jobs: int) -> None:
    texts = ["How high is the tide?", *(f"What breaks {n}?" for n in range(6)), "How high is the light?"]
    events, rows = bench.run(ask(*texts), jobs=jobs)
    assert [str(item.state) for item in rows] == ["done", *["failed"] * 6, "done"]
    assert not [event for event in events if isinstance(event, GaveUp)]
    bench.asked.clear()
    bench.run(ask(*texts, "What of the mole?"))
    assert bench.asked[0] == "What of the mole?", "what failed before is asked last"
    assert len(bench.asked) == 7


def opened_so_often(bench: Bench, times: int) -> Any:
    @contextmanager
    def opened() -> Iterator[Engine]:
        if bench.opened >= times:
            raise EngineError("nothing answers there any more")
        with bench.engine() as engine:
            yield engine

    return opened


def test_an_engine_that_cannot_be_opened_again_ends_it(bench: Bench) -> None:
    texts = ["How high is the tide?", "What breaks?", *(f"How high is the light {n}?" for n in range(6))]
    events, rows = bench._run(ask(*texts), opened_so_often(bench, 1))
    assert [item.error for item in rows[1:3]] == ["the server died", "nothing answers there any more"]
    [gave_up] = [event for event in events if isinstance(event, GaveUp)]
    assert gave_up.items == 3
    assert {item.error for item in rows[5:]} == {
        "not asked: the engine can't be opened again: nothing answers there any more"
    }
    assert len(bench.asked) == 2
    events, rows = bench.run(ask(*texts))
    assert set(states(rows[2:]).values()) == {"done"}
    assert bench.asked[2:5] == texts[5:], "those that were not asked come first"


def test_an_engine_that_comes_back_as_another_is_not_asked(bench: Bench) -> None:
    @contextmanager
    def changing() -> Iterator[Engine]:
        if bench.opened:
            bench.script(SCRIPT.replace("38 metres high [", "39 metres high ["))
        with bench.engine() as engine:
            yield engine

    _, rows = bench._run(ask("What breaks?", "How high is the light?"), changing)
    assert rows[1].error == "the engine, scripted script.toml, came back with other weights"
    assert len(bench.asked) == 1


def test_the_first_failure_may_end_it(bench: Bench) -> None:
    with pytest.raises(FailedFast):
        bench.run(ask("How high is the tide?", "What breaks?", "How high is the light?"), fail_fast=True)
    assert len(bench.asked) == 2
    settled = [event.item.id for event in bench.events if isinstance(event, Settled)]
    assert settled == ["a", "b"]


def test_what_needs_an_answer_waits_for_it_and_has_it(bench: Bench) -> None:
    questions = (
        Question(id="sum", text="Given: {{answers.tide}} What follows?"),
        Question(id="tide", text="How high is the tide?"),
    )
    _, rows = bench.run(Manifest(question=questions), jobs=4)
    assert bench.asked[0] == "How high is the tide?"
    assert given(bench, 1) == "It reaches seven metres."
    assert (rows[0].text, rows[0].refers) == ("Given: [answer to tide] What follows?", ("tide",))
    assert rows[0].answer is not None
    assert rows[0].answer["question"] == rows[0].text
    bench.run(Manifest(question=questions), jobs=4)
    assert len(bench.asked) == 2
    bench.script(SCRIPT.replace("It reaches seven metres [", "Seven metres it reaches ["), "other.toml")
    bench.run(Manifest(question=questions))
    assert bench.asked[2] == "How high is the tide?"
    assert given(bench, 3) == "Seven metres it reaches."


def given(bench: Bench, place: int) -> str:
    """What stands of an earlier answer in the question that was asked there, which wraps it."""
    tag = bench.corpus.record.tag
    pattern = rf'Given: \n<answer-{tag} to="tide">\n\([^\n]*data[^\n]*\)\n> ([^\n]*)\n</answer-{tag}>\n What follows\?'
    found = re.fullmatch(pattern, bench.asked[place])
    assert found, bench.asked[place]
    return found[1]


def test_what_needs_an_answer_that_failed_fails_with_it(bench: Bench) -> None:
    questions = (
        Question(id="a", text="What breaks?"),
        Question(id="b", text="And then?", depends_on=("a",)),
        Question(id="c", text="And {{answers.b}}?"),
        Question(id="d", text="How high is the tide?"),
    )
    _, rows = bench.run(Manifest(question=questions))
    assert [item.error for item in rows[1:3]] == [
        "it needs the answer to a, which failed",
        "it needs the answer to b, which failed",
    ]
    assert rows[3].state is State.DONE
    assert len(bench.asked) == 2


def test_only_some_items_with_what_they_need(bench: Bench) -> None:
    questions = (
        Question(id="a", text="How high is the tide?"),
        Question(id="b", text="Given {{answers.a}}?"),
        Question(id="c", text="How high is the light?"),
    )
    manifest = Manifest(question=questions)
    events, rows = bench.run(manifest, only=frozenset({"b"}))
    assert states(rows) == {"a": "done", "b": "done", "c": "pending"}
    assert planned(events).waiting == 1
    events, rows = bench.run(manifest, only=frozenset({"c"}))
    assert states(rows) == {"a": "done", "b": "done", "c": "done"}
    assert len(bench.asked) == 3
    _, rows = bench.run(manifest, only=frozenset({"a"}), force=True)
    assert bench.asked[3:] == ["How high is the tide?"], "its answer is the same, so what refers to it stands"
    assert set(states(rows).values()) == {"done"}
    bench.run(manifest, force=True)
    assert len(bench.asked) == 7


def test_an_answer_that_is_not_as_it_has_to_be_is_kept_as_failed(bench: Bench) -> None:
    texts = {"invents": "Who invents it?", "none": "Is there nothing?", "tide": "How high is the tide?"}
    questions = [Question(id=name, text=text, require_verified=True) for name, text in texts.items()]
    _, rows = bench.run(Manifest(question=tuple(questions)))
    assert [item.error for item in rows] == [
        "of 1 citations 1 not verified, and all have to be",
        "no citations, and verified ones have to be there",
        "",
    ]
    assert rows[0].answer is not None
    assert rows[0].evidence[0].status == "unverified"
    assert rows[2].state is State.DONE


def test_quotations_are_no_structured_answer_but_are_shown(bench: Bench) -> None:
    manifest = ask("How high is the lighthouse?")
    loaded = LoadedManifest(
        manifest=manifest, path="", folder="/", name="", sha256="", schemas={"a": {"type": "string"}}
    )
    works = items.on_paper(loaded, bench.corpus)

    @contextmanager
    def none() -> Iterator[None]:
        yield None

    with Journal(bench.folder / "run.jsonl") as journal, OpenEngine(none) as engine:
        past = records.read(journal, "")
        run = Run(bench.corpus, engine, Asking(), works, journal, past, Wish())
        list(run.events())
    item = run.items[0]
    assert (item.state, item.error) == (
        State.FAILED,
        "no valid structured answer: a structured answer needs a model",
    )
    assert [each.status for each in item.evidence] == ["verified"]
    assert item.calls == 0
    with Journal(bench.folder / "run.jsonl") as journal, OpenEngine(none) as engine:
        run = Run(bench.corpus, engine, Asking(), works, journal, records.read(journal, ""), Wish())
        [agenda] = run.events()
        assert isinstance(agenda, Agenda)
        assert (agenda.asked, agenda.without_model) == ({}, 1), "quotations can't become any better"
    assert run.items == (item,)


def test_independent_items_are_asked_together_after_the_first(bench: Bench) -> None:
    """The barrier lets nobody on before three are there at once."""
    bench.together = threading.Barrier(3)
    texts = ["How high is the tide?", *(f"How high is the light, together {n}?" for n in range(3))]
    events, rows = bench.run(ask(*texts), jobs=3)
    assert set(states(rows).values()) == {"done"}
    assert bench.asked[0] == texts[0]
    assert sorted(bench.asked) == sorted(texts)
    settled = [event.item.id for event in events if isinstance(event, Settled)]
    assert settled[0] == "a"
    assert [row["id"] for row in bench.rows()] == settled
    timing = rows[3].answer["timing"] if rows[3].answer else {}
    assert 0 < timing["ttft_s"] <= timing["total_s"] < 20


def test_together_gives_what_one_at_a_time_gives(bench: Bench, tmp_path: Path) -> None:
    manifest = ask(
        "How high is the tide?", "Who invents it?", "What breaks?", "Is there nothing?", summary=SummaryPart()
    )

    def plain(rows: tuple[Item, ...]) -> list[Any]:
        found = [msgspec.to_builtins(item) for item in rows]
        for row in found:
            row.pop("wall_s"), row["answer"].pop("timing"), row["answer"]["tokens"].pop("cached", 0)
        return found

    _, one = bench.run(manifest)
    (tmp_path / "run.jsonl").unlink()
    _, four = bench.run(manifest, jobs=4)
    assert plain(one) == plain(four)


def test_what_an_engine_in_a_thread_raises_reaches_whoever_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Recorder, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        raise ZeroDivisionError

    monkeypatch.setattr(Recorder, "generate", broken)
    with pytest.raises(ZeroDivisionError):
        bench.run(ask("How high is the tide?"), jobs=2)


def test_a_stop_ends_what_is_under_way(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is told to go on no longer closes the run: the engine is not asked for more than it was saying."""
    said: list[int] = []
    ended = threading.Event()
    script = ScriptedEngine.generate

    def slow(self: ScriptedEngine, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        try:
            for n, event in enumerate(script(self, prompt, sampling)):
                said.append(n)
                yield event
                time.sleep(0.02)
        finally:
            ended.set()

    loaded = LoadedManifest(manifest=ask("What is the tide?", "B?"), path="", folder="/", name="", sha256="")
    works = items.on_paper(loaded, bench.corpus)
    monkeypatch.setattr(ScriptedEngine, "generate", slow)
    with Journal(bench.folder / "run.jsonl") as journal, OpenEngine(bench.engine) as engine:
        run = Run(bench.corpus, engine, Asking(), works, journal, records.read(journal, ""), Wish(jobs=2))
        events = run.events()
        while not said:
            next(events)
        events.close()  # type: ignore[attr-defined]
        assert ended.wait(20)
    assert {item.state for item in run.items} == {State.PENDING}
    assert bench.rows() == []


def test_steps_of_a_summary_are_kept_in_the_journal(bench: Bench, make_tree: Make, open_corpus: Open) -> None:
    """A corpus that does not fit is summarised in calls, none of which is made twice."""
    words = "The {0} mole of harbour {0} is {0} metres long and stands on rock number {0}. "
    files: dict[str, str | bytes] = {
        f"m{n}.md": "".join(words.format(n * 100 + k) for k in range(60)) for n in range(12)
    }
    bench.corpus = open_corpus(make_tree(files))
    bench.script(
        "context = 9000\n[[answer]]\ntext = 'The mole stands on rock [{id:m3.md}: \"The 300 mole of harbour 300\"].'"
    )
    manifest = Manifest(summary=SummaryPart())
    _, rows = bench.run(manifest)
    assert rows[0].state is State.DONE, rows[0].error
    calls = len(bench.asked)
    assert rows[0].calls == calls > 2
    content = (bench.folder / "run.jsonl").read_bytes().splitlines(keepends=True)
    steps = [line for line in content if b'"event":"step"' in line]
    assert len(steps) == calls - 1
    (bench.folder / "run.jsonl").write_bytes(b"".join(steps[:2]))  # as if it had been stopped after two
    _, again = bench.run(manifest)
    assert len(bench.asked) == calls + calls - 2
    assert again[0].answer is not None
    assert rows[0].answer is not None
    assert again[0].answer["answer_markdown"] == rows[0].answer["answer_markdown"]


ROW: dict[str, Any] = {"event": "run", "schema": "longctx.run/1", "program": "p", "at": 1.0, "engine": {}, "items": 1}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"event": "dance"}, "not a record that this version knows"),
        ({}, "not a record that this version knows"),
        ({**ROW, "schema": "longctx.run/2"}, "not a record that this version knows: longctx.run/2"),
        ({"event": "item", "id": 3}, "not a record that this version knows"),
    ],
)
def test_what_the_journal_may_not_say_is_told_in_one_line(bench: Bench, row: dict[str, Any], why: str) -> None:
    with Journal(bench.folder / "run.jsonl") as journal:
        journal.append(ROW)
        journal.append(row)
    with pytest.raises(StoreError, match=f"run.jsonl:2: {re.escape(why)}") as raised:
        bench.run(ask("How high is the tide?"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("field", ["answer_markdown", "citations", "key", "parts", "evidence"])
def test_a_result_that_was_tampered_with_is_told(bench: Bench, field: str) -> None:
    manifest = ask("How high is the tide?")
    bench.run(manifest)
    row = bench.rows()[-1]
    target = row if field in row else row["answer"]
    target[field] = 7
    (bench.folder / "run.jsonl").write_bytes(msgspec.json.encode(row) + b"\n")
    with pytest.raises(StoreError, match=r"run\.jsonl:1: not a record"):
        bench.run(manifest)


def test_a_forged_key_is_told(bench: Bench) -> None:
    bench.run(ask("How high is the tide?"))
    row = bench.rows()[-1]
    row["parts"]["corpus"] = "other"
    (bench.folder / "run.jsonl").write_bytes(msgspec.json.encode(row) + b"\n")
    with pytest.raises(StoreError, match="its key is not that of its parts"):
        bench.run(ask("How high is the tide?"))


def test_half_characters_in_names_break_nothing(tmp_path: Path, open_corpus: Open) -> None:
    tree = tmp_path / "odd"
    tree.mkdir()
    (tree / os.fsdecode(b"caf\xe9.md")).write_text("The lighthouse on Gannet Rock stands 38 metres high.\n")
    bench = Bench(open_corpus(tree), tmp_path)
    _, rows = bench.quoted(ask("How high is the lighthouse?", summary=SummaryPart(per_document=True)))
    assert [str(item.state) for item in rows] == ["done"] * 3
    assert rows[2].evidence[0].path == "caf\\udce9.md"
    for item in rows:
        assert msgspec.json.decode(msgspec.json.encode(item), type=Item) == item


def test_questions_with_the_same_words_keep_to_their_own_answers(bench: Bench) -> None:
    """Also where two change places: what belongs to an item has its id in it."""
    bench.script(
        """
[[answer]]
text = 'One [{id:tides.md}: "The spring tide at the north mole reaches seven metres."].'
[[answer]]
text = 'Two [{id:light.md}: "The lighthouse on Gannet Rock stands 38 metres high."].'
"""
    )
    _, first = bench.run(ask("Why?", "Why?", "How?"))
    said = [item.answer["answer_markdown"] for item in first if item.answer]
    assert said[0] != said[1]
    assert bench.run(ask("Why?", "Why?", "How?"))[1] == first
    _, swapped = bench.run(ask("Why?", "How?", "Why?"))
    for item in swapped:
        assert item.answer is not None
        assert item.answer["question_id"] == item.id
        assert {each.item for each in item.evidence} == {item.id}


@contextmanager
def started(bench: Bench, manifest: Manifest, **wish: Any) -> Iterator[tuple[Run, Iterator[RunEvent]]]:
    """A run that is followed step by step."""
    loaded = LoadedManifest(manifest=manifest, path="r.toml", folder="/", name="r", sha256="")
    works = items.on_paper(loaded, bench.corpus)
    with Journal(bench.folder / "run.jsonl") as journal, OpenEngine(bench.engine) as engine:
        run = Run(bench.corpus, engine, Asking(), works, journal, records.read(journal, ""), Wish(**wish))
        yield run, run.events()


def test_all_that_is_known_is_there_before_anything_is_asked(bench: Bench) -> None:
    bench.run(ask("How high is the tide?", "How high is the light?"))
    manifest = ask("How high is the tide?", "How high is the light?", "What of the mole?")
    with started(bench, manifest) as (run, events):
        assert isinstance(next(events), Agenda)
        assert states(run.items) == {"a": "done", "b": "done", "c": "pending"}


def test_a_stop_shows_what_is_asked_anew_as_it_was(bench: Bench) -> None:
    questions = (Question(id="a", text="How high is the tide?"), Question(id="b", text="Given {{answers.a}}?"))
    _, before = bench.run(Manifest(question=questions))
    with started(bench, Manifest(question=questions), force=True) as (run, events):
        agenda = next(events)
        assert isinstance(agenda, Agenda)
        assert agenda.asked == {FORCED: 1, WAITS: 1}
        assert {item.state for item in run.items} == {State.PENDING}
        run.conclude()
        assert run.items == before


FAILING = SCRIPT.replace('match = "tide|', "fail = 'the server died'\nmatch = \"tide|")


def test_a_failure_takes_no_answer_away(bench: Bench) -> None:
    """What was answered and paid for stays where it is asked again in vain, in this run and later, and says so."""
    questions = (Question(id="a", text="How high is the tide?"), Question(id="b", text="Given {{answers.a}}?"))
    manifest = Manifest(question=questions)
    _, before = bench.run(manifest)
    remark = "asked again, and failed: the server died; this is the answer from before"
    for _ in range(2):
        bench.script(FAILING)
        events, rows = bench.run(manifest, force=True)
        assert {event.item.id: str(event.item.state) for event in events if isinstance(event, Settled)} == {
            "a": "failed",
            "b": "done",
        }
        assert rows[0].answer is not None
        assert rows[0].answer["warnings"] == [remark], "the last failure is told, not each"
        assert before[0].answer is not None
        assert msgspec.structs.replace(rows[0], answer={**rows[0].answer, "warnings": []}) == before[0]
        events, again = bench.run(manifest)
        assert (planned(events).asked, again) == ({}, rows)
    bench.script(SCRIPT)
    _, rows = bench.run(manifest, force=True)
    assert rows[0].answer is not None
    assert rows[0].answer["warnings"] == [], "an answer takes the remark away"


def test_a_run_knows_what_failed_in_it(bench: Bench) -> None:
    bench.run(ask("How high is the tide?", "How high is the light?"))
    bench.script(FAILING)
    with started(bench, ask("How high is the tide?", "How high is the light?"), force=True) as (run, events):
        list(events)
        assert states(run.items) == {"a": "done", "b": "done"}
        assert [(item.id, item.error) for item in run.in_vain] == [("a", "the server died")]
        assert states(run.outcomes) == {"a": "failed", "b": "done"}


def test_an_engine_that_is_down_takes_no_answer_away(bench: Bench) -> None:
    texts = [f"How high is the light {n}?" for n in range(6)]
    _, before = bench.run(ask(*texts))
    bench.script(SCRIPT.replace("[[answer]]\ntext = 'It is 38", "[[answer]]\nfail = 'died'\ntext = 'It is 38"))
    events, rows = bench._run(ask(*texts), opened_so_often(bench, 2), force=True)
    assert [event.items for event in events if isinstance(event, GaveUp)] == [2]
    assert set(states(rows).values()) == {"done"}
    assert rows[4:] == before[4:]


def test_the_last_answer_that_is_as_it_has_to_be_counts(bench: Bench) -> None:
    strict = Manifest(question=(Question(id="a", text="How high is the tide?", require_verified=True),))
    _, first = bench.run(strict)
    rows = bench.rows()
    rows.append({**rows[0], "answer": {**rows[0]["answer"], "citations": []}, "evidence": []})
    (bench.folder / "run.jsonl").write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    events, found = bench.run(strict)
    assert planned(events).asked == {}
    assert found[0].evidence == first[0].evidence
    assert bench.run(ask("How high is the tide?"))[1][0].evidence == (), "the last one where any will do"


def test_what_only_waits_for_another_keeps_its_answer_when_that_fails(bench: Bench) -> None:
    questions = (Question(id="a", text="How high is the tide?"), Question(id="b", text="What then?", depends_on=("a",)))
    _, before = bench.run(Manifest(question=questions))
    _, rows = bench.run(Manifest(question=(Question(id="a", text="What breaks?"), questions[1])))
    assert rows[0].state is State.FAILED
    assert rows[1] == before[1]


def test_verified_citations_may_be_asked_for_afterwards(bench: Bench) -> None:
    strict = Manifest(question=(Question(id="a", text="Who invents it?", require_verified=True),))
    _, rows = bench.run(ask("Who invents it?"))
    assert rows[0].state is State.DONE
    events, strictly = bench.run(strict)
    assert planned(events).asked == {AGAIN: 1}
    assert strictly[0].error == "of 1 citations 1 not verified, and all have to be"
    events, rows = bench.run(ask("Who invents it?"))
    assert (planned(events).asked, rows[0].state) == ({}, State.DONE)


def test_why_is_told_by_the_likest_earlier_answer(bench: Bench, open_corpus: Open, tmp_path: Path) -> None:
    manifest = ask("How high is the light?")
    bench.run(manifest)
    first, bench.corpus = bench.corpus, open_corpus(tmp_path / "tree", tmp_path / "script.toml")
    bench.script(SCRIPT, "other.toml")
    bench.run(manifest)
    bench.corpus = first
    bench.script(SCRIPT, "third.toml")
    assert planned(bench.run(manifest)[0]).asked == {"another model answers": 1}


@pytest.mark.parametrize(
    "forged",
    [
        {"quote": "The lighthouse on Gannet Rock stands 83 metres high."},
        {"chars": [0, 52]},
        {"chars": None},
        {"chars": [-53, -1]},
        {"path": "tides.md"},
        {"place": "light.md:77"},
        {"sha256": "0" * 64},
        {"sha256": ["x"]},
        {"page": "x"},
        {"status": "relocated", "quote": "other"},
    ],
)
def test_a_kept_answer_whose_quotes_do_not_stand_is_asked_anew(bench: Bench, forged: dict[str, Any]) -> None:
    manifest = ask("How high is the light?", "How high is the tide?")
    _, before = bench.run(manifest)
    rows = bench.rows()
    rows[0]["answer"]["citations"][0].update(forged)
    rows[1]["evidence"][0].update(before="forged", after="forged", quote="forged", status="near")
    (bench.folder / "run.jsonl").write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    events, after = bench.run(manifest)
    assert planned(events).asked == {FALLEN: 1}
    assert [item.evidence for item in after] == [item.evidence for item in before]
    assert len(bench.asked) == 3
    assert planned(bench.run(manifest)[0]).asked == {}


def test_quotes_of_all_kinds_stand_when_they_are_taken(bench: Bench) -> None:
    bench.script(
        """
[[answer]]
text = '''One [{id:tides.md}: "The lighthouse on Gannet Rock stands 38 metres high."], two [{id:light.md}:
"The lighthouse on Gannet Rock stands 38 yards"], three [{id:light.md}: "No such words stand anywhere"].'''
"""
    )
    _, first = bench.run(ask("What?"))
    assert [each.status for each in first[0].evidence] == ["relocated", "near", "unverified"]
    events, again = bench.run(ask("What?"))
    assert planned(events).asked == {}
    assert again == first


def test_a_key_knows_what_answers(bench: Bench) -> None:
    """A script of the same name with other words, as another checkpoint in a folder of the same name."""
    bench.run(ask("How high is the light?"))
    bench.script(SCRIPT + "[[answer]]\nmatch = 'never'\ntext = 'other'\n")
    assert planned(bench.run(ask("How high is the light?"))[0]).asked == {"another model answers": 1}
    bench.script(bench.place.read_text().replace("[[answer]]", "[[answer]]\ndelay_s = 0.001"))
    assert planned(bench.run(ask("How high is the light?"))[0]).asked == {}, "only its pace is another"
