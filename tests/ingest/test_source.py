import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from ingest import git as git_module
from ingest.errors import GitFailed, SourceNotFound
from ingest.outcome import Outcome, Status
from ingest.rules import Selection
from ingest.source import Source, discover, from_list


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


def make(*paths: str) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(path)


def git(folder: str, *command: str) -> None:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", "-C", folder, *identity, *command], check=True, capture_output=True)


def found(*inputs: str, selection: Selection | None = None, **options: object) -> list[Source | Outcome]:
    return list(discover(inputs, selection or Selection(), clone_root="clones", **options))  # type: ignore[arg-type]


def paths(*inputs: str, selection: Selection | None = None) -> list[str]:
    return [one.path for one in found(*inputs, selection=selection) if isinstance(one, Source)]


def outcomes(*inputs: str, selection: Selection | None = None) -> dict[str, tuple[Status, str]]:
    listed = found(*inputs, selection=selection)
    return {one.path: (one.status, one.detail) for one in listed if isinstance(one, Outcome)}


def test_one_folder_gives_paths_relative_to_it() -> None:
    make("r/b.py", "r/a/c.py")
    assert paths("r") == paths("./r/") == ["a/c.py", "b.py"]
    (first, _) = found("r")
    assert isinstance(first, Source)
    assert Path(first.location).read_text() == "r/a/c.py"
    assert first.signature.size == len("r/a/c.py")


def test_several_inputs_give_paths_as_the_user_wrote_them() -> None:
    make("docs/a.md", "src/b.py", "c.txt")
    assert paths("docs", "./src/", "c.txt") == ["docs/a.md", "src/b.py", "c.txt"]
    assert paths("docs/../c.txt") == ["c.txt"]


def test_overlapping_inputs_list_a_file_once() -> None:
    make("r/a/x", "r/y")
    assert paths("r/a", "r", "r/y", ".") == ["r/a/x", "r/y"]


def test_what_does_not_exist_comes_with_a_hint() -> None:
    make("readme.md")
    with pytest.raises(SourceNotFound) as caught:
        found("raedme.md")
    assert caught.value.hint == "did you mean readme.md?"
    with pytest.raises(SourceNotFound) as caught:
        found("pallets/flask")
    assert "https://github.com/pallets/flask" in caught.value.hint


def test_globs() -> None:
    make("d/a.md", "d/b.py", "d/e/c.md", "f.md", "d/[x].md")
    assert paths("d/*.md") == ["d/[x].md", "d/a.md"]
    assert paths("d/**/*.md") == ["d/[x].md", "d/a.md", "d/e/c.md"]
    assert paths("**/c.*") == ["d/e/c.md"]
    assert paths("d/[x].md") == ["d/[x].md"]
    with pytest.raises(SourceNotFound):
        found("d/*.rs")


def test_stdin_and_lists() -> None:
    make("a", "-")
    (source,) = found("-", stdin=b"text")
    assert isinstance(source, Source)
    assert (source.path, source.content) == ("<stdin>", b"text")
    (other,) = found("-", stdin=b"next")
    assert isinstance(other, Source)
    assert other.signature != source.signature
    listed = found(from_file=b"a\r\ngone\n-\n")
    assert [one.path for one in listed] == ["a", "gone", "-"]
    assert isinstance(listed[1], Outcome)
    assert listed[1].status is Status.UNREADABLE


def test_lists_by_line_or_by_nul() -> None:
    assert from_list(b"a\nb c\r\n\n") == ["a", "b c"]
    assert from_list(b"a\nb\0caf\xe9\0") == ["a\nb", "caf\udce9"]


