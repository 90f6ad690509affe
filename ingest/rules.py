"""Which files are left out, and by which rule: the user's selection, ignore files, and what nobody wrote.

`--exclude` and ignore files drop a file; `--only` keeps the files it matches and drops the others;
`--include` never drops anything: it brings back what a default rule, a secret's name or a `.longctxignore`
leaves out. All take gitignore patterns. pathspec translates each pattern to a regular expression; here it is
made to match one whole entry, as git does while it walks, and in time that no pattern can make worse than
quadratic.
"""

import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from ingest.own_report import files_of

IGNORE_FILES = (".gitignore", ".ignore", ".longctxignore")
OWN_IGNORE_FILE = ".longctxignore"
VCS_FOLDERS = frozenset({".git", ".hg", ".svn", ".bzr", ".jj", "_darcs", "CVS"})

TOOL_FOLDER = "written by a tool"
MINIFIED_LINE_CHARS = 500

_LOCK_FILES = frozenset(
    [
        "Cargo.lock",
        "Gemfile.lock",
        "Manifest.toml.lock",
        "Package.resolved",
        "Pipfile.lock",
        "Podfile.lock",
        "bun.lock",
        "bun.lockb",
        "cabal.project.freeze",
        "composer.lock",
        "conda-lock.yml",
        "deno.lock",
        "flake.lock",
        "go.sum",
        "gradle.lockfile",
        "mix.lock",
        "npm-shrinkwrap.json",
        "package-lock.json",
        "packages.lock.json",
        "paket.lock",
        "pdm.lock",
        "pixi.lock",
        "pnpm-lock.yaml",
        "poetry.lock",
        "pubspec.lock",
        "pylock.toml",
        "renv.lock",
        "stack.yaml.lock",
        "uv.lock",
        "yarn.lock",
    ]
)
_VENDORED_FOLDERS = frozenset(
    [
        ".venv",
        "Carthage",
        "Pods",
        "_vendor",
        "bower_components",
        "jspm_packages",
        "node_modules",
        "site-packages",
        "third_party",
        "venv",
    ]
)
_TOOL_FOLDERS = frozenset(
    [
        ".eggs",
        ".gradle",
        ".hypothesis",
        ".mypy_cache",
        ".nox",
        ".nyc_output",
        ".pytest_cache",
        ".ruff_cache",
        ".terraform",
        ".tox",
        "__pycache__",
    ]
)
_LEFT_OUT_FOLDERS = _VENDORED_FOLDERS | _TOOL_FOLDERS
# `vendor` is also an ordinary word: only what Go, Composer and Bundler write under it.
_VENDOR = re.compile(r"(?:^|/)vendor/(?:modules\.txt$|autoload\.php$|composer/|bundle/|[a-z0-9-]+\.[a-z]{2,}/[^/]+/)")
_MINIFIED = re.compile(r"\.min\.(?:js|mjs|cjs|css)$")
_SOURCE_MAP = re.compile(r"\.(?:js|mjs|cjs|css|ts)\.map$")
_MAY_BE_MINIFIED = (".js", ".mjs", ".cjs", ".css")


def default_rule(path: str) -> str | None:
    """Why a file of this name is left out unless the user includes it, or None."""
    folders, _, name = path.rpartition("/")
    if name in _LOCK_FILES:
        return "lock file"
    if folders and (reason := folder_rule(folders)):
        return reason
    if "/vendor/" in path or path.startswith("vendor/"):
        return "vendored" if _VENDOR.search(path) else None
    if _MINIFIED.search(name):
        return "minified"
    return "source map" if name.endswith(".map") and _SOURCE_MAP.search(name) else None


def minified(path: str, text: str) -> str | None:
    """Why a script or style sheet is left out for what it holds: lines too long for a person to have written."""
    if not path.endswith(_MAY_BE_MINIFIED):
        return None
    lines = text.count("\n") + (not text.endswith("\n"))
    return "minified" if len(text) > MINIFIED_LINE_CHARS * max(1, lines) else None


@lru_cache(maxsize=4096)
def folder_rule(folders: str) -> str | None:
    """Why nothing below this folder ("a/b") is read unless the user includes it, or None."""
    for part in folders.split("/"):
        if part in _LEFT_OUT_FOLDERS:
            return "vendored" if part in _VENDORED_FOLDERS else TOOL_FOLDER
    return None


@dataclass(frozen=True, slots=True)
class Patterns:
    """Compiled ignore patterns of one file or one option; the last that matches an entry decides."""

    rules: tuple[tuple[re.Pattern[str], bool], ...]  # last first

    def match(self, entry: str) -> bool | None:
        """True where ignored, False where brought back by `!`, None where nothing matches; folders end in `/`."""
        for regex, ignored in self.rules:
            if regex.fullmatch(entry):
                return ignored
        return None


def compile_patterns(lines: Iterable[str]) -> Patterns:
    """The patterns in `lines`; comments, blank lines and invalid patterns match nothing, as in git."""
    return Patterns(tuple(_compiled(lines))[::-1])


