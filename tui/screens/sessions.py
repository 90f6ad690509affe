"""The sessions: found, looked at, gone on with, renamed, exported and deleted. It opens no store; it asks for all."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input, Static

from ingest.naming import show
from longctx.backend.replies import Done, Exported, Failed, Reply, SessionIs, SessionsAre, TurnsAre
from longctx.backend.requests import Export, Remove, Rename, Sessions, Turns
from tui.export_file import absolute, form_of, problem, proposed_name
from tui.fitting import one_line
from tui.link import Link
from tui.session_lines import head, row_pieces, titled, turns_in_short
from tui.widgets.key_line import KeyLine
from tui.widgets.rows import Piece, Rows

_PAUSE_S = 0.15  # of typing, or of moving on, before the backend is asked
_NONE = "  no session yet: the first question you ask begins one"


class SessionRows(Rows):
    """The sessions, one a row."""

    DEFAULT_CSS = """
    SessionRows {
        &> .sessions--muted { color: $text-muted; }
        &> .sessions--current { color: $text-success; }
        &> .sessions--found { color: $text-accent; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"sessions--muted", "sessions--current", "sessions--found"}

    def __init__(self, now: Callable[[], float], current: str | None) -> None:
        super().__init__(id="sessions-rows")
        self.sessions: list[SessionIs] = []
        self.empty = "  …"
        self._now = now
        self._current = current

    @property
    def count(self) -> int:
        return len(self.sessions)

    @property
    def chosen(self) -> SessionIs | None:
        """The session under the cursor."""
        return self.sessions[self.cursor] if self.cursor < len(self.sessions) else None

    def pieces(self, index: int, width: int) -> Sequence[Piece]:
        session = self.sessions[index]
        return row_pieces(session, width, self._now(), is_current=session.id == self._current)

    def note(self) -> str:
        return self.empty


class SessionsScreen(Screen[str | None]):
    """Ends with the id of the session to go on with, or None. `current` is the one that is open now."""

    DEFAULT_CSS = """
    SessionsScreen {
        layout: vertical;
        #sessions-search, #sessions-form { height: 1; padding: 0 1; background: $surface; }
        #sessions-form { display: none; }
        #sessions-form.-shown { display: block; }
        #sessions-slash, #sessions-label { width: auto; color: $text-accent; }
        Input { width: 1fr; }
        #sessions-panes { height: 1fr; layout: horizontal; }
        #sessions-rows, #sessions-preview {
            border: round $border-blurred;
            border-title-color: $text;
            border-subtitle-color: $text-muted;
        }
        #sessions-rows:focus, #sessions-preview:focus { border: round $accent; }
        #sessions-rows { width: 3fr; }
        #sessions-preview { width: 2fr; padding: 0 1; scrollbar-size-vertical: 1; }
        #sessions-status { height: 1; padding: 0 1; color: $text-muted; }
        #sessions-status.-wrong { color: $text-error; }
        #sessions-status.-asks { color: $text-warning; }
        &.-narrow #sessions-panes { layout: vertical; }
        &.-narrow #sessions-rows { width: 1fr; height: 1fr; }
        &.-narrow #sessions-preview { width: 1fr; height: 1fr; }
    }
    """
    HELP = """\
## Sessions

Every conversation that was kept, the last used first. `●` is the one that is open.

**enter** goes on with a session, over its own sources · **/** finds the sessions that hold words ·
**r** renames · **e** exports as .md, .html or .json, as the file is named · **d d** deletes for good ·
**tab** goes to the turns · **esc** goes back
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "resume", "Go on", id="sessions.resume"),
        Binding("r", "rename", "Rename", id="sessions.rename"),
        Binding("e", "export", "Export", id="sessions.export"),
        Binding("d", "delete", "Delete (twice)", id="sessions.delete"),
        Binding("slash", "search", "Search", id="sessions.search"),
        Binding("escape", "leave", "Back", id="sessions.leave"),
    ]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    AUTO_FOCUS = "#sessions-rows"

    def __init__(self, link: Link, current: str | None = None, *, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._link = link
        self._current = current
        self._now = now
        self._words = ""
        self._previewed: SessionIs | None = None
        self._doomed: str | None = None
        self._to_replace: str | None = None
        self._form: Callable[[SessionIs, str], None] | None = None
        self._formed: SessionIs | None = None
        self._delays: dict[str, Timer] = {}

    def compose(self) -> ComposeResult:
        with Horizontal(id="sessions-search"):
            yield Static("/ ", id="sessions-slash", markup=False)
            yield Input(placeholder="words in questions and answers", compact=True, id="sessions-words")
        with Horizontal(id="sessions-panes"):
            yield SessionRows(self._now, self._current)
            with VerticalScroll(id="sessions-preview"):
                yield Static(id="sessions-turns", markup=False)
        with Horizontal(id="sessions-form"):
            yield Static(id="sessions-label", markup=False)
            yield Input(compact=True, id="sessions-answer")
        yield Static(id="sessions-status", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self._rows = self.query_one(SessionRows)
        self._rows.border_title = Content("Sessions")
        self._preview = self.query_one("#sessions-preview", VerticalScroll)
        self._preview.border_title = Content("Turns")
        self._ask()

    # --- the list -------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        words = self._words

        def told(reply: Reply) -> None:
            if words == self._words:
                self._list(reply)

        self._request(Sessions(words), told)

    def _list(self, reply: Reply) -> None:
        match reply:
            case SessionsAre(sessions):
                self._rows.sessions = list(sessions)
                self._rows.empty = "  no session holds these words" if self._words else _NONE
                self._rows.renew(0)
                self._count()
            case Failed():
                self._rows.empty = ""
                self._fail(reply)

    def _count(self) -> None:
        known = self._rows.count
        self._rows.border_subtitle = Content(f"{known:,} {'found' if self._words else 'kept'}")

    def _request(self, request: Sessions | Turns | Rename | Remove | Export, told: Callable[[Reply], None]) -> None:
        if self._link.request(self, request, told) is None:
            self._fail(Failed("the backend has ended", "go back and start it again"))

    @on(Rows.Moved)
    def _moved(self) -> None:
        session = self._rows.chosen
        if self._doomed is not None and (session is None or session.id != self._doomed):
            self._doomed = None
            self._say("")
        if session != self._previewed:
            self._previewed = session
            self._show(session, ())
            self._later("turns", self._ask_turns)

    @on(Rows.Picked)
    def _picked(self, event: Rows.Picked) -> None:
        if event.times > 1:
            self.action_resume()

    # --- the preview ----------------------------------------------------------------------------------------------

    def _ask_turns(self) -> None:
        session = self._rows.chosen
        if session is None:
            return

        def told(reply: Reply) -> None:
            match reply:
                case TurnsAre(turns) if self._previewed is session:
                    self._show(session, [*turns_in_short(turns, self._now())])
                case Failed():
                    self._fail(reply)

        self._request(Turns(session.id), told)

    def _show(self, session: SessionIs | None, turns: Sequence[tuple[str, str]]) -> None:
        pieces = [*head(session, self._now()), *turns] if session else []
        self.query_one("#sessions-turns", Static).update(Content.assemble(*pieces))
        self._preview.scroll_home(animate=False)

    def _later(self, what: str, do: Callable[[], None]) -> None:
        """Do it once nothing more of its kind is wanted for a moment."""
        if what in self._delays:
            self._delays[what].stop()
        self._delays[what] = self.set_timer(_PAUSE_S, do)

    # --- search ---------------------------------------------------------------------------------------------------

    def action_search(self) -> None:
        self.query_one("#sessions-words", Input).focus()

    @on(Input.Changed, "#sessions-words")
    def _words_changed(self, event: Input.Changed) -> None:
        self._words = event.value.strip()
        self._later("words", self._ask)

    @on(Input.Submitted, "#sessions-words")
    def _words_done(self) -> None:
        self._rows.focus()

    # --- what is done with one ------------------------------------------------------------------------------------

    def action_resume(self) -> None:
        if self._rows.chosen is not None:
            self.dismiss(self._rows.chosen.id)

    def action_leave(self) -> None:
        words = self.query_one("#sessions-words", Input)
        if self._form is not None:
            self._end_form()
            self._say("")
        elif words.value or words.has_focus:
            words.value = ""
            self._rows.focus()
        else:
            self.dismiss(None)

    def action_delete(self) -> None:
        session = self._rows.chosen
        if session is None:
            return
        if session.id == self._current:
            self._say("this is the conversation that is open: begin or open another one first", "-wrong")
        elif session.id != self._doomed:
            self._doomed = session.id
            self._say(f"d again deletes “{titled(session)[:60]}” for good", "-asks")
        else:
            self._doomed = None
            self._request(Remove(session.id), lambda reply: self._removed(session, reply))

    def _removed(self, session: SessionIs, reply: Reply) -> None:
        match reply:
            case Done():
                self._rows.sessions = [each for each in self._rows.sessions if each.id != session.id]
                self._rows.empty = _NONE
                self._rows.renew()
                self._count()
                self._say(f"deleted “{titled(session)[:60]}”")
            case Failed():
                self._fail(reply)

    def action_rename(self) -> None:
        if session := self._rows.chosen:
            self._begin_form("new title: ", one_line(session.title), session, self._rename)

    def _rename(self, session: SessionIs, title: str) -> None:
        if not title.strip():
            self._say("a title has at least one letter", "-wrong")
            return
        self._end_form()
        self._request(Rename(session.id, title.strip()), self._renamed)

    def _renamed(self, reply: Reply) -> None:
        match reply:
            case SessionsAre((session,)):
                known = self._rows.sessions
                self._rows.sessions = [
                    replace(session, found=each.found) if each.id == session.id else each for each in known
                ]
                self._rows.renew()
                self._say(f"renamed to “{titled(session)[:60]}”")
            case Failed():
                self._fail(reply)

    def action_export(self) -> None:
        if session := self._rows.chosen:
            self._begin_form("write to (.md .html .json): ", proposed_name(session.title), session, self._export)

    def _export(self, session: SessionIs, name: str) -> None:
        form, wrong, file = form_of(name), problem(name), absolute(name)
        if wrong or form is None:
            self._say(f"{show(name)}: {wrong}", "-wrong")
        elif os.path.lexists(file) and file != self._to_replace:
            self._to_replace = file
            self._say(f"{show(file)} is there already: enter again replaces it", "-asks")
        else:
            self._end_form()
            self._request(Export(session.id, file, form, replaces=os.path.lexists(file)), self._exported)

    def _exported(self, reply: Reply) -> None:
        match reply:
            case Exported(file):
                self._say(f"written: {show(file)}")
            case Failed():
                self._fail(reply)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """While a form is filled in, its keys are all there are."""
        return action not in ("resume", "search", "rename", "export", "delete") or self._form is None

    # --- the form -------------------------------------------------------------------------------------------------

    def _begin_form(self, label: str, value: str, session: SessionIs, done: Callable[[SessionIs, str], None]) -> None:
        self._form, self._formed, self._to_replace = done, session, None
        self._say("enter does it · esc leaves it")
        self.query_one("#sessions-label", Static).update(Content(label))
        self.query_one("#sessions-form").add_class("-shown")
        answer = self.query_one("#sessions-answer", Input)
        answer.value = value
        answer.focus()
        self.refresh_bindings()

    def _end_form(self) -> None:
        self._form = self._formed = None
        self.refresh_bindings()
        self.query_one("#sessions-form").remove_class("-shown")
        self._rows.focus()

    @on(Input.Submitted, "#sessions-answer")
    def _form_done(self, event: Input.Submitted) -> None:
        if self._form is not None and self._formed is not None:
            self._form(self._formed, event.value)

    # --- words ----------------------------------------------------------------------------------------------------

    def _fail(self, failed: Failed) -> None:
        hint = f": {one_line(failed.hint)}" if failed.hint else ""
        self._say(one_line(failed.message) + hint, "-wrong")

    def _say(self, text: str, how: str = "") -> None:
        status = self.query_one("#sessions-status", Static)
        status.set_classes(how)
        status.update(Content(text))
