"""What is said on stderr while work goes on: progress, what was left out, errors. Never data, never raw names."""

import os
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
HEARTBEAT_S = 10.0
NAMES_SHOWN = 3


class Narrator(AbstractContextManager["Narrator"]):
    """Tells of a corpus on its way: a live bar on a terminal, a line now and then elsewhere, nothing when quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self._progress = ProgressLine(quiet=quiet)
        self._files = self._tokens = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar away."""
        self._progress.stop()

    def tell(self, event: Event) -> None:
        """Show how far the run is."""
        if isinstance(event, FileDone):
            self._files += 1
            self._tokens += event.tokens
        if isinstance(event, Indexed):
            self._progress.tell(event.done, f"indexing {event.done:,} of {event.total:,} documents", event.total)
        else:
            self._progress.tell(self._files, f"reading: {self._files:,} files, {self._tokens:,} tokens")

    def say(self, line: str) -> None:
        """One line, unless quiet."""
        self._progress.say(line)

    def left_out(self, summary: "CorpusSummary") -> None:
        """Name what was not read or only in part, grouped by reason; --json and `corpora show` name every file."""
        from ingest.source import LEFT_OUT

        for manner, rows in _manners(summary):
            groups: dict[str, list[str]] = defaultdict(list)
            for path, reason, detail in rows:
                named = f"{show(path)} ({show(detail)})" if detail else show(path)
                groups[reason].append(show(detail) if detail.endswith(f" {LEFT_OUT}") else named)
            for reason, names in sorted(groups.items()):
                more = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
                self.say(f"{manner}, {reason}: {', '.join(names[:NAMES_SHOWN])}{more}")


class ProgressLine(AbstractContextManager["ProgressLine"]):
    """How far one run is; `text` is already safe to show. A run shorter than `quiet_for_s` shows nothing.

    Where it is not `drawn`, or stderr is no terminal, it is a line now and then in place of a bar.
    """

    def __init__(
        self,
        total: int | None = None,
        *,
        quiet: bool = False,
        quiet_for_s: float = QUIET_FOR_S,
        drawn: bool = True,
    ) -> None:
        self._total = total
        self._is_drawn = drawn and stderr_is_terminal()
        self.quiet = quiet
        self._spoken = time.monotonic()
        self._quiet_until = self._spoken + quiet_for_s
        self._bar: tuple[Progress, TaskID] | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def tell(self, done: int, text: str, total: int | None = None) -> None:
        """Show that `done` steps are done, of `total` where that is known by now."""
        now = time.monotonic()
        if self.quiet or now < self._quiet_until:
            return
        if self._is_drawn:
            self._draw(done, text, total or self._total)
        elif now - self._spoken > HEARTBEAT_S:
            self._spoken = now
            self.say(text)

    def say(self, line: str) -> None:
        """One line that stays, unless quiet."""
        if not self.quiet:
            self.stop()
            print(line, file=sys.stderr)  # noqa: T201 - this module is the one that speaks on stderr

    def stop(self) -> None:
        """Take the bar away until more is told."""
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None

    def _draw(self, done: int, text: str, total: int | None) -> None:
        if self._bar is None:
            self._bar = _new_bar(text)
        progress, task = self._bar
        progress.update(task, description=text, completed=done, total=total)


def stderr_is_terminal() -> bool:
    """Whether a bar that is drawn over and over can be seen on stderr."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _manners(summary: "CorpusSummary") -> Iterator[tuple[str, Sequence[tuple[str, str, str]]]]:
    yield "left out", summary.skipped
    yield "used in part", summary.partly
    yield "remark", summary.remarks


def _new_bar(text: str) -> "tuple[Progress, TaskID]":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task(text, total=None)
    progress.start()
    return progress, task


def report_error(error: LongctxError) -> None:
    """What went wrong and what to do; the first is one line, the second one for each of its own."""
    print(f"longctx: {_one_line(str(error))}", file=sys.stderr)  # noqa: T201 - the one place that reports errors
    for line in error.hint.splitlines():
        print(f"  {_one_line(line)}", file=sys.stderr)  # noqa: T201 - the one place that reports errors


def _one_line(text: str) -> str:
    return show(text).replace("\\\\", "\\")
