"""What git knows of a tree: its files, how recently each was changed, and copies of remote repositories.

A repository's own configuration is data from a stranger: nothing in it may start a program or reach a
network. So hooks, file-system monitors and transports are off in every call, names that lead out of the tree are
refused, and a git that waits for what never comes (a pipe named `.gitignore`) is ended. Passwords in an address
are used and never kept.
"""

import fcntl
import hashlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ingest.errors import GitFailed
from ingest.naming import safe_text

UNCOMMITTED = 2**40  # later than any commit
HEAT_COMMITS = 250
LOCAL_SECONDS = 20.0
REMOTE_SECONDS = 3600.0
ABANDONED_AFTER_S = 24 * 3600

# A host or path that begins with a dash would be read as an option by what git starts.
_REMOTE = re.compile(r"(?:(?:https?|ssh|git)://(?!-)|file:///|[\w.]+@(?![-/])[\w.-]+:(?!-))[^\s\x00-\x1f\x7f]+")
# For ssh the user is part of the place, a password is not; for the others either may be a token.
_SSH_PASSWORD = re.compile(r"^(ssh://[^/@:]*):[^/]*@")
_USERINFO = re.compile(r"^((?!ssh:)[a-z][a-z+]*://)[^/]*@", re.IGNORECASE)
_USER_OF_HOST = re.compile(r"^(?:\w+://[^/]*@|\w+://|[\w.]+@)")
_TRANSPORTS = "file:git:http:https:ssh"
_HARMLESS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.alternateRefsCommand=",
    "core.attributesFile=/dev/null",
    "diff.orderFile=/dev/null",
    "mailmap.file=/dev/null",
    "log.mailmap=false",
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


class NoAnswer(GitFailed):
    """git did not end in the time it is given."""


class _NoGit(GitFailed):
    """There is no git on this machine."""


def tracked(root: str) -> list[bytes] | None:
    """What git tracks or does not ignore below `root`, sorted; a repository inside it is listed as a folder.

    None where `root` is in no working tree, where git lists nothing of it, or without git itself.
    Raises GitFailed where git refuses to list, NoAnswer where it hangs.
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

    What is not committed at all is the hottest. Empty where git can't say; raises NoAnswer where it hangs.
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
    except NoAnswer:
        raise
    except GitFailed:
        return {}
    return _last_times(output) | dict.fromkeys(filter(None, new.split(b"\0")), UNCOMMITTED)


def is_remote(text: str) -> bool:
    """Whether `text` is the address of a repository: https, ssh, git or file, or `user@host:path`."""
    return not text.startswith("-") and _REMOTE.fullmatch(text) is not None


def public_url(text: str) -> str:
    """`text` without the user and password of an address, for display and as its identity; all else as it is.

    The user of an ssh address stays: without it the address names another account.
    """
    return _USERINFO.sub(r"\1", _SSH_PASSWORD.sub(r"\1@", text))


def clone(url: str, into: str) -> str:
    """A shallow copy of `url` in a folder of its own below `into`; one that is there is brought up to date.

    Returns the folder, which holds no password. Raises GitFailed with one line that says what git said.
    """
    if not is_remote(url):
        raise GitFailed(f"not an address git may clone: {public_url(url)}", "use https://, ssh://, git:// or file://")
    Path(into).mkdir(parents=True, exist_ok=True)
    folder = os.path.abspath(os.path.join(into, _folder_name(url)))
    if os.path.isdir(f"{folder}/.git"):
        _update(url, folder)
    else:
        _clone(url, folder)
    return folder


def short_name(url: str) -> str:
    """`url` without scheme, user and `.git`: how its files are told from others ("github.com/pallets/flask")."""
    bare = _USER_OF_HOST.sub("", url)
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
    into, name = os.path.split(folder)
    _remove_abandoned(into)
    unfinished = tempfile.mkdtemp(dir=into, prefix=f"{name}.", suffix=".part")
    try:
        _run("/", ["clone", *options, "--", url, unfinished], transports=_TRANSPORTS, seconds=REMOTE_SECONDS)
        _run(unfinished, ["remote", "set-url", "origin", public_url(url)], transports="none")
        _move(unfinished, folder)
    finally:
        _remove(unfinished)


def _move(unfinished: str, folder: str) -> None:
    """Put the copy in its place, unless another process was first: then theirs is as good."""
    try:
        os.rename(unfinished, folder)
    except OSError:
        if not os.path.isdir(f"{folder}/.git"):
            raise


def _remove_abandoned(into: str) -> None:
    """Take away what processes that were killed left unfinished."""
    for part in Path(into).glob("*.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > ABANDONED_AFTER_S:
                _remove(str(part))


def _update(url: str, folder: str) -> None:
    fetch = [
        "fetch",
        "--depth",
        "1",
        "--no-tags",
        "--no-recurse-submodules",
        "--quiet",
        "--",
        url,
        "HEAD",
    ]
    with _held(folder):
        _run(folder, fetch, transports=_TRANSPORTS, seconds=REMOTE_SECONDS)
        _run(folder, ["reset", "--hard", "--quiet", "FETCH_HEAD"], transports="none", seconds=REMOTE_SECONDS)
        _run(folder, ["clean", "-ffdxq"], transports="none", seconds=REMOTE_SECONDS)


@contextmanager
def _held(folder: str) -> Iterator[None]:
    """One process at a time: git gives up where another git is at work in the same folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _folder_name(url: str) -> str:
    readable = re.sub(r"[^\w.-]+", "-", short_name(url), flags=re.ASCII)[-60:].lstrip("-.")
    return f"{readable}-{hashlib.sha256(public_url(url).encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def _stays_inside(name: bytes) -> bool:
    return bool(name) and not name.startswith((b"/", b"../")) and b"/../" not in name


def _last_times(output: bytes) -> dict[bytes, int]:
    times: dict[bytes, int] = {}
    for committed, names in _commits(output):
        for name in names:
            times.setdefault(name, committed)
    return times


def _commits(output: bytes) -> Iterator[tuple[int, Iterable[bytes]]]:
    """Each commit of `git log -z --format=%x00%ct --name-only`, newest first: its time and its files."""
    for block in output.split(b"\0\0"):
        committed, _, names = block.lstrip(b"\0").partition(b"\0")
        if committed.isdigit():
            yield int(committed), filter(None, names.removeprefix(b"\n").split(b"\0"))


def _run(folder: str, command: Sequence[str], *, transports: str, seconds: float | None = None) -> bytes:
    settings = [part for setting in _HARMLESS for part in ("-c", setting)]
    try:
        process = subprocess.Popen(
            ["git", "-C", folder, *settings, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(transports),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise _NoGit("git is not installed", "install git, or give a folder") from error
    output, said = _ended(process, LOCAL_SECONDS if seconds is None else seconds)
    if process.returncode:
        raise GitFailed(_last_words(said))
    return output


def _ended(process: subprocess.Popen[bytes], seconds: float) -> tuple[bytes, bytes]:
    """What the process wrote; with an interruption or when its time is up, it and all that it started end."""
    with process:
        try:
            return process.communicate(timeout=seconds)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise NoAnswer(f"git gave no answer in {seconds:g} seconds") from None
            raise


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
    return safe_text(re.sub(r"//[^/\s]*@", "//", said))
