"""The files of a report: whole or not there, of one value, and of a folder that is a report's own."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from ingest.rules import Selection
from longctx.corpus import Corpus
from longctx.engines.base import Identity
from longctx.errors import LongctxError, UsageError
from longctx.reports import outputs
from longctx.reports.assembly import Frame, made
from longctx.reports.manifest import Format, LoadedManifest, Manifest, OutputPart
from longctx.reports.outputs import Outputs, other_files, place_of
from longctx.reports.own_folder import OwnFolder
from longctx.reports.picture_files import PictureFiles
from longctx.reports.records import Past, Results
from longctx.reports.report import Evidence, Item, Kind, Report, State, from_json
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


PAST = Past(results=Results(), parts={}, begun=(10.0, 20.0), wall_s=4.0)


def test_times_are_of_all_runs() -> None:
    now = made("longctx 1", PAST, 100.0, 103.5)
    assert (now.begun, now.runs, now.wall_s) == ("1970-01-01T00:00:10Z", 3, 7.5)
    assert now.written == "1970-01-01T00:01:43Z"


def test_all_forms_are_written_and_say_the_same(make_tree: Make, open_corpus: Open, tmp_path: Path) -> None:
    corpus = open_corpus(make_tree({"a.md": "One.\n"}))
    item = Item(id="a", kind=Kind.QUESTION, title="What?", state=State.DONE, evidence=(evidence("x", 0),))
    report = frame(corpus).report([item], made("p", PAST, 0, 0))
    folder = tmp_path / "out"
    with outputs.opened(folder, typed=False) as own:
        assert other_files(own) == ""
        Outputs(own, [Format.JSON, Format.MARKDOWN, Format.HTML, Format.JSON], lambda _: None).write(report)
    names = ["evidence.jsonl", "report.html", "report.json", "report.md"]
    assert sorted(os.listdir(folder)) == names
    assert from_json((folder / "report.json").read_bytes()) == report
    assert json.loads((folder / "evidence.jsonl").read_text())["item"] == "a"
    before = {name: (folder / name).read_bytes() for name in names}
    with OwnFolder(folder) as own:
        Outputs(own, list(Format), lambda _: None).write(report)
    assert {name: (folder / name).read_bytes() for name in names} == before


def test_while_items_come_fast_little_time_goes_into_writing(
    make_tree: Make, open_corpus: Open, tmp_path: Path
) -> None:
    with OwnFolder(tmp_path) as own:
        written = Outputs(own, [Format.JSON], lambda _: None)
        assert written.is_due
        written.write(frame(open_corpus(make_tree({"a.md": "One.\n"}))).report((), made("p", PAST, 0, 0)))
        assert not written.is_due


def test_a_disk_that_takes_no_more_is_one_line(
    make_tree: Make, open_corpus: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = frame(open_corpus(make_tree({"a.md": "One.\n"}))).report((), made("p", PAST, 0, 0))
    folder = tmp_path / "out"
    own = outputs.opened(folder, typed=False)
    written = Outputs(own, [Format.JSON], lambda _: None)
    written.write(report)
    before = (folder / "report.json").read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with own, pytest.raises(LongctxError, match=r"out/report\.json can't be written: No space left on device"):
        written.write(report)
    assert (folder / "report.json").read_bytes() == before
    assert sorted(os.listdir(folder)) == ["evidence.jsonl", "report.json"]


def opened(folder: Path, *, typed: bool = False) -> str:
    with outputs.opened(folder, typed=typed) as own:
        return other_files(own)


BEGUN = '{"event":"run","schema":"longctx.run/1","program":"p","at":1.0,"engine":{},"items":0}\n'


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert opened(tmp_path).endswith("holds other files too (notes.txt); they stay as they are")
    (tmp_path / "report.md").write_text("mine")
    for journal in (None, "", '{"loss":1}\n', '{"event":"run"}\n'):
        if journal is not None:
            (tmp_path / "run.jsonl").write_text(journal)
        with pytest.raises(UsageError, match=r"report\.md is there, but is of no run that is known"):
            opened(tmp_path)
    (tmp_path / "run.jsonl").write_text(BEGUN)
    assert opened(tmp_path) == ""
    with pytest.raises(UsageError, match="is a file"):
        opened(tmp_path / "notes.txt")
    with pytest.raises(UsageError):
        opened(tmp_path / "notes.txt" / "below")
    opened(tmp_path / "new" / "below")
    assert (tmp_path / "new" / "below").is_dir()


def empty(make_tree: Make, open_corpus: Open) -> Report:
    return frame(open_corpus(make_tree({"a.md": "One.\n"}))).report((), made("p", PAST, 0, 0))


def test_a_report_whose_run_said_nothing_is_known_by_its_value(
    make_tree: Make, open_corpus: Open, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    with outputs.opened(folder, typed=False) as own:
        Outputs(own, [Format.MARKDOWN], lambda _: None).write(empty(make_tree, open_corpus))
    (folder / "run.jsonl").touch()
    assert opened(folder) == ""


def test_the_value_is_always_written_and_forms_that_are_not_wanted_go(
    make_tree: Make, open_corpus: Open, tmp_path: Path
) -> None:
    report = empty(make_tree, open_corpus)
    with OwnFolder(tmp_path) as own:
        Outputs(own, [Format.MARKDOWN, Format.HTML], lambda _: None).write(report)
        page = Outputs(own, [Format.HTML], lambda _: None)
        page.write(report)
    assert [path.name for path in page.paths] == ["report.html", "report.json", "evidence.jsonl", "run.jsonl"]
    assert {"report.html", "report.json"} <= set(os.listdir(tmp_path)) and not (tmp_path / "report.md").exists()


@pytest.mark.parametrize("name", ["report.html", "report.json", "evidence.jsonl", "run.jsonl", "pages"])
def test_nothing_is_written_behind_links_or_into_pipes(
    make_tree: Make, open_corpus: Open, tmp_path: Path, name: str
) -> None:
    """Neither before the first item nor where they are put there later."""
    report, folder, victim = empty(make_tree, open_corpus), tmp_path / "out", tmp_path / "victim"
    with outputs.opened(folder, typed=True) as own:
        for put in (lambda: (folder / name).symlink_to(victim), lambda: os.mkfifo(folder / name)):
            (folder / "run.jsonl").write_text(BEGUN)
            victim.mkdir() if name == "pages" else victim.write_text("mine")
            (folder / name).unlink(missing_ok=True)
            put()
            with pytest.raises(UsageError, match=rf"out/{name}: there is something else"):
                opened(folder, typed=True)
            if name not in ("run.jsonl", "pages"):
                with pytest.raises(LongctxError, match=rf"{name} can't be written: there is something else"):
                    Outputs(own, list(Format), lambda _: None).write(report)
            if name == "pages":
                with PictureFiles(own) as kept, pytest.raises(OSError):
                    kept.write(f"{'a' * 16}-p1-{'0' * 16}.jpg", b"\xff\xd8\xff\xd9", (True,))
            (folder / name).unlink()
            assert not list(victim.iterdir()) if name == "pages" else victim.read_text() == "mine"
            victim.rmdir() if name == "pages" else victim.unlink()


def test_a_folder_that_is_a_link_is_followed_where_it_was_typed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    assert opened(tmp_path / "link", typed=True) == ""
    with pytest.raises(UsageError, match="link is a link"):
        opened(tmp_path / "link")


@pytest.mark.parametrize("named", ["/tmp/deep", "..", "a/../../b", "link", "link/below"])
def test_only_a_typed_folder_leads_out_of_the_manifests(tmp_path: Path, named: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "link").symlink_to(tmp_path)
    part = Manifest(title="T", output=OutputPart(folder=named))
    loaded = LoadedManifest(manifest=part, path="m/r.toml", folder=str(tmp_path / "m"), name="r", sha256="00")
    with pytest.raises(UsageError, match="leads out of the manifest's folder"):
        place_of(loaded, None)
    assert place_of(loaded, Path(named)) == Path(named)
    for inside in (".", "a/b", "a/../b"):
        manifest = Manifest(title="T", output=OutputPart(folder=inside))
        assert place_of(structs.replace(loaded, manifest=manifest), None) == tmp_path / "m" / inside


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    ours, others = (
        [".report.html.0e6e7abe", ".run.jsonl.01234567"],
        [".report.html.swp", ".notes.0e6e7abe", "report.md"],
    )
    for name in (*ours, *others):
        (tmp_path / name).touch()
    with OwnFolder(tmp_path) as own:
        outputs.sweep(own)
    assert sorted(os.listdir(tmp_path)) == sorted(others)


def test_pictures_that_the_report_does_not_have_are_removed(make_tree: Make, open_corpus: Open, tmp_path: Path) -> None:
    used, unused = (f"{sign * 16}-p1-{'0' * 16}.jpg" for sign in "ab")
    item = Item(id="a", kind=Kind.QUESTION, title="?", state=State.DONE, evidence=(evidence("x", 0, picture=used),))
    with OwnFolder(tmp_path) as own, PictureFiles(own) as kept:
        for name in (used, unused):
            kept.write(name, b"\xff\xd8\xff\xd9", (True,))
        (tmp_path / "pages" / "mine.jpg").touch()
        written = Outputs(own, [Format.JSON], kept.read)
        written.tidy()
        assert kept.read(unused), "nothing was written yet"
        written.write(structs.replace(empty(make_tree, open_corpus), items=(item,)))
        written.tidy()
        assert written.paths[-1].name == "pages"
    assert sorted(os.listdir(tmp_path / "pages")) == [used, "mine.jpg"]