class IgnoreTree:
    """The ignore files of one tree, each at its folder ("" or "a/b/"); a deeper one wins over a higher one."""

    def __init__(self) -> None:
        self._patterns: dict[str, list[Patterns]] = {}
        self._folders: dict[str, bool] = {"": False}

    def add(self, folder: str, lines: Iterable[str]) -> None:
        """Put an ignore file at `folder`; of several at one folder the last added wins."""
        patterns = compile_patterns(lines)
        if patterns.rules:
            self._patterns.setdefault(folder, []).append(patterns)

    def matches(self, entry: str) -> bool:
        """Whether `entry` itself is ignored, given that no folder above it is."""
        if not self._patterns:
            return False
        for folder in _upwards(entry):
            for patterns in reversed(self._patterns.get(folder, ())):
                verdict = patterns.match(entry[len(folder) :])
                if verdict is not None:
                    return verdict
        return False

    def ignored(self, path: str) -> bool:
        """Whether the file at `path` is ignored, by itself or with a folder above it."""
        if not self._patterns:
            return False
        return self._folder_ignored(path[: path.rfind("/") + 1]) or self.matches(path)

    def _folder_ignored(self, folder: str) -> bool:
        known = folder
        while known not in self._folders:
            known = known[: known.rfind("/", 0, -1) + 1]
        while known != folder:
            above = self._folders[known]
            known = folder[: folder.index("/", len(known)) + 1]
            self._folders[known] = above or self.matches(known)
        return self._folders[folder]


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user asked to leave out or bring back; see the head of this module. `secrets` lets them through.

    `own` are the real paths of what the reader of these files writes itself: never read, whoever names them.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    gitignore: bool = True
    secrets: bool = False
    own: tuple[str, ...] = ()

    def includes(self, path: str) -> bool:
        """Whether `--include` names this file."""
        return bool(self.include) and _option(self.include).ignored(path)

    def excludes(self, path: str) -> bool:
        """Whether `--exclude` names this file, or `--only` does not."""
        if self.exclude and _option(self.exclude).ignored(path):
            return True
        return bool(self.only) and not _option(self.only).ignored(path)

    def is_own(self, location: str) -> bool:
        """Whether the file with this real path is one of the reader's own."""
        return bool(self.own) and files_of(self.own).fullmatch(location) is not None

    def prunes(self, folder: str) -> bool:
        """Whether `--exclude` names this folder ("a/b/"), so that it need not be entered."""
        return bool(self.exclude) and _option(self.exclude).ignored(folder)


@lru_cache(maxsize=16)
def _option(patterns: tuple[str, ...]) -> IgnoreTree:
    tree = IgnoreTree()
    tree.add("", patterns)
    return tree


def _upwards(entry: str) -> Iterator[str]:
    """The folders that hold `entry`, deepest first: "a/b/c.py" gives "a/b/", "a/" and ""."""
    end = entry.rfind("/", 0, -1)
    while end >= 0:
        yield entry[: end + 1]
        end = entry.rfind("/", 0, end)
    yield ""


def _compiled(lines: Iterable[str]) -> Iterator[tuple[re.Pattern[str], bool]]:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    for line in lines:
        if "\0" in line:
            continue
        try:
            # pathspec takes `a/**/`, the folders below a, for `a/` itself.
            regex, ignored = GitIgnoreSpecPattern.pattern_to_regex(_FOLDERS_BELOW.sub("/**/*/", line))
            if regex is not None and ignored is not None:
                yield _whole_entry(regex), ignored
        except (ValueError, re.error):
            continue


_FOLDERS_BELOW = re.compile(r"/\*\*/\s*$")
# What pathspec writes for `**` before, between and after segments, and at the end of a pattern.
_ANY_ABOVE = "^(?:.+/)?"
_ANY_BETWEEN = "(?:/.+)?"
_FOLDER = "(?P<ps_d>/)"
_FILE_OR_FOLDER = "(?:(?P<ps_d>/)|$)"
_EVERYTHING = {".": ".+", _FOLDER: ".+/", "/": ".+/.+"}
_ONE = "[^/]"
_ONE_MARK = "\0"
_BRACKETS = re.compile(r"\\.|\[\^?\]?[^\]]*\]", re.DOTALL)


def _whole_entry(regex: str) -> re.Pattern[str]:
    """pathspec's regex, which also matches what lies below an entry, as one for `fullmatch` of the entry alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return re.compile(_EVERYTHING.get(regex) or _linear(*_split_end(regex)), re.DOTALL)


def _split_end(regex: str) -> tuple[str, str]:
    for end, replacement in ((_FILE_OR_FOLDER, "/?"), (_FOLDER, "/"), ("/", "/.+")):
        if regex.endswith(end):
            return regex.removesuffix(end), replacement
    return regex, ""


def _linear(body: str, end: str) -> str:
    """`body` with each wildcard but the last held to its first match: what follows it can't need a later one."""
    body = body.replace(_ONE, _ONE_MARK)
    anywhere = body.startswith(_ANY_ABOVE)
    first, *others = body.removeprefix(_ANY_ABOVE).removeprefix("^").split(_ANY_BETWEEN)
    blocks = [("(?:.+?/)??" if anywhere else "") + _block(first)]
    blocks += ["(?:/.+?)??" + _block(other) for other in others]
    held = [f"(?>{block}(?=/))" for block in blocks[:-1]]
    return ("".join(held) + blocks[-1] + end).replace(_ONE_MARK, _ONE)


def _block(block: str) -> str:
    return "/".join(map(_segment, block.split("/")))


def _segment(segment: str) -> str:
    head, *rest = _BRACKETS.sub(_never_slash, segment).split(_ONE_MARK + "*")
    if not rest:
        return head
    held = "".join(f"(?>{_ONE_MARK}*?{part})" for part in rest[:-1])
    return f"{head}{held}{_ONE_MARK}*{rest[-1]}"


def _never_slash(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith("\\") else f"(?!/){match[0]}"