def test_a_git_tree_is_listed_by_git_with_repositories_inside_it() -> None:
    make("lib/l.py", "r/a.py", "r/x.log", "r/inner/i.py", "r/inner/i.log", "r/out/o")
    git("lib", "init", "-q")
    git("lib", "add", "-A")
    git("lib", "commit", "-qm", "1")
    Path("r/.gitignore").write_text("*.log\nout/\n")
    git("r", "init", "-q")
    git("r", "add", "a.py")
    git("r", "submodule", "add", "-q", f"file://{Path.cwd()}/lib", "sub")
    git("r/inner", "init", "-q")
    assert paths("r") == [".gitignore", ".gitmodules", "a.py", "inner/i.log", "inner/i.py", "sub/l.py"]
    assert paths(".") == [
        "lib/l.py",
        *("r/" + path for path in (".gitignore", ".gitmodules", "a.py", "inner/i.log", "inner/i.py", "sub/l.py")),
    ]
    assert paths("r/out") == ["o"]
    subprocess.run(["rm", "-r", "r/sub"], check=True)
    Path("r/sub").mkdir()
    assert outcomes("r")["sub/"] == (Status.SPECIAL, "a submodule that isn't checked out")


def test_a_deleted_tracked_file_is_no_source() -> None:
    make("r/a", "r/b")
    git("r", "init", "-q")
    git("r", "add", "-A")
    Path("r/a").unlink()
    assert paths("r") == ["b"]


@pytest.mark.parametrize("tracked", [False, True])
def test_links(tracked: bool) -> None:
    make("r/real.txt", "r/folder/x", "outside/secret", "r/.env", "r/hidden.log")
    for link, target in {
        "again": "real.txt",
        "away": "../outside/secret",
        "away-folder": "../outside",
        "broken": "nowhere",
        "config": ".git/config",
        "env": ".env",
        "folder-link": "folder",
        "ignored": "hidden.log",
        "loop": "loop",
        "root": ".",
    }.items():
        Path("r", link).symlink_to(target)
    Path("r/.gitignore").write_text(".env\n*.log\n")
    Path("r/.git").mkdir()
    Path("r/.git/config").write_text("token")
    if tracked:
        git("r", "init", "-q")
        git("r", "add", "-A")
    else:
        Path("r/.git/config").unlink()
        Path("r/.git").rmdir()
        Path("r/CVS").mkdir()
        Path("r/CVS/config").write_text("token")
        Path("r/config").unlink()
        Path("r/config").symlink_to("CVS/config")
    assert paths("r") == [".gitignore", "folder/x", "real.txt", "ignored"]
    ends = outcomes("r")
    assert ends.pop("again") == (Status.DUPLICATE, "real.txt")
    assert ends.pop("env") == (Status.SECRET, "link to .env: environment file")
    assert {status for status, _ in ends.values()} == {Status.SPECIAL}
    assert set(ends) == {"away", "away-folder", "broken", "config", "folder-link", "loop", "root"}
    assert ends["root"][1] == "link to a folder: ."
    assert ends["away"][1].startswith("link leaves the folder")
    assert ends["broken"][1] == "broken link"


def test_a_listed_file_behind_a_folder_that_became_a_link_is_not_read() -> None:
    make("r/d/passwd", "outside/passwd")
    git("r", "init", "-q")
    git("r", "add", "-A")
    subprocess.run(["rm", "-r", "r/d"], check=True)
    Path("r/d").symlink_to("../outside")
    assert paths("r") == []
    assert outcomes("r")["d/passwd"][0] is Status.SPECIAL


def test_a_git_file_that_points_out_of_the_tree_lists_only_what_is_here() -> None:
    make("other/private", "r/mine")
    git("other", "init", "-q")
    git("other", "add", "-A")
    git("other", "config", "core.worktree", str(Path("other").resolve()))
    Path("r/.git").write_text(f"gitdir: {Path('other/.git').resolve()}\n")
    locations = [one.location for one in found("r") if isinstance(one, Source)]
    assert all(location.startswith(str(Path("r").resolve()) + "/") for location in locations)


