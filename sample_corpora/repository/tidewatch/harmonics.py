"""Prediction of the tide from harmonic constants.

The level is the mean level plus one cosine for each constituent. The constants were derived by the harbour office
from the years 2006 to 2024; nodal corrections are left out, which costs up to 60 mm over the 18.6 years of the
moon's nodal cycle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

REFERENCE = datetime(2020, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Constituent:
    """One term: `speed` in degrees an hour, `amplitude_mm`, and the phase lag in degrees at the reference time."""

    name: str
    speed: float
    amplitude_mm: float
    phase: float


@dataclass(frozen=True)
class Station:
    """A gauge, with the mean level above its chart datum and its constituents."""

    code: str
    name: str
    mean_mm: float
    constituents: tuple[Constituent, ...]


@dataclass(frozen=True)
class Extreme:
    """A high or low water."""

    time: datetime
    level_mm: float
    high: bool


STATIONS = {
    "SALT": Station(
        "SALT",
        "Saltmere Quay",
        3340,
        (
            Constituent("M2", 28.9841042, 1962, 141.2),
            Constituent("S2", 30.0, 655, 186.7),
            Constituent("N2", 28.4397295, 381, 118.4),
            Constituent("K1", 15.0410686, 92, 74.9),
            Constituent("O1", 13.9430356, 81, 321.6),
            Constituent("M4", 57.9682084, 64, 12.3),
        ),
    ),
    "GANN": Station(
        "GANN",
        "Gannet Rock",
        3110,
        (
            Constituent("M2", 28.9841042, 1874, 133.0),
            Constituent("S2", 30.0, 622, 178.1),
            Constituent("N2", 28.4397295, 366, 110.7),
            Constituent("K1", 15.0410686, 90, 71.5),
        ),
    ),
    "PELL": Station(
        "PELL",
        "Pell Sluice",
        2980,
        (
            Constituent("M2", 28.9841042, 1703, 158.8),
            Constituent("S2", 30.0, 548, 205.4),
            Constituent("M4", 57.9682084, 141, 40.2),
        ),
    ),
}


def predict(station: Station, moment: datetime) -> float:
    """The astronomical tide at `moment`, in millimetres above chart datum."""
    hours = (moment - REFERENCE).total_seconds() / 3600
    return station.mean_mm + sum(
        term.amplitude_mm * math.cos(math.radians(term.speed * hours - term.phase))
        for term in station.constituents
    )


def extremes(station: Station, start: datetime, hours: float) -> list[Extreme]:
    """The high and low waters after `start`, found to the nearest minute by looking at each minute's neighbours."""
    minutes = int(hours * 60)
    levels = [predict(station, start + timedelta(minutes=minute)) for minute in range(-1, minutes + 2)]
    found = []
    for index in range(1, len(levels) - 1):
        before, here, after = levels[index - 1 : index + 2]
        moment = start + timedelta(minutes=index - 1)
        if before < here >= after:
            found.append(Extreme(moment, here, high=True))
        elif before > here <= after:
            found.append(Extreme(moment, here, high=False))
    return found
