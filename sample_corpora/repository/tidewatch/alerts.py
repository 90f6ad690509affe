"""When the harbour office is warned: surge levels, and the hysteresis that keeps a warning from flickering.

The surge is the measured level minus the predicted one. A warning is raised by the surge *or* by the level itself,
and lowered only when both have been below the lower marks for a whole hour.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

CALM_MINUTES = 60


class Level(enum.IntEnum):
    """What the flag on the harbour office shows."""

    NONE = 0
    WATCH = 1
    WARNING = 2
    CLOSE_GATES = 3


@dataclass(frozen=True)
class Marks:
    """The marks at which `level` is raised; it is lowered `slack_mm` below them."""

    level: Level
    surge_mm: int
    water_mm: int
    slack_mm: int = 100


MARKS = (
    Marks(Level.CLOSE_GATES, surge_mm=1400, water_mm=7200),
    Marks(Level.WARNING, surge_mm=900, water_mm=6800),
    Marks(Level.WATCH, surge_mm=600, water_mm=6500),
)


@dataclass(frozen=True)
class AlertState:
    """The flag that flies now, and for how many minutes it could have been lowered."""

    level: Level = Level.NONE
    calm_minutes: int = 0


def step(state: AlertState, measured_mm: int, predicted_mm: float) -> AlertState:
    """The state one minute later. Raising is immediate; lowering goes straight to the level that is still justified."""
    surge_mm = measured_mm - predicted_mm
    raised = _raised_level(surge_mm, measured_mm)
    if raised > state.level:
        return AlertState(raised)
    kept = _kept_level(surge_mm, measured_mm)
    if kept >= state.level:
        return replace(state, calm_minutes=0)
    calm = state.calm_minutes + 1
    if calm < CALM_MINUTES:
        return replace(state, calm_minutes=calm)
    return AlertState(kept)


def run(minutes: Iterable[tuple[int, float]], state: AlertState = AlertState()) -> AlertState:
    """The state after a series of (measured, predicted) levels."""
    for measured_mm, predicted_mm in minutes:
        state = step(state, measured_mm, predicted_mm)
    return state


def _raised_level(surge_mm: float, water_mm: int) -> Level:
    for marks in MARKS:
        if surge_mm >= marks.surge_mm or water_mm >= marks.water_mm:
            return marks.level
    return Level.NONE


def _kept_level(surge_mm: float, water_mm: int) -> Level:
    for marks in MARKS:
        lowered = surge_mm < marks.surge_mm - marks.slack_mm and water_mm < marks.water_mm - marks.slack_mm
        if not lowered:
            return marks.level
    return Level.NONE
