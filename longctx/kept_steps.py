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

from longctx.errors import StoreError
from longctx.journal import Journal
from longctx.paths import ensure
from longctx.steps import BEGINS, JournalSteps

OLD_S = 30 * 24 * 3600


class KeptSteps(AbstractContextManager["KeptSteps"]):
    """Steps below `folder`, of the work that `names` tell from all other; the file is made when the first is looked up.

    Raises StoreError where another run is at the same work. Where nothing can be written there, nothing is known, and
    `put` raises the OSError.
    """

    def __init__(self, folder: Path, names: object) -> None:
        self._folder = folder
        digest = hashlib.sha256(json.dumps(names, sort_keys=True).encode())
        self._path = folder / f"{digest.hexdigest()[:16]}.jsonl"
        self._opened: tuple[Journal, JournalSteps] | None = None
        self._trouble: OSError | None = None
        self.known = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened:
            if not self._opened[0].lines:
                self.finish()
            self._opened[0].close()

    def get(self, key: str) -> Mapping[str, Any] | None:
        """What the step of that key gave; None where it has not been done."""
        steps = self._steps()
        given = steps.get(key) if steps else None
        self.known += given is not None
        return given

    def put(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep what a step gave; it is on the disk when this returns. Raises StoreError."""
        steps = self._steps()
        if steps is None:
            assert self._trouble is not None
            raise self._trouble
        steps.put(key, answer)
        self.known += 1

    def finish(self) -> None:
        """The work is done: what was kept of it is of no more use."""
        if self._opened:
            self._path.unlink(missing_ok=True)

    def _steps(self) -> JournalSteps | None:
        if self._opened is None and self._trouble is None:
            try:
                ensure(self._folder)
                self._forget_old()
                journal = Journal(self._path, BEGINS)
            except OSError as error:
                self._trouble = error
            except StoreError as error:
                if not isinstance(error.__cause__, OSError):
                    raise
                self._trouble = error.__cause__
            else:
                self._opened = journal, JournalSteps(journal)
        return self._opened[1] if self._opened else None

    def _forget_old(self) -> None:
        for each in self._folder.glob("*.jsonl"):
            with suppress(OSError):
                if each != self._path and time.time() - each.stat().st_mtime > OLD_S:
                    each.unlink()
