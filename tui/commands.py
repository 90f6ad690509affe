"""Every command of the application once: its key, its name in the palette, the slash command that means the same.

An action is a method of the main screen, or of the application where it begins with `app.`; it takes what was typed
behind a slash command.
"""

from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A thing that can be done. `takes` names what may follow its slash command; `short` is its word in the footer.

    `footer` is 1 where it is always in the footer, 2 and 3 where there is room, 2 first; 0 where never.
    """

    id: str
    name: str
    about: str
    action: str
    key: str = ""
    short: str = ""
    slash: str = ""
    takes: str = ""
    footer: int = 0


COMMANDS: tuple[Command, ...] = (
    Command(
        id="answer.stop",
        name="Stop",
        about="Stop what runs; what there is of an answer is kept",
        action="stop",
        key="escape",
        short="stop",
        footer=1,
    ),
    Command(
        id="corpus.hide",
        name="Show or hide the corpus",
        about="More room for the conversation",
        action="toggle_corpus",
        key="ctrl+b",
        short="corpus",
        footer=3,
    ),
    Command(
        id="pane.corpus",
        name="Go to the corpus",
        about="The files, their tokens, and what becomes of them",
        action="show_pane('corpus')",
        key="f2",
        short="files",
    ),
    Command(
        id="pane.conversation",
        name="Go to the conversation",
        about="Questions and answers",
        action="show_pane('conversation')",
        key="f3",
        short="answers",
    ),
    Command(
        id="pane.source",
        name="Go to the source",
        about="The document that was chosen or cited",
        action="show_pane('source')",
        key="f4",
        short="source",
        footer=2,
    ),
    Command(
        id="window.map",
        name="Window map",
        about="What stands in the context, window by window",
        action="toggle_map",
        key="f5",
        short="windows",
        slash="map",
        footer=2,
    ),
    Command(
        id="pane.zoom",
        name="Zoom the pane",
        about="The focused pane alone, or all again",
        action="zoom",
        key="f10",
        short="zoom",
    ),
    Command(
        id="session.list",
        name="Sessions…",
        about="Search, resume, rename and export earlier conversations",
        action="sessions",
        key="ctrl+r",
        short="sessions",
        slash="resume",
        takes="[ID]",
        footer=2,
    ),
    Command(
        id="session.new",
        name="New session",
        about="Begin a conversation over the same corpus",
        action="new_session",
        key="ctrl+n",
        short="new",
        slash="new",
        footer=3,
    ),
    Command(
        id="session.rename",
        name="Rename this session",
        about="Give it another title",
        action="rename",
        slash="rename",
        takes="[TITLE]",
    ),
    Command(
        id="session.export",
        name="Export this session",
        about="Write it to a file: Markdown, HTML or JSON",
        action="export",
        key="ctrl+e",
        short="export",
        slash="export",
        takes="[FILE]",
        footer=3,
    ),
    Command(
        id="summary.corpus",
        name="Summarise the corpus…",
        about="All of it, with citations",
        action="summarise",
        key="ctrl+t",
        short="summary",
        slash="summary",
        takes="[PATH]",
        footer=2,
    ),
    Command(
        id="summary.chosen",
        name="Summarise the chosen file or folder…",
        about="What the cursor in the corpus stands on",
        action="summarise_chosen",
    ),
    Command(
        id="jump",
        name="Jump",
        about="A letter for each place on the screen",
        action="jump",
        key="ctrl+o",
        short="jump",
        footer=2,
    ),
    Command(
        id="corpus.reread",
        name="Read changed files again",
        about="New and edited files join the prompt at its end",
        action="reread",
        slash="reread",
    ),
    Command(
        id="corpus.repack",
        name="Order the corpus anew",
        about="Without what is out of date; what was cached is read again",
        action="repack",
        slash="repack",
    ),
    Command(
        id="corpus.open",
        name="Open other sources…",
        about="A folder, a file, a git URL, or an earlier session",
        action="open_sources",
        slash="open",
        takes="[PATH]",
    ),
    Command(
        id="corpus.find",
        name="Go to file…",
        about="Find a file of the corpus by its name",
        action="find_file",
        slash="file",
        takes="[PATH]",
    ),
    Command(
        id="plan.show",
        name="Show the plan",
        about="What a question sends, and whether it fits",
        action="show_plan",
        slash="plan",
    ),
    Command(
        id="plan.tokens",
        name="Show the tokens",
        about="Of the corpus, of the conversation, and what the last answer took",
        action="show_tokens",
        slash="tokens",
    ),
    Command(
        id="citation.show",
        name="Show a citation",
        about="By the number of its footnote",
        action="cite",
        slash="cite",
        takes="N",
    ),
    Command(
        id="citation.next",
        name="Next citation",
        about="Of the last answer, where it stands",
        action="step_citation(1)",
    ),
    Command(
        id="citation.previous",
        name="Previous citation",
        about="Of the last answer, where it stands",
        action="step_citation(-1)",
    ),
    Command(
        id="answer.copy",
        name="Copy the answer",
        about="The current one, as Markdown",
        action="copy_answer",
    ),
    Command(
        id="answer.copy-references",
        name="Copy the answer with references",
        about="The current one with its footnotes, as Markdown",
        action="copy_references",
        slash="copy",
    ),
    Command(
        id="engine.pick",
        name="Change the engine…",
        about="Which engine and model answer",
        action="engines",
        key="f6",
        short="engine",
        slash="engine",
        footer=3,
    ),
    Command(
        id="engine.again",
        name="Start the engine again",
        about="After it ended, or to free what it holds",
        action="engine_again",
        slash="restart",
    ),
    Command(
        id="backend.again",
        name="Start the backend again",
        about="Where it has ended; the session goes on",
        action="app.restart",
    ),
    Command(
        id="engine.log",
        name="Show the log",
        about="What engine and backend have written",
        action="log_screen",
        key="f8",
        short="log",
        slash="log",
    ),
    Command(
        id="engine.doctor",
        name="Doctor",
        about="Look at all that an answer needs",
        action="doctor",
        key="f9",
        short="doctor",
        slash="doctor",
    ),
    Command(
        id="app.help",
        name="Help",
        about="For what has the focus",
        action="app.help",
        key="f1",
        short="help",
        slash="help",
        footer=1,
    ),
    Command(id="app.keys", name="Keys", about="All keys and commands", action="app.keys", key="f7", short="keys"),
    Command(
        id="app.theme",
        name="Theme…",
        about="Dark, light, colour-blind, or the terminal's own colours",
        action="app.pick_theme",
        slash="theme",
        takes="[NAME]",
    ),
    Command(
        id="app.screenshot",
        name="Screenshot",
        about="Write the screen to an SVG file",
        action="app.take_screenshot",
    ),
    Command(id="app.quit", name="Quit", about="The session is kept", action="app.quit", key="ctrl+q", slash="quit"),
)
STOP = next(command for command in COMMANDS if command.key == "escape")
ALSO = {"model": "engine", "exit": "quit", "sessions": "resume"}


def for_slash(name: str) -> Command | None:
    """The command that was typed behind a slash."""
    name = ALSO.get(name, name)
    return next((command for command in COMMANDS if command.slash == name), None)


def slash_commands() -> tuple[tuple[str, str], ...]:
    """What can be typed: the name with its slash, and what it does."""
    return tuple((f"/{each.slash}", _in_a_line(each)) for each in COMMANDS if each.slash)


def _in_a_line(command: Command) -> str:
    """`Show a citation: by the number of its footnote`."""
    about = command.about[0].lower() + command.about[1:]
    return f"{command.name.removesuffix('…')}: {about}"


def unknown(name: str) -> str:
    """What is said to a slash command that there is not; the nearest one, if any, is named."""
    names = [each.slash for each in COMMANDS if each.slash] + list(ALSO)
    near = get_close_matches(name.lower(), names, n=1)
    return f"/{name} is not known" + (f"; did you mean /{near[0]}?" if near else "; type / to see what is")
