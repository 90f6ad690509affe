"""Saved reports: a `report.json`, or the folder that it lies in. Files of other forms and newer ones are refused."""

import os
from pathlib import Path

import msgspec

from ingest.naming import show
from longctx.errors import UsageError
from longctx.regular_file import NotRead, regular_content
from longctx.reports.report import SCHEMA, Report, from_json

NAME = "report.json"
LARGEST_BYTES = 1 << 29
HINT = "give a report.json that `longctx report` wrote, or its folder"


class _Header(msgspec.Struct):
    schema: str = ""


def read_report(path: Path) -> Report:
    """The report in a file or folder; raises UsageError."""
    file = path / NAME if os.path.isdir(path) else path
    try:
        content = regular_content(file, LARGEST_BYTES)
        schema = msgspec.json.decode(content, type=_Header).schema
        if schema == SCHEMA:
            return from_json(content)
        raise NotRead(_other(schema))
    except NotRead as error:
        raise UsageError(f"{show(str(file))}: {error}", HINT) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"{show(str(file))}: not a saved report: {show(str(error))}", HINT) from error


def _other(schema: str) -> str:
    if schema.startswith(SCHEMA.rpartition("/")[0] + "/"):
        return f"is a {show(schema[:80])}; this longctx reads {SCHEMA}"
    return f"not a saved report{f' but a {show(schema[:80])}' if schema else ''}"
