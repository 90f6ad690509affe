"""The application: a screen over a backend of its own. It draws, and asks; it reads no document and runs no model."""

import asyncio
import os
import time
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console, RenderableType
from textual import events, on, work
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.geometry import Size
from textual.screen import Screen

from ingest.naming import safe_text, show
from longctx.backend.client import Starter
from longctx.backend.replies import Failed, SessionIs
from longctx.backend.requests import Open
from tui import keys, themes
from tui.commands import COMMANDS, Command
from tui.link import BackendDied, Link, Replied
from tui.screens.workspace import Workspace
from tui.widgets.too_small import TooSmall, is_too_small, laid_out

TWICE_S = 3.0  # two presses of ctrl+c within this time are meant
STOPPING_S = 5.0  # longer than that an answer that is stopped is not waited for
LOG_COLUMNS = 120
AGAIN = "ctrl+p, Start the backend again"


@dataclass(frozen=True, slots=True)
class Ended:
    """How the application ended: the session that can be gone on with, None where none was kept, and its last answer.

    `by_signal` where it was not the person who ended it.
    """

    session: SessionIs | None
    answer: Mapping[str, Any] | None = None
    by_signal: bool = False


class LongctxApp(App[Ended]):
    """Asks, reads and summarises one corpus after another."""

    CSS_PATH = "app.tcss"
    TITLE = "longctx"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings(of_app=True)]

    def __init__(self, opening: Open, start: Starter, *, theme: str | None = None, memory: Path | None = None) -> None:
        super().__init__()
        self.link = Link()
        self.workspace = Workspace(self.link, opening)
        self._opening = opening
        self._start = start
        self._memory = memory
        self._interrupted_s = -TWICE_S
        self._terminal: Size | None = None
        self.painted = asyncio.Event()
        self._touched_s = time.monotonic()
        for each in themes.THEMES:
            self.register_theme(each)
        self._wanted_theme = theme or themes.DARK
        self._known_theme = self._wanted_theme if self._wanted_theme in self.available_themes else themes.DARK

    def on_load(self) -> None:
        """Take the theme before anything is drawn: a change draws all of it anew."""
        self.theme = self._known_theme

    async def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, self._keep_theme)
        self.screen_change_signal.subscribe(self, lambda _: self._cover())
        if self._wanted_theme not in self.available_themes:
            self._say(f"no theme is called {show(self._wanted_theme)[:40]}; ctrl+p, Theme shows them", "warning")
        await self.push_screen(self.workspace)
        self.call_after_refresh(self._begin)

    @property
    def idle_s(self) -> float:
        """For how long nobody has touched a key or the mouse; zero while a job runs."""
        is_working = self.workspace.is_answering or self.workspace.is_preparing
        return 0.0 if is_working else time.monotonic() - self._touched_s

    async def on_event(self, event: events.Event) -> None:
        """Know when a key or the mouse is touched, and how large the terminal is."""
        if isinstance(event, events.InputEvent):
            self._touched_s = time.monotonic()
        if isinstance(event, events.Resize):
            self._terminal = event.size
            size = laid_out(event.size)
            await super().on_event(events.Resize(size, size, pixel_size=event.pixel_size))
            self._cover()
        else:
            await super().on_event(event)

    # --- the terminal ---------------------------------------------------------------------------------------------

    @property
    def size(self) -> Size:
        """What is laid out for; a terminal may be smaller."""
        return laid_out(super().size)

    def _cover(self) -> None:
        """Say where the terminal is too small; what is below stays as it is."""
        for screen in self.screen_stack:
            covers = screen.query(TooSmall)
            if self._terminal is None or not is_too_small(self._terminal):
                covers.remove()
            elif covers:
                covers.first().fit(self._terminal)
            elif screen.is_attached:
                screen.mount(TooSmall(self._terminal))

    # --- the backend ----------------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        """Start the backend; its own screen asks what to open where nothing was named."""
        self.painted.set()
        if not await self._connect():
            return
        if is_unnamed(self._opening):
            self._choose()
        else:
            self.workspace.begin()

    async def _connect(self) -> bool:
        try:
            self.link.backend = await self._start(
                lambda number, reply: self.post_message(Replied(number, reply)),
                lambda reason: self.post_message(BackendDied(reason)),
            )
        except OSError as error:
            self.post_message(BackendDied(f"it can't be started: {error}"))
            return False
        return True

    @work
    async def _choose(self) -> None:
        from tui.screens.start import Start

        opening = await self.push_screen_wait(Start(self.link, self._opening))
        if opening is None:
            self._leave()
        else:
            self.workspace.begin(opening)

    @on(Replied)
    def _replied(self, event: Replied) -> None:
        self.link.deliver(event)

    @on(BackendDied)
    def _died(self, event: BackendDied) -> None:
        self.link.lost(Failed(f"the backend ended: {event.reason}", AGAIN))
        self._offer_restart(event.reason)

    @work(exclusive=True, group="restart")
    async def _offer_restart(self, reason: str) -> None:
        from tui.screens.dialogs import Confirm

        text = f"{reason}\n\nWhat was asked and answered is kept; nothing on the screen is lost."
        if await self.push_screen_wait(Confirm("The backend ended", text, "starts it again")):
            await self.action_restart()

    async def action_restart(self) -> None:
        """Start the backend anew, and go on with the session where it was."""
        if self.link.backend is not None:
            self._say("the backend is running")
        elif await self._connect():
            session = self.workspace.session
            opening = self.workspace.opening
            self.workspace.begin(opening if session is None else resumed(opening, session.id))

    # --- what a person wants --------------------------------------------------------------------------------------

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: every command that this screen has."""
        for command in COMMANDS:
            of_app = command.action.startswith(keys.OF_APP)
            if of_app or screen is self.workspace:
                yield SystemCommand(command.name, _about(command), partial(self._run, command))

    async def _run(self, command: Command) -> None:
        await self.run_action(command.action, self.screen)

    def action_help(self) -> None:
        """What the focused widget is for, and its keys."""
        from tui.screens.help import Help, help_text

        rows = keys.active_rows(self.screen.active_bindings)
        self.push_screen(Help("Help", help_text(self.focused), [("Keys here", rows)]))

    def action_keys(self) -> None:
        """All keys and commands."""
        from tui.screens.help import Help

        here = keys.active_rows(self.screen.active_bindings)
        self.push_screen(Help("Keys", "", [("Commands", keys.command_rows()), ("Keys here", here)]))

    def action_pick_theme(self, words: str = "") -> None:
        """Take a theme by name, or show them."""
        if not words:
            self.search_themes()
        elif words in self.available_themes:
            self.theme = words
        else:
            near = get_close_matches(words, self.available_themes, n=1)
            self._say(f"no theme is called {show(words)[:40]}" + (f"; {near[0]}?" if near else ""), "warning")

    def action_take_screenshot(self) -> None:
        """Once the palette is gone."""
        self.set_timer(0.1, self.deliver_screenshot)

    async def action_quit(self) -> None:
        """Leave; an answer that is on its way is asked about first."""
        if self.workspace.is_answering:
            self._ask_to_leave()
        else:
            self._leave()

    @work(exclusive=True, group="quit")
    async def _ask_to_leave(self) -> None:
        from tui.screens.dialogs import Confirm

        text = "An answer is on its way. What there is of it is kept."
        if not await self.push_screen_wait(Confirm("Quit?", text, "stops it and quits")):
            return
        self.workspace.stop()
        waited_s = 0.0
        while self.workspace.is_answering and waited_s < STOPPING_S:
            await asyncio.sleep(0.05)
            waited_s += 0.05
        self._leave()

    def action_help_quit(self) -> None:
        """Ctrl+c with nothing selected: stop what runs, and leave where it is pressed twice."""
        now_s = time.monotonic()
        if now_s - self._interrupted_s < TWICE_S:
            self._leave()
            return
        self._interrupted_s = now_s
        stopped = self.workspace.stop()
        self._say("stopping; ctrl+c again quits" if stopped else "ctrl+c again quits")

    def leave_by_signal(self) -> None:
        """The terminal closes, or somebody ends this process."""
        self._leave(by_signal=True)

    def ended(self, *, by_signal: bool = False) -> Ended:
        """What there is to be said at the end."""
        turn = self.workspace.answer
        return Ended(self.workspace.last_session, turn.answer if turn is not None else None, by_signal)

    def _leave(self, *, by_signal: bool = False) -> None:
        self.exit(self.ended(by_signal=by_signal))

    # --- themes ---------------------------------------------------------------------------------------------------

    def _keep_theme(self, theme: Any) -> None:
        """Remember what was taken; where that can't be written it is taken for this time only."""
        if self._memory is None or theme.name == self._known_theme:
            return
        self._known_theme = theme.name
        try:
            themes.remember(self._memory, theme.name)
        except OSError as error:
            self._say(f"the theme is not remembered: {error.strerror}", "warning")

    def _say(self, text: str, severity: Any = "information") -> None:
        self.notify(safe_text(text), severity=severity, markup=False)

    # --- the end --------------------------------------------------------------------------------------------------

    def _handle_exception(self, error: Exception) -> None:
        _write_down("".join(traceback.format_exception(error)))
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """End. Textual would draw what broke, with the values of variables in it."""
        self._close_messages_no_wait()

    def panic(self, *renderables: RenderableType) -> None:
        """End; what broke goes where libraries print."""
        self._return_code = 1
        for each in renderables:
            text = StringIO()
            Console(file=text, width=LOG_COLUMNS).print(each, markup=False)
            _write_down(text.getvalue())
        self._close_messages_no_wait()

    async def on_unmount(self) -> None:
        if self.link.backend is not None:
            await self.link.backend.close()


def is_unnamed(opening: Open) -> bool:
    """Whether nothing was named to be opened, so that the first screen asks."""
    request = opening.request
    goes_on = opening.goes_on or opening.resume is not None
    return request is not None and not request.inputs and request.listed is None and not goes_on


def resumed(opening: Open, session: str) -> Open:
    """The same opening, to go on with a session over its own sources."""
    return replace(opening, request=None, resume=session, goes_on=False, title="")


def _about(command: Command) -> str:
    key = f"  ({keys.key_name(command.key)})" if command.key else ""
    return f"{command.about}{key}"


def _write_down(text: str) -> None:
    with suppress(OSError):
        os.write(2, safe_text(text).encode("utf-8", "replace"))
