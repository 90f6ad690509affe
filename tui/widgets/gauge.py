"""How full the context is, in one line: a bar with its marks, and the same in words.

The bar is linear up to what the engine takes; it can be shown up to what the model takes too, linear or as a logarithm.
"""

import math
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from itertools import groupby
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from longctx.answer import Mode
from longctx.backend.replies import Planned
from longctx.packing import WINDOW_TOKENS
from tui.marks import short
from tui.window_states import MODEL_TOKENS


class Scale(StrEnum):
    """How far the bar goes, and how."""

    ENGINE = "linear to the engine's limit"
    MODEL = "linear to the model's limit"
    LOG = "logarithmic to the model's limit"

    @property
    def next(self) -> "Scale":
        scales = list(Scale)
        return scales[(scales.index(self) + 1) % len(scales)]


class Fill(Enum):
    """What a cell of the bar stands for: its sign and the theme's variable for it."""

    CORPUS = ("█", "$primary")
    PASSAGES = ("▓", "$warning")
    CONVERSATION = ("▒", "$success")
    REST = ("▚", "$secondary")
    FREE = ("░", "$text-muted")
    TOO_MUCH = ("╱", "$text-warning")
    BEYOND = (" ", "")
    ENGINE = ("│", "$text")
    MODEL = ("┃", "$text")


