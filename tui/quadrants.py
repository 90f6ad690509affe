"""Pictures as text: each cell shows two by two quarters in the two colours that come nearest.

A cell stands for 2 x 4 pixels, which makes them square. It refuses finer shades than 32 a channel, so that styles
recur.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby

from rich.color import Color
from rich.segment import Segment
from rich.style import Style

CELL_WIDTH, CELL_HEIGHT = 2, 4
# By which quarters are dark: 1 top left, 2 top right, 4 bottom left, 8 bottom right.
QUARTERS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
Rgb = tuple[int, int, int]
Cell = tuple[str, Rgb, Rgb]


def row(rgb: bytes, width: int, height: int, y: int) -> list[Segment]:
    """Row `y` of the cells of a picture; cells that reach over its edge are left out."""
    lines = [rgb[line * width * 3 : (line + 1) * width * 3] for line in range(y * CELL_HEIGHT, (y + 1) * CELL_HEIGHT)]
    if (y + 1) * CELL_HEIGHT > height:
        return []
    cells = (cell([line[x * 3 : x * 3 + 6] for line in lines]) for x in range(0, width - 1, CELL_WIDTH))
    return list(_segments(cells))


def cell(lines: Sequence[bytes]) -> Cell:
    """What is drawn for four lines of two pixels: a character, its colour and that behind it."""
    first = lines[0]
    if first[:3] == first[3:] and lines[1] == first and lines[2] == first and lines[3] == first:
        shade = _rounded((first[0], first[1], first[2]))
        return " ", shade, shade
    quarters = [_mean(lines[y][x : x + 3], lines[y + 1][x : x + 3]) for y in (0, 2) for x in (0, 3)]
    lights = [2 * r + 5 * g + b for r, g, b in quarters]
    middle = (min(lights) + max(lights)) / 2
    dark = [i for i, light in enumerate(lights) if light <= middle]
    light = [i for i in range(4) if i not in dark]
    front = _rounded(_average([quarters[i] for i in dark]))
    back = _rounded(_average([quarters[i] for i in light])) if light else front
    return QUARTERS[sum(1 << i for i in dark)], front, back


def _mean(upper: bytes, lower: bytes) -> Rgb:
    return (upper[0] + lower[0]) // 2, (upper[1] + lower[1]) // 2, (upper[2] + lower[2]) // 2


def _average(colors: Sequence[Rgb]) -> Rgb:
    count = len(colors)
    return sum(c[0] for c in colors) // count, sum(c[1] for c in colors) // count, sum(c[2] for c in colors) // count


def _rounded(color: Rgb) -> Rgb:
    return color[0] | 7, color[1] | 7, color[2] | 7


def _segments(cells: Iterator[Cell]) -> Iterator[Segment]:
    for (front, back), same in groupby(cells, key=lambda cell: cell[1:]):
        yield Segment("".join(each[0] for each in same), _style(front, back))


@lru_cache(4096)
def _style(front: Rgb, back: Rgb) -> Style:
    return Style(color=Color.from_rgb(*front), bgcolor=Color.from_rgb(*back))
