"""Directories: where they are, that none appears by itself, and that they are private."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from longctx.paths import Paths, ensure, locate


def test_one_variable_moves_everything(tmp_path: Path) -> None:
    paths = locate({"LONGCTX_HOME": str(tmp_path / "home")})
    assert paths == Paths(
        config=tmp_path / "home/config",
        data=tmp_path / "home/data",
        cache=tmp_path / "home/cache",
        state=tmp_path / "home/state",
    )
    assert paths.config_file == tmp_path / "home/config/config.toml"
    assert not (tmp_path / "home").exists()


def test_a_relative_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate({"LONGCTX_HOME": "here"}).data == tmp_path / "here" / "data"


@pytest.mark.skipif(sys.platform != "linux", reason="XDG directories")
def test_the_platform_decides_without_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    for environ in ({}, {"LONGCTX_HOME": ""}):
        assert locate(environ).cache == tmp_path / "xdg" / "longctx"
    assert not (tmp_path / "xdg").exists()


def test_created_directories_are_private_whatever_the_umask(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        made = ensure(tmp_path / "a" / "b")
    finally:
        os.umask(previous)
    assert made.stat().st_mode & 0o777 == 0o700
    assert made.parent.stat().st_mode & 0o777 == 0o700


def test_an_existing_directory_keeps_its_permissions(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o750)
    assert ensure(shared) == shared
    assert shared.stat().st_mode & 0o777 == 0o750


def test_a_file_in_the_way_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    with pytest.raises(FileExistsError):
        ensure(tmp_path / "data")


def test_importing_loads_no_platformdirs() -> None:
    code = "import sys, longctx.paths; sys.exit('platformdirs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
