"""The main screen: corpus, conversation and source side by side, the window below, the prompt at the bottom.

What a person wants becomes a request to the backend here, after a dialog where it is better asked first.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from textual import on, work
from textual.widget import Widget

from ingest.naming import show
from longctx.backend import requests
from longctx.backend.requests import UseEngine
from tui import export_file, status
from tui.commands import STOP, for_slash, unknown
from tui.exclusion import changed, holder
from tui.jump import Jump, lettered
from tui.keys import OF_APP, bindings
from tui.messages import (
    CitationChosen,
    CitationStep,
    CommandTyped,
    CopyWanted,
    EditorWanted,
    ExclusionToggled,
    FileChosen,
    LettersTyped,
    OpenOutside,
    PaneWanted,
    PictureWanted,
    QuestionAsked,
    QuestionTakenBack,
    StopWanted,
    SummaryWanted,
)
from tui.outside import NoProgram, edited, editor_words, opening, run_aside, run_here, suspended
from tui.screens.dialogs import Ask, Confirm, Exclusion, SummaryForm, scope_words
from tui.screens.stage import Stage
from tui.widgets.panes import CONVERSATION, CORPUS, SOURCE

EVIDENCE = "evidence"
NUMBER_MOST = 6  # digits of a footnote's number


class Workspace(Stage):
    """Sends what is wanted to the backend; what it tells is shown by Stage."""

    BINDINGS = bindings(of_app=False)

    def key_words(self) -> Mapping[str, str]:
        words = {STOP.id: self._escape_word}
        words |= {} if self.corpus_is is not None else dict.fromkeys(("window.map", "summary.corpus"), "")
        return words if self.session is not None else {**words, "session.export": ""}

    # --- asking ---------------------------------------------------------------------------------------------------

    @on(QuestionAsked)
    def _asked(self, event: QuestionAsked) -> None:
        if not self.is_preparing and self.start(requests.Ask(question=event.question, instead_of=event.instead_of)):
            self._show_answering()
            self.conversation.begin(event.question, event.instead_of)
        else:
            self.prompt.take_back(event.question, event.instead_of or "", event.behind)
            self.ask_when_ready()

    def _show_answering(self) -> None:
        self.window.begin()
        self.cited = {}
        self.panes.show(CONVERSATION)

    @on(QuestionTakenBack)
    def _take_back(self, event: QuestionTakenBack) -> None:
        self.prompt.take_back(event.question, event.turn, event.behind)

    @on(LettersTyped)
    def _letters(self, event: LettersTyped) -> None:
        self.prompt.add_letters(event.letters)

    @on(CommandTyped)
    def _typed(self, event: CommandTyped) -> None:
        name, words = event.name.removeprefix("/"), event.words.strip()
        command = for_slash(name)
        if command is None:
            self.say(unknown(show(name)[:40]), "warning")
            return
        owner = self.app if command.action.startswith(OF_APP) else self
        action = getattr(owner, f"action_{command.action.removeprefix(OF_APP)}")
        self.call_later(action, *([words] if words and command.takes else []))

    @on(SummaryWanted)
    def _summary_wanted(self, event: SummaryWanted) -> None:
        self._summarise(event.paths)

    def action_summarise(self, words: str = "") -> None:
        self._summarise((words,) if words else ())

    def action_summarise_chosen(self) -> None:
        if path := self.corpus.chosen:
            self._summarise((path,))
        else:
            self.say("nothing is chosen in the corpus: f2 goes there")

    @work
    async def _summarise(self, paths: tuple[str, ...]) -> None:
        if self.corpus_is is None:
            self.say(self.undone)
            return
        quotes_only = self.engine_is is not None and self.engine_is.name == EVIDENCE
        wanted = await self.app.push_screen_wait(SummaryForm(paths, quotes_only=quotes_only))
        if wanted is not None and self.start(wanted):
            self._show_answering()
            self.conversation.begin(f"Summary of {scope_words(wanted.paths)}")

    @on(StopWanted)
    def action_stop(self) -> None:
        """Go back from a pane that hides others; else stop the job, else go to the prompt."""
        if self._hides_others:
            self._leave_pane()
        elif not self.stop():
            self.panes.remove_class("-zoomed")
            self.prompt.focus()

    @property
    def _escape_word(self) -> str:
        """What escape does now; empty where it goes to the prompt."""
        if self._hides_others:
            return "back" if self.panes.is_folded else "close"
        return STOP.short if self.is_answering or self.is_preparing else ""

    @property
    def _hides_others(self) -> bool:
        """Whether what is looked at stands where others are when it is closed."""
        if self.panes.is_folded:
            return self.panes.shown != CONVERSATION
        return self.has_class("-medium") and self.panes.around(self.focused) == SOURCE

    def _leave_pane(self) -> None:
        if self.panes.is_folded:
            self.panes.show(CONVERSATION)
        else:
            self.panes.close_source()
        self.prompt.focus()

    # --- citations and files --------------------------------------------------------------------------------------

    @on(CitationChosen)
    def _show_citation(self, event: CitationChosen) -> None:
        cited = event.citation
        self.source.expect(cited.path, cited, of=self.conversation.mark(cited))
        if not self.source.holds(cited.path, cited.sha256):
            self._read(requests.Text(cited.path, cited.sha256))
        self.panes.show(SOURCE)
        if self.panes.is_folded:
            self._focus(SOURCE)

    @on(FileChosen)
    def _show_file(self, event: FileChosen) -> None:
        self.source.expect(event.path)
        self._read(requests.Text(event.path))
        self._go_to(SOURCE)

    def _read(self, text: requests.Text) -> None:
        self.text_wanted += 1
        self.request(text, partial(self.told_text, self.text_wanted))

    @on(CitationStep)
    def _step(self, event: CitationStep) -> None:
        self.action_step_citation(event.by)

    def action_step_citation(self, by: int) -> None:
        if cited := self.conversation.step(by):
            self.post_message(CitationChosen(cited))
        else:
            self.say(self.conversation.without_citations)

    def action_cite(self, words: str = "") -> None:
        cited = self.cited.get(int(words)) if words.isdecimal() and len(words) <= NUMBER_MOST else None
        if cited is not None:
            self.post_message(CitationChosen(cited))
        else:
            there = f"1 to {max(self.cited)}" if self.cited else "no answer has any yet"
            self.say(f"/cite N, the number of a footnote: {there}", "warning")

    def action_find_file(self, words: str = "") -> None:
        if words in self.corpus.paths:
            self.post_message(FileChosen(words))
        else:
            self.panes.show(CORPUS)
            self.call_after_refresh(self.corpus.find, words)

    @on(PictureWanted)
    def _picture(self, event: PictureWanted) -> None:
        self.request(requests.Picture(event.path, event.page, event.width, event.height), self.told_picture)

    @on(CopyWanted)
    def _copy(self, event: CopyWanted) -> None:
        self.app.copy_to_clipboard(event.text.encode("utf-8", "replace").decode())
        self.say(f"copied {show(event.what)}")

    def action_copy_answer(self) -> None:
        self._copy_last("the answer", with_references=False)

    def action_copy_references(self) -> None:
        self._copy_last("the answer with references", with_references=True)

    def _copy_last(self, what: str, *, with_references: bool) -> None:
        if text := self.conversation.last_answer(with_references=with_references):
            self.post_message(CopyWanted(text, what))
        else:
            self.say("there is no answer yet")

    # --- the corpus -----------------------------------------------------------------------------------------------

    @on(ExclusionToggled)
    @work
    async def _exclude(self, event: ExclusionToggled) -> None:
        excluded = self.corpus_is.excluded if self.corpus_is is not None else ()
        if not event.excluded and (folder := holder(excluded, event.path)):
            self.say(f"{show(folder)} is left out as a whole: bring that back")
            return
        paths = changed(excluded, event.path, leave_out=event.excluded)
        asked = Exclusion(self.link, paths, event.path, is_excluded=event.excluded)
        if await self.app.push_screen_wait(asked):
            self.start(requests.Exclude(paths))

    def action_reread(self) -> None:
        self.start(requests.Reread())

    @work
    async def action_repack(self) -> None:
        text = (
            "The corpus is ordered anew, without what no file says any more. "
            "Most of what is cached no longer fits then and is read again with the next question."
        )
        if await self.app.push_screen_wait(Confirm("Order the corpus anew", text, "orders it anew")):
            self.start(requests.Repack())

    @work
    async def action_open_sources(self, words: str = "") -> None:
        from tui.screens.start import Start, over

        opening = over(self.opening, (words,)) if words else None
        opening = opening or await self.app.push_screen_wait(Start(self.link, self.opening, can_leave=True))
        if opening is not None and self.start(opening):
            self.opening = opening

    def action_show_plan(self) -> None:
        self._tell(status.plan_lines(self.corpus_is, self.engine_is, self.planned))

    def action_show_tokens(self) -> None:
        answer = self.last_turn.answer if self.last_turn is not None else None
        self._tell(status.token_lines(self.planned, answer, self.session))

    def _tell(self, lines: Iterable[str]) -> None:
        self.panes.show(CONVERSATION)
        for line in lines:
            self.conversation.add_notice(line)

    # --- sessions -------------------------------------------------------------------------------------------------

    def action_new_session(self) -> None:
        self.start(requests.NewSession())
        self.prompt.focus()

    @work
    async def action_sessions(self, words: str = "") -> None:
        from tui.screens.sessions import SessionsScreen

        current = self.session.id if self.session is not None else None
        session: str | None = words
        if not session:
            session = await self.app.push_screen_wait(SessionsScreen(self.link, current))
        if session:
            self.start(requests.Resume(session))

    @work
    async def action_rename(self, words: str = "") -> None:
        session = self.session
        if session is None:
            self.say("there is no session yet: a question begins one")
            return
        title: str | None = words
        if not title:
            title = await self.app.push_screen_wait(Ask("Rename this session", "renames", session.title))
        if title:
            self.request(requests.Rename(session.id, title), self.told_shortly)

    @work
    async def action_export(self, words: str = "") -> None:
        session = self.session
        if session is None:
            self.say("there is no session to write yet: a question begins one")
            return
        proposed = words or export_file.proposed_name(session.title)
        if not words or export_file.problem(words):
            about = "A file: .md, .html or .json, in this folder where no other is named."
            asked = Ask("Export this session", "writes", proposed, about=about, check=export_file.problem)
            named = await self.app.push_screen_wait(asked)
            proposed = named if named is not None else ""
        if proposed and (replaces := await self._may_write(proposed)) is not None:
            form = export_file.form_of(proposed) or requests.Form.MARKDOWN
            file = export_file.absolute(proposed)
            self.request(requests.Export(session.id, file, form, replaces), self.told_shortly)

    async def _may_write(self, name: str) -> bool | None:
        """Whether a file is replaced; None where it is there and is to stay."""
        if not os.path.lexists(export_file.absolute(name)):
            return False
        return await self.app.push_screen_wait(Confirm("Replace the file?", f"{show(name)} is there.", "replaces it"))

    # --- engines --------------------------------------------------------------------------------------------------

    @work
    async def action_engines(self) -> None:
        from tui.screens.engines import EnginesScreen

        if wanted := await self.app.push_screen_wait(EnginesScreen(self.link, self.engine_is, self.engines_typed)):
            self.start(wanted)

    def action_engine_again(self) -> None:
        engine = self.engine_is
        if engine is None:
            self.action_engines()
        else:
            self.start(UseEngine(name=engine.name, model=engine.model or None, base_url=engine.base_url or None))

    def action_doctor(self) -> None:
        from tui.screens.doctor import DoctorScreen

        self.app.push_screen(DoctorScreen(self.link))

    def action_log_screen(self) -> None:
        from tui.screens.log import LogScreen

        self.app.push_screen(LogScreen(self.link))

    # --- the screen -----------------------------------------------------------------------------------------------

    @on(PaneWanted)
    def _pane_wanted(self, event: PaneWanted) -> None:
        self._go_to(event.pane)

    def action_show_pane(self, pane: str) -> None:
        """Go to a pane; from the source, to the source closes it."""
        if pane == SOURCE == self.panes.around(self.focused):
            self._leave_pane()
        else:
            self._go_to(pane)

    def _go_to(self, pane: str) -> None:
        self.panes.show(pane)
        self._focus(pane)

    def _focus(self, pane: str) -> None:
        """Go to a pane once it is on the screen."""

        def focus() -> None:
            if entry := self.panes.entry(pane):
                entry.focus()

        self.call_after_refresh(focus)

    def action_toggle_corpus(self) -> None:
        self.panes.toggle_corpus()

    def action_zoom(self) -> None:
        self.panes.zoom(self.panes.around(self.focused) or self.panes.shown)

    def action_toggle_map(self) -> None:
        self.window.toggle_map()

    @work
    async def action_jump(self) -> None:
        named = {"c": self.corpus, "a": self.conversation, "s": self.source, "w": self.window, "p": self.prompt}
        entries = {letter: next(self._within(widget), widget) for letter, widget in named.items()}
        others = [each for each in self.focus_chain if each not in entries.values()]
        chosen = await self.app.push_screen_wait(Jump(lettered(named, others)))
        if chosen is not None:
            target = next(self._within(chosen), chosen)
            target.focus()

    def _within(self, widget: Widget) -> Iterator[Widget]:
        """What can have the focus in a widget, itself included."""
        return (each for each in self.focus_chain if widget in each.ancestors_with_self)

    # --- other programs -------------------------------------------------------------------------------------------

    @on(OpenOutside)
    def _open_outside(self, event: OpenOutside) -> None:
        try:
            program = opening(event.location, event.line, os.environ)
        except NoProgram as error:
            self.say(str(error), "error")
            return
        if program.takes_terminal:
            self._on_terminal(lambda: run_here(program.words))
        else:
            self._aside(program.words)

    @on(EditorWanted)
    def _edit(self, event: EditorWanted) -> None:
        try:
            editor = editor_words(os.environ)
        except NoProgram as error:
            self.say(str(error), "error")
            return
        self._on_terminal(lambda: self.prompt.set_text(edited(event.text, editor)))

    def _on_terminal(self, work: Callable[[], object]) -> None:
        """Give another program the terminal until it ends."""
        try:
            with suspended(self.app):
                work()
        except NoProgram as error:
            self.say(str(error), "error")

    @work
    async def _aside(self, words: tuple[str, ...]) -> None:
        try:
            code = await asyncio.to_thread(run_aside, words)
        except NoProgram as error:
            self.say(str(error), "error")
            return
        if code != 0:
            name = os.path.basename(words[0])
            self.say(f"{name} ended with {code}: no program is set for {show(words[-1])}; open it by hand", "error")
