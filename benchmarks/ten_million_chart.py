"""Curves over the length of the context as one SVG: both axes logarithmic, light or dark as its reader's screen is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 56, 52
STYLE = """
svg { color-scheme: light dark; font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif }
.page { fill: #fdfdfb } text { fill: #1e2226 } .soft { fill: #58606a } .title { font-size: 16px; font-weight: 600 }
.grid { stroke: #dfe2dc } path, circle { fill: none; stroke-width: 2 }
.s0 { stroke: #17697a } .s1 { stroke: #b4471c } .s2 { stroke: #6a51a3 } .s3 { stroke: #7a6a00 }
@media (prefers-color-scheme: dark) {
  .page { fill: #15181b } text { fill: #e2e4e6 } .soft { fill: #a3abb4 } .grid { stroke: #2c3238 }
  .s0 { stroke: #6cc5d6 } .s1 { stroke: #f0956d } .s2 { stroke: #b7a3e8 } .s3 { stroke: #d8c64a }
}
"""
DASHES = ("", "7 4", "2 4", "10 3 2 3")
SI = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


@dataclass(frozen=True, slots=True)
class Curve:
    """A name and points, in ascending order; curves of one `look` (0 to 3) have the same colour on every picture."""

    name: str
    look: int
    points: Sequence[tuple[float, float]]


def to_svg(title: str, description: str, across: str, up: str, curves: Sequence[Curve]) -> str:
    """The picture as a file of its own, with words for those who don't see it; every text is escaped."""
    drawn = [curve for curve in curves if curve.points]
    xs = [x for curve in drawn for x, _ in curve.points] or [1, 10]
    ys = [y for curve in drawn for _, y in curve.points] or [1, 10]
    axes = _Axes(floor(log10(min(xs))), ceil(log10(max(xs))), floor(log10(min(ys))), ceil(log10(max(ys))))
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="chart-title chart-desc">',
        f'<title id="chart-title">{escape(title)}</title>',
        f'<desc id="chart-desc">{escape(description)}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="title" x="16" y="26">{escape(title)}</text>',
        f'<text class="soft" x="16" y="{TOP - 12}">{escape(up)}</text>',
        f'<text class="soft" x="{LEFT}" y="{HEIGHT - 12}">{escape(across)}</text>',
        *axes.drawn(),
        *_curves(drawn, axes),
        "</svg>\n",
    ]
    return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class _Axes:
    """From and to which powers of ten they go."""

    left: int
    right: int
    bottom: int
    top: int

    def x(self, value: float) -> float:
        share = (log10(value) - self.left) / max(1, self.right - self.left)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (log10(value) - self.bottom) / max(1, self.top - self.bottom)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def drawn(self) -> Iterator[str]:
        """A line and a number for each power of ten."""
        for power in range(self.left, self.right + 1):
            x = self.x(10.0**power)
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
            yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{short(10.0**power)}</text>'
        for power in range(self.bottom, self.top + 1):
            y = self.y(10.0**power)
            yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(10.0**power)}</text>'


def _curves(curves: Sequence[Curve], axes: _Axes) -> Iterator[str]:
    """Each with its own colour and dashes, and its name at its end, none over another."""
    ends = sorted((axes.y(curve.points[-1][1]), n) for n, curve in enumerate(curves))
    below = 0.0
    for y, n in ends:
        curve, below = curves[n], max(y, below + 15)
        at = [(axes.x(x), axes.y(value)) for x, value in curve.points]
        path = "M" + " L".join(f"{px:.1f} {py:.1f}" for px, py in at)
        look = f'class="s{curve.look}"'
        yield f'<path {look} stroke-dasharray="{DASHES[curve.look]}" d="{path}"/>'
        yield from (f'<circle {look} cx="{px:.1f}" cy="{py:.1f}" r="2.5"/>' for px, py in at)
        yield f'<text x="{at[-1][0] + 8:.1f}" y="{below + 4:.1f}">{escape(curve.name)}</text>'


def short(value: float) -> str:
    """`0.01`, `100`, `10k`, `10M`."""
    for size, letter in SI:
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
