"""The engine that is open: one at a time, and where none can be opened, the one that only quotes."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from ingest.interruption import undisturbed
from longctx import opening
from longctx.backend.replies import EngineOpened, Notice, Reply
from longctx.backend.requests import UseEngine
from longctx.engines.base import Engine, Identity, Limits
from longctx.engines.choice import Chosen as Picked
from longctx.engines.opening import QUOTES, EngineSetup
from longctx.errors import LongctxError


class Seat:
    """Who answers. Close it, and the engine is closed."""

    def __init__(self, setup: EngineSetup) -> None:
        self._open = ExitStack()
        self.picked = _quotes(setup, "nothing else is open")
        self.engine: Engine | None = None

    def take(self, pick: Callable[[], Picked], tell: Callable[[Reply], None], *, anew: bool = False) -> None:
        """Open what `pick` gives in the place of what is open; where that fails, a Notice says why.

        What is open already stays open, unless it is to be opened `anew`.
        """
        try:
            picked = pick()
            if picked.name == self.picked.name and picked.setup == self.picked.setup and not anew:
                self.picked = picked
                return
            self.close()
            self.engine = self._open.enter_context(opening.opened(picked))
        except LongctxError as error:
            self.close()
            said = " — ".join(filter(None, [str(error), error.hint]))
            tell(Notice(" ".join(said.split())))
            self.picked = _quotes(self.picked.setup, "the other can't be opened")
        else:
            self.picked = picked

    def close(self) -> None:
        """Close the engine; what only quotes is left."""
        with undisturbed():  # an engine that is left half closed keeps its memory
            self.engine, self.picked = None, _quotes(self.picked.setup, "nothing else is open")
            self._open.close()

    @property
    def identity(self) -> Identity | None:
        """What answers, None where it is no model."""
        return None if self.engine is None else self.engine.identity()

    @property
    def limits(self) -> Limits:
        """What fits it."""
        return Limits(context_tokens=None) if self.engine is None else self.engine.limits()

    @property
    def opened(self) -> EngineOpened:
        """What is open, for a face."""
        identity = self.identity or Identity(kind=QUOTES)
        return EngineOpened(
            name=self.picked.name,
            model=identity.model,
            why=self.picked.why,
            context_tokens=self.limits.context_tokens,
            base_url=identity.where if self.picked.setup.base_url else "",
        )

    def setup_of(self, wanted: UseEngine, configured: EngineSetup) -> EngineSetup:
        """What the wanted engine is opened from: what is configured, but for what is named.

        The same one again is opened as it was. A key goes to no other server than the one that it is configured for.
        """
        if wanted.base_url is not None:
            is_other = wanted.base_url != configured.base_url
            key = None if is_other else configured.api_key
            return replace(configured, base_url=wanted.base_url, model=wanted.model, api_key=key)
        if wanted.model is not None:
            return replace(configured, model=wanted.model)
        return self.picked.setup if wanted.name == self.picked.name else configured


def _quotes(setup: EngineSetup, reason: str) -> Picked:
    return Picked(QUOTES, setup, f"engine: {QUOTES}: {reason}")
