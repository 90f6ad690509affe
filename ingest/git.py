"""What git knows of a tree: its files, how recently each was changed, and copies of remote repositories.

A repository's own configuration is data from a stranger: nothing in it may start a program or reach a
network. So hooks, file-system monitors and transports are off in every call, and names that lead out of the
tree are refused.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ingest.errors import GitFailed
from ingest.naming import safe_text

UNCOMMITTED = 2**40  # later than any commit
HEAT_COMMITS = 400

# A host or path that begins with a dash would be read as an option by what git starts.
_REMOTE = re.compile(r"(?:(?:https?|ssh|git)://(?!-)|file:///|[\w.]+@(?![-/])[\w.-]+:(?!-))[^\s\x00-\x1f\x7f]+")
_TRANSPORTS = "file:git:http:https:ssh"
_HARMLESS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.alternateRefsCommand=",
    "log.showSignature=false",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
)
# What tells git how this user reaches servers; all else named GIT_* could point it at another repository.
_KEPT_VARIABLES = (
    "GIT_ASKPASS",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_EXEC_PATH",
)
_KEPT_PREFIXES = ("GIT_CEILING_", "GIT_SSH", "GIT_SSL_", "GIT_HTTP_", "GIT_PROXY_")


class _NoGit(GitFailed):
    """There is no git on this machine."""


def tracked(root: str) -> list[bytes] | None:
    """What git tracks or does not ignore below `root`, sorted; a repository inside it is listed as a folder.

    None where `root` is in no working tree, where git lists nothing of it, or without git itself.
    Raises GitFailed where git refuses to list.
    """
    command = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    try:
        output = _run(root, command, transports="none")
    except _NoGit:
        return None
    except GitFailed as error:
        if "not a git repository" in str(error) or "must be run in a work tree" in str(error):
            return None
        raise
    names = {name.rstrip(b"/") for name in output.split(b"\0") if _stays_inside(name)}
    return sorted(names) or None


def heat(root: str, commits: int = HEAT_COMMITS) -> dict[bytes, int]:
    """When each file below `root` was last committed (Unix time), as far as the last `commits` tell.

    What is not committed at all is the hottest.
    """
    options = [
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--no-show-signature",
        "--relative",
        "--no-merges",
    ]
    command = ["log", "-z", "--format=%x00%ct", "--name-only", "-n", str(commits), *options]
    try:
        output = _run(root, command, transports="none")
        new = _run(root, ["ls-files", "-z", "--others", "--exclude-standard"], transports="none")
    except GitFailed:
        return {}
    return _last_times(output) | dict.fromkeys(filter(None, new.split(b"\0")), UNCOMMITTED)


def is_remote(text: str) -> bool:
    """Whether `text` is the address of a repository: https, ssh, git or file, or `user@host:path`."""
    return not text.startswith("-") and _REMOTE.fullmatch(text) is not None


def clone(url: str, into: str) -> str:
    """A shallow copy of `url` in a folder of its own below `into`; one that is there is brought up to date.

    Returns the folder. Raises GitFailed with one line that says what git said.
    """
    if not is_remote(url):
        raise GitFailed(f"not an address git may clone: {url}", "use https://, ssh://, git:// or file://")
    Path(into).mkdir(parents=True, exist_ok=True)
    folder = os.path.abspath(os.path.join(into, _folder_name(url)))
    if os.path.isdir(f"{folder}/.git"):
        _update(folder)
    else:
        _clone(url, folder)
    return folder


def short_name(url: str) -> str:
    """`url` without scheme, user and `.git`: how its files are told from others ("github.com/pallets/flask")."""
    bare = re.sub(r"^\w+://", "", url).rpartition("@")[2]
    return bare.rstrip("/").removesuffix(".git").replace(":", "/").strip("/")


def _clone(url: str, folder: str) -> None:
    options = [
        "--depth",
        "1",
        "--no-tags",
        "--single-branch",
        "--no-recurse-submodules",
        "--template=",
        "--quiet",
    ]
    unfinished = f"{folder}.part"
    _remove(unfinished)
    try:
        _run("/", ["clone", *options, "--", url, unfinished], transports=_TRANSPORTS)
    except BaseException:
        _remove(unfinished)
        raise
    os.replace(unfinished, folder)


def _update(folder: str) -> None:
    fetch = [
        "fetch",
        "--depth",
        "1",
        "--no-tags",
        "--no-recurse-submodules",
        "--quiet",
        "--",
        "origin",
        "HEAD",
    ]
    _run(folder, fetch, transports=_TRANSPORTS)
    _run(folder, ["reset", "--hard", "--quiet", "FETCH_HEAD"], transports="none")
    _run(folder, ["clean", "-ffdxq"], transports="none")


def _remove(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _folder_name(url: str) -> str:
    readable = re.sub(r"[^\w.-]+", "-", short_name(url), flags=re.ASCII)[-60:].lstrip("-.")
    return f"{readable}-{hashlib.sha256(url.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def _stays_inside(name: bytes) -> bool:
    return bool(name) and not name.startswith((b"/", b"../")) and b"/../" not in name


def _last_times(output: bytes) -> dict[bytes, int]:
    times: dict[bytes, int] = {}
    for time, names in _commits(output):
        for name in names:
            times.setdefault(name, time)
    return times


def _commits(output: bytes) -> Iterator[tuple[int, Iterable[bytes]]]:
    """Each commit of `git log -z --format=%x00%ct --name-only`, newest first: its time and its files."""
    for block in output.split(b"\0\0"):
        time, _, names = block.lstrip(b"\0").partition(b"\0")
        if time.isdigit():
            yield int(time), filter(None, names.removeprefix(b"\n").split(b"\0"))


def _run(folder: str, command: Sequence[str], *, transports: str) -> bytes:
    settings = [part for setting in _HARMLESS for part in ("-c", setting)]
    try:
        done = subprocess.run(
            ["git", "-C", folder, *settings, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_environment(transports),
            check=False,
        )
    except FileNotFoundError as error:
        raise _NoGit("git is not installed", "install git, or give a folder") from error
    if done.returncode:
        raise GitFailed(_last_words(done.stderr))
    return done.stdout


def _environment(transports: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or _is_kept(name)}
    return kept | {
        "GIT_ALLOW_PROTOCOL": transports,
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
    }


def _is_kept(name: str) -> bool:
    return name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)


def _last_words(stderr: bytes) -> str:
    """The line in which git says what went wrong."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    said = (fatal or lines or ["git gave no reason"])[0].removeprefix("fatal: ").removeprefix("error: ")
    return safe_text(re.sub(r"//[^/@\s]+@", "//", said))