SLIVER = "▏"  # stands for what is less than half a cell
PARTS = (Fill.CORPUS, Fill.PASSAGES, Fill.CONVERSATION, Fill.REST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What is in the context, in tokens, and what fits: `parts` of the prompt in the order of PARTS.

    `limit` is None where the engine does not say it. `whole` are the tokens of the corpus, sent or not; `is_focused`
    means that a question reads only some of them.
    """

    parts: tuple[int, int, int, int] = (0, 0, 0, 0)
    limit: int | None = None
    whole: int = 0
    is_focused: bool = False
    is_told: bool = True  # false while no engine is open yet
    is_read: bool = True  # false where nobody reads a prompt: quotes are searched for

    @property
    def used(self) -> int:
        return sum(self.parts)

    @property
    def free(self) -> int:
        return max(0, (self.limit or 0) - self.used)

    @property
    def is_too_large(self) -> bool:
        """Whether the corpus does not fit, so far as is known."""
        return self.limit is not None and self.whole > self.limit


def holding(corpus: int, limit: int | None, *, is_told: bool = True, is_read: bool = True) -> Filling:
    """A corpus of so many tokens before anything is asked; of one that is too large all that fits is shown."""
    shown = corpus if limit is None else min(corpus, limit)
    return Filling(parts=(shown, 0, 0, 0), limit=limit, whole=corpus, is_told=is_told, is_read=is_read)


def asking(planned: Planned, corpus: int, limit: int | None) -> Filling:
    """What a question sends. `corpus` are the tokens of its windows, headers and all, which are sent if all is."""
    behind = planned.recap_tokens + planned.conversation_tokens
    is_focused = planned.mode is Mode.FOCUS
    sent = planned.read_tokens if is_focused else corpus or planned.read_tokens
    sent = max(0, min(sent, planned.prompt_tokens - behind))
    rest = max(0, planned.prompt_tokens - behind - sent)
    return Filling(
        parts=(sent, planned.recap_tokens, planned.conversation_tokens, rest),
        limit=limit if planned.limit_tokens is None else planned.limit_tokens,
        whole=planned.corpus_tokens,
        is_focused=is_focused,
    )


def bar(filling: Filling, scale: Scale, width: int) -> list[tuple[Fill, int]]:
    """The bar as runs of cells. Whatever is there at all has a cell of its own, if it's only one."""
    extent = _extent(filling, scale)
    cells = [Fill.BEYOND] * width
    reach = _cell(filling.limit or extent, extent, scale, width)
    cells[:reach] = [Fill.FREE] * reach
    if filling.is_too_large and not filling.is_focused:
        cells[reach:] = [Fill.TOO_MUCH] * max(0, _cell(filling.whole, extent, scale, width) - reach)
        cells += [Fill.BEYOND] * (width - len(cells))
    begin, tokens = 0, 0
    for fill, count in zip(PARTS, filling.parts, strict=True):
        tokens += count
        end = min(width, max(begin + (count > 0), _cell(tokens, extent, scale, width)))
        cells[begin:end] = [fill] * (end - begin)
        begin = end
    if filling.limit is not None and width:
        cells[min(reach, width - 1)] = Fill.ENGINE
    if extent == MODEL_TOKENS and width and cells[-1] is not Fill.ENGINE:
        cells[-1] = Fill.MODEL
    return [(fill, len(list(run))) for fill, run in groupby(cells)]


def slivers(filling: Filling, scale: Scale, width: int) -> frozenset[Fill]:
    """The parts that are there, and less than half a cell."""
    extent = _extent(filling, scale)
    ends = [_place(sum(filling.parts[: n + 1]), extent, scale, width) for n in range(len(PARTS))]
    sizes = (end - begin for begin, end in zip([0.0, *ends], ends, strict=False))
    return frozenset(fill for fill, size in zip(PARTS, sizes, strict=True) if 0 < size < 0.5)


def length(width: int, said: int) -> int:
    """How much of a line the bar takes: what its words leave, at least a quarter and at most half."""
    return max(width * 4 // 15, min(width // 2, width - said - 2))


def headline(filling: Filling) -> str:
    """What matters most of it: how much is left, or why that is no question."""
    if not filling.is_told:
        return f"{short(filling.whole)} tokens" if filling.whole else "nothing read yet"
    if not filling.is_read:
        return f"{short(filling.whole)} tokens: searched for quotes, read by no model"
    if filling.limit is None:
        return f"{short(filling.used or filling.whole)} tokens: the engine does not say what it takes"
    if filling.is_focused:
        return f"focus: {short(filling.parts[0])} of {short(filling.whole)} read"
    if filling.is_too_large:
        return f"{short(filling.whole)} of {short(filling.limit)}: questions read what bears on them"
    return f"{short(filling.free)} free of {short(filling.limit)}"


def words(filling: Filling, width: int) -> Content:
    """The headline, and of the parts, each with the fill that it has in the bar, those for which there is room."""
    said = Content(headline(filling)).stylize("bold")
    if filling.is_too_large and not filling.is_focused:
        return said
    for fill, count in zip(PARTS, filling.parts, strict=True):
        headers = " with headers" if fill is Fill.CORPUS and not filling.is_focused else ""
        for more in (headers, "") if headers else ("",):
            part = Content.assemble("   ", (fill.value[0], fill.value[1]), f" {fill.name.lower()} {short(count)}{more}")
            if count and said.cell_length + part.cell_length <= width:
                said = said.append(part)
                break
    return said


def marks(filling: Filling, scale: Scale) -> str:
    """What the marks in the bar stand for, and its scale."""
    if filling.limit is None:
        return f"┃ model {short(MODEL_TOKENS)} · {Scale.MODEL if scale is Scale.ENGINE else scale}"
    return f"│ engine {short(filling.limit)}  ┃ model {short(MODEL_TOKENS)} · {scale}"


def _extent(filling: Filling, scale: Scale) -> int:
    """The tokens at the end of the bar."""
    if scale is not Scale.ENGINE or filling.limit is None:
        return max(MODEL_TOKENS, filling.used, filling.limit or 0)
    return max(filling.limit, filling.used, 0 if filling.is_focused else filling.whole, 1)


def _cell(tokens: int, extent: int, scale: Scale, width: int) -> int:
    """The cell of the bar behind so many tokens."""
    return min(width, max(0, round(_place(tokens, extent, scale, width))))


def _place(tokens: int, extent: int, scale: Scale, width: int) -> float:
    """Where in the bar so many tokens end."""
    if scale is Scale.LOG:
        return width * math.log1p(tokens / WINDOW_TOKENS) / math.log1p(extent / WINDOW_TOKENS)
    return width * tokens / extent


class Gauge(Widget, can_focus=True):
    """The bar and its words; `told` stands in place of the words while there is something more urgent."""

    HELP = """
## How full the context is

`█` corpus with the headers of its files, `▓` passages that search found for the question, `▒` conversation,
`▚` question and rules, `░` free; `▏` is one of these where it is less than half a cell. `│` is what the engine takes,
`┃` what the model could: 10,485,760 tokens.

- **l** changes the scale: to the engine's limit, to the model's, to the model's as a logarithm
- **enter** opens the map of the windows
"""
    DEFAULT_CSS = """
    Gauge { height: 1; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    Gauge:focus { text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "Map", id="gauge.map")]

    filling: reactive[Filling] = reactive(Filling())
    scale: reactive[Scale] = reactive(Scale.ENGINE)
    told: reactive[str] = reactive("")

    class Opened(Message):
        """The map is wanted."""

    def render(self) -> Content:
        width = self.size.width
        said = words(self.filling, width).cell_length
        size = width * 4 // 15 if self.told else length(width, said)
        room = width - size - 2
        return Content.assemble(self._bar(size), "  ", Content(self.told) if self.told else words(self.filling, room))

    def on_click(self) -> None:
        self.post_message(self.Opened())

    def action_open(self) -> None:
        self.post_message(self.Opened())

    def _bar(self, size: int) -> Content:
        # nothing is limited where no prompt is sent
        filling = self.filling if self.filling.is_read else replace(self.filling, limit=None)
        thin = slivers(filling, self.scale, size)
        runs = bar(filling, self.scale, size)
        return Content.assemble(*(((SLIVER if f in thin else f.value[0]) * n, f.value[1]) for f, n in runs))
