"""Manifests from files: TOML, YAML, a question a line (.txt), a table of questions (.csv). All that is wrong is told.

A manifest comes with documents, from whoever made them. It says what to read and what to ask; it never says where text
is sent or what is run. Of a file that is no manifest, nothing is shown but a value that is wrong.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ingest.naming import show
from longctx.errors import ConfigError, UsageError
from longctx.regular_file import NotRead, regular_content
from longctx.reports.manifest import SCHEMA, LoadedManifest, Manifest
from longctx.reports.manifest_questions import question_faults
from longctx.reports.manifest_schema import schema
from longctx.reports.manifest_shape import shape_faults
from longctx.reports.manifest_values import Fault, Values, line_of, written

LARGEST_BYTES = 1 << 20
TOLD_MOST = 30
HINT = "`longctx report --init` writes a manifest with comments, `longctx report --schema` prints what may stand in one"


class ManifestError(ConfigError):
    """A manifest that can't be taken; `problems` has a line for each thing that is wrong with it."""

    def __init__(self, name: str, problems: Sequence[str], hint: str = HINT) -> None:
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            super().__init__(self.problems[0], hint)
            return
        more = len(self.problems) - TOLD_MOST
        told = [*self.problems[:TOLD_MOST], *([f"and {more:,} more"] if more > 0 else []), hint]
        super().__init__(f"{name}: {len(self.problems):,} things are wrong with it", "\n".join(told))


def read(path: Path) -> LoadedManifest:
    """The manifest in a file; raises ManifestError."""
    name, folder = show(str(path)), Path(os.path.abspath(path)).parent
    try:
        content = regular_content(path, LARGEST_BYTES)
        values = _reader(path)(_text(content))
    except NotRead as error:
        raise ManifestError(name, [_told(name, error.line, str(error))]) from error
    schemas, faults = _checked(values, folder)
    if faults:
        raise ManifestError(name, _lines(name, values, faults))
    return LoadedManifest(
        manifest=msgspec.convert(with_whole_numbers(values.tree), Manifest),
        path=str(path),
        folder=str(folder),
        name=path.stem,
        sha256=hashlib.sha256(content).hexdigest(),
        schemas=schemas,
    )


def error_at(loaded: LoadedManifest, faults: Sequence[Fault], hint: str) -> ManifestError:
    """What turned out to be wrong with a manifest after it was read, with the lines of the file as it is now."""
    path = Path(loaded.path)
    try:
        values = _reader(path)(_text(regular_content(path, LARGEST_BYTES)))
    except NotRead:
        values = Values({}, dict)
    name = show(loaded.path)
    return ManifestError(name, _lines(name, values, faults), hint)


def _reader(path: Path) -> Callable[[str], Values]:
    match path.suffix.lower():
        case ".toml":
            from longctx.reports.manifest_lines import read_toml as reader
        case ".yaml" | ".yml":
            from longctx.reports.manifest_yaml import read_yaml as reader
        case ".txt":
            from longctx.reports.manifest_lists import read_lines as reader
        case ".csv":
            from longctx.reports.manifest_lists import read_csv as reader
        case _:
            raise NotRead(
                "a manifest ends in .toml or .yaml, a list of questions in .txt (one a line) or .csv (id,text)"
            )
    return reader


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotRead("not UTF-8", content.count(b"\n", 0, error.start) + 1) from error
    return text


def _checked(values: Values, folder: Path) -> tuple[dict[str, Any], list[Fault]]:
    """The schemas that questions name, and everything that is wrong."""
    tree = values.tree
    if newer := _newer(tree.get("schema")):
        return {}, [newer]
    faults = [*values.faults, *shape_faults(tree, schema()), *question_faults(tree.get("question"))]
    schemas = dict(_schemas(tree.get("question"), folder, faults))
    if not faults and _asks_nothing(tree):
        faults.append(Fault((), "nothing is asked: give [[question]] with id and text, or [summary]"))
    return schemas, faults


def with_whole_numbers(value: object) -> object:
    """1200.0 as 1200: a JSON schema takes either for a whole number."""
    if isinstance(value, dict):
        return {name: with_whole_numbers(each) for name, each in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _newer(said: object) -> Fault | None:
    family, _, number = SCHEMA.rpartition("/")
    found = re.fullmatch(rf"{re.escape(family)}/(\d{{1,9}})", said, re.ASCII) if isinstance(said, str) else None
    if found is None or int(found[1]) <= int(number):
        return None
    return Fault(("schema",), f"{said} is for a newer longctx; this one reads {SCHEMA}")


def _asks_nothing(tree: Mapping[str, Any]) -> bool:
    """Whether values that have the right shape hold no question and no summary."""
    summary = tree.get("summary", {"corpus": False})
    return not (tree.get("question") or summary.get("corpus", True) or summary.get("per_document", False))


def _schemas(questions: object, folder: Path, faults: list[Fault]) -> Iterator[tuple[str, Any]]:
    """The schemas that questions name, by their ids; adds to `faults` what is wrong with their files."""
    from longctx.structured import read_schema

    for i, row in enumerate(questions if isinstance(questions, list) else []):
        name, identity = (row.get("schema"), row.get("id")) if isinstance(row, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(identity, str) or not name.strip():
            continue
        try:
            yield identity, read_schema(folder / name)
        except UsageError as error:
            faults.append(Fault(("question", i, "schema"), str(error)))


def _lines(name: str, values: Values, faults: Sequence[Fault]) -> list[str]:
    """A line for each fault, in the order of the file."""
    lines = values.lines()
    told = []
    for fault in faults:
        line = fault.line or line_of(fault.place, lines)
        place = show(written(fault.place)[:200])
        told.append((line or 0, _told(name, line, f"{place}: {fault.message}" if place else fault.message)))
    return [text for _, text in sorted(told, key=lambda each: each[0])]


def _told(name: str, line: int | None, message: str) -> str:
    return f"{name}: {message}" if line is None else f"{name}:{line}: {message}"
