"""The blocks of a page as one text: paragraphs apart by a blank line, cells of a table row by a tab.

It goes by boxes alone, and keeps the order of the file, which is the author's, unless that is plainly wrong.
It refuses to look for tables by their rules (seconds a page), and knows no PDF library.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise

from ingest.cleaning import MarginBlock

# left, top, right, bottom, text with a newline after each line, number, kind (0 is text)
Block = tuple[float, float, float, float, str, int, int]
# left, top, bottom of each line of a block that is not blank
LineBoxes = Mapping[int, Sequence[tuple[float, float, float]]]

LINE_PT = 6.5  # less height than this for each line: some stand side by side
ROW_PT = 16  # less height than this: all do
FEWEST_CELLS = 6  # two rows of three or three of two
CELL_CHARS = 20  # the mean of a table, at most
MARGIN = 0.12  # of the page's height, at the top and at the foot
SMALL_PRINT = 0.035  # of the page's height for each line; titles of slides are larger
PROSE_CHARS = 80
LONGEST_HEAD = 300


def arrange(
    blocks: Sequence[Block], height: float, line_boxes: Callable[[], LineBoxes]
) -> tuple[str, tuple[MarginBlock, ...]]:
    """The text of a page, each part of it followed by a blank line, and what may be its running heads.

    `line_boxes` costs a second extraction and is called only where lines seem to share a row.
    """
    texts, spans = _parts(in_reading_order(blocks), line_boxes)
    ends = list(accumulate([len(text) + 2 for text in texts]))
    head, foot = MARGIN * height, (1 - MARGIN) * height
    margins = [
        MarginBlock(ends[index] - len(texts[index]) - 2, ends[index], top)
        for index, (top, bottom) in enumerate(spans)
        if (bottom < head or top > foot) and _is_small(texts[index], bottom - top, height)
    ]
    return "\n\n".join([*texts, ""]), tuple(margins)


def _is_small(text: str, size: float, height: float) -> bool:
    return size <= SMALL_PRINT * height * (text.count("\n") + 1) and len(text) <= LONGEST_HEAD


def _parts(blocks: Sequence[Block], line_boxes: Callable[[], LineBoxes]) -> tuple[list[str], list[tuple[float, float]]]:
    """The text of each paragraph or table, and its top and bottom."""
    texts: list[str] = []
    spans: list[tuple[float, float]] = []
    boxes: LineBoxes | None = None
    last_right = 0.0
    for left, top, right, bottom, raw, number, kind in blocks:
        text = raw.strip("\n ")
        if kind or not text:
            continue
        lines = text.count("\n") + 1
        size = bottom - top
        if lines > 1 and size < ROW_PT:
            text = "\t".join([line.strip() for line in text.split("\n")])
            lines = 1
        elif size < LINE_PT * lines and _may_be_table(text, lines):
            boxes = line_boxes() if boxes is None else boxes
            text = join_cells(text, boxes.get(number, ()))
        if lines == 1 and texts and _is_beside(left, top, bottom, last_right, spans[-1]) and "\n" not in texts[-1]:
            texts[-1] += "\t" + text
            _stack(texts, spans)
        else:
            texts.append(text)
            spans.append((top, bottom))
            if size < LINE_PT * lines or lines == 1:
                _stack(texts, spans)
        last_right = right
    return texts, spans


def _may_be_table(text: str, lines: int) -> bool:
    """Short lines, and no leaders: a table of contents costs as much and is none the better for it."""
    return lines >= FEWEST_CELLS and len(text) <= CELL_CHARS * lines and ". ." not in text


def _is_beside(left: float, top: float, bottom: float, last_right: float, span: tuple[float, float]) -> bool:
    """Whether a box stands to the right of the one before, at its height."""
    half = (bottom - top) / 2
    return span[1] - top > half < bottom - span[0] and left >= last_right - 1


def _stack(texts: list[str], spans: list[tuple[float, float]]) -> None:
    """Put the last row of a table under the rows before it, if they are close."""
    if len(texts) < 2 or "\t" not in texts[-1] or "\t" not in texts[-2]:
        return
    (first, last_bottom), (top, bottom) = spans[-2:]
    if -1 < top - last_bottom < bottom - top:
        texts[-2:] = [f"{texts[-2]}\n{texts[-1]}"]
        spans[-2:] = [(first, bottom)]


def join_cells(text: str, boxes: Sequence[tuple[float, float, float]]) -> str:
    """The lines of a block, those beside each other on one; as they were where lines and boxes don't pair."""
    lines = [line for line in text.split("\n") if not line.isspace()]
    if len(lines) != len(boxes):
        return text
    rows = lines[:1]
    for line, (_, last_top, last_bottom), (left, top, bottom), (last_left, _, _) in zip(
        lines[1:], boxes, boxes[1:], boxes, strict=False
    ):
        overlap = min(bottom, last_bottom) - max(top, last_top)
        if left > last_left and 2 * overlap > bottom - top:
            rows[-1] += "\t" + line
        else:
            rows.append(line)
    return "\n".join(rows)


def in_reading_order(blocks: Sequence[Block]) -> Sequence[Block]:
    """The blocks as they came, unless most paragraphs stand above the one before them in their own column."""
    prose = [block for block in blocks if len(block[4]) >= PROSE_CHARS]
    if len(prose) < 3:
        return blocks
    upward = sum(_is_above(block, last) for last, block in pairwise(prose))
    if 2 * upward < len(prose) - 1:
        return blocks
    middle = (min(block[0] for block in prose) + max(block[2] for block in prose)) / 2
    if any(block[0] < middle < block[2] for block in prose):
        return sorted(blocks, key=lambda block: (block[1], block[0]))
    return sorted(blocks, key=lambda block: (block[0] >= middle, block[1], block[0]))


def _is_above(block: Block, last: Block) -> bool:
    return block[3] <= last[1] + 1 and min(block[2], last[2]) > max(block[0], last[0])
