"""`longctx chat`: a conversation line by line, for terminals, screen readers and pipes; nothing is ever redrawn."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from longctx.commands.dialogues import Opened, open_dialogue, write_end
from longctx.commands.engine_options import EngineOptions, SessionOptions
from longctx.commands.faces import Progress, TextFace, citations_text, ending_lines
from longctx.commands.options import Chosen, with_shared_options
from longctx.commands.output import open_output, stdin_is_terminal, stdout_is_terminal
from longctx.errors import Interrupted, LongctxError
from longctx.events import follow
from longctx.narration import ProgressLine, report_error

if TYPE_CHECKING:
    from longctx.answer import Answer

PROMPT = "> "
HELP = """\
Type a question and Enter; end a line with \\ to go on in the next.
/quote N     what footnote N of the last answer quotes
/sources     what was read and what was left out
/sessions    how to come back to this conversation
/export FILE write it to FILE (.md, .json or .html)
/quit        end (Ctrl-D too); Ctrl-C stops an answer and keeps what there is of it"""


@with_shared_options
def chat(
    chosen: Chosen,
    engines: EngineOptions,
    sessions: SessionOptions,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Folders, files, globs, git URLs.", show_default=False),
    ] = None,
    quotes: Annotated[int, typer.Option(min=1, max=50, help="At most so many quotes of the evidence engine.")] = 3,
) -> None:
    """Ask one question after another over the sources; each goes on from the answers before it.

    Questions come from the keyboard, or one a line from a pipe. The conversation is kept as a session.

    longctx chat ./repo

    longctx chat -c
    """
    with (
        open_output(None) as stream,
        Progress(ProgressLine(quiet=chosen.quiet, quiet_for_s=0, drawn=False)) as progress,
        open_dialogue(chosen, engines, sessions, sources or [], progress=progress, quotes=quotes) as opened,
    ):
        Talk(opened, stream, progress).run()


class Talk:
    """One conversation at the keyboard."""

    def __init__(self, opened: Opened, stream: IO[str], progress: Progress) -> None:
        self._opened = opened
        self._stream = stream
        self._progress = progress
        self._last: Answer | None = None
        self._failed: LongctxError | None = None
        face = TextFace(stream, progress, self._end)
        self._face = face

    def run(self) -> None:
        """Answer until the questions end; a question that fails does not end the others.

        Where nobody types, the exit code is that of the last failure, for a script to see.
        """
        self._progress.say("/help lists what you can type; /quit ends.")
        for line in _lines():
            if line.startswith("/"):
                if line in ("/quit", "/exit"):
                    break
                self._command(line)
            elif line:
                self._ask(line)
        session = self._opened.dialogue.session
        if session is not None:
            self._progress.say(f"session {session.id}: longctx chat -r {session.id} goes on")
        if self._failed is not None and not stdin_is_terminal():
            raise typer.Exit(self._failed.exit_code)

    def _ask(self, question: str) -> None:
        before = self._last
        try:
            follow(self._opened.dialogue.ask(question), self._face.tell)
        except LongctxError as error:
            self._failed = error
            self._end_line()
            report_error(error)
        except KeyboardInterrupt:
            self._end_line()
            kept = self._last is not before and self._last is not None and self._last.session is not None
            self._progress.say("stopped; what there is of the answer is kept" if kept else "stopped")

    def _end_line(self) -> None:
        self._face.end_line()
        self._progress.end()

    def _end(self, answer: "Answer") -> None:
        self._last = answer
        write_end(answer, self._opened, self._stream, on_terminal=stdout_is_terminal())
        self._stream.write("\n")
        self._stream.flush()
        for line in ending_lines(answer, None):
            self._progress.say(line)

    def _command(self, line: str) -> None:
        name, _, words = line.partition(" ")
        match name:
            case "/help":
                self._write(HELP)
            case "/quote":
                self._write(self._quote(words.strip()))
            case "/sources":
                self._write("\n".join(self._sources()))
            case "/sessions":
                self._write(self._session())
            case "/export":
                self._export(words.strip())
            case _:
                self._write(f"{name} is not known; /help lists what is")

    def _quote(self, number: str) -> str:
        """What a footnote quotes."""
        from ingest.naming import safe_text, show
        from longctx.terminal import state

        cited = {str(citation.n): citation for citation in self._last.citations} if self._last else {}
        if number not in cited:
            said = citations_text(self._last) if self._last else "there is no answer yet"
            return f"no footnote {number}: {said}" if number else f"/quote N, the number of a footnote: {said}"
        citation = cited[number]
        return f"{show(citation.place)} ({state(citation)})\n\n{safe_text(citation.quote)}"

    def _sources(self) -> Iterator[str]:
        from ingest.naming import show
        from longctx.answer import summarise

        corpus = self._opened.corpus
        summary = summarise(corpus.record.id, corpus.files)
        yield f"corpus {corpus.record.id}: {summary.files:,} files, {summary.tokens:,} tokens"
        yield from (f"  {show(path)}: {show(reason)}" for path, reason, _ in summary.skipped)

    def _session(self) -> str:
        session = self._opened.dialogue.session
        if session is None:
            return "nothing is kept yet"
        later = f"longctx chat -r {session.id}; longctx sessions show {session.id}"
        return f"session {session.id}, {session.turns} turn{'s' * (session.turns != 1)}: {later}"

    def _export(self, name: str) -> None:
        from longctx.corpora import known_sources
        from longctx.exported import exported, form_of

        session = self._opened.dialogue.session
        if session is None or not name:
            self._write("there is no session to write yet, or none is kept" if name else "/export FILE")
            return
        try:
            path = Path(name).expanduser()
            sources = known_sources(self._opened.corpus.paths.data / "longctx.db").get(session.corpus, ())
            with open_output(path) as file:
                file.write(exported(session, self._opened.dialogue.turns, sources, form_of(path)))
        except LongctxError as error:
            report_error(error)
            return
        self._write(f"written to {name}")

    def _write(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


def _lines() -> Iterator[str]:
    """Lines from the keyboard or a pipe; two Ctrl-C in a row, or one at an empty pipe, end all."""
    is_typed = stdin_is_terminal()
    if is_typed:
        with suppress(ImportError):
            import readline  # noqa: F401 - input() edits lines with it
    interrupted = False
    while sys.stdin is not None:
        try:
            yield _line(PROMPT if is_typed else "")
            interrupted = False
        except EOFError:
            if is_typed:
                sys.stdout.write(os.linesep)
            return
        except KeyboardInterrupt:
            if interrupted or not is_typed:
                raise Interrupted("stopped") from None
            interrupted = True
            sys.stdout.write("\nCtrl-C again, Ctrl-D or /quit ends.\n")


def _line(prompt: str) -> str:
    """One question: lines that end with a backslash go on in the next, where there is one."""
    line = input(prompt)
    while line.endswith("\\"):
        line = line[:-1]
        with suppress(EOFError):
            line += "\n" + input("… " if prompt else "")
            continue
        break
    return line.strip()
