"""The steps of one piece of work in a file of their own, which is there only while the work is not finished.

A run that was stopped leaves it; the same work goes on from there. What nobody came back for goes after thirty days.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from longctx.journal import Journal
from longctx.paths import ensure
from longctx.steps import JournalSteps

OLD_S = 30 * 24 * 3600


class KeptSteps(AbstractContextManager["KeptSteps"]):
    """Steps below `folder`, of the work that `names` tell from all other; the file is made with the first of them.

    Raises StoreError where another run is at the same work.
    """

    def __init__(self, folder: Path, names: object) -> None:
        self._folder = folder
        digest = hashlib.sha256(json.dumps(names, sort_keys=True).encode())
        self._path = folder / f"{digest.hexdigest()[:16]}.jsonl"
        self._opened: tuple[Journal, JournalSteps] | None = None
        self.kept = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened:
            self._opened[0].close()

    def get(self, key: str) -> Mapping[str, Any] | None:
        """What the step of that key gave; None where it has not been done."""
        return self._steps().get(key) if self._opened or self._path.exists() else None

    def put(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep what a step gave; it is on the disk when this returns. Raises OSError."""
        self._steps().put(key, answer)
        self.kept += 1

    def finish(self) -> None:
        """The work is done: what was kept of it is of no more use."""
        self._path.unlink(missing_ok=True)

    def _steps(self) -> JournalSteps:
        if self._opened is None:
            ensure(self._folder)
            self._forget_old()
            journal = Journal(self._path)
            self._opened = journal, JournalSteps(journal)
        return self._opened[1]

    def _forget_old(self) -> None:
        for each in self._folder.glob("*.jsonl"):
            with suppress(OSError):
                if each != self._path and time.time() - each.stat().st_mtime > OLD_S:
                    each.unlink()
