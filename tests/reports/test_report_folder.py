"""The folder of a report as a user has it: what goes there, what stays, and what is never read or written."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from longctx.commands.report import app
from longctx.errors import CorpusError, StoreError, UsageError
from longctx.reports.manifest_file import ManifestError

MANIFEST = """
[corpus]
paths = ["."]
[output]
folder = "{folder}"
[[question]]
id = "tide"
text = "How high is the spring tide?"
"""


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


def manifest(root: Path, name: str, folder: str) -> Path:
    file = root / f"{name}.toml"
    file.write_text(MANIFEST.format(folder=folder))
    return file


@pytest.fixture
def root(make_tree: Callable[[dict[str, str]], Path]) -> Path:
    return make_tree({"tides.md": "# Tides\n\nThe spring tide at the north mole reaches seven metres.\n"})


def documents(folder: Path) -> list[str]:
    return [row["path"] for row in json.loads((folder / "report.json").read_text())["documents"]]


def test_reports_beside_each_other_read_none_of_each_other(root: Path) -> None:
    for name, folder in (("a", "one"), ("b", "two"), ("a", "one"), ("c", "."), ("c", ".")):
        file = manifest(root, name, folder)
        assert run(file).exit_code == 0
        assert set(documents(root / folder)) <= {"tides.md", "a.toml", "b.toml", "c.toml"} - {file.name}
    assert run(root / "a.toml", "-o", root / "else").exit_code == 0
    assert sorted(documents(root / "else")) == ["b.toml", "c.toml", "tides.md"]


@pytest.mark.parametrize("name", ["m.toml", "out/../m.toml", "out/report.md", "out/pages", "link"])
def test_its_own_files_are_no_sources(root: Path, name: str) -> None:
    """Whether they are there yet or not; each run would find its corpus changed."""
    file = manifest(root, "m", "out")
    (root / "out/pages").mkdir(parents=True)
    (root / "out/report.md").touch()
    (root / "link").symlink_to("out/report.md")
    file.write_text(file.read_text().replace('["."]', f'["./",\n"{name}"]'))
    error = run(file).exception
    what = "it is the manifest itself" if name.endswith("toml") else "the report writes this file"
    assert isinstance(error, ManifestError) and str(error) == f"{file}:3: corpus.paths[2]: {name}: {what}"
    typed = run(file, "--corpus", root / name).exception
    assert isinstance(typed, UsageError) and str(typed) == f"--corpus {root / name}: {what}"


def test_a_report_does_not_name_its_own_files_as_left_out(root: Path) -> None:
    file = manifest(root, "m", ".")
    for _ in range(2):
        assert "left out" not in run(file).stderr
    file.write_text(file.read_text().replace('["."]', '["m.*"]'))
    error = run(file).exception
    assert isinstance(error, CorpusError) and "but the report's own" in error.hint and "--exclude" not in error.hint
    file.write_text(file.read_text().replace('["m.*"]', '["*"]'))
    assert "left out" not in run(file).stderr


def test_a_resumed_report_is_the_first_one(root: Path) -> None:
    file = manifest(root, "a", ".")
    run(file)
    first = json.loads((root / "report.json").read_text())
    (root / ".report.html.0123abcd").write_text("of a run that was killed")
    assert run(file).exit_code == 0
    assert json.loads((root / "report.json").read_text()) | {"made": None} == first | {"made": None}
    assert not (root / ".report.html.0123abcd").exists()


def test_forms_are_left_with_the_value(root: Path) -> None:
    file = manifest(root, "a", "out")
    run(file)
    assert run(file, "--format", "html").exit_code == 0
    assert sorted(os.listdir(root / "out")) == ["evidence.jsonl", "report.html", "report.json", "run.jsonl"]


def test_a_folder_must_be_named(root: Path) -> None:
    error = run(manifest(root, "a", "out"), "-o", "").exception
    assert isinstance(error, UsageError) and "names no folder" in str(error)
    assert not (root / "out").exists()


def test_a_manifest_writes_below_its_own_folder(root: Path, tmp_path: Path) -> None:
    file = manifest(root, "a", "../deep")
    error = run(file).exception
    assert isinstance(error, UsageError) and "leads out of the manifest's folder" in str(error)
    assert not (tmp_path / "deep").exists()
    assert run(file, "-o", tmp_path / "deep").exit_code == 0


def test_a_forged_folder_costs_one_line_and_no_file(root: Path, tmp_path: Path) -> None:
    file, out, victim = manifest(root, "a", "out"), root / "out", tmp_path / "victim"
    run(file)
    victim.write_text("mine")
    (out / "report.md").unlink()
    (out / "report.md").symlink_to(victim)
    assert isinstance(run(file).exception, UsageError)
    (out / "report.md").unlink()
    (out / "run.jsonl").write_text((out / "run.jsonl").read_text().replace('"wall_s":', '"wall_s":1e999,"was":'))
    error = run(file).exception
    assert isinstance(error, StoreError) and "out/run.jsonl:2: not a record of ours" in str(error)
    assert victim.read_text() == "mine"
