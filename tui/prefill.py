"""How long reading a prompt still takes, judged by how long it has taken so far.

Each token is compared with all before it, so the seconds grow with the square of what is read: they are fitted as
a straight part and a square one. What the engine had kept costs nothing and is no part of it.
"""

from collections import deque
from dataclasses import dataclass, field

SHORTEST_S = 1.0  # before that a fit says more about the clock than about the engine
RECENT = 50


@dataclass(slots=True)
class Curve:
    """The reports of an engine while it reads. The first is where measuring begins; adding one costs the same however
    many there were."""

    samples: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=RECENT))
    _first: tuple[float, int] | None = None
    _count: int = 0
    _sums: list[float] = field(default_factory=lambda: [0.0] * 5)  # of uu, uv, vv, ut, vt

    def add(self, now_s: float, done: int) -> None:
        """The engine has read `done` tokens by now."""
        if self._first is None:
            self._first = (now_s, done)
        elif self.samples and done <= self.samples[-1][1]:
            return
        self.samples.append((now_s, done))
        u, v = self._terms(done)
        t = now_s - self._first[0]
        self._sums = [a + b for a, b in zip(self._sums, (u * u, u * v, v * v, u * t, v * t), strict=True)]
        self._count += 1

    def tokens_per_s(self) -> float | None:
        """How fast it has read of late; None where that is not known yet."""
        if len(self.samples) < 2:
            return None
        (begun_s, begun), (ended_s, ended) = self.samples[0], self.samples[-1]
        return (ended - begun) / (ended_s - begun_s) if ended_s > begun_s else None

    def left_s(self, now_s: float, total: int) -> float | None:
        """The seconds that the rest of `total` tokens takes from now; None where that is not known yet."""
        if self._first is None or self._count < 3 or self.samples[-1][0] - self._first[0] < SHORTEST_S:
            return None
        last_s, done = self.samples[-1]
        (u, v), (whole_u, whole_v) = self._terms(done), self._terms(max(total, done))
        straight, square = self._fit()
        left = straight * (whole_u - u) + square * (whole_v - v)
        return max(0.0, left - (now_s - last_s))

    def _terms(self, done: int) -> tuple[float, float]:
        """Tokens read since measuring began, and how many pairs of tokens that were, in millions of either."""
        assert self._first is not None
        begun, end = self._first[1] / 1e6, done / 1e6
        return end - begun, (end * end - begun * begun) / 2

    def _fit(self) -> tuple[float, float]:
        """Seconds per million tokens and per million million pairs, by least squares; neither is less than nothing."""
        uu, uv, vv, ut, vt = self._sums
        determinant = uu * vv - uv * uv
        if determinant > 1e-9 * uu * vv:
            straight, square = (ut * vv - vt * uv) / determinant, (vt * uu - ut * uv) / determinant
            if straight >= 0 and square >= 0:
                return straight, square
            if straight < 0:
                return 0.0, vt / vv
        return (ut / uu if uu else 0.0), 0.0
