import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.outcome import Outcome, Status
from ingest.rules import IgnoreTree
from ingest.walk import Entry, ignore_lines, walk


def make(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def paths(root: Path, *, vendored: bool = False) -> list[str]:
    found = walk(str(root), "", IgnoreTree(), IgnoreTree(), vendored=vendored)
    return [one.path for one in found if isinstance(one, Entry)]


def outcomes(root: Path) -> dict[str, Outcome]:
    found = walk(str(root), "", IgnoreTree(), IgnoreTree())
    return {one.path: one for one in found if isinstance(one, Outcome)}


def test_the_order_is_that_of_whole_paths(tmp_path: Path) -> None:
    make(tmp_path, "a.c", "a/b", "a/c/d", "a-b", "B", "é")
    assert paths(tmp_path) == sorted(["a.c", "a/b", "a/c/d", "a-b", "B", "é"])


def test_ignore_files_hold_where_they_stand(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "keep.log", "sub/b.log", "sub/x.txt", "out/c", "sub/out", "y.tmp", "deep/er/z.tmp")
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\n/out/\n")
    (tmp_path / "sub/.gitignore").write_text("!b.log\nx.txt\n")
    (tmp_path / ".ignore").write_text("*.tmp\n")
    assert paths(tmp_path) == [".gitignore", ".ignore", "keep.log", "sub/.gitignore", "sub/b.log", "sub/out"]


def test_without_ignore_files_everything_is_found_but_version_control(tmp_path: Path) -> None:
    make(tmp_path, "a.log", ".hg/store", ".svn/x", ".env")
    (tmp_path / ".gitignore").write_text("*.log\n")
    found = walk(str(tmp_path), "", None, IgnoreTree())
    assert [one.path for one in found] == [".env", ".gitignore", "a.log"]


def test_the_idiom_that_brings_back_single_files(tmp_path: Path) -> None:
    make(tmp_path, "a.c", "a.o", "src/b.c", "src/b.o", "src/deep/c.c")
    (tmp_path / ".gitignore").write_text("*\n!*/\n!*.c\n")
    assert paths(tmp_path) == ["a.c", "src/b.c", "src/deep/c.c"]


def test_vendored_folders_are_named_and_not_entered(tmp_path: Path) -> None:
    make(tmp_path, "a.js", "node_modules/x/index.js")
    assert paths(tmp_path) == ["a.js"]
    assert outcomes(tmp_path)["node_modules/"] == Outcome("node_modules/", Status.IGNORED, "vendored")
    assert paths(tmp_path, vendored=True) == ["a.js", "node_modules/x/index.js"]


def test_a_repository_inside_is_handed_back_as_a_folder(tmp_path: Path) -> None:
    make(tmp_path, "a", "inner/.git/HEAD", "inner/b")
    assert paths(tmp_path) == ["a", "inner"]


def test_special_files_are_named_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / ".gitignore")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    server.close()
    assert paths(tmp_path) == []
    assert {path: one.detail for path, one in outcomes(tmp_path).items()} == {
        ".gitignore": "named pipe",
        "pipe": "named pipe",
        "socket": "socket",
    }


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "folder/a")
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "loop").symlink_to(".")
    assert paths(tmp_path) == ["folder/a", "link", "loop"]


def test_a_folder_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "closed/a", "open")
    scan = os.scandir

    def refuse(location: str) -> object:
        if location.endswith("closed/"):
            raise PermissionError(13, "Permission denied")
        return scan(location)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read anything
    assert paths(tmp_path) == ["open"]
    assert outcomes(tmp_path)["closed/"] == Outcome("closed/", Status.UNREADABLE, "no permission")


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder whose bottom no single path reaches, taken away again: pytest's own removal recurses."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("dddd", dir_fd=here)
        deeper = os.open("dddd", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    yield tmp_path
    subprocess.run(["rm", "-r", str(tmp_path / "dddd")], check=True)


def test_very_deep_folders_end_in_a_named_bottom(deep: Path) -> None:
    (deep / "dddd/a").touch()
    assert paths(deep) == ["dddd/a"]
    (bottom,) = outcomes(deep).values()
    assert (bottom.status, bottom.detail) == (Status.UNREADABLE, "path too long")


def test_ignore_lines_of_what_is_no_small_regular_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"\xef\xbb\xbfa\r\ncaf\xe9\n")
    (tmp_path / "link").symlink_to("real")
    assert ignore_lines(str(tmp_path / "real")) == ["a\r", "caf\udce9", ""]
    assert ignore_lines(str(tmp_path / "link")) == []
    assert ignore_lines(str(tmp_path / "none")) == []
    os.mkfifo(tmp_path / "pipe")
    assert ignore_lines(str(tmp_path / "pipe")) == []


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).touch()
    (tmp_path / "new\nline").touch()
    assert paths(tmp_path) == ["caf\udce9", "new\nline"]
