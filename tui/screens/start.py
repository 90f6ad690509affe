"""The first screen where no sources were named: a path to type, and what was open lately."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ingest.naming import show
from longctx.backend.replies import Failed, Reply, SessionIs, SessionsAre
from longctx.backend.requests import Open, Sessions
from longctx.request import Request
from tui.fitting import fitted
from tui.link import Link
from tui.session_lines import ago, sources_in_short, titled
from tui.widgets.key_line import KeyLine

SESSIONS_SHOWN = 8
SOURCES_SHOWN = 6
FORM_CELLS = 84
AROUND_CELLS = 8  # border and padding on both sides of a row
SOURCES_CELLS = 18  # at the most
ROOMY_CELLS = 50  # a row that has sources
GO_ON, OPEN = "go on  ", "open   "
GONE = "the folder you are in is not there any more: name another one"


class Start(Screen[Open | None]):
    """Ends with what is to be opened; None where nothing was chosen."""

    DEFAULT_CSS = """
    Start { align: center middle; }
    Start > #form { width: 84; max-width: 96%; height: auto; max-height: 100%; padding: 1 2; }
    Start #name { text-style: bold; color: $text-accent; }
    Start #about { color: $text-muted; margin-bottom: 1; }
    Start Input { border: round $border; height: 3; }
    Start Input:focus { border: round $accent; }
    Start #wrong { color: $text-error; height: auto; padding: 0 1; }
    Start OptionList { border: round $border; border-title-color: $text; height: auto; max-height: 18; }
    Start OptionList:focus { border: round $accent; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", show=False, id="start.leave"),
        Binding("down", "app.focus_next", "list", show=False, id="start.down"),
    ]
    HELP = """
Name what is to be read: a folder, a file, a glob or a git URL, and press Enter; Enter alone takes the folder you
are in. Below stands what was open lately: go down and press Enter.
"""

    def __init__(
        self, link: Link, template: Open, *, can_leave: bool = False, now: Callable[[], float] = time.time
    ) -> None:
        super().__init__()
        self._now = now
        self._sessions: Sequence[SessionIs] = ()
        self._link = link
        self._template = template
        self._can_leave = can_leave
        self._choices: list[Open] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="form"):
            yield Static("longctx", id="name")
            yield Static("Ask whole repositories and document libraries; every citation is checked.", id="about")
            yield Input(placeholder=placeholder(here()), id="path")
            yield Static(id="wrong")
            recent = OptionList(id="recent")
            recent.border_title = "Recent"
            recent.display = False
            yield recent
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one("#wrong").display = False
        self.query_one(Input).focus()
        self._link.request(self, Sessions(), self._told)

    def _told(self, reply: Reply) -> None:
        if isinstance(reply, SessionsAre):
            self._sessions = reply.sessions
            self._show()
        elif isinstance(reply, Failed):
            self._say(reply.message)

    def on_resize(self, _event: events.Resize) -> None:
        self._show()

    def _show(self) -> None:
        recent = self.query_one("#recent", OptionList)
        at = recent.highlighted or 0
        rows = self._rows(min(FORM_CELLS, self.size.width * 96 // 100) - AROUND_CELLS)
        self._choices = [choice for choice, _ in rows]
        recent.clear_options()
        recent.add_options([Option(line) for _, line in rows])
        recent.display = bool(rows)
        recent.highlighted = at if rows else None

    def _rows(self, width: int) -> list[tuple[Open, Content]]:
        """What can be chosen: sessions to go on with, then what they were over."""
        sessions, now_s = self._sessions[:SESSIONS_SHOWN], self._now()
        sources = sources_of(self._sessions)[:SOURCES_SHOWN]
        going_on = [(self._resuming(each), session_line(each, width, now_s)) for each in sessions]
        return going_on + [(self._over(each), sources_line(each, width)) for each in sources]

    def _resuming(self, session: SessionIs) -> Open:
        return replace(self._template, request=None, resume=session.id)

    def _over(self, sources: tuple[str, ...]) -> Open:
        return over(self._template, sources)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index])

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        path = event.value.strip() or here()
        if wrong := problem(path) if path else GONE:
            self._say(wrong)
        else:
            self.dismiss(self._over((os.path.expanduser(path),)))

    def _say(self, message: str) -> None:
        wrong = self.query_one("#wrong", Static)
        wrong.update(Content(show(message)))
        wrong.display = True

    def action_leave(self) -> None:
        if self._can_leave:
            self.dismiss(None)


def over(template: Open, sources: tuple[str, ...]) -> Open:
    """The same opening over other sources: with the rules that select from them, but nothing that came from a pipe."""
    request = template.request
    chosen = (
        Request(sources, folder=here() or os.sep)
        if request is None
        else replace(request, inputs=sources, stdin=None, listed=None)
    )
    return replace(template, request=chosen, resume=None, goes_on=False, title="")


def problem(path: str) -> str:
    """What is wrong with a source as it was typed; addresses and globs are left to the backend."""
    if "://" in path or path.startswith("git@") or any(letter in path for letter in "*?["):
        return ""
    return "" if os.path.lexists(os.path.expanduser(path)) else f"{path}: no such file or folder"


def sources_of(sessions: Sequence[SessionIs]) -> list[tuple[str, ...]]:
    """What sessions were over, the last used first, each once."""
    whole = (each.sources for each in sessions if each.sources and not each.more_sources)
    return list(dict.fromkeys(sources for sources in whole if "-" not in sources))


def here() -> str:
    """The folder that one is in; empty where it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def placeholder(folder: str) -> str:
    """What can be typed."""
    return "folder, file or git URL" + (f"; Enter alone: {show(folder)}" if folder else "")


def session_line(session: SessionIs, width: int, now_s: float) -> Content:
    """`go on  Where is the bottleneck?   src    5 turns   3 h ago`, in columns."""
    turns = f"{session.turns:>6,} turn{'s' if session.turns != 1 else ' '}{ago(session.used_s, now_s):>11}"
    most = min(SOURCES_CELLS, width // 5)
    sources = f"  {fitted(sources_in_short(session), most)}" if width >= ROOMY_CELLS else ""
    room = width - len(GO_ON) - cell_len(sources) - len(turns)
    return Content.assemble((GO_ON, "$text-accent"), fitted(titled(session), room), (sources + turns, "$text-muted"))


def sources_line(sources: Sequence[str], width: int) -> Content:
    """`open   ~/src`."""
    return Content.assemble((OPEN, "$text-accent"), fitted(show(", ".join(map(_short, sources))), width - len(OPEN)))


def _short(path: str) -> str:
    home = str(Path.home())
    return f"~{path[len(home) :]}" if path.startswith(home + os.sep) else path
