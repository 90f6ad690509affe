"""What is open now, as every thread of the backend may look at it: values only, never a connection."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from longctx.engines.base import Identity, Limits
from longctx.engines.opening import EngineSetup
from longctx.request import Request
from longctx.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is open: `whole` as it was asked for, `request` the same without the `excluded` paths (see `exclusion`),
    the engine by name and what it was opened from.

    `generation` counts up whenever the corpus has become another one or was read anew: what was worked out for an
    older one no longer holds. Without a model `identity` is None.
    """

    generation: int
    whole: Request
    request: Request
    excluded: tuple[str, ...]
    engine: str
    setup: EngineSetup
    identity: Identity | None
    limits: Limits
    session: Session | None
    log: Path


class Desk:
    """What is open, put there by the thread that does jobs; None before anything is open."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.folder = os.getcwd()  # where relative names start; a job may be elsewhere for a moment
        self._lock = threading.Lock()
        self._shown: Shown | None = None

    @property
    def shown(self) -> Shown | None:
        """What is open now."""
        with self._lock:
            return self._shown

    def show(self, shown: Shown | None) -> None:
        """From now on this is open."""
        with self._lock:
            self._shown = shown
