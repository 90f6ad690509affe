"""The files of a report: whole or not there, of one value, and of a folder that is a report's own."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ingest.rules import Selection
from longctx.corpus import Corpus
from longctx.engines.base import Identity
from longctx.errors import LongctxError, UsageError
from longctx.reports.assembly import Frame, made
from longctx.reports.manifest import Format, LoadedManifest, Manifest
from longctx.reports.outputs import Outputs, prepared
from longctx.reports.records import Past
from longctx.reports.report import Evidence, Item, Kind, State, from_json
from longctx.reports.windows import Windows, documents

Make = Callable[[dict[str, str | bytes]], Path]
Open = Callable[..., Corpus]
LONG = "".join(f"Line {n} of the log says that buoy {n} was seen.\n" for n in range(3000))


def frame(corpus: Corpus) -> Frame:
    loaded = LoadedManifest(manifest=Manifest(title="Tides"), path="/x/r.toml", folder="/x", name="r", sha256="00")
    return Frame(loaded, corpus, Identity(kind="evidence"), {"mode": "auto"}, "w")


def evidence(sha256: str, start: int, **more: object) -> Evidence:
    fields = {"item": "a", "n": 1, "status": "verified", "path": "", "place": "", "quote": "", **more}
    return msgspec.convert({**fields, "sha256": sha256, "chars": [start, start + 5]}, Evidence)


def test_windows_count_the_verified_citations_that_stand_in_them(make_tree: Make, open_corpus: Open) -> None:
    corpus = open_corpus(make_tree({"a.md": "Short.\n", "log.md": LONG}))
    (short, log), last = corpus.entries, LONG.rindex("buoy")
    rows = [
        evidence(short.digest, 0),
        evidence(log.digest, 0),
        evidence(log.digest, last),
        evidence(log.digest, last, n=2),
        evidence(log.digest, 0, status="unverified"),
        evidence(log.digest, 0, is_current=False),
        evidence("unknown", 0),
    ]
    windows = Windows(corpus).cited([Item(id="a", kind=Kind.QUESTION, title="", evidence=tuple(rows))])
    assert len(windows) > 3
    assert [row.cited for row in windows] == [2, *[0] * (len(windows) - 2), 2]
    assert (windows[0].first, windows[0].documents) == ("a.md", 2)
    assert [row.index for row in windows] == list(range(len(windows)))


def test_documents_are_told_as_they_are_now(make_tree: Make, open_corpus: Open) -> None:
    root = make_tree({"a.md": "One.\n", "copy.md": "One.\n", "b.py": "x = 1\n"})
    open_corpus(root)
    (root / "b.py").write_text("x = 2\n")
    rows = documents(open_corpus(root))
    assert [(row.id, row.path, row.kind, row.also) for row in rows] == [
        ("d1", "a.md", "markdown", ("copy.md",)),
        ("d3", "b.py", "code", ()),
    ]


def test_how_often_patterns_left_something_out_is_not_told(make_tree: Make, open_corpus: Open) -> None:
    """The report's own files are among what they leave out, and those come and go."""

    corpus = open_corpus(
        make_tree({"a.md": "One.\n", "b.lock": "x", "uv.lock": "x"}), selection=Selection(exclude=("b*",))
    )
    assert [row["path"] for row in frame(corpus).report((), made("p", PAST, 0, 0)).corpus["skipped"]] == ["uv.lock"]


PAST = Past(results={}, done={}, begun=(10.0, 20.0), wall_s=4.0)


def test_times_are_of_all_runs() -> None:
    now = made("longctx 1", PAST, 100.0, 103.5)
    assert (now.begun, now.runs, now.wall_s) == ("1970-01-01T00:00:10Z", 3, 7.5)
    assert now.written == "1970-01-01T00:01:43Z"


def test_all_forms_are_written_and_say_the_same(make_tree: Make, open_corpus: Open, tmp_path: Path) -> None:
    corpus = open_corpus(make_tree({"a.md": "One.\n"}))
    item = Item(id="a", kind=Kind.QUESTION, title="What?", state=State.DONE, evidence=(evidence("x", 0),))
    report = frame(corpus).report([item], made("p", PAST, 0, 0))
    folder = tmp_path / "out"
    assert prepared(folder) == ""
    outputs = Outputs(folder, [Format.JSON, Format.MARKDOWN, Format.HTML, Format.JSON], lambda _: None)
    outputs.write(report)
    names = ["evidence.jsonl", "report.html", "report.json", "report.md"]
    assert sorted(os.listdir(folder)) == names
    assert from_json((folder / "report.json").read_bytes()) == report
    assert json.loads((folder / "evidence.jsonl").read_text())["item"] == "a"
    before = {name: (folder / name).read_bytes() for name in names}
    Outputs(folder, list(Format), lambda _: None).write(report)
    assert {name: (folder / name).read_bytes() for name in names} == before


def test_while_items_come_fast_little_time_goes_into_writing(
    make_tree: Make, open_corpus: Open, tmp_path: Path
) -> None:
    outputs = Outputs(tmp_path, [Format.JSON], lambda _: None)
    assert outputs.is_due
    outputs.write(frame(open_corpus(make_tree({"a.md": "One.\n"}))).report((), made("p", PAST, 0, 0)))
    assert not outputs.is_due


def test_a_disk_that_takes_no_more_is_one_line(
    make_tree: Make, open_corpus: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = frame(open_corpus(make_tree({"a.md": "One.\n"}))).report((), made("p", PAST, 0, 0))
    outputs = Outputs(tmp_path, [Format.JSON], lambda _: None)
    outputs.write(report)
    before = (tmp_path / "report.json").read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LongctxError, match=r"report\.json can't be written: No space left on device"):
        outputs.write(report)
    assert (tmp_path / "report.json").read_bytes() == before
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert prepared(tmp_path).endswith("holds other files too (notes.txt); they stay as they are")
    (tmp_path / "report.md").write_text("mine")
    with pytest.raises(UsageError, match=r"report\.md is there, but is of no run that is known"):
        prepared(tmp_path)
    (tmp_path / "run.jsonl").touch()
    assert prepared(tmp_path) == ""
    with pytest.raises(UsageError, match="is a file"):
        prepared(tmp_path / "notes.txt")
    with pytest.raises(UsageError):
        prepared(tmp_path / "notes.txt" / "below")
    prepared(tmp_path / "new" / "below")
    assert (tmp_path / "new" / "below").is_dir()
