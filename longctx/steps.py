"""What the steps of a long piece of work gave, by the key of each, so that none is done twice after a stop."""

from collections.abc import Mapping
from typing import Any, Protocol

from longctx.journal import Journal

EVENT = "step"


class Steps(Protocol):
    """Answers of steps as plain JSON values, `longctx.answer/1`."""

    def get(self, key: str) -> Mapping[str, Any] | None:
        """What the step of that key gave; None where it has not been done."""
        ...

    def put(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep what a step gave."""
        ...


class JournalSteps:
    """Steps among the records of a journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known = {str(row["key"]): row["answer"] for row in journal.records if row.get("event") == EVENT}

    def get(self, key: str) -> Mapping[str, Any] | None:
        """What the step of that key gave; None where it has not been done."""
        return self._known.get(key)

    def put(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep what a step gave; it is on the disk when this returns."""
        self._journal.append({"event": EVENT, "key": key, "answer": dict(answer)})
        self._known[key] = answer


class MemorySteps(dict[str, Mapping[str, Any]]):
    """Steps of this process alone."""

    def put(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep what a step gave."""
        self[key] = answer
