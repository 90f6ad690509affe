"""How full the context is, and the map of its windows: the gauge in one line, the map when it is opened.

Keeps what the backend has told and shows it; what follows from it is worked out in `tui.window_states`, `tui.prefill`,
`tui.figures` and `tui.window_words`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.theme import Theme
from textual.widgets import Static

from ingest.naming import show
from longctx.backend.replies import EngineOpened, Evidence, Planned, Prefill, ReadingFiles, WindowsAre
from longctx.citations import Citation
from longctx.engines.opening import QUOTES
from tui.figures import reading, took
from tui.fitting import end_of
from tui.marks import short
from tui.messages import FileChosen
from tui.prefill import Curve
from tui.widgets.gauge import Filling, Gauge, asking, holding, marks
from tui.widgets.window_map import WindowMap
from tui.window_states import (
    CorpusMap,
    Course,
    bearing,
    begun,
    citing,
    counts,
    map_of,
    read,
    states,
    windows_shown,
)
from tui.window_words import LONGEST_NAME, SEPARATOR, describe, expected, legend

BORDERED = 120  # columns from which on there is room for a border and a line of figures
BESIDE = 106  # columns from which on the legend stands beside the map
OFTEN_S = 0.1
BEAT_S = 1.0


def too_few_colors(theme: Theme, system: str | None) -> bool:
    """Whether the states of windows may look alike: in a theme or on a terminal of sixteen colours, or to who reads."""
    return theme.ansi or system == "standard" or "colour-blind" in theme.name


class WindowPanel(Vertical):
    """Says FileChosen for a window's file."""

    HELP = """
## The context window

How much of what the engine takes is used, and what the last answer took. **enter** or a click opens the map of the
windows, **l** changes the gauge's scale. "cache: not reported" means that the engine does not say how much it had
kept from before; it is not 0.
"""
    DEFAULT_CSS = """
    WindowPanel {
        height: auto;
        max-height: 70%;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        border: round $border;
        border-title-color: $text;
        border-subtitle-color: $text-muted;
        padding: 0 1;
        &:focus-within { border: round $accent; }
        &.-narrow { border: none; padding: 0; }
        &.-narrow.-closed #window-figures { display: none; }
        &.-closed #map-area, &.-closed #map-detail { display: none; }
        Static { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
        #window-figures, #map-detail { height: 1; color: $text-muted; }
        #map-area { height: auto; layout: vertical; }
        #map-legend { width: 1fr; }
        &.-beside #map-area { layout: horizontal; }
        &.-beside #map-legend { margin-left: 2; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "scale", "Scale", id="gauge.scale"),
        Binding("escape", "close", "Close map", id="map.close", show=False),
    ]

    def __init__(self, *, id: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:  # noqa: A002
        super().__init__(id=id)
        self.add_class("-closed")
        self.border_title = "Window"
        self._clock = clock
        self._corpus = CorpusMap()
        self._course = Course()
        self._limit: int | None = None
        self._is_told = False
        self._is_read = True
        self._planned: Planned | None = None
        self._prefill: Prefill | None = None
        self._curve = Curve()
        self._drawn_s: float | None = None
        self._now: Sequence[str] = ()  # what is going on, a phrase each
        self._last: Sequence[str] = ()  # what the last answer took

    def compose(self) -> ComposeResult:
        self._gauge = Gauge(id="gauge")
        self._map = WindowMap(id="window-map")
        yield self._gauge
        yield Static(id="window-figures", markup=False)
        with Container(id="map-area"):
            yield self._map
            yield Static(id="map-legend", markup=False)
        yield Static(id="map-detail", markup=False)

    def on_mount(self) -> None:
        self._beat = self.set_interval(BEAT_S, self._draw_prefill, pause=True)
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._choose_letters())
        self._choose_letters()
        self.watch(self._map, "has_letters", self._draw_map, init=False)
        self._draw()

    @property
    def is_open(self) -> bool:
        """Whether the map is shown."""
        return not self.has_class("-closed")

    def show_reading(self, reading: ReadingFiles) -> None:
        """How far the corpus is read."""
        self._say(
            f"{reading.doing} {reading.done:,}{'' if reading.total is None else f' of {reading.total:,}'} files",
            f"{short(reading.tokens)} tokens",
            end_of(show(reading.path), LONGEST_NAME),
        )

    def show_windows(self, windows: WindowsAre) -> None:
        """The windows of the corpus."""
        corpus = map_of(windows)
        if (corpus.ends, corpus.paths) != (self._corpus.ends, self._corpus.paths):
            self._course, self._planned, self._last = Course(), None, ()
        self._corpus = corpus
        if self._planned is None:
            self._now = ()
        self._draw()

    def show_engine(self, engine: EngineOpened) -> None:
        """What fits."""
        self._limit, self._is_told, self._is_read = engine.context_tokens, True, engine.name != QUOTES
        self._planned, self._course = None, Course()
        self._draw()

    def begin(self) -> None:
        """A question was asked: what is to be sent is not known yet, and may be no window of the corpus."""
        self._planned, self._course = None, Course(is_whole=False)
        self._prefill, self._curve, self._drawn_s = None, Curve(), None
        self._draw_map()

    def show_plan(self, planned: Planned) -> None:
        """What is about to be sent: nothing of it is read yet."""
        self._planned, self._course = planned, begun(planned)
        self._prefill, self._curve, self._drawn_s = None, Curve(), None
        self._say(f"sending {short(planned.prompt_tokens)} tokens", *expected(planned))
        self._draw()

    def show_evidence(self, evidence: Evidence) -> None:
        """Where search finds what bears on the question."""
        self._course = bearing(self._course, evidence)
        self._draw_map()

    def show_prefill(self, prefill: Prefill) -> None:
        """How far the engine is: the map fills."""
        self._prefill, self._course = prefill, read(self._course, prefill)
        now_s = self._clock()
        self._curve.add(now_s, prefill.done)
        is_read = prefill.done >= prefill.total
        if is_read or self._drawn_s is None or now_s - self._drawn_s >= OFTEN_S:
            self._draw_prefill()
        if is_read:
            self._beat.pause()
        else:
            self._beat.resume()

    def show_citation(self, citation: Citation) -> None:
        """A window is cited."""
        self._course = citing(self._course, citation)
        self._draw_map()

    def show_answer(self, answer: Mapping[str, Any]) -> None:
        """What the answer took: tokens, times, cached share."""
        self._last = took(answer)
        self.end()

    def end(self) -> None:
        """Nothing is going on any more, whether it was done or not."""
        self._prefill = None
        self._beat.pause()
        self._say()
        self._draw_map()

    def toggle_map(self) -> None:
        """Open or close the map."""
        if self.is_open and self._map.has_focus:
            self._gauge.focus()
        self.toggle_class("-closed")
        self._draw_map()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.is_open if action == "close" else super().check_action(action, parameters)

    def action_scale(self) -> None:
        self._gauge.scale = self._gauge.scale.next
        self._draw_marks()

    def action_close(self) -> None:
        self.toggle_map()

    def on_resize(self) -> None:
        self.set_class(self.outer_size.width < BORDERED, "-narrow")
        self._map.fit(self.content_size.width)
        self._say(*self._now)
        self._draw_map()

    @on(Gauge.Opened)
    def _open(self) -> None:
        self.toggle_map()
        if self.is_open:
            self._map.focus()

    @on(WindowMap.Pointed)
    def _point(self, event: WindowMap.Pointed) -> None:
        self._describe(event.window)

    @on(WindowMap.Chosen)
    def _choose(self, event: WindowMap.Chosen) -> None:
        if event.window < len(self._corpus.paths) and (paths := self._corpus.paths[event.window]):
            self.post_message(FileChosen(paths[0]))

    def _choose_letters(self) -> None:
        colors = None if self.app.is_headless else self.app.console.color_system
        self._map.has_letters = self.app.no_color or too_few_colors(self.app.current_theme, colors)

    def _draw(self) -> None:
        self._gauge.filling = self._filling()
        self.border_title = "Window · focus" if self._gauge.filling.is_focused else "Window"
        self._draw_marks()
        self._say(*self._now)
        self._draw_map()

    def _filling(self) -> Filling:
        if self._planned is not None:
            return asking(self._planned, self._corpus.tokens, self._limit)
        tokens = self._corpus.tokens if self._is_told and self._is_read else self._corpus.plain
        return holding(tokens, self._limit, is_told=self._is_told, is_read=self._is_read)

    def _draw_marks(self) -> None:
        self.border_subtitle = marks(self._gauge.filling, self._gauge.scale)

    def _draw_prefill(self) -> None:
        if self._prefill is not None:
            self._drawn_s = self._clock()
            self._say(*reading(self._prefill, self._curve, self._drawn_s))
            self._draw_map()

    def _say(self, *now: str) -> None:
        """Say what is going on, or what the last answer took where nothing is."""
        self._now = now
        shown = windows_shown(self._corpus, self._limit)
        windows = [f"windows {len(self._corpus.ends):,}/{shown:,}"] if self._is_read else []
        phrases = now or (*self._last, *windows)
        self.query_one("#window-figures", Static).update(Content(SEPARATOR.join(phrases)))
        self._gauge.told = SEPARATOR.join(now) if self.has_class("-narrow") and not self.is_open else ""

    def _draw_map(self) -> None:
        if not self.is_open:
            return
        known = states(self._corpus, self._course, windows_shown(self._corpus, self._limit))
        self._map.show_states(known)
        is_beside = self.content_size.width >= BESIDE and self._map.grid.rows >= len(counts(known))
        self.set_class(is_beside, "-beside")
        width = 1 if is_beside else self.content_size.width
        told = legend(
            known, has_signs=self._map.shows_signs, width=width, share=self._map.grid.share, is_read=self._is_read
        )
        self.query_one("#map-legend", Static).update(told)
        self._describe(self._map.cursor)

    def _describe(self, window: int) -> None:
        known = self._map.states
        said = describe(self._corpus, known, min(window, len(known) - 1), is_read=self._is_read)
        self.query_one("#map-detail", Static).update(Content(said))
