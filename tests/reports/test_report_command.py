"""`longctx report` as a user has it: in a process of its own, stopped, killed, and gone on with."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import longctx
from longctx.commands.report import app
from longctx.commands.report_lines import ReportProgress
from longctx.errors import ConfigError, ExitCode, ItemsFailed, LongctxError, StoreError, UsageError
from longctx.journal import Journal

Make = Callable[[dict[str, str | bytes]], Path]
FILES: dict[str, str | bytes] = {
    "tides.md": "# Tides\n\nThe spring tide at the north mole reaches seven metres.\n",
    "light.md": "# Light\n\nThe lighthouse on Gannet Rock stands 38 metres high.\n",
}
MANIFEST = """
title = "Harbour"
[corpus]
paths = ["tree"]
[[question]]
id = "tide"
text = "How high is the spring tide?"
[[question]]
id = "light"
text = "How high is the lighthouse on Gannet Rock?"
"""
# An engine that comes as a plugin: the scripted one, and it writes down what it is asked.
PLUGIN = """
import os
from contextlib import contextmanager
from longctx.engines import scripted

class Logged(scripted.ScriptedEngine):
    def generate(self, prompt, sampling):
        with open(os.environ["ASKED"], "a") as log:
            log.write(scripted.question_of(prompt, self._tokenizer.vocabulary) + "\\n")
        yield from super().generate(prompt, sampling)

@contextmanager
def opened(setup):
    yield Logged(scripted.read_script(__import__("pathlib").Path(setup.model)), "logged")
"""


def run(*words: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [*map(str, words)], input=stdin)


@pytest.fixture
def manifest(make_tree: Make, tmp_path: Path) -> Path:
    make_tree(FILES)
    file = tmp_path / "harbour.toml"
    file.write_text(MANIFEST)
    return file


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of processes in which the engine `logged` can be named; the file of what it was asked."""
    place = tmp_path / "plugin"
    (place / "logged_engine-1.0.dist-info").mkdir(parents=True)
    (place / "logged_engine.py").write_text(PLUGIN)
    (place / "logged_engine-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: logged-engine\nVersion: 1.0\n"
    )
    (place / "logged_engine-1.0.dist-info" / "entry_points.txt").write_text(
        "[longctx.engines]\nlogged = logged_engine:opened\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{place}:{Path(longctx.__file__).parent.parent}")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked.txt"))
    return tmp_path / "asked.txt"


