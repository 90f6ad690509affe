import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.rules import IgnoreTree, Selection, compile_patterns, default_rule, minified

HOSTILE = [
    "*a*a*a*a*a*a*a*a*b",
    "**/a/**/a/**/a/**/a/**/b",
    "[!b]*[!b]*[!b]*[!b]*b",
    "a**a**a**a**a**b",
    "*?*?*?*?*?b",
]
NAMES = ["a", "b", "ab", "a.c", "b.log", ".x", "A"]
PARTS = [*NAMES, "*", "**", "?", "*.c", "a*", "*b*", "[ab]", "[!a]", "a?", "*.*"]


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("package-lock.json", "lock file"),
        ("web/yarn.lock", "lock file"),
        ("go.sum", "lock file"),
        ("js/jquery.min.js", "minified"),
        ("js/app.js.map", "source map"),
        ("web/node_modules/x/index.js", "vendored"),
        ("vendor/github.com/pkg/errors/errors.go", "vendored"),
        ("vendor/modules.txt", "vendored"),
        ("shop/vendor/views.py", None),
        ("vendor/README.md", None),
        ("a/__pycache__/b.pyc", "written by a tool"),
        ("node_modules", None),
        ("world.map", None),
        ("src/lock.py", None),
        ("logo.svg", None),
    ],
)
def test_default_rules(path: str, rule: str | None) -> None:
    assert default_rule(path) == rule


def test_a_script_with_very_long_lines_is_minified() -> None:
    assert minified("a.js", "x=1;" * 1000) == "minified"
    assert minified("a.js", "x = 1;\n" * 1000) is None
    assert minified("a.txt", "word " * 1000) is None
    assert minified("a.css", "") is None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "", "!"]),
            st.sampled_from(["", "/"]),
            st.lists(st.sampled_from(PARTS), min_size=1, max_size=3),
            st.sampled_from(["", "", "/"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_patterns_agree_with_git(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, list[str], str]]
) -> None:
    lines = [f"{bang}{start}{'/'.join(parts)}{end}" for bang, start, parts, end in rows]
    tree = IgnoreTree()
    tree.add("", lines)
    ours = {path for path in _paths() if not tree.ignored(path)}
    assert ours == _left_by_git(_git_tree(tmp_path_factory), lines), lines


def _paths() -> list[str]:
    deep = [f"{one}/{two}" for one in ("a", "ab", ".x") for two in ("b", "a.c", "A")]
    return ["b", "a.c", "b.log", *deep, "a/ab/a.c", "a/ab/b", "a/ab/a/b"]


def _git_tree(factory: pytest.TempPathFactory) -> Path:
    root = factory.getbasetemp() / "git-truth"
    if not root.exists():
        root.mkdir()
        for path in _paths():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


def _left_by_git(root: Path, lines: list[str]) -> set[str]:
    (root / ".git/info/exclude").write_text("\n".join(lines))
    command = ["git", "-c", "core.excludesFile=/dev/null", "ls-files", "-o", "-z", "--exclude-standard"]
    output = subprocess.run(command, cwd=root, check=True, capture_output=True).stdout
    return set(filter(None, os.fsdecode(output).split("\0")))


@pytest.mark.parametrize("pattern", HOSTILE)
def test_no_pattern_takes_long(pattern: str) -> None:
    patterns = compile_patterns([pattern])
    began = time.process_time()
    for entry in ("a" * 255, "a/" * 1200 + "a", ("a" * 200 + "/") * 20 + "c"):
        assert not patterns.match(entry)
    assert time.process_time() - began < 0.5


def test_bad_patterns_match_nothing_and_names_with_newlines_match() -> None:
    assert compile_patterns(["[z-a]x", "a\\", "", "# b", "nul\0"]).rules == ()
    assert compile_patterns(["*.log"]).match("a\nb.log")
    assert compile_patterns(["foo"]).match("foo\n") is None
    assert compile_patterns(["a/foo"]).match("a/foo")


def test_a_deeper_ignore_file_wins_but_not_below_an_ignored_folder() -> None:
    tree = IgnoreTree()
    tree.add("", ["*.log", "out/"])
    tree.add("a/", ["!keep.log"])
    tree.add("out/", ["!x.py"])
    assert not tree.ignored("a/keep.log")
    assert tree.ignored("a/other.log")
    assert tree.ignored("out/x.py")
    assert tree.ignored("deep/out/x.py")


def test_selection() -> None:
    assert Selection(include=("*.lock",)).includes("a/uv.lock")
    assert not Selection().includes("uv.lock")
    assert Selection(exclude=("docs/", "!docs/")).excludes("docs/a.md") is False
    assert Selection(exclude=("docs/",)).excludes("a/docs/b.md")
    assert Selection(only=("*.py",)).excludes("a.md")
    assert not Selection(only=("*.py",)).excludes("a.py")
    assert Selection(only=("*.py",), exclude=("test_*",)).excludes("test_a.py")
    assert Selection(exclude=("a/",)).prunes("a/")
    assert not Selection(only=("*.py",)).prunes("a/")
