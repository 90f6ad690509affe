"""An answer's blocks as lines of styled text of a width: pure, with the theme's variables for colours.

Text in it is text: no markup, and nothing can be clicked but the marks of citations.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from markdown_it.tree import SyntaxTreeNode
from textual.content import Content, Span
from textual.style import Style

from longctx.citations import CitationStatus
from longctx.footnote_rule import MARK
from tui.answer_markdown import AnswerMarkdown, Block
from tui.code_colours import coloured
from tui.marks import CITATION_COLORS, CITATION_SIGNS, superscript

LEAST_WIDTH = 12
LEAST_COLUMN = 5
GUTTER = 2
COLOURED_MOST = 20_000  # characters of code in an answer
TAB = 4
GROUND = "on $foreground 10%"  # grey enough to be grey where there are 256 colours
CODE = ("fence", "code_block")
BULLETS = "•◦▪"
STYLES = {"em": "italic", "strong": "bold", "s": "strike", "code_inline": "$text-accent"}
HEADINGS = {"h1": "bold underline $text-primary", "h2": "bold $text-primary", "h3": "bold"}
BLANK = Content()
Statuses = Mapping[int, CitationStatus]


@dataclass(slots=True)
class AnswerLines:
    """An answer as lines of one width; only what is new of it is laid out when it grows."""

    width: int
    blocks: list[list[Content]] = field(default_factory=list)
    lines: list[Content] = field(default_factory=list)

    def grow(self, markdown: AnswerMarkdown, statuses: Statuses) -> None:
        """Lay out the blocks that are not."""
        begun = len(self.blocks)
        code = sum(map(code_length, markdown.blocks[:begun]))
        for block in markdown.blocks[begun:]:
            code += code_length(block)
            self.blocks.append(block_lines(block, statuses, self.width, is_coloured=code <= COLOURED_MOST))
        gap = [] if markdown.is_plain else [BLANK]
        self.lines = [line for lines in self.blocks for line in (*lines, *gap)][: None if not gap else -1]


def block_lines(block: Block, statuses: Statuses, width: int, *, is_coloured: bool = True) -> list[Content]:
    """The lines of a block; with colours in its code, unless that is too much."""
    width = max(width, LEAST_WIDTH)
    if not block.tokens:
        return Content(block.plain).wrap(width)
    return _Layout(statuses, is_coloured).flow(SyntaxTreeNode(list(block.tokens)).children, width)


def code_length(block: Block) -> int:
    """How many characters of code are in a block."""
    return sum(len(token.content) for token in block.tokens if token.type in CODE)


def mark(number: int, status: CitationStatus | None) -> str:
    """`¹✓`, a citation as it stands in an answer."""
    return superscript(number) + CITATION_SIGNS.get(status or CitationStatus.UNVERIFIED, "?")


@dataclass(frozen=True, slots=True)
class _Layout:
    statuses: Statuses
    is_coloured: bool

    def flow(self, nodes: Sequence[SyntaxTreeNode], width: int, depth: int = 0) -> list[Content]:
        """Blocks one below the other, with blank lines between them except in close lists."""
        lines: list[Content] = []
        for node in nodes:
            if lines and not _is_close(node):
                lines.append(Content())
            lines += self._block(node, max(width, LEAST_WIDTH), depth)
        return lines

    def _block(self, node: SyntaxTreeNode, width: int, depth: int) -> list[Content]:
        match node.type:
            case "heading":
                return [line.stylize_before(HEADINGS.get(node.tag, "italic")) for line in self._text(node, width)]
            case "bullet_list" | "ordered_list":
                return self._list(node, width, depth)
            case "blockquote":
                quoted = self.flow(node.children, width - 2, depth)
                return [Content.assemble(("▎ ", "$text-muted"), line.stylize_before("$text-muted")) for line in quoted]
            case kind if kind in CODE:
                language = node.info.split(None, 1)[0] if node.info.strip() else ""
                return _code(node.content, language if self.is_coloured else "", width)
            case "hr":
                return [Content.styled("─" * width, "$text-muted")]
            case "table":
                return self._table(node, width)
            case _:
                return self._text(node, width)

    def _text(self, node: SyntaxTreeNode, width: int) -> list[Content]:
        return self._inline(node).wrap(width)

    def _inline(self, node: SyntaxTreeNode) -> Content:
        """What stands in a paragraph, a heading or a cell."""
        parts: list[tuple[str, tuple[str | Style, ...]]] = []
        for child in node.children:
            for token in child.children:
                self._spans(token, (), parts)
        return _joined(parts)

    def _spans(
        self, node: SyntaxTreeNode, styles: tuple[str | Style, ...], parts: list[tuple[str, tuple[str | Style, ...]]]
    ) -> None:
        match node.type:
            case "softbreak":
                parts.append((" ", styles))
            case "hardbreak":
                parts.append(("\n", styles))
            case kind if kind == MARK:
                parts.append(self._mark(int(node.content), styles))
            case kind if node.children:
                for child in node.children:
                    self._spans(child, (*styles, STYLES.get(kind, "")), parts)
            case kind:
                parts.append((node.content, (*styles, STYLES.get(kind, ""))))

    def _mark(self, number: int, styles: tuple[str | Style, ...]) -> tuple[str, tuple[str | Style, ...]]:
        status = self.statuses.get(number)
        color = CITATION_COLORS.get(status or CitationStatus.UNVERIFIED, "")
        return mark(number, status), (*styles, color, Style.from_meta({"@click": f"cite({number})"}))

    def _list(self, node: SyntaxTreeNode, width: int, depth: int) -> list[Content]:
        first = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
        last = (first or 0) + len(node.children) - 1
        indent = len(f"{last}. ") if first is not None else 2
        is_close = all(_is_close(child) for item in node.children for child in item.children)
        lines: list[Content] = []
        for i, item in enumerate(node.children):
            sign = f"{first + i}. " if first is not None else BULLETS[depth % len(BULLETS)] + " "
            if i and not is_close:
                lines.append(Content())
            lines += _hung(sign.rjust(indent), self.flow(item.children, width - indent, depth + 1))
        return lines

    def _table(self, node: SyntaxTreeNode, width: int) -> list[Content]:
        rows = [row for part in node.children for row in part.children]
        cells = [[self._inline(cell).expand_tabs() for cell in row.children] for row in rows]
        is_right = ["right" in str(cell.attrs.get("style", "")) for cell in rows[0].children]
        head, *body = cells
        columns = len(head)
        if (width + GUTTER) // columns - GUTTER < LEAST_COLUMN:
            return _records(head, body, width)
        widths = fitted(
            [max(row[i].cell_length for row in cells) for i in range(columns)], width - GUTTER * (columns - 1)
        )
        rule = Content.styled((" " * GUTTER).join("─" * each for each in widths), "$text-muted")
        lines = [line.stylize_before("bold") for line in _row(head, widths, is_right)]
        return [*lines, rule, *(line for row in body for line in _row(row, widths, is_right))]


def fitted(wanted: Sequence[int], room: int) -> list[int]:
    """Widths of columns: what each wants where there is room, else the widest give way."""
    widths = [0] * len(wanted)
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    for done, i in enumerate(order):
        widths[i] = max(1, min(wanted[i], room // (len(wanted) - done)))
        room -= widths[i]
    return widths


def _is_close(node: SyntaxTreeNode) -> bool:
    """Whether there is no blank line above it: in a close list."""
    if node.type == "paragraph":
        return node.hidden
    parent = node.parent
    if parent is None or parent.type != "list_item" or node.type not in ("bullet_list", "ordered_list"):
        return False
    return all(child.hidden for child in parent.children if child.type == "paragraph")


def _joined(parts: Iterable[tuple[str, tuple[str | Style, ...]]]) -> Content:
    texts: list[str] = []
    spans: list[Span] = []
    position = 0
    for text, styles in parts:
        spans += [Span(position, position + len(text), style) for style in styles if style]
        texts.append(text)
        position += len(text)
    return Content("".join(texts), spans)


def _hung(sign: str, lines: Sequence[Content]) -> list[Content]:
    """Lines behind a bullet or number."""
    head, *rest = lines or [Content()]
    return [
        Content.assemble((sign, "$text-muted"), head),
        *(Content.assemble(" " * len(sign), line) for line in rest),
    ]


def _code(code: str, language: str, width: int) -> list[Content]:
    """Code in lines as they are, on a ground of its own; long ones are folded."""
    code = "\n".join(line.expandtabs(TAB) for line in code.rstrip("\n").split("\n"))
    room = max(LEAST_WIDTH, width - 2)
    folded = (part for line in coloured(code, language).split(allow_blank=True) for part in line.fold(room))
    return [line.pad_right(max(0, room - line.cell_length)).pad(1, 1).stylize_before(GROUND) for line in folded]


def _row(cells: Sequence[Content], widths: Sequence[int], is_right: Sequence[bool]) -> Iterator[Content]:
    wrapped = [cell.wrap(width) for cell, width in zip(cells, widths, strict=False)]
    for parts in zip_longest(*wrapped, fillvalue=Content()):
        padded = (
            part.pad_left(max(0, width - part.cell_length))
            if right
            else part.pad_right(max(0, width - part.cell_length))
            for part, width, right in zip(parts, widths, is_right, strict=False)
        )
        yield Content(" " * GUTTER).join(padded)


def _records(head: Sequence[Content], body: Sequence[Sequence[Content]], width: int) -> list[Content]:
    """A table that is too wide: each row as lines of name and value."""
    lines: list[Content] = []
    for row in body or [[]]:
        lines += [Content()] if lines else []
        for name, value in zip_longest(head, row, fillvalue=Content()):
            lines += Content.assemble(name.stylize_before("bold"), ": " if row else "", value).wrap(width)
    return lines
