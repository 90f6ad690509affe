"""The files of a report, written anew after each item, each whole or not at all.

While items come fast only a small part of the time goes into writing; what is last is always written.
"""

import os
import time
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path

from ingest.naming import show
from longctx.errors import LongctxError, UsageError
from longctx.reports.evidence import to_lines
from longctx.reports.manifest import Format
from longctx.reports.report import Report, to_json
from longctx.whole_file import whole_file

JOURNAL, EVIDENCE = "run.jsonl", "evidence.jsonl"
NAMES = {Format.MARKDOWN: "report.md", Format.HTML: "report.html", Format.JSON: "report.json"}
SHARE = 0.2  # of the time at most goes into writing while items come

Picture = Callable[[str], bytes | None]


class Outputs:
    """The files of a report in a folder; `picture` gives the pictures of pages by name."""

    def __init__(self, folder: Path, formats: Sequence[Format], picture: Picture) -> None:
        self._folder, self._formats, self._picture = folder, tuple(dict.fromkeys(formats)), picture
        self._rendered: MutableMapping[str, str] = {}
        self._next_s = 0.0

    @property
    def paths(self) -> tuple[Path, ...]:
        """What is written, the report first."""
        return tuple(self._folder / name for name in (*(NAMES[each] for each in self._formats), EVIDENCE, JOURNAL))

    @property
    def is_due(self) -> bool:
        """Whether writing again now would not slow the run down."""
        return time.monotonic() >= self._next_s

    def write(self, report: Report) -> None:
        """Write all of it."""
        begun = time.monotonic()
        for each in self._formats:
            self._put(NAMES[each], self._text(each, report))
        self._put(EVIDENCE, to_lines(row for item in report.items for row in item.evidence))
        now = time.monotonic()
        self._next_s = now + (now - begun) * (1 / SHARE - 1)

    def _text(self, form: Format, report: Report) -> str:
        match form:
            case Format.JSON:
                return to_json(report).decode()
            case Format.MARKDOWN:
                from longctx.reports.markdown import to_markdown

                return to_markdown(report)
            case Format.HTML:
                from longctx.reports.page import to_html

                return to_html(report, self._picture, self._rendered)

    def _put(self, name: str, text: str) -> None:
        path = self._folder / name
        try:
            with whole_file(path) as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise LongctxError(
                f"{show(str(path))} can't be written: {error.strerror}", "is there room, and may you write there?"
            ) from error


def prepared(folder: Path) -> str:
    """Make the folder of a report; what is to be said where it holds other files. Raises UsageError.

    A file that a report would replace must be of an earlier report.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = sorted(os.listdir(folder))
    except FileExistsError as error:
        raise UsageError(f"{show(str(folder))} is a file", "name a folder with -o") from error
    except OSError as error:
        raise UsageError(f"{show(str(folder))}: {error.strerror}", "name another folder with -o") from error
    if not found or JOURNAL in found:
        return ""
    ours = {*NAMES.values(), EVIDENCE, "pages"}
    if taken := [name for name in found if name in ours]:
        raise UsageError(
            f"{show(str(folder / taken[0]))} is there, but is of no run that is known ({JOURNAL} is missing)",
            "name another folder with -o, or move it away",
        )
    return f"{show(str(folder))} holds other files too ({show(found[0])}); they stay as they are"
