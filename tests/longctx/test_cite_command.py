import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from longctx import paths
from longctx.answer import to_json
from longctx.commands.cite import app
from longctx.corpus import Corpus
from longctx.errors import EvidenceGate, StoreError, UsageError
from longctx.quoting import quote
from longctx.request import Request

Make = Callable[[dict[str, str | bytes]], Path]
Open = Callable[..., Corpus]
TIDES = "The lighthouse of Ostend is 38 metres high.\n"


def run(*words: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, words)], input=stdin)


@pytest.fixture
def answer(make_tree: Make, open_corpus: Open, tmp_path: Path) -> Path:
    """An answer over tree/, saved."""
    corpus = open_corpus(make_tree({"tides.md": TIDES, "ships.md": "Seven ships were lost.\n"}))
    file = tmp_path / "answer.json"
    file.write_text(json.dumps(to_json(quote(corpus, "how high is the lighthouse of Ostend?")), indent=2))
    corpus.close()
    return file


def test_all_stand(answer: Path) -> None:
    result = run(answer)
    assert (result.exit_code, result.stdout) == (0, "[1] verified    tides.md:1\n")
    assert result.stderr.endswith("1 citation: all stand\n")


def test_a_pipe_in_a_report_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "report.json")
    error = run(tmp_path).exception
    assert isinstance(error, UsageError) and str(error) == f"{tmp_path}/report.json: not a regular file"
    (tmp_path / "report.json").unlink()
    error = run(tmp_path).exception
    assert isinstance(error, UsageError) and str(error) == f"{tmp_path}/report.json: No such file or directory"


def test_standard_input_and_silence(answer: Path) -> None:
    result = run("-", "-q", stdin=answer.read_text())
    assert (result.exit_code, result.stdout, result.stderr) == (0, "[1] verified    tides.md:1\n", "")


def test_a_moved_quote_stands_at_its_new_place(answer: Path, tmp_path: Path) -> None:
    (tmp_path / "tree/tides.md").write_text("New.\n\n" + TIDES)
    result = run(answer)
    assert (result.exit_code, result.stdout) == (0, "[1] moved       tides.md:1 -> tides.md:3\n")


def test_a_changed_quote_ends_in_the_evidence_gate(answer: Path, tmp_path: Path) -> None:
    (tmp_path / "tree/tides.md").write_text(TIDES.replace("38", "39"))
    result = run(answer)
    assert isinstance(result.exception, EvidenceGate) and "1 no longer stand" in str(result.exception)
    assert result.stdout == '[1] changed     tides.md:1  "The lighthouse of Ostend is 38 metres high."\n'


def test_a_file_and_all_files_that_are_gone(answer: Path, tmp_path: Path) -> None:
    (tmp_path / "tree/tides.md").unlink()
    assert run(answer).stdout.startswith("[1] gone        tides.md:1")
    shutil.rmtree(tmp_path / "tree")
    result = run(answer)
    assert isinstance(result.exception, EvidenceGate) and result.stdout.startswith("[1] gone        tides.md:1")


def test_json(answer: Path, tmp_path: Path) -> None:
    (tmp_path / "tree/tides.md").write_text("New.\n\n" + TIDES)
    result = run(answer, "--json")
    checked = json.loads(result.stdout)
    assert checked["schema"] == "longctx.recheck/1"
    (citation,) = checked["answers"][0]["citations"]
    assert (citation["standing"], citation["was"], citation["place"]) == ("moved", "tides.md:1", "tides.md:3")


def test_what_never_was_verified_is_told_apart_from_what_changed(answer: Path, tmp_path: Path) -> None:
    value = json.loads(answer.read_text())
    (stands,) = value["citations"]
    never, near = {**stands, "n": 2, "status": "unverified"}, {**stands, "n": 3, "status": "near"}
    for citations, said in (
        ([stands, never], "2 citations: 1 was not verified when written"),
        ([never, never, near], "3 citations: 2 were not verified when written, 1 was only near the text when written"),
    ):
        answer.write_text(json.dumps({**value, "citations": citations}))
        error = run(answer).exception
        assert isinstance(error, EvidenceGate) and str(error) == said
    (tmp_path / "tree/tides.md").write_text("Other.\n")
    assert str(run(answer).exception) == ("3 citations: 1 no longer stands as cited, 2 were not verified when written")


