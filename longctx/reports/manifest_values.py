"""What a manifest's text gave before anything is believed of it: plain values, and the line on which each stands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Place = tuple[str | int, ...]  # keys and 0-based numbers from the top on
Lines = Mapping[Place, int]  # 1-based


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at a place of a manifest. `line` is given where the place alone does not tell it."""

    place: Place
    message: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Values:
    """A manifest's values as they were written. `lines` costs time for some forms, so it is asked only when needed."""

    tree: Mapping[str, object]
    lines: Callable[[], Lines]
    faults: tuple[Fault, ...] = ()


def line_of(place: Place, lines: Lines) -> int | None:
    """The line of a place, or of the nearest table or list around it."""
    near = (lines.get(place[:length]) for length in range(len(place), 0, -1))
    return next((line for line in near if line is not None), None)


def written(place: Place) -> str:
    """`question[2].text`: as people write it, lists counted from 1."""
    text = ""
    for part in place:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text