def test_exclude_only_include_and_own_ignore_file() -> None:
    make("r/a.py", "r/b.md", "r/docs/c.md", "r/docs/d.py")
    Path("r/.longctxignore").write_text("docs/\n")
    everything = [".longctxignore", "a.py", "b.md"]
    for selection, expected in (
        (Selection(), everything),
        (Selection(exclude=("*.md",)), [".longctxignore", "a.py"]),
        (Selection(only=("*.md",)), ["b.md"]),
        (Selection(include=("*.py",)), [*everything, "docs/d.py"]),
    ):
        assert paths("r", selection=selection) == expected
        git("r", "init", "-q")
        assert paths("r", selection=selection) == expected
        subprocess.run(["rm", "-rf", "r/.git"], check=True)
    status, detail = outcomes("r", selection=Selection(only=("*.md",)))["."]
    assert status is Status.IGNORED
    assert detail.startswith("3 left out by --exclude")


def test_without_ignore_rules_of_git() -> None:
    make("r/a.log", "r/b")
    Path("r/.gitignore").write_text("*.log\n")
    git("r", "init", "-q")
    assert paths("r") == [".gitignore", "b"]
    assert paths("r", selection=Selection(gitignore=False)) == [".gitignore", "a.log", "b"]


def test_folders_that_tools_write_are_counted_in_one_outcome() -> None:
    make("r/a.py", "r/__pycache__/a.pyc", "r/b/__pycache__/b.pyc")
    assert paths("r") == ["a.py"]
    assert outcomes("r") == {"__pycache__/": (Status.IGNORED, "written by a tool: 2 folders such as this one")}
    assert outcomes("r/b") == {"__pycache__/": (Status.IGNORED, "written by a tool: one folder")}


REPORT_BEGINS = b'{"event":"run","schema":"longctx.run/1","program":"longctx 1"}\n'
OF_REPORTS = [
    "report.md",
    "report.json",
    "evidence.jsonl",
    ".report.html.0123abcd",
    f"pages/{'a' * 16}-p1-{'0' * 16}.jpg",
]


@pytest.mark.parametrize("is_git", [False, True])
def test_reports_are_no_documents(is_git: bool) -> None:
    make("r/a.md", "r/m-report/notes.md", "r/other/report.md", "r/pages/b.md")
    make(*(f"r/{folder}{name}" for folder in ("", "m-report/") for name in OF_REPORTS))
    for folder in ("r", "r/m-report"):
        Path(folder, "run.jsonl").write_bytes(REPORT_BEGINS)
    Path("r/other/run.jsonl").write_text('{"loss": 1}\n')
    os.symlink("m-report/report.md", "r/link.md")
    if is_git:
        git("r", "init", "-q")
    kept = ["a.md", "m-report/notes.md", "other/report.md", "other/run.jsonl", "pages/b.md"]
    assert paths("r") == kept
    reports = dict.fromkeys(("run.jsonl", "m-report/", "link.md"), (Status.IGNORED, "a report of longctx"))
    assert outcomes("r") == reports
    assert "report.json" in paths("r", selection=Selection(include=("report.json",)))
    assert paths("r/m-report/report.md") == ["r/m-report/report.md"], "who names it wants it"


def test_what_is_excluded_is_left_out_of_a_glob_too() -> None:
    make("d/a.md", "d/b.md", "d/e/c.md")
    assert paths("d/*", selection=Selection(exclude=("a.*", "e"))) == ["d/b.md"]
    assert paths("d/a.md", selection=Selection(exclude=("a.*",))) == ["d/a.md"], "who names it wants it"


def test_a_pipe_given_by_name_is_named() -> None:
    os.mkfifo("pipe")
    assert outcomes("pipe") == {"pipe": (Status.SPECIAL, "named pipe")}


def test_a_link_given_by_name_is_followed() -> None:
    make("x/target")
    Path("link").symlink_to("x/target")
    (source,) = found("link")
    assert isinstance(source, Source)
    assert source.path == "link"
    assert not stat.S_ISLNK(os.lstat(source.location).st_mode)