def test_several_answers_are_told_apart(answer: Path, tmp_path: Path) -> None:
    value = json.loads(answer.read_text())
    both = tmp_path / "both.jsonl"
    both.write_text(f"{json.dumps({'event': 'result', **value})}\n{json.dumps(value)}\n")
    assert run(both).stdout == "1[1] verified    tides.md:1\n2[1] verified    tides.md:1\n"


def test_other_sources_can_be_named(answer: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "tides.md").write_text("\n" + TIDES)
    assert run(answer, other).stdout == "[1] moved       tides.md:1 -> tides.md:2\n"


def test_an_unknown_corpus_asks_for_its_sources(answer: Path, home: Path, tmp_path: Path) -> None:
    shutil.rmtree(home / "longctx")
    result = run(answer)
    assert isinstance(result.exception, StoreError) and "PATH" in result.exception.hint
    assert run(answer, tmp_path / "tree").exit_code == 0


def test_what_is_no_answer_is_refused(tmp_path: Path) -> None:
    markdown = tmp_path / "answer.md"
    markdown.write_text("The lighthouse is high [^1].\n\n[^1]: tides.md:1 (verified)\n")
    for words in ([markdown], [tmp_path / "none.json"], [tmp_path], ["-", "-"]):
        assert isinstance(run(*words, stdin="").exception, UsageError)
    assert str(run(markdown).exception) == f"{markdown}: not a saved answer: no JSON"
    assert str(run("-", stdin="").exception).startswith("standard input: no saved answer")


def test_forged_text_paints_nothing(answer: Path) -> None:
    value = json.loads(answer.read_text())
    citation = {**value["citations"][0], "place": "a\x1b[2J\nb", "quote": "\x1b]8;;x\x07 Ostend\u202e", "path": "../x"}
    value["citations"] = [citation, {**citation, "status": "\x1b[31m"}]
    answer.write_text(json.dumps(value))
    result = run(answer)
    assert isinstance(result.exception, EvidenceGate)
    assert len(result.stdout.splitlines()) == 2 and result.stdout.replace("\n", "").isprintable()


def test_a_corpus_of_standard_input_asks_for_its_sources(answer: Path) -> None:
    corpus = Corpus(Request(("-",), stdin=b"The lighthouse."), paths.locate(os.environ))
    corpus.store.touch(corpus.record)
    value = json.loads(answer.read_text())
    value["corpus"]["id"] = corpus.record.id
    corpus.close()
    answer.write_text(json.dumps(value))
    result = run(answer)
    assert isinstance(result.exception, UsageError) and "standard input" in str(result.exception)


@pytest.fixture
def report(answer: Path, tmp_path: Path) -> Path:
    """The folder of a report with two items."""
    value = json.loads(answer.read_text())
    items = [{"id": "height", "answer": value}, {"id": "later", "answer": None}, {"id": "\x1b[2J", "answer": value}]
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps({"schema": "longctx.report/1", "items": items}))
    return folder


def test_a_report_names_its_items(report: Path) -> None:
    both = "height [1] verified    tides.md:1\n\\x1b[2J [1] verified    tides.md:1\n"
    for named in (report, report / "report.json"):
        result = run(named)
        assert (result.exit_code, result.stdout) == (0, both)
    first, second = json.loads(run(report, "--json").stdout)["answers"]
    assert (first["item"], second["item"], len(first["citations"])) == ("height", "\x1b[2J", 1)


def test_a_report_whose_sources_changed(report: Path, tmp_path: Path) -> None:
    (tmp_path / "tree/tides.md").write_text("New.\n\n" + TIDES)
    assert run(report).stdout.startswith("height [1] moved       tides.md:1 -> tides.md:3\n")
    (tmp_path / "tree/tides.md").unlink()
    assert isinstance(run(report).exception, EvidenceGate)


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b'{"schema": "longctx.report/1", "items": [4]}', b"\xff"])
def test_a_report_that_is_none_is_one_line(report: Path, content: bytes) -> None:
    (report / "report.json").write_bytes(content)
    error = run(report).exception
    assert isinstance(error, UsageError) and "\n" not in str(error)
