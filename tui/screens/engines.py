"""Another engine: those that there are with what each lacks, the servers that were found, and where a model is.

Chooses only; it opens none.
"""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Resize
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ingest.naming import safe_text, show
from longctx.backend.replies import EngineIs, EngineOpened, EnginesAre, Failed, Reply, ServerIs
from longctx.backend.requests import Engines, UseEngine
from tui.link import Link
from tui.screens.sheet import Sheet, failure, hanging

SERVER = "openai"
SCRIPT = "scripted"
TAKES_NAMES = "vllm"  # a model may be a name of the Hugging Face hub too
LONGEST = 400  # characters of anything that is shown here
# What the engines that come with longctx are, to who picks one here; what they say of a version is kept.
ABOUT: Mapping[str, str] = {
    "evidence": "quotes that search finds; needs no model",
    SERVER: "a server with the OpenAI API: one below, or at an address of yours",
    "scout": "Llama 4 Scout on this machine, from a folder of weights",
    SCRIPT: "says what a TOML file tells it to; for tests and tours",
    TAKES_NAMES: "vLLM on this machine, from a folder of weights",
}
VERSIONED = ("scout", TAKES_NAMES)


class Needs(Enum):
    """What has to be typed before an engine can be opened: the label of the field, and an example."""

    NOTHING = ("", "")
    PATH = ("model", "folder of the weights, as ~/models/scout")
    SCRIPT = ("script", "a TOML file")
    SERVER = ("server", "http://HOST:8000/v1, then the model if it has several")


@dataclass(frozen=True, slots=True)
class Choice:
    """A line to choose: what it is, what it lacks and what mends that, and what is asked of the backend."""

    label: str
    about: str
    use: UseEngine
    missing: str = ""
    fix: str = ""
    needs: Needs = Needs.NOTHING
    is_current: bool = False
    lacks: str = "missing"


def choices(told: EnginesAre, current: EngineOpened | None) -> list[Choice]:
    """Engines, then each model of each server that was found."""
    found = [_engine(engine) for engine in told.engines]
    found += [choice for server in told.servers for choice in _models(server)]
    marked = _current(found, current)
    return [replace(choice, is_current=n == marked) for n, choice in enumerate(found)]


def wrong_with(choice: Choice, typed: str) -> str:
    """What is wrong with what was typed; nothing where it can be tried."""
    words = typed.split()
    match choice.needs:
        case Needs.NOTHING:
            return ""
        case Needs.SERVER if not words or not words[0].startswith(("http://", "https://")):
            return f"{show(typed)}: not the address of a server; http://HOST:8000/v1 is one"
        case Needs.SERVER:
            return "" if len(words) < 3 else "an address and one model, no more"
        case Needs.SCRIPT:
            return "" if os.path.isfile(_path(typed)) else f"{show(typed) or 'nothing'}: no such file"
        case Needs.PATH:
            is_name = choice.use.name == TAKES_NAMES and typed.strip() and not typed.strip().startswith(("/", "~", "."))
            return "" if is_name or os.path.isdir(_path(typed)) else f"{show(typed) or 'nothing'}: no such folder"


def filled(choice: Choice, typed: str) -> UseEngine:
    """What is asked of the backend with what was typed."""
    words = typed.split()
    match choice.needs:
        case Needs.NOTHING:
            return choice.use
        case Needs.SERVER:
            return replace(choice.use, base_url=words[0], model=words[1] if len(words) > 1 else None)
        case _:
            return replace(choice.use, model=_path(typed) if os.path.exists(_path(typed)) else typed.strip())


def line(choice: Choice, width: int) -> Content:
    """A choice as it is shown: what it lacks and what mends it are lines of their own."""
    sign = ("✗ ", "$text-error") if choice.missing else ("● ", "$text-success") if choice.is_current else "  "
    body = Content(choice.about)
    if choice.is_current:
        body = body.append(Content.styled(" · in use", "$text-success"))
    if choice.missing:
        body = body.append(Content.styled(f"\n{choice.lacks}: {choice.missing}", "$text-warning"))
    if choice.fix:
        body = body.append(f"\n→ {choice.fix}")
    return hanging(Content.assemble(sign, (f"{choice.label:<10}", "bold"), " "), body, width)


def _engine(engine: EngineIs) -> Choice:
    if engine.name == SERVER:
        needs = Needs.SERVER
    elif engine.needs_model:
        needs = Needs.SCRIPT if engine.name == SCRIPT else Needs.PATH
    else:
        needs = Needs.NOTHING
    return Choice(
        label=_shown(engine.name),
        about=_shown(_about(engine)),
        use=UseEngine(name=engine.name),
        missing=_shown(engine.missing),
        fix=_shown(engine.fix),
        needs=needs,
    )


def _about(engine: EngineIs) -> str:
    known = ABOUT.get(engine.name)
    if known is None:
        return engine.about
    _, between, version = engine.about.partition("; ")
    return f"{known}{between}{version}" if engine.name in VERSIONED else known


def _models(server: ServerIs) -> Iterator[Choice]:
    """A server's models; one that is not taken, or has none, is shown with the reason."""
    about, use = _shown(server.base_url), UseEngine(name=SERVER, base_url=server.base_url)
    for model in server.models if not server.refused else ():
        yield Choice("server", f"{_shown(model)} at {about}", replace(use, model=model))
    if server.refused or not server.models:
        yield Choice("server", about, use, missing=_shown(server.refused) or "it has no models", lacks="not taken")


