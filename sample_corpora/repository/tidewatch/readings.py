"""The sentences a gauge sends, and what they mean.

A sentence is one line of ASCII, after the manner of NMEA 0183:

    $TIDE,SALT,2025-03-14T06:00:00Z,4127,81,A*79

The fields are the station, the time in UTC, the level in millimetres above chart datum, the sensor's temperature in
tenths of a degree Celsius, and a status letter. The two hex digits are the exclusive or of all characters between
`$` and `*`. See docs/protocol.md.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import reduce

LOWEST_MM = -1500
HIGHEST_MM = 12000


class Status(enum.Enum):
    """What the gauge says about its own reading."""

    ACQUIRED = "A"
    DEGRADED = "D"
    VOID = "V"


class SentenceError(ValueError):
    """A line that is not a whole, undamaged sentence."""


@dataclass(frozen=True)
class Reading:
    """One measurement of one gauge."""

    station: str
    time: datetime
    level_mm: int
    temperature_c: float
    status: Status

    @property
    def usable(self) -> bool:
        """Whether the reading may enter the minute's median."""
        return self.status is not Status.VOID and LOWEST_MM <= self.level_mm <= HIGHEST_MM


def checksum(body: str) -> int:
    """The exclusive or of the characters of `body`, as the gauge computes it."""
    return reduce(lambda total, character: total ^ ord(character), body, 0)


def parse_sentence(line: str) -> Reading:
    """The reading in `line`; raises SentenceError with the reason when it can't be trusted."""
    body = _checked_body(line.strip())
    fields = body.split(",")
    if fields[0] != "TIDE":
        raise SentenceError(f"unknown sentence {fields[0]!r}")
    if len(fields) != 6:
        raise SentenceError(f"expected 6 fields, got {len(fields)}")
    _, station, time, level, temperature, status = fields
    try:
        return Reading(
            station=station,
            time=_parse_time(time),
            level_mm=int(level),
            temperature_c=int(temperature) / 10,
            status=Status(status),
        )
    except ValueError as error:
        raise SentenceError(f"bad field: {error}") from error


def format_sentence(reading: Reading) -> str:
    """The sentence that a gauge would send for `reading`; used by the simulator and the tests."""
    time = reading.time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    tenths = round(reading.temperature_c * 10)
    body = f"TIDE,{reading.station},{time},{reading.level_mm},{tenths},{reading.status.value}"
    return f"${body}*{checksum(body):02X}"


def _checked_body(line: str) -> str:
    if not line.startswith("$"):
        raise SentenceError("no leading $")
    body, star, digits = line[1:].rpartition("*")
    if not star or len(digits) != 2:
        raise SentenceError("no checksum")
    try:
        expected = int(digits, 16)
    except ValueError as error:
        raise SentenceError(f"bad checksum digits {digits!r}") from error
    if checksum(body) != expected:
        raise SentenceError(f"checksum {checksum(body):02X} does not match {digits}")
    return body


def _parse_time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
