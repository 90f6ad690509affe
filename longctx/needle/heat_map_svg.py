"""A heat map as one SVG: light or dark as its reader's screen is, with words for those who don't see it, no script."""

from collections.abc import Iterator
from hashlib import sha256
from html import escape

from ingest.naming import safe_text
from longctx.needle.heat_map import HeatMap, Row, Sign, Square, legend

LEFT, TOP, CELL, LINE, GAP, MARGIN = 132, 92, 68, 24, 10, 16
NARROWEST = 560  # the words above and below need as much
LONGEST = 76  # characters of the line below the title that fit; <desc> has all of it
NO_XML = str.maketrans(dict.fromkeys("\ufffe\uffff", "\ufffd"))
CLASSES = {
    Sign.FOUND: "found",
    Sign.PART: "part",
    Sign.MISSING: "missing",
    Sign.CROSSED: "missing",
    Sign.UNASKED: "unasked",
    Sign.NOT_EXPECTED: "unasked",
}
STYLE = """
svg { color-scheme: light dark; font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif }
.page { fill: #fdfdfb } text { fill: #1e2226 } .soft { fill: #58606a } .title { font-size: 16px; font-weight: 600 }
.found { fill: #82bfcc } .part { fill: #f1d28a } .missing { fill: #e08a6d } .unasked { fill: #e9ebe6 }
@media (prefers-color-scheme: dark) {
  .page { fill: #15181b } text { fill: #e2e4e6 } .soft { fill: #a3abb4 }
  .found { fill: #255965 } .part { fill: #6b5417 } .missing { fill: #8f3f24 } .unasked { fill: #262b30 }
}
"""


def to_svg(drawn: HeatMap) -> str:
    """The picture as a file of its own; every text in it is escaped."""
    width = max(LEFT + len(drawn.columns) * CELL + MARGIN, NARROWEST)
    apart_at = TOP + len(drawn.rows) * LINE + GAP
    height = apart_at + len(drawn.apart) * LINE + LINE + MARGIN
    name = _name(drawn)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="{name}-title {name}-desc">',
        f'<title id="{name}-title">{_text(drawn.title)}</title>',
        f'<desc id="{name}-desc">{_text(drawn.about)}. {_text(drawn.description)}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
        f'<text class="title" x="{MARGIN}" y="26">{_text(drawn.title)}</text>',
        f'<text class="soft" x="{MARGIN}" y="46">{_text(_cut(drawn.about))}</text>',
        f'<text class="soft" x="{MARGIN}" y="{TOP - 8}">{_text(drawn.down)}</text>',
        *_heads(drawn),
        *_rows(drawn.rows, TOP),
        *_rows(drawn.apart, apart_at),
        f'<text class="soft" x="{MARGIN}" y="{height - MARGIN}" xml:space="preserve">{_text(legend(drawn))}</text>',
        "</svg>\n",
    ]
    return "\n".join(parts)


def _heads(drawn: HeatMap) -> Iterator[str]:
    yield f'<text class="soft" x="{LEFT}" y="{TOP - 26}">{_text(drawn.across)}</text>'
    for column, name in enumerate(drawn.columns):
        yield f'<text x="{_middle(column)}" y="{TOP - 8}" text-anchor="middle">{_text(name)}</text>'


def _rows(rows: tuple[Row, ...], top: int) -> Iterator[str]:
    for number, row in enumerate(rows):
        y = top + number * LINE
        yield f'<text x="{LEFT - GAP}" y="{y + 16}" text-anchor="end">{_text(row.name)}</text>'
        yield from (_square(square, column, y) for column, square in enumerate(row.squares))


def _square(square: Square, column: int, y: int) -> str:
    x = LEFT + column * CELL
    return (
        f"<g><title>{_text(square.title)}</title>"
        f'<rect class="{CLASSES[square.sign]}" x="{x + 1}" y="{y + 1}" width="{CELL - 2}" height="{LINE - 2}" rx="2"/>'
        f'<text x="{_middle(column)}" y="{y + 16}" text-anchor="middle">{square.sign}</text></g>'
    )


def _name(drawn: HeatMap) -> str:
    """What its ids begin with: two pictures within one page need different ones."""
    return f"heat-{sha256(repr(drawn).encode('utf-8', 'backslashreplace')).hexdigest()[:8]}"


def _middle(column: int) -> int:
    return LEFT + column * CELL + CELL // 2


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _text(text: str) -> str:
    return escape(safe_text(text).translate(NO_XML))