def _current(found: list[Choice], current: EngineOpened | None) -> int | None:
    """Which choice is the engine in use: a server's model before the engine that serves it."""
    if current is None:
        return None
    same = [n for n, choice in enumerate(found) if choice.use.name == current.name]
    exact = (n for n in same if (found[n].use.model, found[n].use.base_url) == (current.model, current.base_url))
    return next(exact, next(iter(same), None))


def _path(typed: str) -> str:
    return os.path.abspath(os.path.expanduser(typed.strip())) if typed.strip() else ""


def _shown(text: str) -> str:
    """A name, or a line about something, that nobody has vetted."""
    line = " ".join(safe_text(text).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


class EnginesScreen(Sheet[UseEngine]):
    """Ends with the engine that is wanted, or None. `typed` keeps what was typed for each engine from one time to the
    next; `current` is the one in use."""

    DEFAULT_CSS = """
    EnginesScreen {
        #engines {
            height: auto; border: none; padding: 0; background: $surface; background-tint: $surface 0%;
            scrollbar-size-vertical: 1;
            & > .option-list--option-highlighted {
                color: $block-cursor-blurred-foreground;
                background: $block-cursor-blurred-background;
            }
        }
        #engines-status { height: auto; margin-top: 1; display: none; }
        #engines-status.-shown { display: block; }
        #engines-field { height: 1; margin-top: 1; display: none; }
        #engines-field.-shown { display: block; }
        #engines-label { width: auto; padding-right: 1; color: $text-accent; }
        #engines-typed { width: 1fr; border: none; height: 1; padding: 0 1; background: $panel; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("r", "again", "look again", id="engines.again")]
    KEYS = (("enter", "enter", "uses it"), ("r", "r", "looks again"))
    NAME = "Engine"
    GROWS, BESIDES = "#engines", 8
    HELP = """
## Engines

**enter** uses the engine under the cursor. One that needs a model, or a server, asks where it is first. What an engine
lacks is said below it, with the command that brings it. Servers are those found on this machine's usual ports.
"""

    def __init__(
        self, link: Link, current: EngineOpened | None = None, typed: MutableMapping[str, str] | None = None
    ) -> None:
        super().__init__(link)
        self._current = current
        self._typed = {} if typed is None else typed
        self._choices: list[Choice] = []
        self._asked: Choice | None = None

    def parts(self) -> ComposeResult:
        yield OptionList(id="engines", markup=False)
        with Horizontal(id="engines-field"):
            yield Static(id="engines-label", markup=False)
            yield Input(id="engines-typed", compact=True)
        yield Static(id="engines-status", markup=False)

    def on_mount(self) -> None:
        self.action_again()

    def action_again(self) -> None:
        self._say("looking for engines, and for servers on this machine…")
        self.ask(Engines(), self._told)

    def action_leave(self) -> None:
        if self._asked is None:
            self.dismiss(None)
        else:
            self._close_field()

    def _told(self, reply: Reply) -> None:
        match reply:
            case EnginesAre():
                self._show(reply)
            case Failed():
                self._say(failure(reply))

    def _show(self, told: EnginesAre) -> None:
        self._choices = choices(told, self._current)
        self._list(next((n for n, choice in enumerate(self._choices) if choice.is_current), 0))
        self.query_one(OptionList).focus()
        self._say("" if told.servers else "no server found on this machine's usual ports")

    def _list(self, highlighted: int | None) -> None:
        options = self.query_one(OptionList)
        width = options.scrollable_content_region.width
        options.clear_options()
        options.add_options(Option(line(choice, width)) for choice in self._choices)
        options.highlighted = highlighted

    @on(Resize)
    def _fit(self) -> None:
        self.call_after_refresh(self._list_anew)

    def _list_anew(self) -> None:
        self._list(self.query_one(OptionList).highlighted)

    @on(OptionList.OptionSelected)
    def _select(self, event: OptionList.OptionSelected) -> None:
        choice = self._choices[event.option_index]
        if choice.missing:
            self._say(failure(Failed(f"{choice.label}: {choice.missing}", choice.fix)))
        elif choice.needs is Needs.NOTHING:
            self.dismiss(choice.use)
        else:
            self._ask_where(choice)

    def _ask_where(self, choice: Choice) -> None:
        self._asked = choice
        label, example = choice.needs.value
        self.query_one("#engines-label", Static).update(Content(label))
        field = self.query_one(Input)
        field.placeholder = example
        field.value = self._typed.get(choice.use.name) or self._last(choice)
        self.query_one("#engines-field").add_class("-shown")
        self._say("")
        field.focus()

    def _last(self, choice: Choice) -> str:
        """What the engine in use was opened with, where it is the same."""
        current = self._current
        if current is None or current.name != choice.use.name:
            return ""
        return current.base_url if choice.needs is Needs.SERVER else current.model

    def _close_field(self) -> None:
        self._asked = None
        self.query_one("#engines-field").remove_class("-shown")
        self._say("")
        self.query_one(OptionList).focus()

    @on(Input.Submitted)
    def _submit(self, event: Input.Submitted) -> None:
        if self._asked is None:
            return
        if wrong := wrong_with(self._asked, event.value):
            self._say(failure(Failed(wrong)))
            return
        self._typed[self._asked.use.name] = event.value
        self.dismiss(filled(self._asked, event.value))

    def _say(self, text: str | Content) -> None:
        status = self.query_one("#engines-status", Static)
        status.update(Content(text) if isinstance(text, str) else text)
        status.set_class(bool(text), "-shown")
