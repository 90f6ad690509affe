"""What the steps of a long piece of work gave, by the key of each, so that none is done twice after a stop."""

from collections.abc import Mapping
from typing import Any, Protocol

from longctx.journal import Journal, parsed

EVENT = "step"
BEGINS = b'{"event":"step","key":"'  # of each line that keeps a step


class Steps(Protocol):
    """Answers of steps as plain JSON values, `longctx.answer/1`."""

    def get(self, key: str) -> Mapping[str, Any] | None:
        """What the step of that key gave; None where it has not been done."""
        ...

    def put(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep what a step gave."""
        ...


class JournalSteps:
    """Steps among the records of a journal; what one gave is taken from its line when it is asked for."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known = {_key(line): line for line in journal.lines if line.startswith(BEGINS)}

    def get(self, key: str) -> Mapping[str, Any] | None:
        """What the step of that key gave; None where it has not been done."""
        line = self._known.get(key)
        answer = None if line is None else parsed(line).get("answer")
        return answer if isinstance(answer, dict) else None

    def put(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep what a step gave; it is on the disk when this returns."""
        self._known[key] = self._journal.append({"event": EVENT, "key": key, "answer": dict(answer)})


class MemorySteps(dict[str, Mapping[str, Any]]):
    """Steps of this process alone."""

    def put(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep what a step gave."""
        self[key] = answer


def _key(line: bytes) -> str:
    """The key in a line, which is written without signs that JSON would escape."""
    return line[len(BEGINS) : line.index(b'"', len(BEGINS))].decode("ascii")
