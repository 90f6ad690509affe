"""Leaving out what was chosen by its path: just that, whatever its name holds and however it came into the corpus."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.rules import Selection
from ingest.source import Source
from longctx import paths, plan
from longctx.backend.exclusion import leaving_out, pattern_of
from longctx.composing import order_of
from longctx.corpus import Corpus
from longctx.manifest import State
from longctx.refresh import refresh
from longctx.request import Request, discover_sources

MakeTree = Callable[[dict[str, str | bytes]], Path]
HOSTILE = [
    "plain.py",
    "a b.txt",
    " leading",
    "trailing ",
    "trailing  ",
    "tab\t",
    "line\n",
    "no-break\u00a0",
    "separator\u2028",
    "back\\slash",
    "back\\",
    "back\\ ",
    "!bang",
    "#hash",
    "[a-z]*?.md",
    "[",
    "]",
    "**",
    "a**",
    "bytes\udcff",
    "\u202egnp.exe",
    "[/red]",
    "\x1b[31m",
    "x" * 200,
]
NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]) | st.sampled_from("\\*?[]!#- \t\n\udcff"),
    min_size=1,
    max_size=8,
).filter(lambda name: name not in (".", ".."))


def left(request: Request) -> list[str]:
    """The files that a request names."""
    found = discover_sources(request, paths.locate(os.environ))
    return [each.path for each in found if isinstance(each, Source)]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_path_is_matched_by_its_own_pattern_alone(name: str) -> None:
    for path in (name, f"folder/{name}", f"../{name}", f"/absolute/{name}"):
        selection = Selection(exclude=(pattern_of(path),))
        assert selection.excludes(path)
        assert not any(selection.excludes(other) for other in ("other", "folder/other", f"deeper/{path.lstrip('/')}"))


@given(st.lists(NAMES, min_size=1, max_size=3), st.lists(NAMES, min_size=1, max_size=3))
def test_whatever_the_names_a_pattern_matches_one_path(wanted: list[str], other: list[str]) -> None:
    path, another = "/".join(wanted), "/".join(other)
    selection = Selection(exclude=(pattern_of(path),))
    assert selection.excludes(path)
    if another != path and not another.startswith(f"{path}/"):
        assert not selection.excludes(another)


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_a_folder_takes_all_below_it(parts: list[str]) -> None:
    folder = "/".join(parts)
    selection = Selection(exclude=(pattern_of(f"{folder}/"),))
    assert selection.excludes(f"{folder}/a/b.py")
    assert selection.prunes(f"{folder}/")
    assert not selection.excludes(folder)


def test_files_and_folders_of_one_folder(make_tree: MakeTree) -> None:
    root = make_tree({"a.md": "a", "docs/b.md": "b", "docs/c[1].md": "c", "src/d.py": "d"})
    whole = Request((str(root),))
    assert left(leaving_out(whole, ("docs/c[1].md",))) == ["a.md", "docs/b.md", "src/d.py"]
    assert left(leaving_out(whole, ("docs/", "a.md"))) == ["src/d.py"]
    assert leaving_out(whole, ()) is whole


def test_patterns_of_the_user_stay() -> None:
    whole = Request((".",), Selection(exclude=("*.log",), include=("build/",)))
    selection = leaving_out(whole, ("a.py", "a.py")).selection
    assert selection.exclude == ("*.log", "/a.py")
    assert selection.include == ("build/",)


def test_files_that_were_named_are_no_longer_named(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_tree({"a.md": "a", "b.md": "b", "docs/c.md": "c", "docs/d.md": "d"})
    monkeypatch.chdir(root)
    whole = Request(("a.md", "./b.md", "docs"))
    assert left(leaving_out(whole, ("b.md", "docs/c.md"))) == ["a.md", "docs/d.md"]
    assert left(leaving_out(whole, ("a.md", "b.md", "docs/c.md"))) == ["docs/d.md"], "the folder keeps its name"


def test_files_of_globs_and_lists(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_tree({"a.md": "a", "b.md": "b", "c.txt": "c", "deep/d.md": "d"})
    monkeypatch.chdir(root)
    assert left(leaving_out(Request(("*.md", "c.txt")), ("a.md",))) == ["b.md", "c.txt"]
    assert leaving_out(Request(("*.md", "c.txt")), ("c.txt",)).inputs[0] == "*.md"
    assert left(leaving_out(Request(("./**/*.md",)), ("deep/d.md",))) == ["a.md", "b.md"]
    assert left(leaving_out(Request((), listed=b"a.md\nb.md\n"), ("a.md",))) == ["b.md"]


def test_it_works_from_another_folder(make_tree: MakeTree) -> None:
    root = make_tree({"a.md": "a", "b.md": "b"})
    assert leaving_out(Request(("*.md",), folder=str(root)), ("a.md",)).inputs == ("b.md", "b.md")


# --- the prompt of what is left -----------------------------------------------------------------------------------

TEXTS = [f"{folder}/{n}.txt" for folder in ("a", "b") for n in range(5)]


def content(path: str) -> str:
    """Some 1,000 to 5,000 tokens, so that texts share windows and are cut by them."""
    at = TEXTS.index(path) + 1
    return "\n".join(f"{path} line {line} says {line * at * 7919 % 1000}" for line in range(at * 97 % 340 + 60))


@pytest.fixture
def many(open_corpus: Callable[..., Corpus], make_tree: MakeTree) -> Corpus:
    return open_corpus(make_tree({path: content(path) for path in TEXTS}), index=False)


def brought_up(corpus: Corpus) -> Corpus:
    for _ in refresh(corpus, index=False):
        pass
    return corpus


def windows_of(corpus: Corpus) -> list[tuple[list[int], set[str]]]:
    """The ids of each window, and the paths in it."""
    return [(plan.window_ids(corpus, w), {piece.entry.path for piece in w.pieces}) for w in plan.pack(corpus)]


def part(whole: Corpus, *left_out: str) -> Corpus:
    """A corpus without these, up to date; the caller closes it."""
    return brought_up(Corpus(leaving_out(whole.request, left_out), whole.paths))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sets(st.sampled_from([*TEXTS, "a/"]), min_size=1, max_size=4), min_size=1, max_size=3))
def test_windows_before_what_is_left_out_stay_and_what_comes_back_is_the_same(
    many: Corpus, choices: list[set[str]]
) -> None:
    before = windows_of(many)
    for left_out in choices:
        with part(many, *left_out) as other:
            gone = {path for path in TEXTS if path in left_out or ("a/" in left_out and path.startswith("a/"))}
            assert {entry.path for entry in other.entries} == set(TEXTS) - gone
            positions = {entry.path: entry.position for entry in many.entries}
            assert all(entry.position == positions[entry.path] for entry in other.entries)
            first = next(n for n, (_, paths) in enumerate(before) if paths & gone)
            same = max(0, first - 1)  # the one before may have room for what came after
            assert windows_of(other)[:same] == before[:same]
            assert order_of(other, 0) == order_of(many, 0)
    with Corpus(many.request, many.paths) as again:
        assert windows_of(brought_up(again)) == before


def test_a_part_and_the_whole_go_on_alike(many: Corpus, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    with part(many, "b/4.txt") as other:
        last = many.entries[-1].position
        assert many.entries[-1].path == "b/4.txt", "so the part has a gap at its end"
        (root / "a/0.txt").write_text("other words\n")
        (root / "b/0.txt").unlink()
        brought_up(other)
        brought_up(many)
        states = [(entry.position, entry.path, entry.state) for entry in other.entries if entry.path[0] != "b"]
        assert states[0] == (0, "a/0.txt", State.SUPERSEDED)
        assert states[-1] == (last + 1, "a/0.txt", State.CURRENT)
        whole = {entry for entry in many.entries if entry.path != "b/4.txt"}
        assert set(other.entries) == whole, "the whole gives the same place to what the part had first"
    (root / "a/1.txt").write_text("new words\n")
    (root / "b/9.txt").write_text("a new file\n")
    brought_up(many)
    with part(many, "b/4.txt") as other:
        current = {entry for entry in many.entries if entry.path != "b/4.txt" and entry.state is State.CURRENT}
        assert {entry for entry in other.entries if entry.state is State.CURRENT} == current
    with part(many, "b/4.txt", "a/2.txt") as other:
        stale = [entry for entry in many.entries if entry.state is not State.CURRENT]
        assert stale and set(stale) <= set(other.entries), "what is stale keeps its place"
    with part(many, "b/4.txt", "a/1.txt") as other:
        assert "a/1.txt" not in {entry.path for entry in other.entries}, "but goes with its file"


def test_a_part_is_opened_later_as_it_was(many: Corpus) -> None:
    with part(many, "a/3.txt") as other:
        before, record = windows_of(other), other.record
    with Corpus(many.request, many.paths) as corpus:
        assert corpus.store.find(record.id).tag == many.record.tag
    later = Request(many.request.inputs, leaving_out(many.request, ("a/3.txt",)).selection)
    with Corpus(later, many.paths) as again:
        assert again.record.id == record.id
        assert windows_of(brought_up(again)) == before
        with part(again, "b/1.txt") as less:
            assert (less.record.tag, less.entries[0]) == (many.record.tag, many.entries[0])


def test_a_part_of_a_corpus_that_was_forgotten_begins_anew(many: Corpus) -> None:
    many.store.remove(many.record.id)
    with part(many, "a/3.txt") as other:
        assert [entry.position for entry in other.entries] == list(range(len(TEXTS) - 1))
        assert other.record.tag == many.record.tag


def test_a_part_that_is_repacked_stays_so(many: Corpus, tmp_path: Path) -> None:
    with part(many, "a/0.txt") as other:
        (tmp_path / "tree" / "b/0.txt").write_text("other words\n")
        brought_up(other)
        other.repack()
        assert [entry.position for entry in other.entries] == list(range(len(TEXTS) - 1))
        before = other.entries
        assert brought_up(other).entries == before
