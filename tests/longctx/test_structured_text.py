"""Structured answers from end to end: the scripted engine says JSON, and each quote in it is looked up in a corpus."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.document import Document, Kind
from longctx.analysis import NEEDS_MODEL, Asking, ask
from longctx.answer import Answer, to_json
from longctx.corpus import Corpus
from longctx.engines.base import EngineEvent, Prompt, Sampling
from longctx.engines.script import Script, Scripted
from longctx.engines.scripted import ScriptedEngine
from longctx.errors import EngineError
from longctx.events import Answered, AnswerEvent, CitationResolved, TextDelta
from longctx.quoting import NOT_FOUND
from longctx.sent import Sent
from longctx.structured_text import StructuredText

OpenCorpus = Callable[..., Corpus]
MakeTree = Callable[[dict[str, str | bytes]], Path]
FILES: dict[str, str | bytes] = {
    "tides.md": "# Tides\n\nThe spring tide at the north mole reaches seven metres.\n",
    "light.md": "# Light\n\nThe lighthouse on Gannet Rock stands 38 metres high.\n",
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "heights": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"of": {"type": "string"}, "metres": {"type": ["number", "null"]}},
                "required": ["of", "metres"],
            },
        },
    },
    "required": ["heights"],
}
QUESTION = "how high is what?"
TIDE = "The spring tide at the north mole reaches seven metres."
LIGHT = "The lighthouse on Gannet Rock stands 38 metres high."
HEIGHTS = {"heights": [{"of": "the tide", "metres": 7}, {"of": "the <b>light</b> [^9]", "metres": 38}]}


def evidence(document: str, quote: str, supports: str) -> dict[str, str]:
    return {"document": document, "quote": quote, "supports": supports}


def said(answer: Any, *found: dict[str, str]) -> str:
    return json.dumps({"evidence": found, "answer": answer})


RIGHT = said(
    HEIGHTS,
    evidence("{id:tides.md}", TIDE, "/heights/0"),
    evidence("{id:light.md}", LIGHT, "/heights/1/metres"),
    evidence("{id:tides.md}", LIGHT, "/heights/1/of"),
    evidence("{id:tides.md}", "words that stand nowhere in there at all", "/heights/0/of"),
    evidence("d999", "words that stand nowhere in there at all", "/heights/0/of"),
    evidence("{id:tides.md}", TIDE, "/heights/0/metres"),
)


@pytest.fixture
def corpus(make_tree: MakeTree, open_corpus: OpenCorpus) -> Corpus:
    return open_corpus(make_tree(FILES))


class Held(ScriptedEngine):
    """What it was asked to hold its answer to."""

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        self.sampling = sampling
        return super().generate(prompt, sampling)


def events(corpus: Corpus, text: str, schema: Any = SCHEMA, **how: Any) -> list[AnswerEvent]:
    engine = ScriptedEngine(Script(answers=(Scripted(text=text, cut=3, **how),)))
    return list(ask(corpus, QUESTION, engine, Asking(), schema=schema))


def answered(found: list[AnswerEvent]) -> Answer:
    assert isinstance(found[-1], Answered)
    return found[-1].answer


def test_each_quote_is_looked_up_and_marked_behind_what_it_supports(corpus: Corpus) -> None:
    answer = answered(events(corpus, RIGHT))
    assert answer.value == HEIGHTS
    assert (answer.is_structured, answer.invalid, answer.found) == (True, "", True)
    states = [(citation.n, str(citation.status), citation.path, citation.claim) for citation in answer.citations]
    assert states == [
        (1, "verified", "tides.md", '{"of": "the tide", "metres": 7}'),
        (2, "verified", "light.md", "38"),
        (3, "relocated", "light.md", "the <b>light</b> [^9]"),
        (4, "unverified", "tides.md", "the tide"),
        (5, "unknown", "", "the tide"),
    ]
    assert answer.answer_markdown.splitlines()[-2:] == [
        "  | the tide [^4] [^5] | 7 [^1] |",
        r"  | the \<b\>light\</b\> \[^9\] [^3] | 38 [^2] |",
    ]
    assert answer.coverage is not None
    assert (answer.coverage.sentences, answer.coverage.cited, answer.coverage.verified) == (4, 4, 3)


def test_nothing_is_shown_before_the_json_has_ended(corpus: Corpus) -> None:
    found = events(corpus, RIGHT)
    assert [type(event) for event in found[-7:]] == [*[CitationResolved] * 5, TextDelta, Answered]
    assert sum(isinstance(event, TextDelta) for event in found) == 1


def test_the_json_form_has_the_value_only_where_it_was_asked_for(corpus: Corpus) -> None:
    fields = to_json(answered(events(corpus, RIGHT)))
    assert fields["value"] == HEIGHTS
    assert "invalid" not in fields
    broken = to_json(answered(events(corpus, said({}))))
    assert (broken["value"], broken["invalid"]) == (None, "answer: 'heights' is a required property")
    assert not {"value", "invalid"} & to_json(answered(events(corpus, "Seven.", schema=None))).keys()


def test_the_engine_and_the_model_are_told_the_schema(corpus: Corpus) -> None:
    engine = Held(Script(answers=(Scripted(text=RIGHT),)))
    list(ask(corpus, QUESTION, engine, Asking(), schema=SCHEMA))
    held = json.loads(engine.sampling.schema)
    assert held["properties"]["answer"]["anyOf"][0] == SCHEMA
    list(ask(corpus, QUESTION, engine, Asking()))
    assert engine.sampling.schema == ""


def test_the_script_is_asked_the_question_alone(corpus: Corpus) -> None:
    only = re.compile(rf"\A{re.escape(QUESTION)}\Z")
    engine = ScriptedEngine(Script(answers=(Scripted(text=RIGHT, match=only),)))
    assert answered(list(ask(corpus, QUESTION, engine, Asking(), schema=SCHEMA))).value == HEIGHTS


@pytest.mark.parametrize(
    ("text", "how", "invalid", "shown"),
    [
        (said({"heights": 3}), {}, "answer/heights: 3 is not of type 'array'", "```json\n{"),
        ('{"evidence": [], "answer": {"hei', {"finish": "length"}, "it was cut at 1,024 tokens", "```json\n{"),
        ('{"evidence": ["```', {}, "not JSON", "````json\n{"),
        (f'Seven [{{id:tides.md}}: "{TIDE}"].', {}, "not JSON", "Seven [^1]."),
    ],
)
def test_what_does_not_obey_is_shown_and_said(
    corpus: Corpus, text: str, how: dict[str, Any], invalid: str, shown: str
) -> None:
    answer = answered(events(corpus, text, **how))
    assert answer.value is None
    assert invalid in answer.invalid
    assert answer.answer_markdown.startswith(shown)


def test_a_fence_around_many_backticks_is_found_soon() -> None:
    begun = time.thread_time()
    nothing = Sent({}, load=lambda entry: Document("", Kind.PROSE), paths=lambda entry: (), search=lambda words: ())
    text = StructuredText(nothing, SCHEMA)
    list(text.feed("{" + "`" * 400_000))
    list(text.finish())
    assert text.markdown.startswith("`" * 400_001 + "json\n{")
    assert time.thread_time() - begun < 3


def test_null_means_that_the_documents_do_not_hold_it(corpus: Corpus) -> None:
    answer = answered(events(corpus, said(None)))
    assert (answer.found, answer.value, answer.invalid, answer.answer_markdown) == (False, None, "", NOT_FOUND)
    assert not answered(events(corpus, said({"heights": []}))).found
    assert not answered(events(corpus, "[none] Nothing is said of it.")).found


def test_evidence_of_another_form_is_told(corpus: Corpus) -> None:
    answer = answered(events(corpus, json.dumps({"evidence": [3, {}], "answer": {"heights": []}})))
    assert "no document or quote of words: 2" in answer.warnings[0]


def test_an_answer_that_breaks_off_is_not_whole(corpus: Corpus) -> None:
    engine = ScriptedEngine(Script(answers=(Scripted(text=RIGHT[:90], fail="the server died"),)))
    found: list[AnswerEvent] = []
    with pytest.raises(EngineError, match="the server died"):
        found.extend(ask(corpus, QUESTION, engine, Asking(), schema=SCHEMA))
    run = ask(corpus, QUESTION, engine, Asking(), schema=SCHEMA)
    with pytest.raises(EngineError):
        found.extend(iter(run.__next__, None))
    assert answered(found).invalid == "it is not whole"


def test_without_a_model_there_are_quotations_and_no_value(corpus: Corpus) -> None:
    answer = answered(list(ask(corpus, "how high is the spring tide?", None, Asking(), schema=SCHEMA)))
    assert answer.citations
    assert (answer.value, answer.invalid) == (None, NEEDS_MODEL)


class TestCommand:
    @pytest.fixture
    def run(self, make_tree: MakeTree, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
        root = make_tree(FILES)
        (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))

        def ask_with(text: str, *words: str) -> subprocess.CompletedProcess[str]:
            (tmp_path / "script.toml").write_text(f"[[answer]]\ntext = {json.dumps(text)}\n")
            engine = ["-e", "scripted", "-m", str(tmp_path / "script.toml")] if text else ["-e", "evidence"]
            command = [
                sys.executable,
                "-P",
                "-m",
                "longctx",
                "ask",
                str(root),
                "--schema",
                str(tmp_path / "schema.json"),
            ]
            return subprocess.run([*command, *engine, *words], capture_output=True, text=True, env=os.environ)

        return ask_with

    def test_json_has_the_value(self, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
        done = run(RIGHT, "--json", QUESTION)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["value"] == HEIGHTS

    def test_what_does_not_obey_is_exit_1_after_it_is_shown(
        self, run: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        done = run(said({"heights": 3}), QUESTION)
        assert done.returncode == 1
        assert done.stdout.startswith("```json\n")
        assert "longctx: no answer that obeys the schema: answer/heights: 3 is not" in done.stderr

    def test_each_question_of_a_batch_has_its_value(
        self, run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        (tmp_path / "questions.txt").write_text("first?\nsecond?\n")
        done = run(RIGHT, "--questions", str(tmp_path / "questions.txt"))
        assert [json.loads(line)["value"] for line in done.stdout.splitlines()] == [HEIGHTS] * 2

    def test_a_file_that_is_no_schema_is_told_before_anything_is_read(
        self, run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
    ) -> None:
        (tmp_path / "schema.json").write_text('{\n  "type": }\n')
        done = run("", QUESTION)
        assert (done.returncode, done.stdout) == (2, "")
        assert "schema.json:2: Expecting value" in done.stderr
        assert "Traceback" not in done.stderr
