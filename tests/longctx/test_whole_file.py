"""A file that is written whole or not at all."""

import os
from pathlib import Path

import pytest

from longctx.whole_file import whole_file


def test_it_appears_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out.md"
    with whole_file(path) as stream:
        stream.write("one\ntwo \udcff")
        assert not path.exists()
    assert path.read_bytes() == b"one\ntwo \xff"
    assert os.listdir(tmp_path) == ["out.md"]


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.md"
    path.write_text("before")
    with pytest.raises(KeyError), whole_file(path) as stream:
        stream.write("half")
        raise KeyError
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["out.md"]


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "out.md"
    path.touch()
    path.chmod(mode)
    with whole_file(path) as stream:
        (unfinished,) = tmp_path.glob(".out.md.*")
        assert unfinished.stat().st_mode & 0o777 == mode
        stream.write("x")
    assert path.stat().st_mode & 0o777 == mode


def test_a_new_file_has_the_mode_that_the_user_wants(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with whole_file(tmp_path / "out.md"):
        pass
    assert (tmp_path / "out.md").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_is_followed_and_a_long_name_is_no_trouble(tmp_path: Path) -> None:
    target = tmp_path / ("é" * 120 + ".html")
    link = tmp_path / "link"
    link.symlink_to(target)
    with whole_file(link) as stream:
        stream.write("x")
    assert link.is_symlink() and target.read_text() == "x"


def test_what_is_no_file_is_written_to_as_it_is() -> None:
    with whole_file(Path("/dev/null")) as stream:
        stream.write("x")
    assert Path("/dev/null").is_char_device()
