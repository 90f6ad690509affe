"""Leaving out what was chosen by its path: just that, whatever its name holds and however it came into the corpus."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rules import Selection
from ingest.source import Source
from longctx import paths
from longctx.backend.exclusion import leaving_out, pattern_of
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
