"""The engine of a run, opened again after it has failed: one that has died must not cost what is still to be asked."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from longctx.engines.base import Identity

if TYPE_CHECKING:
    from longctx.engines.base import Engine


class OpenEngine(AbstractContextManager["OpenEngine"]):
    """An engine that is open, or None for quotations. Raises EngineError where it can't be opened."""

    def __init__(self, opened: "Callable[[], AbstractContextManager[Engine | None]]") -> None:
        self._opened = opened
        self._stack = ExitStack()
        self.engine: Engine | None = None

    def __enter__(self) -> Self:
        self.engine = self._stack.enter_context(self._opened())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def again(self) -> None:
        """Close it and open it once more."""
        self._stack.close()
        self.engine = self._stack.enter_context(self._opened())

    @property
    def identity(self) -> Identity:
        """What answers."""
        return Identity(kind="evidence") if self.engine is None else self.engine.identity()

    @property
    def context_tokens(self) -> int | None:
        """What fits it, where it says so."""
        return None if self.engine is None else self.engine.limits().context_tokens

    @property
    def concurrent(self) -> int:
        """How many prompts are worth asking at once."""
        return 1 if self.engine is None else self.engine.limits().concurrent
