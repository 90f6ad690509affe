"""What a report reads: the manifest's sources and rules, with what was typed above them, and never what it writes."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from glob import has_magic
from typing import TYPE_CHECKING

from ingest.git import is_remote
from ingest.rules import Selection
from longctx.reports.manifest import CorpusPart

if TYPE_CHECKING:
    from longctx.request import Request

SPECIAL = re.compile(r"([\\*?\[\]! #])")


def with_rules(request: "Request", part: CorpusPart, typed: Selection, own: Sequence[str]) -> "Request":
    """The request with the manifest's rules where none were `typed`, and its own where the manifest has none.

    `own` are paths of what the report writes, and of the manifest: they are left out, also where a glob names them or
    where they are not finished. What other reports have written is never listed, see `ingest.own_report`.
    """
    found = request.selection
    left_out = dict.fromkeys(pattern for path in own for pattern in _patterns(request, path))
    chosen = replace(
        found,
        include=typed.include or part.include or found.include,
        exclude=(*(typed.exclude or part.exclude or found.exclude), *left_out),
        only=typed.only or part.only or found.only,
        gitignore=found.gitignore and part.gitignore,
    )
    return replace(request, selection=chosen)


def _patterns(request: "Request", path: str) -> Iterator[str]:
    """Ignore patterns for a path, as it would be named, below each source that holds it."""
    target = os.path.realpath(path)
    alone = len(request.inputs) == 1 and request.listed is None
    for source in request.inputs:
        if source == "-" or is_remote(source):
            continue
        base = _base(source, request.folder)
        root = os.path.realpath(os.path.join(request.folder, base))
        if target == root or not target.startswith(root.rstrip("/") + "/"):
            continue
        prefix = "" if (alone and base == source) or os.path.normpath(base) == "." else f"{os.path.normpath(base)}/"
        found = os.path.relpath(target, root)
        yield _pattern(prefix + found)
        yield _pattern(prefix + os.path.join(os.path.dirname(found), f".{os.path.basename(found)}.")) + "????????"


def _base(source: str, folder: str) -> str:
    """The folder before the first wildcard of a glob; another source as it is."""
    if not has_magic(source) or os.path.lexists(os.path.join(folder, source)):
        return source
    parts = source.split("/")
    first = next(index for index, part in enumerate(parts) if has_magic(part))
    return "/".join(parts[:first]) or ("/" if source.startswith("/") else ".")


def _pattern(path: str) -> str:
    """A pattern for this one path. Nothing is anchored above the folder that it starts in, so `../a` is any `a`."""
    escaped = SPECIAL.sub(r"\\\1", path)
    return f"**/{escaped.replace('../', '')}" if path.startswith("../") else f"/{escaped}"