def test_remote_repositories_are_cloned() -> None:
    make("origin/a.py", "local/b.py")
    git("origin", "init", "-q")
    git("origin", "add", "-A")
    git("origin", "commit", "-qm", "1")
    url = f"file://{Path.cwd()}/origin"
    assert paths(url) == ["a.py"]
    assert paths(url, "local") == [f"{str(Path.cwd()).lstrip('/')}/origin/a.py", "local/b.py"]
    with pytest.raises(GitFailed):
        found(f"file://{Path.cwd()}/none")


def test_heat_comes_from_git_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    make("r/a", "r/b")
    git("r", "init", "-q")
    git("r", "add", "a")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "1000000000 +0000")
    git("r", "commit", "-qm", "1")
    assert [one.heat for one in found("r", heat=True) if isinstance(one, Source)] == [
        1000000000,
        git_module.UNCOMMITTED,
    ]
    assert [one.heat for one in found("r") if isinstance(one, Source)] == [0, 0]


def test_names_that_are_no_utf8_keep_their_bytes() -> None:
    make("r/ok")
    Path(os.fsdecode(b"r/caf\xe9\n\x1b")).touch()
    for _ in range(2):
        (odd, _ok) = [one for one in found("r") if isinstance(one, Source)]
        assert os.fsencode(odd.path) == b"caf\xe9\n\x1b"
        assert os.path.exists(odd.location)
        git("r", "init", "-q")


def test_a_repository_of_someone_else_is_walked_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    make("r/a", "r/x.log", "config")
    Path("r/.gitignore").write_text("*.log\n")
    git("r", "init", "-q")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    for path in ("r", "r/.git"):
        os.chown(path, 12345, 12345)
    assert paths("r") == [".gitignore", "a"]
    status, detail = outcomes("r")["."]
    assert status is Status.SPECIAL
    assert "dubious ownership" in detail


def test_many_files_are_listed_in_little_time_and_memory() -> None:
    Path("many").mkdir()
    for number in range(3_000):
        os.close(os.open(f"many/{number}", os.O_CREAT | os.O_WRONLY))
    began = time.process_time()
    assert sum(1 for _ in discover(["many"], Selection(), clone_root="clones")) == 3_000
    assert time.process_time() - began < 2


def listed(*names: str) -> dict[str, str]:
    """Of each path in a list: where it was found, or what is said of it."""
    ends = found(from_file="\n".join(names).encode())
    return {one.path: one.location if isinstance(one, Source) else f"{one.status}: {one.detail}" for one in ends}


def test_a_list_holds_paths_and_nothing_else() -> None:
    make("a.md", "d/b.md", "d/e/c.md", "-")
    url = f"file://{Path.cwd()}/d"
    assert listed("gone", "a.md/x", "*.md", "d/**", url, "-", "d") == {
        "gone": "unreadable: no such file",
        "a.md/x": "unreadable: no such file",
        "*.md": "unreadable: no such file",
        "d/**": "unreadable: no such file",
        os.path.normpath(url): "unreadable: no such file",
        "-": str(Path("-").resolve()),
        "d/b.md": str(Path("d/b.md").resolve()),
        "d/e/c.md": str(Path("d/e/c.md").resolve()),
    }
    assert not Path("clones").exists()


