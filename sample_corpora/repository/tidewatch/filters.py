"""Cleaning a series of levels: spikes, medians and gaps.

All functions work on plain lists and return new ones. A missing value is None, never a number that stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

SPIKE_MM = 250
LONGEST_GAP_MIN = 20


def minute_median(levels: Sequence[int]) -> int | None:
    """The median of one minute's readings, or None when fewer than four of the ten arrived."""
    if len(levels) < 4:
        return None
    return round(median(levels))


def despike(levels: Sequence[int | None], limit_mm: int = SPIKE_MM) -> list[int | None]:
    """Replaces by None each level that stands more than `limit_mm` away from both its neighbours.

    A seiche or the wake of a ferry moves several minutes together and stays; a fish in the stilling well moves one.
    """
    cleaned = list(levels)
    for index in range(1, len(levels) - 1):
        before, here, after = levels[index - 1], levels[index], levels[index + 1]
        if before is None or here is None or after is None:
            continue
        same_side = (here - before) * (here - after) > 0
        if same_side and min(abs(here - before), abs(here - after)) > limit_mm:
            cleaned[index] = None
    return cleaned


def fill_gaps(levels: Sequence[int | None], longest: int = LONGEST_GAP_MIN) -> list[int | None]:
    """Draws a straight line through gaps of at most `longest` minutes; longer gaps stay open.

    The tide at Saltmere rises 27 mm a minute at its fastest. The line is wrong by at most 12 mm in the middle of a gap
    of twenty minutes, since the curve bends little in so short a time.
    """
    filled = list(levels)
    for start, end in _gaps(levels):
        if start == 0 or end == len(levels) or end - start > longest:
            continue
        left, right = levels[start - 1], levels[end]
        assert left is not None and right is not None
        step = (right - left) / (end - start + 1)
        for offset, index in enumerate(range(start, end), start=1):
            filled[index] = round(left + step * offset)
    return filled


def low_pass(levels: Sequence[int | None], half_width: int = 5) -> list[int | None]:
    """A centred moving mean over `2 * half_width + 1` minutes, None where more than half of them are missing."""
    smoothed: list[int | None] = []
    for index in range(len(levels)):
        window = levels[max(0, index - half_width) : index + half_width + 1]
        present = [level for level in window if level is not None]
        enough = 2 * len(present) > 2 * half_width + 1
        smoothed.append(round(sum(present) / len(present)) if enough else None)
    return smoothed


def _gaps(levels: Sequence[int | None]) -> list[tuple[int, int]]:
    """Half-open index ranges of consecutive missing values."""
    gaps = []
    start = None
    for index, level in enumerate(levels):
        if level is None and start is None:
            start = index
        elif level is not None and start is not None:
            gaps.append((start, index))
            start = None
    if start is not None:
        gaps.append((start, len(levels)))
    return gaps
