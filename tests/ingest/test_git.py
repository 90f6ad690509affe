import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingest import git
from ingest.errors import GitFailed


def run(folder: Path, *command: str) -> None:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", *identity, *command], cwd=folder, check=True, capture_output=True)


def repository(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    run(folder, "init", "-q", "-b", "main")
    for name, text in files.items():
        (folder / name).write_text(text)
    run(folder, "add", "-A")
    run(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


def test_tracked_and_new_files_are_listed_and_ignored_ones_are_not(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", a="1", b="2")
    (root / ".gitignore").write_text("*.log\n")
    (root / "x.log").touch()
    (root / "new").touch()
    assert git.tracked(str(root)) == [b".gitignore", b"a", b"b", b"new"]


def test_a_subfolder_is_listed_relative_to_itself(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", a="1")
    (root / "sub").mkdir()
    (root / "sub/c").touch()
    assert git.tracked(str(root / "sub")) == [b"c"]


def test_outside_a_working_tree_and_in_an_ignored_folder_there_is_no_list(tmp_path: Path) -> None:
    assert git.tracked(str(tmp_path)) is None
    root = repository(tmp_path / "r", **{".gitignore": "out/"})
    (root / "out").mkdir()
    (root / "out/x").touch()
    assert git.tracked(str(root / "out")) is None
    assert git.tracked(str(root / ".git")) is None


def test_user_excludes_and_info_exclude_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = repository(tmp_path / "r")
    (tmp_path / "excludes").write_text("*.tmp\n")
    (tmp_path / "config").write_text(f"[core]\nexcludesFile = {tmp_path}/excludes\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    (root / ".git/info/exclude").write_text("private\n")
    for name in ("a.tmp", "private", "b"):
        (root / name).touch()
    assert git.tracked(str(root)) == [b"b"]


def test_nothing_in_a_repository_is_executed(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", a="1")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "gpg.program", "core.pager", "core.sshCommand", "diff.external", "core.editor"):
        run(root, "config", key, str(program))
    run(root, "config", "log.showSignature", "true")
    run(root, "config", "core.hooksPath", str(tmp_path))
    assert git.tracked(str(root)) == [b"a"]
    assert git.heat(str(root))
    assert not (tmp_path / "ran").exists()


def test_the_environment_can_not_point_git_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = repository(tmp_path / "other", secret="1")
    root = repository(tmp_path / "r", a="1")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert git.tracked(str(root)) == [b"a"]


def test_undecodable_and_odd_names_come_back_as_bytes(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    names = [b"caf\xe9", b"new\nline", b"-option", "日本".encode()]
    for name in names:
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).touch()
    assert git.tracked(str(root)) == sorted(names)


def test_a_repository_owned_by_another_is_refused_with_git_s_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(tmp_path / "r", a="1")
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    (tmp_path / "config").touch()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    os.chown(root, 12345, 12345)
    os.chown(root / ".git", 12345, 12345)
    with pytest.raises(GitFailed, match="dubious ownership"):
        git.tracked(str(root))


def test_heat_is_the_time_of_the_last_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "r"
    monkeypatch.setenv("GIT_COMMITTER_DATE", "1000000000 +0000")
    repository(root, a="1", b="1", **{"new\nline": "1"})
    monkeypatch.setenv("GIT_COMMITTER_DATE", "1000000500 +0000")
    (root / "b").write_text("2")
    run(root, "commit", "-qam", "second")
    assert git.heat(str(root)) == {b"a": 1000000000, b"b": 1000000500, b"new\nline": 1000000000}
    assert git.heat(str(root), commits=1) == {b"b": 1000000500}
    assert git.heat(str(tmp_path)) == {}


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ("https://github.com/pallets/flask", True),
        ("git@github.com:pallets/flask.git", True),
        ("ssh://git@host:22/x.git", True),
        ("file:///srv/x.git", True),
        ("pallets/flask", False),
        ("ext::sh -c whoami", False),
        ("--upload-pack=evil", False),
        ("ssh://-oProxyCommand=evil/x", False),
        ("git@-evil:x", False),
        ("https://host/a b", False),
        ("https://host/\x1b[2J", False),
        ("C:/x", False),
    ],
)
def test_what_is_an_address(text: str, remote: bool) -> None:
    assert git.is_remote(text) is remote


def test_clone_is_shallow_and_a_second_one_updates_it(tmp_path: Path) -> None:
    origin = repository(tmp_path / "origin", a="1")
    (origin / "a").write_text("2")
    run(origin, "commit", "-qam", "second")
    url = f"file://{origin}"
    folder = Path(git.clone(url, str(tmp_path / "clones")))
    assert (folder / "a").read_text() == "2"
    count = ["git", "-C", str(folder), "rev-list", "--count", "HEAD"]
    assert subprocess.run(count, capture_output=True, check=True).stdout == b"1\n"
    (folder / "stray").touch()
    (origin / "a").write_text("3")
    run(origin, "commit", "-qam", "third")
    assert git.clone(url, str(tmp_path / "clones")) == str(folder)
    assert (folder / "a").read_text() == "3"
    assert not (folder / "stray").exists()


def test_a_failed_clone_says_why_in_a_line_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(GitFailed) as caught:
        git.clone(f"file://{tmp_path}/none", str(tmp_path / "clones"))
    assert "none" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "clones").iterdir()) == []


def test_clone_refuses_what_is_no_address(tmp_path: Path) -> None:
    with pytest.raises(GitFailed):
        git.clone("ext::touch x", str(tmp_path))


def test_short_name() -> None:
    assert git.short_name("https://user:pw@github.com/pallets/flask.git/") == "github.com/pallets/flask"
    assert git.short_name("git@github.com:pallets/flask.git") == "github.com/pallets/flask"
    assert git.short_name("https://host/a@b/c") == "host/a@b/c"


@pytest.mark.parametrize("key", ["diff.orderFile", "core.attributesFile", "mailmap.file"])
def test_a_configuration_that_names_a_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr(git, "LOCAL_SECONDS", 5.0)
    root = repository(tmp_path / "r", a="1")
    os.mkfifo(tmp_path / "pipe")
    run(root, "config", key, str(tmp_path / "pipe"))
    os.mkfifo(root / ".mailmap")
    assert git.tracked(str(root)) == [b"a"]
    assert b"a" in git.heat(str(root))


def test_a_git_that_hangs_ends_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin/git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {tmp_path}/child\nwait\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(git, "LOCAL_SECONDS", 1.0)
    for use in (git.tracked, git.heat):
        with pytest.raises(git.NoAnswer, match="no answer in 1 seconds"):
            use(str(tmp_path))
        assert _ends(int((tmp_path / "child").read_text()))


def _ends(process: int) -> bool:
    """Whether the process is gone, or a zombie that nobody waits for, within some seconds."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            if ") Z " in Path(f"/proc/{process}/stat").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("https://user:pw@host/a/b.git", "https://host/a/b.git"),
        ("https://ghp_token@host/a", "https://host/a"),
        ("https://user:p@ss@host/a@b", "https://host/a@b"),
        ("http://host/a", "http://host/a"),
        ("ssh://git:pw@host:22/a", "ssh://git@host:22/a"),
        ("ssh://git@host/a", "ssh://git@host/a"),
        ("git@host:a/b", "git@host:a/b"),
        ("file:///srv/a@b", "file:///srv/a@b"),
        ("docs/a@b.md", "docs/a@b.md"),
    ],
)
def test_public_url(text: str, public: str) -> None:
    assert git.public_url(text) == public


def test_a_clone_keeps_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = repository(tmp_path / "origin", a="1")
    url = "https://me:hunter2@example.org/x"
    (tmp_path / "config").write_text(f'[url "file://{origin}"]\n\tinsteadOf = {url}\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    folder = Path(git.clone(url, str(tmp_path / "clones")))
    (origin / "a").write_text("2")
    run(origin, "commit", "-qam", "second")
    assert git.clone(url, str(tmp_path / "clones")) == str(folder)
    assert (folder / "a").read_text() == "2"
    names = [str(path) for path in folder.rglob("*")]
    assert not any("hunter2" in name for name in names)
    assert not any(b"hunter2" in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert git._folder_name(url) == git._folder_name("https://example.org/x") == folder.name


def test_clones_of_one_address_at_once_all_succeed(tmp_path: Path) -> None:
    origin = repository(tmp_path / "origin", **{str(number): "x" * 1000 for number in range(50)})
    script = "import sys; from ingest import git; print(git.clone(*sys.argv[1:]), end='')"
    command = [sys.executable, "-c", script, f"file://{origin}", str(tmp_path / "clones")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    results = [process.communicate() for process in processes]
    assert [said.decode() for _, said in results] == [""] * 4
    (folder,) = {output for output, _ in results}
    assert [os.fsencode(path) for path in (tmp_path / "clones").iterdir()] == [folder]


def test_a_clone_that_finds_another_in_its_place_takes_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = repository(tmp_path / "origin", a="1")
    move, url, into = git._move, f"file://{origin}", str(tmp_path / "clones")

    def be_second(unfinished: str, folder: str) -> None:
        monkeypatch.setattr(git, "_move", move)
        assert git.clone(url, into) == folder
        move(unfinished, folder)

    monkeypatch.setattr(git, "_move", be_second)
    folder = git.clone(url, into)
    assert [str(path) for path in Path(into).iterdir()] == [folder]


def test_what_a_killed_clone_left_is_taken_away_after_a_day(tmp_path: Path) -> None:
    origin = repository(tmp_path / "origin", a="1")
    for name, age in (("old.part", git.ABANDONED_AFTER_S + 60), ("new.part", 60)):
        (tmp_path / "clones" / name).mkdir(parents=True)
        os.utime(tmp_path / "clones" / name, (time.time() - age,) * 2)
    folder = git.clone(f"file://{origin}", str(tmp_path / "clones"))
    assert {str(path) for path in (tmp_path / "clones").iterdir()} == {folder, str(tmp_path / "clones/new.part")}