def process(*words: object, **more: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "longctx", "report", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def script(folder: Path, delay_s: float = 0.0) -> Path:
    file = folder / "script.toml"
    file.write_text(
        f"""
[[answer]]
delay_s = {delay_s}
match = "tide"
text = 'It reaches seven metres [{{id:tides.md}}: "The spring tide at the north mole reaches seven metres."].'
[[answer]]
delay_s = {delay_s}
match = "light"
text = 'It is 38 metres high [{{id:light.md}}: "stands 38 metres high"].'
[[answer]]
match = "breaks"
fail = "the server died"
[[answer]]
text = "Nobody can say."
"""
    )
    return file


def report_of(folder: Path) -> dict[str, Any]:
    """A report without what is told of time and of what was cached."""
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    del report["made"]
    for item in report["items"]:
        item.pop("wall_s", None)
        if item.get("answer"):
            item["answer"].pop("timing"), item["answer"]["tokens"].pop("cached", None)
    return report


def test_a_report_is_written_and_said(manifest: Path) -> None:
    result = run(manifest, "--json")
    assert result.exit_code == 0, result.stderr
    folder = manifest.parent / "harbour-report"
    assert sorted(os.listdir(folder)) == ["evidence.jsonl", "report.html", "report.json", "report.md", "run.jsonl"]
    told = json.loads(result.stdout)
    assert (told["schema"], told["items"], told["done"], told["asked"]) == ("longctx.run-summary/1", 2, 2, 2)
    assert told["outputs"] == [
        str(folder / n) for n in ("report.md", "report.html", "report.json", "evidence.jsonl", "run.jsonl")
    ]
    lines = result.stderr.splitlines()
    assert "2 of 2 to be asked: 2 new" in lines
    assert '[1/2] tide  ✓ 1 cite (1 verified)  "The spring tide at the north mole reaches seven…"' in lines
    assert lines[-2:] == [
        "2 items: 2 done",
        f"written in {folder}: report.md, report.html, report.json, evidence.jsonl, run.jsonl",
    ]
    report = report_of(folder)
    assert (report["title"], report["manifest"], report["sources"]) == ("Harbour", "harbour.toml", ["tree"])
    assert [row["path"] for row in report["documents"]] == ["light.md", "tides.md"]
    assert [row["cited"] for row in report["windows"]] == [2]
    assert (folder / "evidence.jsonl").read_text().count("\n") == 2


def test_nothing_to_ask_is_said_and_nothing_on_stdout(manifest: Path) -> None:
    run(manifest)
    result = run(manifest)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "2 of 2 items done before; nothing is to be asked" in result.stderr
    assert run(manifest, "-q").stderr == ""


def test_figures_of_a_model_are_in_its_lines(manifest: Path, tmp_path: Path) -> None:
    result = run(manifest, "--engine", "scripted", "--model", script(tmp_path))
    assert result.exit_code == 0, result.stderr
    [tide, light] = [line for line in result.stderr.splitlines() if line.startswith("[")]
    assert tide.startswith("[1/2] tide  ✓ 1 cite (1 verified)  prompt ")
    assert "(0% cached)" in tide
    assert light.endswith('"It is 38 metres high."')
    assert result.stderr.count("reading all") == 1, "what is sent of the corpus is said once"


def test_failed_items_are_named_and_exit_7(manifest: Path, tmp_path: Path) -> None:
    manifest.write_text(MANIFEST + '[[question]]\nid = "end"\ntext = "What breaks?"\n')
    result = run(manifest, "-e", "scripted", "-m", script(tmp_path), "-o", tmp_path / "out")
    assert isinstance(result.exception, ItemsFailed)
    assert result.exception.exit_code == ExitCode.BATCH == 7
    assert str(result.exception) == "1 of 3 items failed: end"
    assert "[3/3] end  ✗ the server died" in result.stderr
    assert "3 items: 2 done, 1 failed" in result.stderr
    assert [item["state"] for item in report_of(tmp_path / "out")["items"]] == ["done", "done", "failed"]


def test_the_first_failure_ends_it_where_that_is_wanted(manifest: Path, tmp_path: Path) -> None:
    manifest.write_text(MANIFEST.replace("How high is the spring tide?", "What breaks?"))
    result = run(manifest, "-e", "scripted", "-m", script(tmp_path), "--fail-fast")
    assert isinstance(result.exception, ItemsFailed)
    assert "2 items: 0 done, 1 failed, 1 not asked" in result.stderr
    assert str(result.exception) == "1 of 2 items failed: tide; 1 is not asked yet"
    assert result.exception.hint == "the same command asks these again, and what is not asked yet"
    again = run(manifest, "-e", "scripted", "-m", script(tmp_path), "--fail-fast", "--force")
    assert isinstance(again.exception, ItemsFailed)
    assert again.exception.hint.startswith("the same command without --force asks these again")


def test_only_what_is_wanted_decides_how_it_ends(manifest: Path, tmp_path: Path) -> None:
    manifest.write_text(MANIFEST + '[[question]]\nid = "end"\ntext = "What breaks?"\n')
    words = (manifest, "-e", "scripted", "-m", script(tmp_path))
    assert isinstance(run(*words).exception, ItemsFailed)
    result = run(*words, "--only", "light", "--force")
    assert result.exit_code == 0, result.stderr
    assert "1 item failed before, and not asked now: end" in result.stderr
    assert "3 items: 2 done, 1 failed" in result.stderr


def test_a_manifest_takes_no_engine_that_the_user_has_not_named(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest comes with documents: they are sent nowhere on its word where the user has said who answers."""
    manifest.write_text('engine = { name = "scripted", temperature = 0.5, seed = 7 }\n' + MANIFEST)
    monkeypatch.setenv("LONGCTX_MODEL", str(script(tmp_path)))
    monkeypatch.delenv("LONGCTX_ENGINE", raising=False)
    assert "engine: scripted" in run(manifest, "-o", tmp_path / "named").stderr
    monkeypatch.setenv("LONGCTX_ENGINE", "evidence")
    result = run(manifest, "-o", tmp_path / "own")
    said = "longctx: evidence answers, as environment LONGCTX_ENGINE says; the manifest names scripted"
    assert said in result.stderr.splitlines()
    report = report_of(tmp_path / "own")
    assert (report["engine"]["kind"], report["settings"]["temperature"], report["settings"]["seed"]) == (
        "evidence",
        0.5,
        7,
    )
    typed = run(manifest, "-o", tmp_path / "typed", "--engine", "evidence", "--temperature", "0").stderr
    assert "as flag --engine says; the manifest names scripted" in typed
    assert report_of(tmp_path / "typed")["settings"]["temperature"] == 0


def test_no_more_are_asked_at_once_than_the_engine_takes(manifest: Path, tmp_path: Path) -> None:
    result = run(manifest, "-e", "scripted", "-m", script(tmp_path), "--jobs", "4")
    assert "longctx: scripted is asked 1 at a time, not 4" in result.stderr
    assert "asked 1 at a time" not in run(manifest, "-e", "evidence", "--jobs", "4").stderr


def test_a_schema_without_a_model_is_said_and_not_asked_twice(manifest: Path) -> None:
    (manifest.parent / "number.json").write_text('{"type": "number"}')
    manifest.write_text(MANIFEST + 'schema = "number.json"\n')
    first = run(manifest)
    line = "1 item has a schema, which needs a model: quoted only, and failed"
    assert first.stderr.count(line) == 1
    assert isinstance(first.exception, ItemsFailed)
    assert first.exception.hint == "a schema needs a model: `longctx engine doctor` says how to ask one"
    again = run(manifest)
    assert again.stderr.count(line) == 1
    assert "nothing is to be asked" in again.stderr
    assert isinstance(again.exception, ItemsFailed)


def failing(folder: Path, match: str) -> Path:
    """The script, of which those answers fail; it answers as the same engine."""
    file = script(folder)
    file.write_text(file.read_text().replace(f'match = "{match}"', f'match = "{match}"\nfail = "died"'))
    return file


def test_what_is_asked_again_in_vain_is_told_and_costs_nothing(manifest: Path, tmp_path: Path) -> None:
    words = (manifest, "-e", "scripted", "-m", script(tmp_path))
    assert run(*words).exit_code == 0
    failing(tmp_path, "tide")
    result = run(*words, "--force", "--json")
    assert isinstance(result.exception, ItemsFailed)
    assert str(result.exception) == "1 of 2 items failed: tide"
    assert result.exception.hint == "their answers from before stay: --only ID --force asks these again"
    assert "1 item failed when asked again; its answer from before stays: tide" in result.stderr
    told = json.loads(result.stdout)
    assert (told["done"], told["failed"], told["failed_anew"]) == (2, [], [{"id": "tide", "error": "died"}])
    folder = manifest.parent / "harbour-report"
    for name in ("report.md", "report.html"):
        assert "asked again, and failed: died; this is the answer from before" in (folder / name).read_text().lower()
    manifest.write_text(MANIFEST + '[[question]]\nid = "end"\ntext = "What breaks?"\n')
    both = run(*words, "--force").exception
    assert isinstance(both, ItemsFailed)
    assert str(both) == "2 of 3 items failed: tide, end"
    assert both.hint == "the same command without --force asks again what has no answer, --only ID --force the others"
    assert run(manifest, *words[1:], "--only", "tide").exit_code == 0


def test_a_report_of_which_nothing_was_asked_is_known_as_one(manifest: Path, tmp_path: Path) -> None:
    manifest.write_text("[corpus]\npaths = ['tree']\n[summary]\ncorpus = false\nper_document = true\n")
    tree = tmp_path / "tree"
    for file in tree.iterdir():
        file.write_text("")
    for _ in range(2):
        result = run(manifest, "-o", tree / "out")
        assert "nothing is to be asked" in result.stderr, result.output
        rows = [json.loads(line) for line in (tree / "out" / "run.jsonl").read_text().splitlines()]
        assert [row["event"] for row in rows] == ["run", "end"]
    manifest.write_text(MANIFEST)
    (tree / "light.md").write_text(str(FILES["light.md"]))
    run(manifest)
    paths = [row["path"] for row in report_of(tmp_path / "harbour-report")["documents"]]
    assert paths == ["light.md"]


def test_what_takes_long_before_anything_is_asked_is_named(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, during = list[str](), ReportProgress.during

    def listed(progress: ReportProgress, doing: str) -> AbstractContextManager[None]:
        named.append(doing)
        return during(progress, doing)

    monkeypatch.setattr(ReportProgress, "during", listed)
    assert run(manifest).exit_code == 0
    assert named == ["reading what was done before", "opening the engine evidence"]


def test_verified_citations_may_be_asked_of_all(manifest: Path, tmp_path: Path) -> None:
    manifest.write_text(MANIFEST + '[[question]]\nid = "who"\ntext = "Who?"\n')
    result = run(manifest, "-e", "scripted", "-m", script(tmp_path), "--require-verified")
    assert "[3/3] who  ✗ no citations, and verified ones have to be there" in result.stderr
    manifest.write_text(MANIFEST.replace("[[question]]", "[summary]\n[[question]]", 1))
    result = run(manifest, "-e", "scripted", "-m", script(tmp_path), "--require-verified")
    assert "[1/3] summary  ✗ no citations" in result.stderr, "a summary too"


def test_only_and_force(manifest: Path) -> None:
    assert "2 items: 1 done, 1 not asked" in run(manifest, "--only", "light").stderr
    assert "1 of 2 items done before; 1 to be asked: 1 new" in run(manifest).stderr
    again = run(manifest, "--only", "light", "--force")
    assert "2 of 2 items done before" not in again.stderr
    assert "1 to be asked: 1 asked again with --force" in again.stderr
    assert isinstance(run(manifest, "--only", "lihgt").exception, UsageError)


def test_a_changed_corpus_is_said(manifest: Path) -> None:
    run(manifest)
    (manifest.parent / "tree" / "tides.md").write_text("The spring tide reaches eight metres.\n")
    result = run(manifest)
    assert "2 to be asked: 2 because the corpus has changed" in result.stderr.replace("2 of 2", "2")
    rows = report_of(manifest.parent / "harbour-report")["documents"]
    assert [row["id"] for row in rows] == ["d1", "d3"], "the new text stands behind the others"


def test_a_report_inside_its_corpus_does_not_read_itself(manifest: Path, tmp_path: Path) -> None:
    text = MANIFEST.replace('["tree"]', '["."]').replace("[corpus]", '[output]\nfolder = "tree/out"\n[corpus]')
    manifest.write_text(text)
    run(manifest)
    first = report_of(tmp_path / "tree" / "out")
    result = run(manifest)
    assert "nothing is to be asked" in result.stderr
    assert report_of(tmp_path / "tree" / "out") == first
    assert [row["path"] for row in first["documents"]] == ["tree/light.md", "tree/tides.md"]


def test_questions_without_a_manifest_need_a_corpus(manifest: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.txt"
    questions.write_text("How high is the lighthouse?\n")
    assert isinstance(run(questions).exception, UsageError)
    result = run(questions, "--corpus", tmp_path / "tree", "--format", "json", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["evidence.jsonl", "report.json", "run.jsonl"]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ([], UsageError),
        (["nosuch.toml"], LongctxError),
        (["harbour.toml", "--format", "pdf"], UsageError),
        (["harbour.toml", "-o", "harbour.toml"], UsageError),
        (["harbour.toml", "-o", ""], UsageError),
        (["harbour.toml", "--engine", "nosuch"], LongctxError),
        (["harbour.toml", "--init"], UsageError),
        (["broken.toml"], ConfigError),
        (["gone.toml"], ConfigError),
    ],
)
def test_what_cannot_be_done_is_one_line(
    manifest: Path, words: list[str], kind: type[LongctxError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(manifest.parent)
    (manifest.parent / "broken.toml").write_text("[[question]]\nid = 3\n")
    (manifest.parent / "gone.toml").write_text('[corpus]\npaths = ["gone"]\n[summary]\n')
    result = run(*words)
    assert isinstance(result.exception, kind)
    assert not (manifest.parent / "harbour-report").exists(), "nothing is left behind"


def test_two_runs_in_one_folder(manifest: Path) -> None:
    folder = manifest.parent / "harbour-report"
    folder.mkdir()
    with Journal(folder / "run.jsonl"):
        result = run(manifest)
    assert isinstance(result.exception, StoreError)
    assert "another longctx is writing it" in str(result.exception)


def test_a_manifest_to_start_from_and_its_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("--init").exit_code == 0
    assert run("--init", "mine.toml").exit_code == 0
    assert (tmp_path / "report.toml").read_text() == (tmp_path / "mine.toml").read_text()
    assert isinstance(run("--init", "mine.toml").exception, UsageError)
    assert run("--init", "mine.yaml").exit_code == 0
    assert run("mine.yaml", "-q").exit_code == 0
    assert "longctx report mine.csv --corpus PATH" in run("--init", "mine.csv").stderr
    assert "mine.docx: a manifest ends in .toml, .yaml" in str(run("--init", "mine.docx").exception)
    assert not (tmp_path / "mine.docx").exists()
    assert json.loads(run("--schema").stdout)["type"] == "object"


def test_words_that_are_no_command_are_the_manifest(manifest: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        assert run("-q", manifest, "-o", tmp_path / folder).exit_code == 0
    assert run("diff", tmp_path / "one", tmp_path / "two").stdout == "no differences\n"
    helped = run("--help")
    assert "[MANIFEST]" in helped.stdout
    assert "report diff" in helped.stdout


def test_killed_at_ten_moments_it_ends_as_if_undisturbed(manifest: Path, tmp_path: Path, plugin: Path) -> None:
    questions = "".join(
        f'[[question]]\nid = "{kind}{n}"\ntext = "How high is the {kind}, for the {n}th time?"\n'
        for n in range(9)
        for kind in ("tide", "light")
    )
    manifest.write_text(MANIFEST.replace("[[question]]", "[summary]\nper_document = true\n[[question]]", 1) + questions)
    words = (manifest, "-e", "logged", "-m", script(tmp_path, 0.02), "--format", "json")
    undisturbed = process(*words, "-o", tmp_path / "whole")
    assert undisturbed.communicate(timeout=120)[1].count("✓") == 23
    asked = Counter(plugin.read_text().splitlines())
    assert set(asked.values()) == {1}
    plugin.unlink()
    kills = _killed(words, tmp_path / "cut", random.Random(7))
    assert (tmp_path / "cut" / "evidence.jsonl").read_bytes() == (tmp_path / "whole" / "evidence.jsonl").read_bytes()
    assert report_of(tmp_path / "cut") == report_of(tmp_path / "whole")
    again = Counter(plugin.read_text().splitlines())
    assert again.keys() == asked.keys()
    assert again.total() <= asked.total() + kills, "only what was under way at a kill is asked again"
    rows = [json.loads(line) for line in (tmp_path / "cut" / "run.jsonl").read_text().splitlines()]
    assert set(Counter(row["id"] for row in rows if row["event"] == "item").values()) == {1}


def _killed(words: tuple[object, ...], folder: Path, chance: random.Random) -> int:
    """Run until it ends by itself, killed ten times on the way, a little after something was kept; how often."""
    kills = 0
    while True:
        started = process(*words, "-o", folder)
        before, journal = _size(folder / "run.jsonl"), folder / "run.jsonl"
        while kills < 10 and started.poll() is None and _size(journal) == before:
            time.sleep(0.002)
        if kills < 10 and started.poll() is None:
            time.sleep(chance.uniform(0, 0.04))
            started.kill()
            kills += started.wait() == -signal.SIGKILL
        _, said = started.communicate(timeout=120)
        _check_whole(folder)
        if started.returncode == 0:
            return kills
        assert started.returncode == -signal.SIGKILL, said


def _check_whole(folder: Path) -> None:
    """Whatever is there of the outputs can be read."""
    if (folder / "report.json").exists():
        json.loads((folder / "report.json").read_text())
    if (folder / "evidence.jsonl").exists():
        for line in (folder / "evidence.jsonl").read_text().splitlines():
            json.loads(line)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_stopped_it_keeps_what_is_finished(
    manifest: Path, tmp_path: Path, plugin: Path, number: signal.Signals, jobs: int
) -> None:
    file = script(tmp_path)
    file.write_text(file.read_text().replace('match = "light"', 'match = "light"\ntokens_per_s = 0.2'))
    started = process(manifest, "-e", "logged", "-m", file, "-o", tmp_path / "out", "--jobs", jobs)
    while started.poll() is None and (not plugin.exists() or plugin.read_text().count("\n") < 2):
        time.sleep(0.01)
    begun = time.monotonic()
    started.send_signal(number)
    _, said = started.communicate(timeout=60)
    assert time.monotonic() - begun < 10
    assert started.returncode == 130, said
    assert said.endswith("longctx: interrupted; 1 of 2 items done and kept\n  the same command goes on\n")
    assert [item["state"] for item in report_of(tmp_path / "out")["items"]] == ["done", "pending"]
    file = script(tmp_path)
    ended = process(manifest, "-e", "logged", "-m", file, "-o", tmp_path / "out")
    assert "1 of 2 items done before; 1 to be asked: 1 new" in ended.communicate(timeout=60)[1]
    assert plugin.read_text().count("tide") == 1


def test_a_stop_of_what_is_asked_anew_keeps_what_was_there(manifest: Path, tmp_path: Path, plugin: Path) -> None:
    file = script(tmp_path)
    words = (manifest, "-e", "logged", "-m", file, "-o", tmp_path / "out")
    assert process(*words).wait(60) == 0
    before = report_of(tmp_path / "out")
    file.write_text(file.read_text().replace('match = "light"', 'match = "light"\ntokens_per_s = 0.2'))
    started = process(*words, "--only", "light", "--force")
    while started.poll() is None and plugin.read_text().count("light") < 2:
        time.sleep(0.01)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert said.endswith(
        "interrupted; 0 of 1 item asked anew\n  the others are as they were: --only ID --force asks them\n"
    ), said
    assert report_of(tmp_path / "out")["items"] == before["items"]
