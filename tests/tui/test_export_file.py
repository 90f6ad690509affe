"""The file that a session is exported to."""

from pathlib import Path

import pytest

from tui.export_file import problem, proposed_name


def test_a_relative_name_in_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert "is gone" in problem("a.md")
    assert problem(str(tmp_path / "a.md")) == ""


def test_a_name_is_made_of_a_title() -> None:
    assert proposed_name("../Where is /etc?\x1b[31m") == "where-is-etc-31m.md"
    assert proposed_name("\udcff") == "session.md"