def test_a_list_beside_an_input_takes_the_file_once() -> None:
    make("d/b", "d/c")
    assert [one.path for one in found("d", from_file=b"./d/b\0d/../d/c\0")] == ["d/b", "d/c"]


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with links that lead out of it, to its own files and to a secret."""
    make("outside/private", "r/own.md", "r/d/in.md", "r/.env", "r/.git/config")
    for link, target in {
        "away.md": "../outside/private",
        "away-folder": "../outside",
        "config.md": ".git/config",
        "env.md": ".env",
        "in.md": "d/in.md",
        "inner": "d",
        "gone.md": "../outside/nothing",
    }.items():
        Path("r", link).symlink_to(target)
    monkeypatch.chdir(tmp_path / "r")
    return tmp_path


def test_links_in_a_list_stay_below_the_current_folder(linked: Path) -> None:
    names = ["away.md", "away-folder/private", "away-folder", "gone.md", f"{linked}/r/away.md", "config.md", "env.md"]
    ends = listed(*names, "in.md", "inner/in.md", "own.md")
    assert ends.pop("in.md") == f"{linked}/r/d/in.md"
    assert ends.pop("own.md") == f"{linked}/r/own.md"
    assert ends.pop("env.md") == f"secret: link to {linked}/r/.env: environment file"
    assert ends.pop("config.md") == f"special file: link to {linked}/r/.git/config"
    assert len(ends) == 5
    assert all(end.startswith(f"special file: link leaves the folder: {linked}/outside") for end in ends.values())
    assert listed("../outside/private") == {"../outside/private": f"{linked}/outside/private"}


def test_links_that_a_glob_finds_stay_below_its_folder(linked: Path) -> None:
    Path("../r-link").symlink_to("r")
    for pattern, prefix in (("*.md", ""), ("../r-link/*.md", "../r-link/"), (f"{linked}/r/*.md", f"{linked}/r/")):
        assert paths(pattern) == [f"{prefix}in.md", f"{prefix}own.md"]
        ends = outcomes(pattern)
        assert ends[f"{prefix}away.md"] == (Status.SPECIAL, f"link leaves the folder: {linked}/outside/private")
        assert ends[f"{prefix}env.md"][0] is Status.SECRET
    assert paths("*/private") == []
    assert outcomes("*/private")["away-folder/private"][0] is Status.SPECIAL


def test_a_path_the_user_typed_is_followed_anywhere_but_to_a_secret(linked: Path) -> None:
    assert paths("away.md", "away-folder/private") == ["away.md"]
    assert paths("away-folder") == ["private"]
    assert outcomes("env.md")["env.md"] == (Status.SECRET, f"link to {linked}/r/.env: environment file")
    for selection in (Selection(secrets=True), Selection(include=(".env",)), Selection(include=("env.md",))):
        assert paths("env.md", selection=selection) == ["env.md"]


def test_a_long_chain_of_links_ends_in_an_outcome() -> None:
    make("r/end")
    for number in range(1_500):
        Path(f"r/l{number:04}").symlink_to(f"l{number + 1:04}" if number < 1_499 else "end")
    assert outcomes("r")["l0000"][0] is Status.SPECIAL
    assert outcomes("r/l0000")["r/l0000"][0] is Status.UNREADABLE
    assert listed("r/l0000")["r/l0000"].startswith("unreadable")


def test_a_thousand_folders_in_one_another_are_listed_by_git() -> None:
    folder = "r" + "/d" * 1_200
    make("r/a")
    here = os.open("r", os.O_RDONLY)
    for _ in range(1_200):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    git("r", "init", "-q")
    git("r", "add", "-A")
    assert paths("r") == ["a", folder[2:] + "/bottom"]
    subprocess.run(["rm", "-r", "r/d"], check=True)


def test_a_git_that_waits_for_a_pipe_is_ended_and_asked_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_module, "LOCAL_SECONDS", 0.5)
    make("r/a.py", "r/x.log", "r/one/b.py", "r/two/c.py")
    for folder in ("r", "r/one", "r/two"):
        git(folder, "init", "-q")
        os.mkfifo(f"{folder}/.gitignore")
    os.mkfifo("r/.longctxignore")
    began = time.monotonic()
    assert paths("r") == ["a.py", "one/b.py", "two/c.py", "x.log"]
    assert time.monotonic() - began < 5
    ends = outcomes("r")
    assert ends["."] == (Status.SPECIAL, "listed without git: git gave no answer in 0.5 seconds")
    assert ends["two/"] == (Status.SPECIAL, "listed without git: git gave no answer before")
    assert ends[".gitignore"] == ends[".longctxignore"] == (Status.SPECIAL, "named pipe")


def test_passwords_of_an_address_are_not_said() -> None:
    with pytest.raises(SourceNotFound) as caught:
        found("https://me:hunter2@example.org/a b")
    assert "hunter2" not in str(caught.value)
