"""The files of a report, written anew after each item, each whole or not at all.

While items come fast only a small part of the time goes into writing; what is last is always written. `report.json` is
the report's value and always there; a form that is not wanted any more goes, since it would tell of an earlier report.
"""

import os
import re
import time
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from ingest.naming import show
from ingest.own_report import BEGINS, JOURNAL, NAMES, PICTURES
from longctx.errors import LongctxError, UsageError
from longctx.reports.evidence import to_lines
from longctx.reports.manifest import Format, LoadedManifest
from longctx.reports.own_folder import OwnFolder
from longctx.reports.picture_files import PictureFiles
from longctx.reports.report import Report, to_json

EVIDENCE = "evidence.jsonl"
FORMS = {Format.JSON: "report.json", Format.MARKDOWN: "report.md", Format.HTML: "report.html"}
SHARE = 0.2  # of the time at most goes into writing while items come
ANOTHER = "name another folder with -o"
_FILE = re.compile("|".join(map(re.escape, NAMES)))
NOT_OURS = "there is something else of that name, no file or folder of ours"
_JSON = b'{\n "schema": "longctx.report/'

Picture = Callable[[str], bytes | None]


class Outputs:
    """The files of a report in a folder; `picture` gives the pictures of pages by name."""

    def __init__(self, folder: OwnFolder, formats: Sequence[Format], picture: Picture) -> None:
        self._folder, self._picture = folder, picture
        self._formats = tuple(dict.fromkeys((Format.JSON, *formats)))
        self._rendered: MutableMapping[str, str] = {}
        self._pictures: frozenset[str] | None = None
        self._next_s = 0.0

    @property
    def paths(self) -> tuple[Path, ...]:
        """What is written, the report first."""
        forms = sorted(self._formats, key=lambda each: each is Format.JSON)
        names = [*(FORMS[each] for each in forms), EVIDENCE, JOURNAL, *([PICTURES] if self._pictures else ())]
        return tuple(self._folder.path / name for name in names)

    @property
    def is_due(self) -> bool:
        """Whether writing again now would not slow the run down."""
        return time.monotonic() >= self._next_s

    def write(self, report: Report) -> None:
        """Write all of it."""
        begun = time.monotonic()
        for each in self._formats:
            self._put(FORMS[each], self._text(each, report))
        self._put(EVIDENCE, to_lines(row for item in report.items for row in item.evidence))
        self._folder.remove(name for form, name in FORMS.items() if form not in self._formats)
        self._pictures = frozenset(row.picture for item in report.items for row in item.evidence if row.picture)
        now = time.monotonic()
        self._next_s = now + (now - begun) * (1 / SHARE - 1)

    def tidy(self) -> None:
        """Remove the pictures that the report as it was written last does not have."""
        if self._pictures is not None:
            with PictureFiles(self._folder) as kept:
                kept.keep(self._pictures)

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
        try:
            self._folder.write(name, text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise LongctxError(
                f"{show(str(self._folder.path / name))} can't be written: {error.strerror}",
                "is there room, and may you write there?",
            ) from error


def place_of(loaded: LoadedManifest, typed: Path | None) -> Path:
    """Where a report goes: where it was `typed`, else where the manifest says, but not out of its folder.

    Raises UsageError.
    """
    if typed is not None:
        return typed
    named = loaded.manifest.output.folder or f"{loaded.name}-report"
    top = os.path.realpath(loaded.folder)
    found = os.path.realpath(os.path.join(top, named))
    if found != top and not found.startswith(top.rstrip("/") + "/"):
        where = f"{show(loaded.path)}: its report would go to {show(named)}, which leads out of the manifest's folder"
        raise UsageError(where, "name the folder with -o if you want it there")
    return Path(loaded.folder) / named


def opened(path: Path, *, typed: bool) -> OwnFolder:
    """The folder of a report, made where it is not there; of links only one that was `typed` is followed.

    Raises UsageError, also where what a report would replace is of no earlier report.
    """
    with ExitStack() as stack:
        try:
            path.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(OwnFolder(path, follow=typed))
            _refuse_others(folder)
        except (FileExistsError, NotADirectoryError) as error:
            what = "is a link" if path.is_symlink() else "is a file"
            raise UsageError(f"{show(str(path))} {what}", "name a folder with -o") from error
        except OSError as error:
            raise UsageError(f"{show(str(path))}: {error.strerror}", ANOTHER) from error
        stack.pop_all()
    return folder


def other_files(folder: OwnFolder) -> str:
    """What is to be said of a folder that a report is to go into with other files; nothing where one is there."""
    found = folder.names()
    if not found or _own(found):
        return ""
    return f"{show(str(folder.path))} holds other files too ({show(found[0])}); they stay as they are"


def sweep(folder: OwnFolder) -> None:
    """Remove what a run that was killed had not finished; for one that has the journal's lock."""
    with suppress(OSError):
        folder.sweep(_FILE)


def _own(names: Sequence[str]) -> list[str]:
    return [name for name in names if name in (*NAMES, PICTURES)]


def _refuse_others(folder: OwnFolder) -> None:
    """What is there under our names must be files, and of a report of ours."""
    taken = _own(folder.names())
    for name in taken:
        if not (folder.is_folder(name) if name == PICTURES else folder.is_file(name)):
            raise UsageError(f"{show(str(folder.path / name))}: {NOT_OURS}", f"{ANOTHER}, or move it away")
    if taken not in ([], [JOURNAL]) and not _is_ours(folder):
        raise UsageError(
            f"{show(str(folder.path / taken[0]))} is there, but is of no run that is known ({JOURNAL} is missing or not"
            " ours)",
            f"{ANOTHER}, or move it away",
        )


def _is_ours(folder: OwnFolder) -> bool:
    """Whether its journal, or where that has nothing yet its report, begins as ours do."""
    journal = folder.beginning(JOURNAL, len(BEGINS))
    return journal == BEGINS or (journal == b"" and folder.beginning("report.json", len(_JSON)) == _JSON)
