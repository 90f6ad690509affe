"""How far a long run is, on stderr: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""

import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

QUIET_FOR_S = 0.5
HEARTBEAT_S = 10.0


class ProgressLine(AbstractContextManager["ProgressLine"]):
    """One run of `total` steps; `text` is already safe to show. A run shorter than `quiet_for_s` shows nothing."""

    def __init__(self, total: int, *, quiet: bool = False, quiet_for_s: float = QUIET_FOR_S) -> None:
        self._total = total
        self._quiet = quiet
        self._spoken = time.monotonic()
        self._quiet_until = self._spoken + quiet_for_s
        self._bar: tuple[Progress, TaskID] | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def tell(self, done: int, text: str) -> None:
        """Show that `done` steps are done."""
        now = time.monotonic()
        if self._quiet or now < self._quiet_until:
            return
        if sys.stderr.isatty():
            self._draw(done, text)
        elif now - self._spoken > HEARTBEAT_S:
            self._spoken = now
            typer.echo(text, err=True)

    def say(self, line: str) -> None:
        """One line that stays, unless quiet."""
        if not self._quiet:
            self.stop()
            typer.echo(line, err=True)

    def stop(self) -> None:
        """Take the bar away until more is told."""
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None

    def _draw(self, done: int, text: str) -> None:
        if self._bar is None:
            self._bar = _new_bar(self._total, text)
        progress, task = self._bar
        progress.update(task, description=text, completed=done)


def _new_bar(total: int, text: str) -> "tuple[Progress, TaskID]":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task(text, total=total)
    progress.start()
    return progress, task
