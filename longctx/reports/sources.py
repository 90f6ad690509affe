"""What a report reads: the manifest's sources and rules, with what was typed above them, and never what it writes."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from glob import has_magic
from typing import TYPE_CHECKING

from ingest.git import is_remote
from ingest.own_report import files_of
from ingest.rules import Selection
from longctx.reports.manifest import CorpusPart

if TYPE_CHECKING:
    from longctx.request import Request


def with_rules(request: "Request", part: CorpusPart, typed: Selection, own: Sequence[str]) -> "Request":
    """The request with the manifest's rules where none were `typed`, and its own where the manifest has none.

    `own` are paths of what the report writes, and of the manifest: they are never read, also where a list or a glob
    names them or where they are not finished. What other reports have written is never listed, see `ingest.own_report`.
    """
    found = request.selection
    roots = tuple(dict.fromkeys(_roots(request)))
    chosen = replace(
        found,
        include=typed.include or part.include or found.include,
        exclude=typed.exclude or part.exclude or found.exclude,
        only=typed.only or part.only or found.only,
        gitignore=found.gitignore and part.gitignore,
        own=tuple(dict.fromkeys(path for path in map(os.path.realpath, own) if _is_within(path, roots))),
    )
    return replace(request, selection=chosen)


def own_inputs(request: "Request", own: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The inputs, each with its place, that name what the report writes, or the manifest."""
    is_own = files_of(tuple(map(os.path.realpath, own)))
    for place, source in enumerate(request.inputs):
        path = os.path.join(request.folder, source)
        if source != "-" and os.path.lexists(path) and is_own.fullmatch(os.path.realpath(path)):
            yield place, source


def _roots(request: "Request") -> Iterator[str]:
    """The real paths of files and folders that sources are listed from."""
    from ingest.source import from_list

    for source in request.inputs:
        if source != "-" and not is_remote(source):
            yield os.path.realpath(os.path.join(request.folder, _base(source, request.folder)))
    for path in from_list(request.listed or b""):
        yield os.path.realpath(os.path.join(request.folder, path))


def _is_within(path: str, roots: Sequence[str]) -> bool:
    """Whether it may be met below the roots: it lies below one, or holds one."""
    below, both = path + "/", [(root, root.rstrip("/") + "/") for root in roots]
    return any(path == root or path.startswith(folder) or root.startswith(below) for root, folder in both)


def _base(source: str, folder: str) -> str:
    """The folder before the first wildcard of a glob; another source as it is."""
    if not has_magic(source) or os.path.lexists(os.path.join(folder, source)):
        return source
    parts = source.split("/")
    first = next(index for index, part in enumerate(parts) if has_magic(part))
    return "/".join(parts[:first]) or ("/" if source.startswith("/") else ".")
