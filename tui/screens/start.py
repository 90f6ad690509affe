"""The first screen where no sources were named: a path to type, and what was open lately."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual import on
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
from tui.link import Link
from tui.widgets.key_line import KeyLine

SESSIONS_SHOWN = 8
SOURCES_SHOWN = 6
WIDEST = 56


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

    def __init__(self, link: Link, template: Open, *, can_leave: bool = False) -> None:
        super().__init__()
        self._link = link
        self._template = template
        self._can_leave = can_leave
        self._choices: list[Open] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="form"):
            yield Static("longctx", id="name")
            yield Static("Ask whole repositories and document libraries; every citation is checked.", id="about")
            yield Input(placeholder=f"folder, file or git URL; Enter alone: {show(os.getcwd())}", id="path")
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
            self._show(reply.sessions)
        elif isinstance(reply, Failed):
            self._say(reply.message)

    def _show(self, sessions: Sequence[SessionIs]) -> None:
        recent = self.query_one("#recent", OptionList)
        going_on = [(self._resuming(each), session_line(each)) for each in sessions[:SESSIONS_SHOWN]]
        opening = [(self._over(sources), sources_line(sources)) for sources in sources_of(sessions)[:SOURCES_SHOWN]]
        self._choices = [choice for choice, _ in going_on + opening]
        recent.clear_options()
        recent.add_options([Option(line) for _, line in going_on + opening])
        recent.display = bool(self._choices)
        recent.highlighted = 0 if self._choices else None

    def _resuming(self, session: SessionIs) -> Open:
        return replace(self._template, request=None, resume=session.id)

    def _over(self, sources: tuple[str, ...]) -> Open:
        return over(self._template, sources)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index])

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        path = event.value.strip() or os.getcwd()
        if wrong := problem(path):
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
    chosen = Request(sources) if request is None else replace(request, inputs=sources, stdin=None, listed=None)
    return replace(template, request=chosen, resume=None, goes_on=False, title="")


def problem(path: str) -> str:
    """What is wrong with a source as it was typed; addresses and globs are left to the backend."""
    if "://" in path or path.startswith("git@") or any(letter in path for letter in "*?["):
        return ""
    return "" if os.path.lexists(os.path.expanduser(path)) else f"{path}: no such file or folder"


def sources_of(sessions: Sequence[SessionIs]) -> list[tuple[str, ...]]:
    """What sessions were over, the last used first, each once."""
    return list(dict.fromkeys(each.sources for each in sessions if each.sources and "-" not in each.sources))


def session_line(session: SessionIs) -> Content:
    """`go on  "Where is the bottleneck?"  5 turns  ~/src`."""
    title = _cut(" ".join(session.title.split()))
    turns = f"{session.turns} turn{'s' * (session.turns != 1)}"
    return Content.assemble(("go on  ", "$text-accent"), title, (f"  {turns}", "$text-muted"))


def sources_line(sources: Sequence[str]) -> Content:
    """`open   ~/src`."""
    return Content.assemble(("open   ", "$text-accent"), _cut(", ".join(map(_short, sources))))


def _short(path: str) -> str:
    home = str(Path.home())
    return f"~{path[len(home) :]}" if path.startswith(home + os.sep) else path


def _cut(text: str) -> str:
    shown = show(text[: WIDEST * 4])
    return shown if len(shown) <= WIDEST else f"{shown[: WIDEST - 1]}…"
