"""Leaving out files and folders that were chosen by their paths: a request like another, with patterns for just them.

Paths are those of the corpus, as it cites them; they may hold anything that a file's name may.
"""

import glob
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import replace

from ingest.source import from_list
from longctx.corpora import Part, corpus_id
from longctx.request import Request

_SPECIAL = re.compile(r"[\\*?\[\]!#]")


def leaving_out(request: Request, paths: Collection[str]) -> Request:
    """The request without these files and folders, which end in a slash: for a part of the same corpus."""
    if not paths:
        return request
    selection = request.selection
    patterns = tuple(pattern_of(path) for path in sorted(set(paths)))
    inputs = tuple(one for each in request.inputs for one in _kept(each, request.folder, paths))
    if inputs != request.inputs and len(inputs) == 1:
        inputs *= 2  # a folder that is named alone would have its files cited by other paths
    return replace(
        request,
        inputs=inputs,
        selection=replace(selection, exclude=(*selection.exclude, *patterns)),
        listed=None if request.listed is None else _listed(request.listed, paths),
        part=Part(corpus_id(request.name), frozenset(paths)),
    )


def pattern_of(path: str) -> str:
    """The gitignore pattern that matches this path, and a folder with all below it, and nothing else."""
    escaped = _SPECIAL.sub(r"\\\g<0>", path)
    if path[-1:].isspace():  # at the end it would be taken off
        escaped = f"{escaped[:-1]}[{path[-1]}]"
    return f"/{escaped}"


def _kept(given: str, folder: str, paths: Collection[str]) -> Iterator[str]:
    """What is left of an input: rules do not hold for files that were named, so these are no longer named."""
    location = os.path.join(folder, given)
    if given == "-" or os.path.isdir(location):
        yield given
    elif os.path.lexists(location):
        if os.path.normpath(given) not in paths:
            yield given
    elif glob.has_magic(given) and "**" not in given:
        yield from _matches(given, folder, paths)
    else:
        yield given


def _matches(pattern: str, folder: str, paths: Collection[str]) -> Iterator[str]:
    """The pattern itself, unless it matches files that are left out: then what else it matches."""
    found = sorted(glob.glob(pattern, root_dir=None if os.path.isabs(pattern) else folder))
    kept = [path for path in found if os.path.normpath(path) not in paths]
    yield from [pattern] if len(kept) == len(found) else kept


def _listed(content: bytes, paths: Collection[str]) -> bytes:
    """The list without the files that are left out."""
    kept = [path for path in from_list(content) if os.path.normpath(path) not in paths]
    return b"\0".join(os.fsencode(path) for path in kept) + b"\0"
