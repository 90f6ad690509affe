"""What a manifest names and must be there when it is carried out: its sources, and its engine where nobody typed one.

A manifest is read without a look at these: they may be typed in its place.
"""

import os
from collections.abc import Sequence
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.git import is_remote
from ingest.naming import show
from longctx.errors import UsageError
from longctx.reports.manifest import LoadedManifest
from longctx.reports.manifest_file import error_at
from longctx.reports.manifest_first import WITHOUT_CORPUS
from longctx.reports.manifest_shape import near, shown
from longctx.reports.manifest_values import Fault

if TYPE_CHECKING:
    from longctx.request import Request

SOURCES_HINT = "relative paths start at the manifest's folder; --corpus PATH is taken in place of them"
OWN_HINT = "leave it out there: its folder may be named, what the report writes is not read from it"
ENGINE_HINT = "--engine NAME takes another; longctx engine list"


def check_sources(loaded: LoadedManifest) -> None:
    """Raises ManifestError where files or folders are missing, and UsageError where none are named."""
    paths = loaded.manifest.corpus.paths
    if not paths:
        ending = Path(loaded.path).suffix.lower()
        named = "" if ending in WITHOUT_CORPUS else ", or paths of its corpus in it"
        raise UsageError(f"{show(loaded.path)} names no corpus", f"name one: --corpus PATH{named}")
    missing = [(i, path) for i, path in enumerate(paths) if not _is_there(path, loaded.folder)]
    if missing:
        told = "no such file or folder"
        faults = [Fault(("corpus", "paths", i), f"{told}: {show(os.path.join(loaded.folder, p))}") for i, p in missing]
        raise error_at(loaded, faults, SOURCES_HINT)


def check_own(loaded: LoadedManifest, request: "Request", own: Sequence[str], *, typed: bool) -> None:
    """Raises ManifestError, or UsageError for what was typed, where sources name what the report writes itself."""
    from longctx.reports.sources import own_inputs

    manifest = os.path.realpath(os.path.join(loaded.folder, os.path.basename(loaded.path)))
    named = list(own_inputs(request, own))
    told = [f"{show(path)}: {_whose(os.path.join(request.folder, path), manifest)}" for _, path in named]
    if typed and told:
        raise UsageError(f"--corpus {told[0]}", OWN_HINT)
    if told:
        faults = [Fault(("corpus", "paths", i), text) for (i, _), text in zip(named, told, strict=True)]
        raise error_at(loaded, faults, OWN_HINT)


def check_engine(loaded: LoadedManifest, engine: str) -> None:
    """Raises ManifestError where the engine that is to answer is the manifest's, and there is none of that name."""
    from longctx.engines.choice import AUTO
    from longctx.engines.opening import names

    known = (AUTO, *names())
    if engine == loaded.manifest.engine.name and engine not in known:
        meant = near(engine, known) or f"; one of {', '.join(known)}"
        fault = Fault(("engine", "name"), f"there is no engine {shown(engine)}{meant}")
        raise error_at(loaded, [fault], ENGINE_HINT)


def _whose(path: str, manifest: str) -> str:
    return "it is the manifest itself" if os.path.realpath(path) == manifest else "the report writes this file"


def _is_there(path: str, folder: str) -> bool:
    """Whether it may be read: what a glob matches and what an address leads to is seen when that is done."""
    return os.path.lexists(os.path.join(folder, path)) or is_remote(path) or has_magic(path)
