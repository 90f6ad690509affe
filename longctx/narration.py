"""What is said on stderr while work goes on: progress, what was left out, errors. Never data, never raw names."""

import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ingest.naming import show
from longctx.errors import LongctxError
from longctx.events import Event, FileDone, Indexed

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from longctx.answer import CorpusSummary

QUIET_FOR_S = 0.5
HEARTBEAT_S = 5.0
NAMES_SHOWN = 3


class Narrator(AbstractContextManager["Narrator"]):
    """Tells of a run on stderr: a live bar on a terminal, a line now and then elsewhere, nothing when quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._begun = self._spoken = time.monotonic()
        self._files = self._tokens = 0
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def tell(self, event: Event) -> None:
        """Show how far the run is."""
        if isinstance(event, FileDone):
            self._files += 1
            self._tokens += event.tokens
        if self._quiet or time.monotonic() - self._begun < QUIET_FOR_S:
            return
        if sys.stderr.isatty():
            self._draw(event)
        elif time.monotonic() - self._spoken > HEARTBEAT_S:
            self._spoken = time.monotonic()
            self.say(self._state(event))

    def say(self, line: str) -> None:
        """One line, unless quiet."""
        if not self._quiet:
            self.stop()
            print(line, file=sys.stderr)  # noqa: T201 - this module is the one that speaks on stderr

    def left_out(self, summary: "CorpusSummary") -> None:
        """Name what was not read or only in part, grouped by reason; --json and `corpora show` name every file."""
        for manner, rows in _manners(summary):
            groups: dict[str, list[str]] = defaultdict(list)
            for path, reason, detail in rows:
                groups[reason].append(f"{show(path)} ({show(detail)})" if detail else show(path))
            for reason, names in sorted(groups.items()):
                more = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
                self.say(f"{manner}, {reason}: {', '.join(names[:NAMES_SHOWN])}{more}")

    def _state(self, event: Event) -> str:
        if isinstance(event, Indexed):
            return f"indexing {event.done:,} of {event.total:,} documents"
        return f"reading: {self._files:,} files, {self._tokens:,} tokens"

    def _draw(self, event: Event) -> None:
        if self._progress is None:
            self._progress, self._task = _bar()
        assert self._task is not None
        done, total = (event.done, event.total) if isinstance(event, Indexed) else (self._files, None)
        self._progress.update(self._task, description=self._state(event), completed=done, total=total)


def _manners(summary: "CorpusSummary") -> Iterator[tuple[str, Sequence[tuple[str, str, str]]]]:
    yield "left out", summary.skipped
    yield "used in part", summary.partly
    yield "remark", summary.remarks


def _bar() -> "tuple[Progress, TaskID]":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    progress.start()
    return progress, progress.add_task("", total=None)


def report_error(error: LongctxError) -> None:
    """What went wrong and what to do, in one line each."""
    print(f"longctx: {_one_line(str(error))}", file=sys.stderr)  # noqa: T201 - the one place that reports errors
    if error.hint:
        print(f"  {_one_line(error.hint)}", file=sys.stderr)  # noqa: T201 - the one place that reports errors


def _one_line(text: str) -> str:
    return show(text).replace("\\\\", "\\")
