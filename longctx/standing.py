"""What a file is to who wants to know what a collection is about, by its path alone."""

import re

_LEADING = re.compile(
    r"(?:^|/)(?:readme[^/]*|(?:index|overview|introduction|about|summary)(?:\.(?:md|markdown|rst|txt|html?|adoc))?)$",
    re.IGNORECASE,
)
_STRUCTURE = re.compile(
    r"(?:^|/)[^/]*(?:architecture|design|internals|concepts|structure|getting.?started)[^/]*$", re.IGNORECASE
)
_OPENING = re.compile(
    r"(?:^|/)_?(?:__init__|__main__|main|cli|app|core|server|api|lib|mod|client|engine|models?)\.\w+$|(?:^|/)index\.[jt]sx?$"
    r"|(?:^|/)(?:pyproject\.toml|setup\.cfg|package\.json|cargo\.toml|go\.mod|dockerfile|procfile)$",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"(?:^|/)(?:[^/]*[_.-])?(?:tests?|testing|specs?|__tests__|fixtures?|mocks?|examples?|samples?|demos?|bench(?:marks?)?)"
    r"(?:[_.-][^/]*)?/|(?:^|/)(?:testdata|scripts?|tools|ci|releas(?:e|es|ing)|packaging|\.[^/]+|locales?|i18n|translations)/"
    r"|(?:^|/)(?:test_|conftest)[^/]*$|_test\.\w+$|\.(?:test|spec)\.\w+$",
    re.IGNORECASE,
)
_COMMON = re.compile(
    r"(?:^|/)_?(?:types?|utils?|helpers?|constants?|compat|errors?|exceptions?|version|about)\.\w+$|(?:^|/)(?:decisions|adr)/",
    re.IGNORECASE,
)
_FOREIGN = re.compile(
    r"(?:^|/)(?:vendor|vendored|_vendor|third_party|node_modules|site-packages|dist|build|generated|migrations|"
    r"[^/]+\.(?:egg|dist)-info)/|\.min\.\w+$|_pb2\.py$|\.pyi$|\.d\.ts$|[.-]lock\b|(?:^|/)(?:uv|poetry|package|yarn|pnpm|cargo)[.-]lock",
    re.IGNORECASE,
)
_LAST = re.compile(
    r"(?:^|/)(?:licen[cs]e|copying|notice|authors|contributors|codeowners|code_of_conduct|contributing|security|"
    r"change(?:s|log)|(?:dev|work)?log|history|news|releases?|release[-_]?notes|\.[^/]*|manifest\.in|requirements[^/]*\.txt|constraints\.txt)"
    r"(?:\.\w+)?$",
    re.IGNORECASE,
)
_SETTINGS = re.compile(
    r"\.(?:json|jsonl|ndjson|ya?ml|toml|ini|cfg|conf|lock|css|scss|less|svg|po|csv|tsv|xml|plist|tcss)$", re.I
)


def standing(path: str) -> float:
    """From nearly 0, a lock file or somebody else's code, to 3, a README at the top."""
    depth = path.count("/")
    worth = float(0.93**depth)
    first = 1.0 if is_aside(path) else 3.0 if depth < 2 else 1.5
    for pattern, factor in (
        (_LEADING, first),
        (_STRUCTURE, 2.0),
        (_OPENING, 1.6),
        (_ASIDE, 0.2),
        (_COMMON, 0.5),
        (_FOREIGN, 0.05),
        (_LAST, 0.1),
    ):
        if pattern.search(path):
            worth *= factor
    return worth * 0.3 if _SETTINGS.search(path) and not _OPENING.search(path) else worth


def is_aside(path: str) -> bool:
    """Whether a file is no part of what a project is: tests, fixtures, examples, tools, or somebody else's."""
    return bool(_ASIDE.search(path) or _FOREIGN.search(path))


def leads(path: str) -> bool:
    """Whether a file is there to be read first."""
    return bool(_LEADING.search(path))


def holds_settings(path: str) -> bool:
    """Whether a file is written for a program to read rather than for a person."""
    return bool(_SETTINGS.search(path))
