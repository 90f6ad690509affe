"""What a report is to hold: a manifest's values. They are read and checked by `manifest_file`."""

from enum import StrEnum
from typing import Any

import msgspec

from longctx.summary_form import Length, Style

SCHEMA = "longctx.manifest/1"


class Format(StrEnum):
    """What a report is written as."""

    MARKDOWN = "md"
    HTML = "html"
    JSON = "json"


class CorpusPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is read: folders, files, globs or git URLs, from the manifest's folder on; patterns as in .gitignore."""

    paths: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    gitignore: bool = True


class EnginePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who answers and how; what is left out comes from the settings. `jobs` is how many questions are asked at once."""

    name: str | None = None
    mode: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    jobs: int | None = None


class SummaryPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Summaries: of the whole corpus, and of each document."""

    corpus: bool = True
    per_document: bool = False
    length: Length = Length.MEDIUM
    style: Style = Style.BULLETS
    sections: tuple[str, ...] = ()
    focus: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question. `schema` is the file of a JSON schema that its answer must obey; `{{answers.ID}}` in the text stands
    for the answer to another question, which is asked before, as are those in `depends_on`."""

    id: str
    text: str
    require_verified: bool = False
    schema: str | None = None
    depends_on: tuple[str, ...] = ()


class OutputPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the report goes, from the manifest's folder on, and in what form; `pictures` are of cited PDF pages."""

    folder: str | None = None
    formats: tuple[Format, ...] = (Format.MARKDOWN, Format.HTML, Format.JSON)
    pictures: bool = True


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A report's manifest."""

    schema: str = SCHEMA
    title: str = ""
    description: str = ""
    corpus: CorpusPart = CorpusPart()
    engine: EnginePart = EnginePart()
    summary: SummaryPart | None = None
    question: tuple[Question, ...] = ()
    output: OutputPart = OutputPart()


class LoadedManifest(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest as it was read: `folder` is where its relative paths start, `name` its file's name without folder and
    ending, `sha256` that of its bytes; `schemas` are the JSON schemas of its questions by their ids."""

    manifest: Manifest
    path: str
    folder: str
    name: str
    sha256: str
    schemas: dict[str, Any] = {}


def with_typed(loaded: LoadedManifest, formats: tuple[Format, ...]) -> LoadedManifest:
    """The manifest with the forms that were typed, where there are any."""
    replace = msgspec.structs.replace
    output = replace(loaded.manifest.output, formats=formats or loaded.manifest.output.formats)
    return replace(loaded, manifest=replace(loaded.manifest, output=output))
